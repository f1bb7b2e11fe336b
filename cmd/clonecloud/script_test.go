package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/clonecloud/clonecloud/internal/runner"
)

// patience bounds every wait of these tests. It is no measure of anything: a
// busy machine needs most of it, an idle one little.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	runner.MaybeChild()
	// These tests wait for other processes more than they compute.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"clonecloud": main})
}

// programs are the folders whose modules scripts find beside them.
var programs = []string{"testdata/programs", "../../internal/testprogs/wasm", "../../examples/prebuilt"}

// linkPrograms puts every module into dir.
func linkPrograms(dir string) error {
	for _, from := range programs {
		all, err := filepath.Glob(filepath.Join(from, "*.wasm"))
		if err != nil || len(all) == 0 {
			return fmt.Errorf("no modules in %s: %w", from, err)
		}
		for _, path := range all {
			abs, err := filepath.Abs(path)
			if err != nil {
				return err
			}
			if err := os.Symlink(abs, filepath.Join(dir, filepath.Base(path))); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestScripts runs what a person would type, in testdata/*.txtar. Beside the
// usual commands of testscript there are:
//
//	exits CODE COMMAND...   COMMAND ends with this exit code
//	serve [NAME]            a clone; its pairing URL is $NAME, by default $URL
//	stop [NAME]             ends it with SIGTERM; it must exit 0
//	report FILE KEY=WANT... a report has exactly the fields of the interface
//	damage FOLDER           cuts every file in it
//	eventually COMMAND...   COMMAND prints more than one line, sooner or later
//	gone APP                ps does not show APP any more, and nothing is left of it
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("CLONECLOUD_HOME", filepath.Join(e.WorkDir, "home"))
			e.Values[nodes{}] = map[string]*served{}
			return linkPrograms(e.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": cmdExits, "serve": cmdServe, "stop": cmdStop, "report": cmdReport,
			"damage": cmdDamage, "eventually": cmdEventually, "gone": cmdGone,
		},
	})
}

// waitLimit bounds waits for another process; nothing is measured by it.
const waitLimit = time.Minute

// cmdEventually runs a command until it prints more than a heading.
func cmdEventually(ts *testscript.TestScript, _ bool, args []string) {
	for began := time.Now(); time.Since(began) < waitLimit; time.Sleep(50 * time.Millisecond) {
		ts.Check(ts.Exec(args[0], args[1:]...))
		if strings.Count(ts.ReadFile("stdout"), "\n") > 1 {
			return
		}
	}
	ts.Fatalf("%v prints nothing", args)
}

// cmdGone waits until ps does not show an application, and its files are gone.
func cmdGone(ts *testscript.TestScript, _ bool, args []string) {
	for began := time.Now(); time.Since(began) < waitLimit; time.Sleep(50 * time.Millisecond) {
		ts.Check(ts.Exec("clonecloud", "ps"))
		left, err := os.ReadDir(ts.MkAbs("home/run"))
		ts.Check(err)
		if !strings.Contains(ts.ReadFile("stdout"), args[0]) && len(left) == 0 {
			return
		}
	}
	ts.Fatalf("%s is still shown", args[0])
}

type nodes struct{}

// cmdExits runs a command and compares its exit code.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got, err := 0, ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// served is a clone that runs beside a test.
type served struct {
	cmd *exec.Cmd
	url string
}

// startNode starts `clonecloud serve` and reads its pairing URL.
func startNode(cmd *exec.Cmd) (*served, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("the clone printed no line: %w", errors.Join(err, cmd.Wait()))
	}
	if !strings.HasPrefix(url, "clonecloud://") {
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("the clone's first line is %q", url)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return &served{cmd, strings.TrimSpace(url)}, nil
}

// stop ends a clone as an operator does.
func (s *served) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	kill := time.AfterFunc(30*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("serve after SIGTERM: %w", err)
	}
	return nil
}

func cmdServe(ts *testscript.TestScript, _ bool, args []string) {
	name := append(args, "URL")[0]
	cmd := exec.Command(filepath.Join(binFolder(ts), "clonecloud"), "serve", "--listen", "127.0.0.1:0", "--data", ts.MkAbs("node-"+name), "--name", "box")
	cmd.Env = append(os.Environ(), "CLONECLOUD_HOME="+ts.MkAbs("node-home"))
	cmd.Stderr = os.Stderr
	s, err := startNode(cmd)
	ts.Check(err)
	ts.Setenv(name, s.url)
	all := ts.Value(nodes{}).(map[string]*served)
	all[name] = s
	ts.Defer(func() {
		if all[name] == s {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
		}
	})
}

func cmdStop(ts *testscript.TestScript, _ bool, args []string) {
	name := append(args, "URL")[0]
	all := ts.Value(nodes{}).(map[string]*served)
	s := all[name]
	if s == nil {
		ts.Fatalf("no clone %s runs", name)
	}
	delete(all, name)
	ts.Check(s.stop())
}

func cmdDamage(ts *testscript.TestScript, _ bool, args []string) {
	all, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*"))
	ts.Check(err)
	if len(all) == 0 {
		ts.Fatalf("nothing is in %s", args[0])
	}
	for _, path := range all {
		ts.Check(os.Truncate(path, 5))
	}
}

// binFolder is where testscript put the command.
func binFolder(ts *testscript.TestScript) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "clonecloud")); err == nil {
			return dir
		}
	}
	ts.Fatalf("clonecloud is not in PATH")
	return ""
}

// reportFields is what `run --report` promises, by name: it is spelled out here
// once more so that a renamed field fails.
type reportFields struct {
	App         string           `json:"app"`
	Module      string           `json:"module"`
	Where       string           `json:"where"`
	Objective   string           `json:"objective"`
	Unsupported string           `json:"unsupported"`
	JoulesAre   string           `json:"joulesAre"`
	Power       string           `json:"power"`
	Policy      map[string]any   `json:"policy"`
	Calls       []map[string]any `json:"calls"`
	Totals      map[string]any   `json:"totals"`
}

var (
	callFields = map[string]string{
		"function": "string", "index": "float64", "context": "string", "where": "string", "reason": "string",
		"predicted": "map[string]interface {}?", "seconds": "float64", "joules": "float64?",
		"bytesUp": "float64", "bytesDown": "float64", "attempts": "float64",
		"rule": "string?", "term": "string?", "uncertain": "bool?", "fallback": "bool?",
	}
	totalFields = map[string]string{
		"seconds": "float64", "joules": "float64?", "bytesUp": "float64", "bytesDown": "float64",
		"callsDevice": "float64", "callsClone": "float64", "fallbacks": "float64",
	}
)

// checkFields fails for a field that is missing, unknown or of another type.
func checkFields(got map[string]any, want map[string]string) error {
	for name, value := range got {
		typ, optional := strings.CutSuffix(want[name], "?")
		if have := fmt.Sprintf("%T", value); have != typ {
			return fmt.Errorf("field %q is a %s, want %q (optional: %v)", name, have, typ, optional)
		}
	}
	for name, typ := range want {
		if _, ok := got[name]; !ok && !strings.HasSuffix(typ, "?") {
			return fmt.Errorf("field %q is missing", name)
		}
	}
	return nil
}

// cmdReport checks a report: KEY=WANT compares a field of the report or of its
// totals; KEY>N wants more than N.
func cmdReport(ts *testscript.TestScript, _ bool, args []string) {
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	d.DisallowUnknownFields()
	var r reportFields
	ts.Check(d.Decode(&r))
	ts.Check(checkFields(r.Totals, totalFields))
	for _, c := range r.Calls {
		ts.Check(checkFields(c, callFields))
	}
	have := map[string]any{"app": r.App, "where": r.Where, "objective": r.Objective, "joulesAre": r.JoulesAre, "power": r.Power, "unsupported": r.Unsupported, "calls": float64(len(r.Calls))}
	for k, v := range r.Policy {
		have["policy."+k] = v
	}
	if len(r.Calls) > 0 {
		have["rule"], have["reason"] = r.Calls[0]["rule"], r.Calls[0]["reason"]
	}
	for k, v := range r.Totals {
		have[k] = v
	}
	if len(r.Module) != 64 {
		ts.Fatalf("module %q is no SHA-256", r.Module)
	}
	for _, arg := range args[1:] {
		if k, v, ok := strings.Cut(arg, ">"); ok {
			n, err := strconv.ParseFloat(v, 64)
			ts.Check(err)
			if f, ok := have[k].(float64); !ok || f <= n {
				ts.Fatalf("%s is %v, want more than %v", k, have[k], n)
			}
			continue
		}
		k, v, _ := strings.Cut(arg, "=")
		if fmt.Sprint(have[k]) != v {
			ts.Fatalf("%s is %v, want %s", k, have[k], v)
		}
	}
}
