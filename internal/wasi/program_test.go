package wasi_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasi/wasitest"
)

var goprog = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "goprog")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "goprog.wasm")
	cmd := exec.Command("go", "build", "-o", out, "./testdata/goprog")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if b, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.New(err.Error() + ": " + string(b))
	}
	return os.ReadFile(out)
})

func goProgram(t *testing.T, dir string, stdout *bytes.Buffer) *wasitest.Program {
	t.Helper()
	module, err := goprog()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("stderr: %s", &stderr)
		}
	})
	return &wasitest.Program{
		Module: module, Args: []string{"goprog", "key", "two words"}, Env: []string{"B=2", "A=1"},
		Stdin: strings.NewReader("hello\nworld\n"), Stdout: stdout, Stderr: &stderr,
		Dirs: []wasitest.Dir{{Host: dir, Guest: "/data"}},
	}
}

func run(t *testing.T, p *wasitest.Program) uint32 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	code, err := p.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

const goprogOutput = `args key,two words
env A=1,B=2
stdin hello
stdin world
slept true true
KEY
"first line\nsecond line\n"
500 here
grown 1000 true true
301 b true file-299
gone true
exists true
outside true
walk /data true
walk /data/grown false
walk /data/two false
`

// withoutKey replaces the line with random bytes.
func withoutKey(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "key ") {
			lines[i] = "KEY"
		}
	}
	return strings.Join(lines, "\n")
}

func TestAGoProgramUsesFilesFoldersTimeArgumentsAndStdin(t *testing.T) {
	dir := t.TempDir()
	var stdout bytes.Buffer
	if code := run(t, goProgram(t, dir, &stdout)); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	if got := withoutKey(stdout.String()); got != goprogOutput {
		t.Errorf("output:\n%s\nwant:\n%s", got, goprogOutput)
	}
	b, err := os.ReadFile(filepath.Join(dir, "two"))
	if err != nil || string(b) != "first line\nsecond line\n" {
		t.Errorf("the file it leaves holds %q, %v", b, err)
	}
}

func TestCatOfFourToolchainsReadsAFile(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(strings.TrimSpace(string(out)), "imports/wasi_snapshot_preview1/example/testdata")
	text, err := os.ReadFile(filepath.Join(data, "test.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, chain := range []string{"cargo-wasi", "tinygo", "zig", "zig-cc"} {
		t.Run(chain, func(t *testing.T) {
			module, err := os.ReadFile(filepath.Join(data, chain, "cat.wasm"))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "test.txt"), text, 0o644); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			p := &wasitest.Program{
				Module: module, Args: []string{"cat", "test.txt"}, Stdout: &stdout, Stderr: &stderr,
				Dirs: []wasitest.Dir{{Host: dir, Guest: "/", ReadOnly: true}},
			}
			if code := run(t, p); code != 0 || !bytes.Equal(stdout.Bytes(), text) {
				t.Errorf("exit code %d, output %q, want %q; stderr: %s", code, &stdout, text, &stderr)
			}
		})
	}
}

// seeded is a local host whose random bytes can be had again.
func seeded(p *wasitest.Program) (wasi.Host, []wasi.Handle, func(), error) {
	h, folders, done, err := wasitest.LocalHost(p)
	if err == nil {
		h.(*wasi.Local).Seed([32]byte{1, 2, 3})
	}
	return h, folders, done, err
}

// attempt is a recorded run of the Go program, and the folder it ran in, as
// it was before: what a re-run starts from.
type attempt struct {
	log    []wasi.Entry
	output string
	dir    string
	ino    [2]uint64 // the folder's device and inode
}

