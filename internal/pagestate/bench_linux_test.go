//go:build amd64 || arm64 || riscv64

package pagestate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The rate of 64 MB of dirty, incompressible pages from memory to memory, against
// the same bytes through the same TLS connection on the loopback and no more. Both
// in turn, by the clock, which a busy machine spoils, and by processor time.
func BenchmarkRateAgainstTLS(b *testing.B) {
	kind, _ := Choose()
	device, clone := benchSpace(b, kind, 64<<20), benchSpace(b, kind, 64<<20)
	must(b, device.SetImage("0"))
	must(b, clone.SetImage("0"))
	out, in := tlsPair(b)
	buf := make([]byte, 64<<20+64<<10)
	noise(5, buf)
	var msg []byte
	var took, used [5]time.Duration // TLS alone; diff, TLS, prepare, apply
	origin := time.Now()
	send := func(msg []byte) {
		done := make(chan error, 1)
		go func() { _, err := out.Write(msg); done <- err }()
		_, err := io.ReadFull(in, buf[:len(msg)])
		must(b, err)
		must(b, <-done)
	}
	round := func(i int, timed bool) {
		seed := byte(i*7 + 1)
		for p := range uint32(64 << 20 / PageSize) { // all dirty, and not like the base
			subtle.XORBytes(page(device.mem, p), buf[int(p)*PageSize:], page(device.mem, p))
			page(device.mem, p)[0] += seed
		}
		var at, cpu [6]time.Duration
		at[0], cpu[0] = time.Since(origin), cpuTime(b)
		send(msg)
		at[1], cpu[1] = time.Since(origin), cpuTime(b)
		var err error
		msg, err = device.AppendDiff(msg[:0])
		must(b, err)
		at[2], cpu[2] = time.Since(origin), cpuTime(b)
		send(msg)
		at[3], cpu[3] = time.Since(origin), cpuTime(b)
		ch, err := clone.Prepare(buf[:len(msg)], Limits{})
		must(b, err)
		at[4], cpu[4] = time.Since(origin), cpuTime(b)
		must(b, ch.ApplyImage(attempt(i, "entry")))
		at[5], cpu[5] = time.Since(origin), cpuTime(b)
		must(b, device.SetImage(attempt(i, "entry"))) // while the clone computes
		if timed {
			for k := range took {
				took[k] += at[k+1] - at[k]
				used[k] += cpu[k+1] - cpu[k]
			}
		}
	}
	msg = append(msg, buf[:64<<20]...)
	round(0, false)
	for i := 1; b.Loop(); i++ {
		round(i, true)
	}
	rate := func(d [5]time.Duration) float64 { return float64(d[0]) / float64(d[1]+d[2]+d[3]+d[4]) }
	b.ReportMetric(rate(took), "rate/tls")
	b.ReportMetric(rate(used), "cpu-rate/tls")
	for k, what := range []string{"tls-cpu-ms", "diff-cpu-ms", "", "prepare-cpu-ms", "apply-cpu-ms"} {
		if what != "" {
			b.ReportMetric(used[k].Seconds()*1000/float64(b.N), what)
		}
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// tlsPair returns the two ends of a TLS 1.3 connection on the loopback.
func tlsPair(b *testing.B) (out, in net.Conn) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(b, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	must(b, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	b.Cleanup(func() { must(b, l.Close()) })
	got := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			s := tls.Server(c, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
			_ = s.Handshake() // an error shows at the other end
			got <- s
		}
	}()
	out, err = tls.Dial("tcp", l.Addr().String(), &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true})
	must(b, err)
	in = <-got
	b.Cleanup(func() { _ = out.Close(); _ = in.Close() })
	return out, in
}
