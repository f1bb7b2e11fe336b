package pairing

import (
	"encoding/base32"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/clonecloud/clonecloud/internal/link/identity"
)

// Scheme begins every pairing URL.
const Scheme = "clonecloud"

const (
	maxURL     = 2048
	tokenBytes = 16
	maxHost    = 253
)

// Token is the secret of one pairing URL.
type Token [tokenBytes]byte

var tokenEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func (t Token) text() string { return tokenEncoding.EncodeToString(t[:]) }

// String hides the token: it must not reach a log.
func (t Token) String() string { return "token" }

// URL is what a pairing URL says.
type URL struct {
	Node  identity.ID
	Token Token
	Name  string   // the node's, for people
	Addrs []string // HOST:PORT, best first
}

// String is the URL to print. It contains the token.
func (u URL) String() string {
	var q strings.Builder
	q.WriteString("id=" + u.Node.Compact() + "&token=" + u.Token.text())
	if u.Name != "" {
		q.WriteString("&name=" + url.QueryEscape(u.Name))
	}
	host := ""
	if len(u.Addrs) > 0 {
		host = u.Addrs[0]
		for _, a := range u.Addrs[1:] {
			q.WriteString("&addr=" + strings.ReplaceAll(url.QueryEscape(a), "%3A", ":"))
		}
	}
	return Scheme + "://" + host + "/?" + q.String()
}

// Parse reads a pairing URL. The error wraps ErrBadURL and names what is wrong,
// never quoting the token.
func Parse(text string) (URL, error) {
	bad := func(format string, args ...any) (URL, error) {
		return URL{}, fmt.Errorf("%w: %s", ErrBadURL, fmt.Sprintf(format, args...))
	}
	text = strings.TrimSpace(text)
	if len(text) > maxURL {
		return bad("it has %d characters, more than %d", len(text), maxURL)
	}
	parsed, err := url.Parse(text)
	if err != nil {
		return bad("it is not a URL at all") // err would quote it
	}
	if parsed.Scheme != Scheme {
		return bad("it does not begin with %s://", Scheme)
	}
	if parsed.User != nil || parsed.Fragment != "" || (parsed.Path != "" && parsed.Path != "/") {
		return bad("it has parts that a pairing URL has not")
	}
	query, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		return bad("what follows the ? is damaged")
	}
	for _, one := range []string{"id", "token"} {
		if len(query[one]) != 1 {
			return bad("it has %d times %s=, so it was not copied whole", len(query[one]), one)
		}
	}
	u := URL{Name: identity.CleanName(query.Get("name"))}
	if u.Node, err = identity.ParseID(query.Get("id")); err != nil {
		return bad("id=: %v", err)
	}
	raw, err := tokenEncoding.DecodeString(strings.ToLower(query.Get("token")))
	if err != nil || len(raw) != tokenBytes || tokenEncoding.EncodeToString(raw) != strings.ToLower(query.Get("token")) {
		return bad("token= is not a token, so it was not copied whole")
	}
	u.Token = Token(raw)
	for _, a := range append([]string{parsed.Host}, query["addr"]...) {
		addr, err := cleanAddr(a)
		if err != nil {
			return bad("%v", err)
		}
		if !slices.Contains(u.Addrs, addr) {
			u.Addrs = append(u.Addrs, addr)
		}
	}
	if len(u.Addrs) > identity.MaxAddresses {
		return bad("it has more than %d addresses", identity.MaxAddresses)
	}
	return u, nil
}

// cleanAddr accepts HOST:PORT with a host that a dialer can use.
func cleanAddr(a string) (string, error) {
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		return "", fmt.Errorf("address %.60q is not HOST:PORT", a)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Errorf("address %.60q has no port from 1 to 65535", a)
	}
	if host == "" || len(host) > maxHost || strings.ContainsFunc(host, hostJunk) {
		return "", fmt.Errorf("address %.60q has no usable host", a)
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}

// hostJunk finds what no DNS name, IP address or IPv6 zone contains.
func hostJunk(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"'<>\^`+"`{|}/?#@[]", r)
}
