package pairing

import (
	"io"
	"net"
	"os"
	"slices"
	"strconv"

	"github.com/mdp/qrterminal/v3"
	"golang.org/x/term"

	"github.com/clonecloud/clonecloud/internal/link/identity"
)

// WriteQR draws the URL as a QR code if f is a terminal wide enough for it, and
// reports whether it did. Anything else gets no picture: a log has no use for
// the token in another form.
func WriteQR(f *os.File, u URL) bool {
	if !term.IsTerminal(int(f.Fd())) {
		return false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < qrWidth {
		return false
	}
	drawQR(f, u)
	return true
}

// qrWidth holds a code of version 14 with its margin, at a character a module.
const qrWidth = 80

func drawQR(w io.Writer, u URL) {
	qrterminal.GenerateWithConfig(u.String(), qrterminal.Config{
		Level: qrterminal.L, Writer: w, HalfBlocks: true, QuietZone: 2,
		BlackChar: qrterminal.BLACK_BLACK, WhiteChar: qrterminal.WHITE_WHITE,
		BlackWhiteChar: qrterminal.BLACK_WHITE, WhiteBlackChar: qrterminal.WHITE_BLACK,
	})
}

// Addresses are the HOST:PORTs under which others may reach a listener bound to
// addr, best first. A listener on all interfaces is reachable at each of their
// addresses; loopback counts only when there is nothing else, or when it is what
// addr names.
func Addresses(addr net.Addr) []string {
	host, portText, err := net.SplitHostPort(addr.String())
	if err != nil {
		return nil
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil
	}
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		return []string{net.JoinHostPort(host, portText)}
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		all = nil
	}
	return rank(all, port)
}

const rankLoopback = 3

// rank orders private IPv4 first: the device is most likely at home; then
// public IPv4, then global IPv6. Link-local addresses mean nothing elsewhere.
func rank(all []net.Addr, port int) []string {
	type ranked struct {
		addr string
		rank int
	}
	var out []ranked
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLinkLocalUnicast() || n.IP.IsMulticast() {
			continue
		}
		r := ranked{addr: net.JoinHostPort(n.IP.String(), strconv.Itoa(port))}
		switch v4 := n.IP.To4() != nil; {
		case n.IP.IsLoopback() && v4:
			r.rank = rankLoopback
		case n.IP.IsLoopback():
			r.rank = rankLoopback + 1
		case v4 && n.IP.IsPrivate():
			r.rank = 0
		case v4:
			r.rank = 1
		default:
			r.rank = 2
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b ranked) int { return a.rank - b.rank })
	var addrs []string
	for _, r := range out {
		if r.rank >= rankLoopback && out[0].rank < rankLoopback {
			break
		}
		if len(addrs) < identity.MaxAddresses {
			addrs = append(addrs, r.addr)
		}
	}
	return addrs
}
