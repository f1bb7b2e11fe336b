package link

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// vanish ends a node as SIGKILL does: its sockets close and no word is said.
func (n *node) vanish() {
	if n.tr != nil {
		_ = n.tr.Conn.Close()
	}
	if n.tcp != nil {
		_ = n.tcp.Close()
	}
}

// TestADeadNodeIsNoticedBeforeItsSilenceIsLong kills the node under a QUIC
// connection, which hears nothing of that. The error says how it was noticed.
func TestADeadNodeIsNoticedBeforeItsSilenceIsLong(t *testing.T) {
	n := newNode(t, nil)
	o := n.options(PreferQUIC)
	o.Silence = 2 * time.Second
	d, c := n.connect(t, o)
	if _, err := d.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	n.vanish()
	if _, err := d.Read(make([]byte, 1)); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "refuses TCP") {
		t.Errorf("the read ends with %v", err)
	}
	_ = c.Close()
}

func TestARedialOfADeadNodeGivesUp(t *testing.T) {
	for _, p := range []Preference{Auto, PreferQUIC, PreferTCP} {
		n := newNode(t, nil)
		o := n.options(p)
		o.RedialTime = 30 * time.Second
		n.vanish()
		r, err := NewRedialer(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Redial(t.Context(), nil); !errors.Is(err, ErrGone) {
			t.Errorf("%q: %v", p, err)
		}
		r.Close()
	}
}

// TestANodeThatRefusesTCPIsNotDead: a firewall may, or the node speaks QUIC only.
func TestANodeThatRefusesTCPIsNotDead(t *testing.T) {
	n := newNode(t, func(o *ListenOptions) { o.NoTCP = true })
	r, err := NewRedialer(n.options(Auto))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d, err := r.Redial(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := roundTripTo(n.accept(t), d); err != nil {
		t.Error(err)
	}
	_ = d.Close()
}

// roundTripTo sends from one end to the other.
func roundTripTo(from, to Conn) error {
	if _, err := from.Write([]byte("x")); err != nil {
		return err
	}
	_, err := to.Read(make([]byte, 1))
	return err
}