// record runs the Go program.
func record(t *testing.T) attempt {
	t.Helper()
	a := attempt{dir: t.TempDir()}
	var stdout bytes.Buffer
	p := goProgram(t, a.dir, &stdout)
	p.Host = seeded
	p.Tap = &wasi.Recorder{Add: func(e wasi.Entry) { a.log = append(a.log, e) }}
	if code := run(t, p); code != 7 {
		t.Fatalf("exit code %d, want 7", code)
	}
	a.output = stdout.String()
	// What travels is what is replayed.
	var err error
	if a.log, err = wasi.DecodeEntries(wasi.EncodeEntries(a.log)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"two", "grown"} {
		if err := os.Remove(filepath.Join(a.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	l := wasi.NewLocal(nil, nil, nil)
	defer l.CloseAll()
	h, err := l.AddFolder(a.dir, true)
	if err != nil {
		t.Fatal(err)
	}
	st, _ := l.Stat(h)
	a.ino = [2]uint64{st.Dev, st.Ino}
	return a
}

// replayer holds a re-run to entries of the log. The folder's own times are
// not what they were, as they would be after an attempt at a site.
func (a *attempt) replayer(log []wasi.Entry) *wasi.Replayer {
	r := wasi.ReplayEntries(log)
	r.Touched(a.ino[0], a.ino[1])
	return r
}

func TestAReRunIsAnsweredFromTheLog(t *testing.T) { // PROTOCOL rule 17
	a := record(t)
	var stdout bytes.Buffer
	p := goProgram(t, a.dir, &stdout)
	p.Stdin = strings.NewReader("what was read already")
	p.Host = seeded
	replayer := a.replayer(a.log)
	p.Tap = replayer
	if code := run(t, p); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	if stdout.Len() != 0 {
		t.Errorf("output was made twice: %q", &stdout)
	}
	if replayer.Entries() != len(a.log) {
		t.Errorf("took %d of %d entries", replayer.Entries(), len(a.log))
	}
	if b, err := os.ReadFile(filepath.Join(a.dir, "two")); err != nil || string(b) != "first line\nsecond line\n" {
		t.Errorf("the file operations were not done: %q, %v", b, err)
	}
}

func TestAReRunIsFreeBehindTheEndOfTheLog(t *testing.T) { // PROTOCOL rule 17
	a := record(t)
	// Cut behind the third line of output; stdin was read to its end before.
	lines, cut := 0, 0
	for i, e := range a.log {
		if e.Fn == wasi.FnFdWrite {
			if lines++; lines == 5 {
				cut = i + 1
				break
			}
		}
	}
	var stdout bytes.Buffer
	p := goProgram(t, a.dir, &stdout)
	p.Stdin = strings.NewReader("read already")
	p.Host = seeded
	p.Tap = a.replayer(a.log[:cut])
	if code := run(t, p); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	released := strings.Join(strings.SplitAfter(a.output, "\n")[:5], "")
	if got := released + stdout.String(); got != a.output {
		t.Errorf("released %q and then %q, want together %q", released, &stdout, a.output)
	}
}

func TestAReRunThatDiffersStops(t *testing.T) { // PROTOCOL rule 18
	a := record(t)
	first := func(fn wasi.Fn) int {
		for i := range a.log {
			if a.log[i].Fn == fn && a.log[i].Errno == wasi.ErrnoSuccess {
				return i
			}
		}
		t.Fatalf("the log has no %v", fn)
		return 0
	}
	for name, c := range map[string]struct {
		at     int
		change func(e *wasi.Entry)
	}{
		"in the import":        {first(wasi.FnFdRead), func(e *wasi.Entry) { e.Fn = wasi.FnFdTell }},
		"in the arguments":     {first(wasi.FnPathCreateDirectory), func(e *wasi.Entry) { e.Args[0] ^= 1 }},
		"in the errno":         {first(wasi.FnPathCreateDirectory), func(e *wasi.Entry) { e.Errno = wasi.ErrnoNospc }},
		"in a descriptor":      {first(wasi.FnPathOpen), func(e *wasi.Entry) { e.Outputs = []byte{99, 0, 0, 0} }},
		"in random bytes":      {first(wasi.FnRandomGet), func(e *wasi.Entry) { e.Outputs = make([]byte, 16) }},
		"in a size of results": {first(wasi.FnClockTimeGet), func(e *wasi.Entry) { e.Outputs = e.Outputs[:7] }},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.RemoveAll(filepath.Join(a.dir, "a")); err != nil {
				t.Fatal(err)
			}
			bad := append([]wasi.Entry(nil), a.log...)
			c.change(&bad[c.at])
			var stdout bytes.Buffer
			p := goProgram(t, a.dir, &stdout)
			p.Host = seeded
			p.Tap = a.replayer(bad)
			_, err := p.Run(context.Background())
			var d *wasi.Divergence
			if !errors.As(err, &d) {
				t.Fatalf("error %v, want a divergence", err)
			}
			if d.Entry != c.at {
				t.Errorf("diverges at entry %d, want %d: %v", d.Entry, c.at, d)
			}
		})
	}
}
