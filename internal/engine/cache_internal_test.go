package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// entries returns the files of a cache folder, staging folders included.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// run compiles the self-test module in a fresh engine, checks that it works, and
// returns whether the machine code was cached, with the warnings.
func run(t *testing.T, c Config, wasm []byte) (cached bool, warnings []string) {
	t.Helper()
	if k, why := DefaultKind(); k != Compiler {
		t.Skipf("no compiler here: %s", why)
	}
	c.Warn = func(err error) { warnings = append(warnings, err.Error()) }
	ctx := t.Context()
	e, err := New(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	m, err := e.Compile(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	in, err := e.Instantiate(ctx, m, "")
	if err != nil {
		t.Fatal(err)
	}
	f, ok := in.Function("f")
	if !ok {
		t.Fatal("no export f")
	}
	stack := []uint64{13}
	if err := f.Call(ctx, stack); err != nil || stack[0] != 40 {
		t.Fatalf("f(13) = %d, %v", stack[0], err)
	}
	return m.Cached(), warnings
}

// variant is the self-test module with a custom section, so another module.
func variant(n int) []byte {
	return append(bytes.Clone(selfTestModule), 0, 3, 1, 'n', byte(n))
}

func TestCompiledCodeIsFoundByTheNextProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet", "there")
	if cached, w := run(t, Config{CacheDir: dir}, selfTestModule); cached || len(w) > 0 {
		t.Errorf("first: cached %v, warnings %v", cached, w)
	}
	if cached, w := run(t, Config{CacheDir: dir}, selfTestModule); !cached || len(w) > 0 {
		t.Errorf("second: cached %v, warnings %v", cached, w)
	}
	if cached, _ := run(t, Config{CacheDir: dir}, variant(1)); cached {
		t.Error("another module was found")
	}
	if got := entries(t, dir); len(got) != 2 {
		t.Errorf("the folder holds %v, want two entries and no staging", got)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasPrefix(n.Name(), stagingPrefix) {
			t.Errorf("a staging folder stayed: %s", n.Name())
		}
	}
}

func TestADamagedEntryIsDeletedAndCompiledAgain(t *testing.T) {
	damage := map[string]func(b []byte) []byte{
		"cut off":              func(b []byte) []byte { return b[:len(b)/2] },
		"cut to the header":    func(b []byte) []byte { return b[:3] },
		"empty":                func([]byte) []byte { return nil },
		"a bit of the offsets": func(b []byte) []byte { b[len("WAZEVO")+1+3+4+2] ^= 4; return b },
		"a bit in the middle":  func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"another file":         func([]byte) []byte { return []byte("not machine code at all") },
		"longer":               func(b []byte) []byte { return append(b, 0) },
	}
	for name, change := range damage {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			run(t, Config{CacheDir: dir}, selfTestModule)
			path := entries(t, dir)[0]
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if cached, w := run(t, Config{CacheDir: dir}, selfTestModule); cached || len(w) != 1 {
				t.Errorf("with the damage: cached %v, warnings %v", cached, w)
			}
			if cached, w := run(t, Config{CacheDir: dir}, selfTestModule); !cached || len(w) > 0 {
				t.Errorf("afterwards: cached %v, warnings %v", cached, w)
			}
		})
	}
}

// An entry whose checksum is right and whose content the engine refuses: as if
// written by a version that forgot to change its name.
func TestAnEntryThatTheEngineRefusesIsReplaced(t *testing.T) {
	contents := map[string][]byte{
		"wrong magic":           []byte("NOTWAZEVO plus some more bytes to fill the header"),
		"too short":             []byte("WAZ"),
		"nothing":               nil,
		"an old version":        []byte("WAZEVO\x030.1\x01\x00\x00\x00"),
		"no code but locations": []byte("WAZEVO\x03dev\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\x7f"),
	}
	for name, content := range contents {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			run(t, Config{CacheDir: dir}, selfTestModule)
			path := entries(t, dir)[0]
			engineName, _, _ := strings.Cut(filepath.Base(path), ".")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			sum, err := hashFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path, filepath.Join(filepath.Dir(path), engineName+"."+sum)); err != nil {
				t.Fatal(err)
			}
			if cached, w := run(t, Config{CacheDir: dir}, selfTestModule); cached {
				t.Errorf("it was used; warnings %v", w)
			}
			if cached, w := run(t, Config{CacheDir: dir}, selfTestModule); !cached || len(w) > 0 {
				t.Errorf("afterwards: cached %v, warnings %v", cached, w)
			}
		})
	}
}

