package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/clonecloud/clonecloud/examples"
	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/link/shape"
	"github.com/clonecloud/clonecloud/internal/runner"
)

// demoCmd starts a clone on this machine, pairs with it, and runs face
// recognition three ways: on the device with the interpreter, as on a phone that
// forbids compiled code; on the device with the compiler; and with the slow
// device and the clone, over a shaped link.
type demoCmd struct {
	Link   string `default:"wifi" placeholder:"PROFILE" help:"Link to the clone: wifi, lte, 5g, wifi-2011, 3g-2011 or a file."`
	Out    string `placeholder:"DIR" help:"Folder for the pictures with boxes (clonecloud-demo)."`
	Photos int    `default:"6" help:"How many photos the fast columns take; the interpreter takes one."`
}

// demoWay is one column of the table.
type demoWay struct {
	name, slug string
	engine     string
	where      string
	photos     int
	// auto ways look for faces in smaller pictures, and draw none: they show
	// decisions, and the whole demo is to stay under two minutes.
	auto bool
	link *shape.Profile // nil: none

	res     *device.Result
	seconds float64
	output  []string
	folder  string
}

func (*demoCmd) usage() string { return "[FLAGS]" }
func (*demoCmd) exits() string { return "0 all outputs agree; 1 anything failed or differs" }

func (c *demoCmd) Run(a *app) error {
	profile, err := shape.Load(c.Link)
	if err != nil {
		return exitCode{exitUsage, fmt.Errorf("--link: %w", err)}
	}
	if c.Photos < 1 || c.Photos > 6 {
		return usage("--photos %d: want 1 to 6", c.Photos)
	}
	d := &demo{a: a, profile: profile}
	if err := d.makeOut(c.Out); err != nil {
		return err
	}
	if d.tmp, err = os.MkdirTemp("", "clonecloud-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.tmp)
	ways := []*demoWay{
		{name: "device alone, interpreter", slug: "interpreter", engine: "interpreter", where: device.WhereDevice, photos: 1},
		{name: "device alone, compiler", slug: "compiler", engine: "compiler", where: device.WhereDevice, photos: c.Photos},
		{name: "interpreter device + clone, " + profile.Name, slug: "clone", engine: "interpreter", where: device.WhereClone, photos: c.Photos, link: &profile},
	}
	autos, err := autoWays()
	if err != nil {
		return err
	}
	return d.run(ways, autos)
}

// demo is one demonstration in progress.
type demo struct {
	a       *app
	profile shape.Profile
	tmp     string
	out     string
	home    string
	photos  string
}

// outMark is in every folder that a demo has made: what is in such a one is
// replaced, and in no other.
const outMark = ".clonecloud-demo"

// makeOut makes the folder of the pictures.
func (d *demo) makeOut(path string) (err error) {
	if path == "" {
		path = "clonecloud-demo"
	}
	if d.out, err = filepath.Abs(path); err != nil {
		return err
	}
	mark := filepath.Join(d.out, outMark)
	entries, err := os.ReadDir(d.out)
	if _, marked := os.Stat(mark); err == nil && len(entries) > 0 && marked != nil {
		return usageHint("choose a new folder with --out DIR", "--out %s: the folder holds something that is not a demo's", path)
	}
	if err := os.MkdirAll(d.out, 0o755); err != nil {
		return usageHint("choose a folder that can be made with --out DIR", "make a folder for the pictures: %w", err)
	}
	if err := os.WriteFile(mark, nil, 0o644); err != nil {
		return usageHint("choose a folder that may be written with --out DIR", "make a folder for the pictures: %w", err)
	}
	return nil
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.a.stdio.out, format+"\n", args...)
}

