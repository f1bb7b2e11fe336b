// Package face measures face recognition on a device that has only an
// interpreter, as a phone that forbids compiling at run time, alone and with a
// clone over Wi-Fi.
package face

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/clonecloud/clonecloud/examples"
	"github.com/clonecloud/clonecloud/internal/device"
	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
	"github.com/clonecloud/clonecloud/internal/link/shape"
	"github.com/clonecloud/clonecloud/internal/node"
	"github.com/clonecloud/clonecloud/internal/runner"
)

func TestMain(m *testing.M) {
	runner.MaybeChild()
	os.Exit(m.Run())
}

// recognise runs the application on one photo and returns its seconds, from
// start to end, and its output.
func recognise(b *testing.B, home, photos string, setup func(*device.Options)) (float64, []byte) {
	b.Helper()
	out, err := os.CreateTemp(b.TempDir(), "out")
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	o := device.Options{
		Home: home, Software: "bench", App: "facerecognition", Module: examples.FaceRecognition(), Engine: "interpreter",
		Args:   []string{"facerecognition", "--max", "1", "--faces", "1", "--detector-size", "224", "/photos"},
		Dirs:   []runner.Dir{{Host: photos, Guest: "/photos", ReadOnly: true}},
		Stdout: out, Stderr: os.Stderr,
	}
	setup(&o)
	began := time.Now()
	res, err := device.Run(context.Background(), o)
	took := time.Since(began).Seconds()
	if err != nil {
		b.Fatal(err)
	}
	if res.Exit.Code != 0 {
		b.Fatal(res.Exit)
	}
	if o.Where == device.WhereClone && (res.Report.Totals.CallsClone == 0 || res.Report.Totals.Fallbacks > 0) {
		b.Fatalf("it did not run on the clone: %+v", res.Report.Calls)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		b.Fatal(err)
	}
	return took, text
}

// BenchmarkFaceRecognition treats one photo; both sides have the module and its
// compiled code already, as from the second start on. The speed-up is of whole
// runs, start of the program included.
func BenchmarkFaceRecognition(b *testing.B) {
	dir := b.TempDir()
	own, err := identity.LoadOrCreate(filepath.Join(dir, "device"))
	if err != nil {
		b.Fatal(err)
	}
	other, err := identity.LoadOrCreate(filepath.Join(dir, "node"))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l, err := link.Listen(ctx, "127.0.0.1:0", link.ListenOptions{Identity: other, Listed: func(id identity.ID) bool { return id == own.ID() }})
	if err != nil {
		b.Fatal(err)
	}
	n := node.New(node.Config{Listener: l, Data: filepath.Join(dir, "node"), Software: "bench"})
	done := make(chan error, 1)
	go func() { done <- n.Serve(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	photos := filepath.Join(dir, "photos")
	if err := os.Mkdir(photos, 0o755); err != nil {
		b.Fatal(err)
	}
	data, err := fs.ReadFile(examples.Photos(), "sample1.jpg")
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(photos, "sample1.jpg"), data, 0o600); err != nil {
		b.Fatal(err)
	}
	wifi, err := shape.Load("wifi")
	if err != nil {
		b.Fatal(err)
	}
	peer := identity.Peer{ID: other.ID(), Name: "clone", Addresses: []string{l.Addr().String()}}
	home := filepath.Join(dir, "device")
	alone := func() (float64, []byte) {
		return recognise(b, home, photos, func(o *device.Options) { o.Where = device.WhereDevice })
	}
	clone := func() (float64, []byte) {
		return recognise(b, home, photos, func(o *device.Options) {
			o.Where, o.Clone, o.Shape = device.WhereClone, &peer, &wifi
		})
	}
	clone() // the module travels, and is compiled
	var aloneS, cloneS float64
	b.ResetTimer()
	for b.Loop() {
		a, was := alone()
		c, is := clone()
		if !bytes.Equal(was, is) {
			b.Fatalf("outputs differ:\n%s\n%s", was, is)
		}
		aloneS, cloneS = aloneS+a, cloneS+c
	}
	b.ReportMetric(aloneS/float64(b.N), "interpreter-s")
	b.ReportMetric(cloneS/float64(b.N), "clone-s")
	b.ReportMetric(aloneS/cloneS, "speed-up")
	b.ReportMetric(0, "ns/op")
}
