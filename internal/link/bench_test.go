package link

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// echoBytes is what one empty offload carries each way: a page and its header.
const echoBytes = 4 << 10

// rpc is one way to carry echoBytes there and back.
type rpc struct {
	name string
	call func() error
}

func linkRPC(b *testing.B, p Preference) rpc {
	n := newNode(b, nil)
	d, c := n.connect(b, n.options(p))
	go func() {
		buf := make([]byte, echoBytes)
		for {
			if _, err := io.ReadFull(c, buf); err != nil {
				return
			}
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}()
	out, in := make([]byte, echoBytes), make([]byte, echoBytes)
	return rpc{string(p), func() error {
		if _, err := d.Write(out); err != nil {
			return err
		}
		_, err := io.ReadFull(d, in)
		return err
	}}
}

// grpcRPC is a hand-written unary call over TLS, with certificates on both
// sides as ours have.
func grpcRPC(b *testing.B) rpc {
	server, client := newIdentity(b), newIdentity(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	conf := serverTLS(server, []string{"h2"})
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(conf)))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.BytesValue)
			err := dec(in)
			return in, err
		}}},
	}, struct{}{})
	go func() { _ = s.Serve(l) }()
	b.Cleanup(s.Stop)
	cc, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(
		clientTLS(client, server.ID(), "h2", tls.NewLRUClientSessionCache(1), nil))))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cc.Close() })
	in, out := &wrapperspb.BytesValue{Value: make([]byte, echoBytes)}, new(wrapperspb.BytesValue)
	return rpc{"grpc", func() error { return cc.Invoke(context.Background(), "/bench/Echo", in, out) }}
}

// BenchmarkEcho compares an echo of 4 KiB over the link with a gRPC unary call
// that carries the same bytes, in turns, so that a busy machine hits all alike.
// The ratios to gRPC's median are the figure; one process holds both ends.
func BenchmarkEcho(b *testing.B) {
	all := []rpc{grpcRPC(b), linkRPC(b, PreferTCP), linkRPC(b, PreferQUIC)}
	for range 300 {
		for _, r := range all {
			if err := r.call(); err != nil {
				b.Fatal(err)
			}
		}
	}
	times := make([][]time.Duration, len(all))
	b.ResetTimer()
	const run = 20 // calls in a row of one kind: wake-ups behave as in real use
	for range b.N {
		for i, r := range all {
			for range run {
				start := time.Now()
				if err := r.call(); err != nil {
					b.Fatal(err)
				}
				times[i] = append(times[i], time.Since(start))
			}
		}
	}
	b.StopTimer()
	median := func(i int) float64 {
		slices.Sort(times[i])
		return float64(times[i][len(times[i])/2])
	}
	base := median(0)
	for i, r := range all {
		b.ReportMetric(median(i)/1e3, r.name+"-p50-us")
		if i > 0 {
			b.ReportMetric(median(i)/base, r.name+"/grpc")
		}
	}
}

// BenchmarkBulk sends 64 MB at a time.
func BenchmarkBulk(b *testing.B) {
	for _, p := range []Preference{PreferTCP, PreferQUIC} {
		b.Run(string(p), func(b *testing.B) {
			const n = 64 << 20
			node := newNode(b, nil)
			d, c := node.connect(b, node.options(p))
			go func() {
				buf := make([]byte, 256<<10)
				for {
					if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{io.LimitReader(c, n)}, buf); err != nil {
						return
					}
					if _, err := c.Write([]byte{1}); err != nil {
						return
					}
				}
			}()
			data := make([]byte, n)
			b.SetBytes(n)
			for b.Loop() {
				if _, err := d.Write(data); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(d, make([]byte, 1)); err != nil {
					b.Fatal(err)
				}
			}
			s := d.Stats()
			b.ReportMetric(s.UpRate.Mean/1e6, "estimated-MB/s")
		})
	}
}

// BenchmarkDial makes a connection and gets one answer, from nothing and again.
func BenchmarkDial(b *testing.B) {
	for _, p := range []Preference{PreferTCP, PreferQUIC} {
		for _, again := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/resumed=%v", p, again), func(b *testing.B) {
				n := newNode(b, func(o *ListenOptions) { o.PerPeer = 1 << 20 })
				n.echo(b)
				r, err := NewRedialer(n.options(p))
				if err != nil {
					b.Fatal(err)
				}
				defer func() { r.Close() }()
				for b.Loop() {
					if !again {
						r.Close()
						if r, err = NewRedialer(n.options(p)); err != nil {
							b.Fatal(err)
						}
					}
					d, err := r.Dial(b.Context(), nil)
					if err != nil {
						b.Fatal(err)
					}
					if err := roundTrip(d); err != nil {
						b.Fatal(err)
					}
					_ = d.Close()
				}
			})
		}
	}
}