func TestACacheThatCannotBeUsedIsOnlyAWarning(t *testing.T) {
	t.Run("a file stands in its place", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if cached, w := run(t, Config{CacheDir: path}, selfTestModule); cached || len(w) != 1 {
			t.Errorf("cached %v, warnings %v", cached, w)
		}
	})
	t.Run("the folder is read-only", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root writes everywhere")
		}
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		if cached, w := run(t, Config{CacheDir: dir}, selfTestModule); cached || len(w) != 1 {
			t.Errorf("cached %v, warnings %v", cached, w)
		}
	})
	t.Run("the folder vanishes", func(t *testing.T) {
		if k, why := DefaultKind(); k != Compiler {
			t.Skipf("no compiler here: %s", why)
		}
		dir := filepath.Join(t.TempDir(), "cache")
		var warnings []error
		e, err := New(t.Context(), Config{CacheDir: dir, Warn: func(err error) { warnings = append(warnings, err) }})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = e.Close(context.Background()) }()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Compile(t.Context(), selfTestModule); err != nil {
			t.Errorf("compile: %v, warnings %v", err, warnings)
		}
	})
}

func TestAModuleThatIsInvalidFailsWithAndWithoutCache(t *testing.T) {
	bad := bytes.Clone(selfTestModule)
	bad[len(bad)-2] = 0xff
	for _, dir := range []string{"", t.TempDir()} {
		e, err := New(t.Context(), Config{Kind: Interpreter, CacheDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Compile(t.Context(), bad); err == nil {
			t.Error("an invalid module compiled")
		}
		_ = e.Close(context.Background())
	}
}

func TestTheCacheKeepsToItsSize(t *testing.T) {
	dir := t.TempDir()
	run(t, Config{CacheDir: dir}, variant(0))
	info, err := os.Stat(entries(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	limit := 3*info.Size() + info.Size()/2
	for i := range 6 {
		run(t, Config{CacheDir: dir, MaxCacheBytes: limit}, variant(i))
		old := time.Now().Add(-time.Hour * time.Duration(10-i))
		for _, e := range entries(t, dir) {
			if fi, err := os.Stat(e); err == nil && time.Since(fi.ModTime()) < time.Hour {
				_ = os.Chtimes(e, old, old)
			}
		}
	}
	if got := entries(t, dir); len(got) != 3 {
		t.Errorf("%d entries, want 3", len(got))
	}
	if cached, _ := run(t, Config{CacheDir: dir, MaxCacheBytes: limit}, variant(5)); !cached {
		t.Error("the newest entry was deleted")
	}
	if cached, _ := run(t, Config{CacheDir: dir, MaxCacheBytes: limit}, variant(0)); cached {
		t.Error("the oldest entry was kept")
	}
}

func TestFoldersOfDeadProcessesAreSwept(t *testing.T) {
	dir := t.TempDir()
	dead, live := filepath.Join(dir, stagingPrefix+"dead"), filepath.Join(dir, stagingPrefix+"live")
	for _, d := range []string{dead, live} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-2 * stagingAge)
	if err := os.Chtimes(dead, old, old); err != nil {
		t.Fatal(err)
	}
	run(t, Config{CacheDir: dir}, selfTestModule)
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Error("the old folder stayed")
	}
	if _, err := os.Stat(live); err != nil {
		t.Error("the young folder was taken from its process")
	}
}

func TestManyEnginesMayShareOneCache(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for worker := range 4 {
		wg.Go(func() {
			for i := range 8 {
				e, err := New(context.Background(), Config{CacheDir: dir, Warn: func(err error) { errs <- err }})
				if err != nil {
					errs <- err
					return
				}
				if _, err := e.Compile(context.Background(), variant((worker+i)%3)); err != nil {
					errs <- fmt.Errorf("worker %d: %w", worker, err)
				}
				_ = e.Close(context.Background())
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}
