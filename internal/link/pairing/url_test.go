package pairing

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/clonecloud/clonecloud/internal/link/identity"
)

func TestAURLSurvivesPrintingAndParsing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := URL{
			Node:  identity.ID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id")),
			Token: Token(rapid.SliceOfN(rapid.Byte(), tokenBytes, tokenBytes).Draw(t, "token")),
			Name:  identity.CleanName(rapid.String().Draw(t, "name")),
			Addrs: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
				"192.0.2.7:4433", "[2001:db8::1]:443", "node.example:1", "10.0.0.1:65535",
			}), 1, 4, rapid.ID[string]).Draw(t, "addrs"),
		}
		got, err := Parse(u.String())
		if err != nil {
			t.Fatal(err)
		}
		if got.Node != u.Node || got.Token != u.Token || got.Name != u.Name || !slices.Equal(got.Addrs, u.Addrs) {
			t.Fatalf("%q became %+v", u.String(), got)
		}
	})
}

func TestDamagedURLsAreRefusedWithAReason(t *testing.T) {
	good := URL{Node: identity.ID{1}, Token: Token{2}, Addrs: []string{"192.0.2.7:4433"}}.String()
	for name, text := range map[string]string{
		"nothing":                   "",
		"another scheme":            strings.Replace(good, "clonecloud:", "https:", 1),
		"cut by the shell at the &": good[:strings.Index(good, "&")],
		"cut in the token":          good[:len(good)-3],
		"a character too many":      good + "a",
		"no host":                   strings.Replace(good, "192.0.2.7", "", 1),
		"no port":                   strings.Replace(good, ":4433", "", 1),
		"port zero":                 strings.Replace(good, ":4433", ":0", 1),
		"a user":                    strings.Replace(good, "//", "//me@", 1),
		"two tokens":                good + "&token=aaaa",
		"a bad further address":     good + "&addr=x",
		"too many addresses":        good + "&addr=a:1&addr=a:2&addr=a:3&addr=a:4&addr=a:5&addr=a:6&addr=a:7&addr=a:8",
		"too long":                  good + "&name=" + strings.Repeat("x", maxURL),
	} {
		_, err := Parse(text)
		if !errors.Is(err, ErrBadURL) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), Token{2}.text()) {
			t.Errorf("%s: the error shows the token", name)
		}
	}
}

func TestAddressesOfAListener(t *testing.T) {
	ipn := func(s string) net.Addr {
		ip, n, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		return &net.IPNet{IP: ip, Mask: n.Mask}
	}
	tests := []struct {
		name string
		have []net.Addr
		want []string
	}{
		{
			"private IPv4 comes first, then public, then IPv6; loopback and link-local not at all",
			[]net.Addr{ipn("127.0.0.1/8"), ipn("::1/128"), ipn("fe80::1/64"), ipn("2001:db8::5/64"), ipn("198.51.100.2/24"), ipn("192.168.1.9/24")},
			[]string{"192.168.1.9:7", "198.51.100.2:7", "[2001:db8::5]:7"},
		},
		{"loopback when there is nothing else", []net.Addr{ipn("127.0.0.1/8"), ipn("::1/128")}, []string{"127.0.0.1:7", "[::1]:7"}},
	}
	for _, tt := range tests {
		if got := rank(tt.have, 7); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if got := Addresses(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}); !slices.Equal(got, []string{"127.0.0.1:9"}) {
		t.Error(got)
	}
}

func TestAQRCodeFitsATerminalOfEightyColumns(t *testing.T) {
	u := URL{Node: identity.ID{1}, Token: Token{2}, Name: strings.Repeat("n", 20), Addrs: []string{"192.168.100.200:44330", "[2001:db8:1:2:3:4:5:6]:44330"}}
	var b strings.Builder
	drawQR(&b, u)
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > qrWidth {
			t.Fatalf("%d characters wide", n)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(URL{Node: identity.ID{1}, Token: Token{2}, Name: "a b", Addrs: []string{"192.0.2.7:4433", "[::1]:1"}}.String())
	f.Add("clonecloud://")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := Parse(s)
		if err != nil {
			if !errors.Is(err, ErrBadURL) {
				t.Fatal(err)
			}
			return
		}
		again, err := Parse(u.String())
		if err != nil || again.String() != u.String() {
			t.Fatalf("%q -> %q -> %v", s, u.String(), err)
		}
	})
}
