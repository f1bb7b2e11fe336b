package link

import (
	"errors"
	"net"
	"testing"
)

func TestSendErrorsOfTheNetworkAreLostPackets(t *testing.T) {
	u, err := openUDP()
	if err != nil {
		t.Fatal(err)
	}
	nowhere := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)} // port 0 cannot be sent to
	if _, err := u.UDPConn.WriteTo([]byte{1}, nowhere); err == nil {
		t.Skip("this system sends to port 0")
	}
	if n, err := u.WriteTo([]byte{1}, nowhere); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if n, _, err := u.WriteMsgUDP([]byte{1}, nil, nowhere); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	_ = u.Close()
	if _, err := u.WriteTo([]byte{1}, nowhere); !errors.Is(err, net.ErrClosed) {
		t.Fatal("a closed socket must end QUIC:", err)
	}
}
