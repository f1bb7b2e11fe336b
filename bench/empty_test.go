package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/clonecloud/clonecloud/internal/link"
	"github.com/clonecloud/clonecloud/internal/link/identity"
)

const rpcMethod = "/bench/Exchange"

// mutual is TLS 1.3 with certificates on both sides, as a link has.
func mutual(own *identity.Identity, peer identity.ID) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own.TLSCertificate()},
		ClientAuth: tls.RequireAnyClientCert, InsecureSkipVerify: true, // the line below verifies
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			cert, err := x509.ParseCertificate(raw[0])
			if err != nil {
				return err
			}
			if identity.OfCertificate(cert) != peer {
				return errors.New("another peer")
			}
			return nil
		},
	}
}

// rpcRole is a hand-written service: a request says in its first bytes how long
// the reply is.
func rpcRole(own *identity.Identity, peer identity.ID) (string, func() error, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(mutual(own, peer))))
	reply := make([]byte, 64<<10)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Exchange", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.BytesValue)
			if err := decode(in); err != nil {
				return nil, err
			}
			return &wrapperspb.BytesValue{Value: reply[:binary.LittleEndian.Uint32(in.Value)]}, nil
		}}},
	}, struct{}{})
	return l.Addr().String(), func() error { return s.Serve(l) }, nil
}

// rpc is a client of it.
type rpc struct {
	tb testing.TB
	cc *grpc.ClientConn
}

func newRPC(tb testing.TB, own *identity.Identity) *rpc {
	tb.Helper()
	p := start(tb, "rpc", own)
	cc, err := grpc.NewClient(p.Addresses[0], grpc.WithTransportCredentials(credentials.NewTLS(mutual(own, p.ID))))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = cc.Close() })
	return &rpc{tb, cc}
}

// call exchanges so many bytes, again and again.
func (r *rpc) call(calls int, up, down int64) []float64 {
	r.tb.Helper()
	in, out := &wrapperspb.BytesValue{Value: make([]byte, up)}, new(wrapperspb.BytesValue)
	binary.LittleEndian.PutUint32(in.Value, uint32(down))
	times := make([]float64, calls)
	for i := range times {
		began := time.Now()
		if err := r.cc.Invoke(context.Background(), rpcMethod, in, out); err != nil {
			r.tb.Fatal(err)
		}
		times[i] = time.Since(began).Seconds()
	}
	return times
}

// BenchmarkEmptyOffload is the price of an offload that does nothing: 16 MB of
// memory, one incompressible dirty page each way, loopback, warm. It is compared
// with a gRPC unary call over TLS that carries the same bytes, in turns.
// The time of an offload is the runner's own: from the stub's question until
// the result is installed.
func BenchmarkEmptyOffload(b *testing.B) {
	const run = 200 // calls in a row of one kind
	w := newWorld(b)
	r := newRPC(b, w.own)
	kinds := []link.Preference{link.PreferTCP, link.PreferQUIC}
	var guests []*guest
	var up, down int64
	for _, p := range kinds {
		g := w.guest(b, p, nil)
		g.call(0, 2048, 0, full)  // no page is a hole,
		g.call(20, 1, 1536, full) // here or there
		warm := g.call(2*run, 1, 1, full)
		up, down = warm[len(warm)-1].BytesUp, warm[len(warm)-1].BytesDown
		guests = append(guests, g)
	}
	r.call(2*run, up, down)
	var rpcTimes [][]float64
	times := make([][][]float64, len(kinds))
	b.ResetTimer()
	for b.Loop() {
		rpcTimes = append(rpcTimes, r.call(run, up, down))
		for i, g := range guests {
			times[i] = append(times[i], seconds(g.call(run, 1, 1, full)))
		}
	}
	b.StopTimer()
	base := quantile(flat(rpcTimes), 0.5)
	least, most := spread(rpcTimes)
	b.Logf("grpc: p50 %s [%s-%s] p99 %s us; %d bytes up, %d down", us(base), us(least), us(most), us(quantile(flat(rpcTimes), 0.99)), up, down)
	b.ReportMetric(base*1e6, "grpc-p50-us")
	for i, p := range kinds {
		p50 := quantile(flat(times[i]), 0.5)
		least, most := spread(times[i])
		b.Logf("%s: p50 %s [%s-%s] p99 %s us", p, us(p50), us(least), us(most), us(quantile(flat(times[i]), 0.99)))
		b.ReportMetric(p50*1e6, string(p)+"-p50-us")
		b.ReportMetric(p50/base, string(p)+"/grpc")
	}
	b.ReportMetric(0, "ns/op")
}

// us prints seconds as whole microseconds.
func us(s float64) string { return strconv.Itoa(int(s * 1e6)) }
