package link

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// familyStagger is the head start of a host name's first address family.
const familyStagger = 100 * time.Millisecond

// resolveUDP returns where addr, HOST:PORT, may be: one address, or the first of
// each family in the resolver's order.
func resolveUDP(ctx context.Context, addr string) ([]*net.UDPAddr, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var out []*net.UDPAddr
	var have [2]bool
	for _, ip := range ips {
		ip = ip.Unmap()
		family := 0
		if ip.Is6() {
			family = 1
		}
		if !have[family] {
			have[family] = true
			out = append(out, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port))))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no address", host)
	}
	return out, nil
}