func (d *demo) run(ways, autos []*demoWay) error {
	d.home, d.photos = filepath.Join(d.tmp, "device"), filepath.Join(d.tmp, "photos")
	if err := copyPhotos(d.photos); err != nil {
		return err
	}
	d.say("Starting a clone on this machine and pairing with it ...")
	stop, err := d.startClone()
	if err != nil {
		return err
	}
	defer stop()
	d.say("Face recognition, an ordinary WASI program. The link to the clone is shaped: %v.", d.profile)
	for _, w := range ways {
		if err := d.runWay(w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	equal := compareWays(ways)
	d.table(ways, equal)
	d.say("\nThe same, and the device decides for itself, by what it learns: smaller pictures, %s.", plural(autoPhotos, "photo"))
	for _, w := range autos {
		if err := d.runWay(w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	same := sameOutputs(autos)
	d.decisions(autos, same)
	if !equal || !same {
		return errors.New("the outputs differ: please report this")
	}
	return nil
}

// startClone runs `serve` as a process of its own, as on another machine, and
// pairs.
func (d *demo) startClone() (stop func(), err error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(d.tmp, "node"), "--name", "clone")
	cmd.Stderr = d.a.stdio.err
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a clone: %w", err)
	}
	stop = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		done := make(chan struct{})
		go func() {
			_ = cmd.Wait()
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
		}
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return nil, fmt.Errorf("the clone did not start: %w", err)
	}
	home := *d.a
	home.home = d.home
	if _, err := pairWith(&home, strings.TrimSpace(url)); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// runWay runs the program one way and shows its lines as they come.
func (d *demo) runWay(w *demoWay) error {
	d.say("\n%s: %s", w.name, plural(w.photos, "photo"))
	args := []string{"facerecognition", "--max", fmt.Sprint(w.photos), "--faces", "1"}
	dirs := []runner.Dir{{Host: d.photos, Guest: "/photos", ReadOnly: true}}
	if w.auto {
		args = append(args, "--detector-size", autoSize)
	} else {
		w.folder = filepath.Join(d.out, w.slug)
		if err := emptyFolder(w.folder); err != nil {
			return err
		}
		args = append(args, "--detector-size", "224", "--boxes", "/out")
		dirs = append(dirs, runner.Dir{Host: w.folder, Guest: "/out"})
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	lines := make(chan []string)
	go func() { lines <- d.follow(read) }()
	defer d.progress()()
	o := device.Options{
		Home: d.home, Software: "clonecloud " + softwareVersion(), App: "facerecognition.wasm",
		Module: examples.FaceRecognition(), Engine: w.engine, Where: w.where, Log: d.a.log,
		Args: append(args, "/photos"), Dirs: dirs, Shape: w.link,
		Stdout: write, Stderr: d.a.stdio.err,
	}
	if w.auto {
		power := energy.Choose(d.a.home, os.DirFS("/sys")) // of this device, not of the demo's home
		o.Power = power.Profile
	}
	ctx, cancel := context.WithCancel(d.a.ctx)
	defer cancel()
	began := time.Now()
	w.res, err = device.Run(ctx, o)
	_ = write.Close()
	w.output = <-lines
	w.seconds = time.Since(began).Seconds()
	switch {
	case err != nil:
		return err
	case w.res.Interrupted:
		return exitCode{Code: interruptCode(ctx)}
	case w.res.Exit.Error != "":
		return errors.New(w.res.Exit.Error)
	case w.res.Exit.Code != 0:
		return fmt.Errorf("the program ended with exit code %d", w.res.Exit.Code)
	}
	return nil
}

// emptyFolder makes a folder for pictures, and removes those of an earlier demo
// from it, nothing else.
func emptyFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return withHint(fmt.Errorf("make a folder for the pictures: %w", err), "choose another one with --out DIR")
	}
	old, err := filepath.Glob(filepath.Join(dir, "sample*.jpg"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// progress shows that time passes, between the program's lines: on a terminal a
// line that counts, elsewhere a word now and then.
func (d *demo) progress() (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	terminal := term.IsTerminal(int(d.a.stdio.out.Fd()))
	every := 10 * time.Second
	if terminal {
		every = 200 * time.Millisecond
	}
	go func() {
		defer wg.Done()
		t := time.NewTicker(every)
		defer t.Stop()
		began := time.Now()
		for {
			select {
			case <-t.C:
				if terminal {
					fmt.Fprintf(d.a.stdio.out, "\r  %6.1f s  ... \r", time.Since(began).Seconds())
				} else {
					d.say("  %6.1f s  ...", time.Since(began).Seconds())
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		wg.Wait()
	}
}

// follow shows and keeps what the program prints.
func (d *demo) follow(r io.ReadCloser) (lines []string) {
	defer r.Close()
	began := time.Now()
	for s := bufio.NewScanner(r); s.Scan(); {
		d.say("  %6.1f s  %s", time.Since(began).Seconds(), s.Text())
		lines = append(lines, s.Text())
	}
	return lines
}

// faceLines are the lines about faces: the last line counts photos, which are
// not as many in each column.
func (w *demoWay) faceLines() []string {
	if len(w.output) == 0 {
		return nil
	}
	return w.output[:len(w.output)-1]
}

// compareWays reports whether all outputs agree on what they have in common:
// the faces of the first photos, and the pictures.
func compareWays(ways []*demoWay) bool {
	ref := ways[len(ways)-1]
	for _, w := range ways {
		lines := w.faceLines()
		if len(lines) == 0 || len(lines) > len(ref.faceLines()) || !slices.Equal(lines, ref.faceLines()[:len(lines)]) {
			return false
		}
		same, err := sameFiles(w.folder, ref.folder)
		if err != nil || !same {
			return false
		}
	}
	return true
}

// sameFiles reports whether every file of a is in b, byte for byte.
func sameFiles(a, b string) (bool, error) {
	entries, err := os.ReadDir(a)
	if err != nil || len(entries) == 0 {
		return false, err
	}
	for _, e := range entries {
		x, err := os.ReadFile(filepath.Join(a, e.Name()))
		if err != nil {
			return false, err
		}
		y, err := os.ReadFile(filepath.Join(b, e.Name()))
		if err != nil || string(x) != string(y) {
			return false, err
		}
	}
	return true, nil
}

// table prints what was measured.
func (d *demo) table(ways []*demoWay, equal bool) {
	w := tabwriter.NewWriter(d.a.stdio.out, 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, "\n\tphotos\tseconds\ts/photo\tspeed-up\tsent\treceived\tmoved to the clone")
	slow := ways[0].seconds / float64(ways[0].photos)
	for _, way := range ways {
		t := way.res.Report.Totals
		per := way.seconds / float64(way.photos)
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.2f\t%.1fx\t%s\t%s\t%s\n",
			way.name, way.photos, way.seconds, per, slow/per, sizeOrNone(t.BytesUp), sizeOrNone(t.BytesDown), moved(way.res))
	}
	_ = w.Flush()
	verdict := "equal: every line, and every picture byte for byte"
	if !equal {
		verdict = "DIFFERENT"
	}
	d.say("\nOutputs of the photos that the columns share: %s.", verdict)
	d.say("Seconds include starting and compiling; the first column takes fewer photos because it is slow.")
	d.say("Pictures with boxes: %s", d.out)
}

func sizeOrNone(n int64) string {
	if n == 0 {
		return "-"
	}
	return bytesText(n)
}

// moved names the functions that ran on the clone.
func moved(r *device.Result) string {
	var names []string
	for _, c := range r.Report.Calls {
		if c.Where == device.WhereClone && !slices.Contains(names, c.Function) {
			names = append(names, c.Function)
		}
	}
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ", ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// copyPhotos unpacks the sample photos, which are part of the binary.
func copyPhotos(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	photos := examples.Photos()
	return fs.WalkDir(photos, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(name, ".jpg") {
			return err
		}
		data, err := fs.ReadFile(photos, name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, filepath.Base(name)), data, 0o644)
	})
}
