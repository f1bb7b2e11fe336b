package link

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/quic-go/quic-go"
)

// udpSocket is a UDP socket whose send errors do not reach quic-go: a network
// that goes away (ENETUNREACH and its like) is a packet lost, and QUIC's own
// timers decide whether the connection lives. It keeps the fast paths of
// *net.UDPConn, which it embeds: batches, segmentation offload, ECN.
type udpSocket struct {
	*net.UDPConn
}

var (
	_ quic.OOBCapablePacketConn = (*udpSocket)(nil)
	_ net.PacketConn            = (*udpSocket)(nil)
)

func (u *udpSocket) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	n, oobn, err = u.UDPConn.WriteMsgUDP(b, oob, addr)
	if err != nil && !quicNeeds(err) {
		return len(b), len(oob), nil
	}
	return n, oobn, err
}

func (u *udpSocket) WriteTo(b []byte, addr net.Addr) (int, error) {
	n, err := u.UDPConn.WriteTo(b, addr)
	if err != nil && !quicNeeds(err) {
		return len(b), nil
	}
	return n, err
}

// quicNeeds reports errors that quic-go acts upon: a closed socket; EIO, with
// which Linux refuses segmentation offload; a message too long for the path.
func quicNeeds(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EIO) ||
		errors.Is(err, syscall.EMSGSIZE) || errors.Is(err, syscall.EINVAL)
}

// silenceQUIC keeps quic-go from logging about socket buffer sizes to a
// terminal that belongs to the guest.
var silenceQUIC = sync.OnceFunc(func() {
	const knob = "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING"
	if _, set := os.LookupEnv(knob); !set {
		_ = os.Setenv(knob, "true")
	}
})

// openUDP opens the socket of a dialer. It is bound to no address, so that it
// goes on working, and QUIC's connections with it, when the interface changes.
func openUDP() (*udpSocket, error) {
	silenceQUIC()
	c, err := net.ListenUDP("udp", &net.UDPAddr{})
	if err != nil { // no IPv6 at all, on some phones
		var err4 error
		if c, err4 = net.ListenUDP("udp4", &net.UDPAddr{}); err4 != nil {
			return nil, fmt.Errorf("open UDP socket: %w", err)
		}
	}
	return &udpSocket{c}, nil
}
