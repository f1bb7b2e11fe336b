package proc

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Confinement says what holds the child. It is what the child found in force
// after it had asked for it.
type Confinement struct {
	// NoNewPrivileges: no program that it runs can gain any.
	NoNewPrivileges bool `json:"noNewPrivileges"`
	// SystemCallFilter: the calls named in the package's filter are refused.
	SystemCallFilter bool `json:"systemCallFilter"`
	// NetworkNamespace: it has a network of its own with nothing in it.
	NetworkNamespace bool `json:"networkNamespace"`
	// ParentDeathSignal: the system kills it when its parent dies. Without it,
	// the end of the stream ends it all the same.
	ParentDeathSignal bool `json:"parentDeathSignal"`
	// Descriptors is how many stray descriptors it inherited and closed.
	Descriptors int `json:"descriptors"`
	// Notes say why something is not in force.
	Notes []string `json:"notes,omitempty"`
}

// NoNetwork tells whether the child is kept from the network, one way or another.
func (c Confinement) NoNetwork() bool { return c.SystemCallFilter || c.NetworkNamespace }

// The child's first bytes on the stream are helloMagic, a big-endian length and
// a Confinement in JSON; everything after them is the caller's.
const (
	helloMagic = "CCRUNNER" + protocolVersion
	maxHello   = 4096
	maxNote    = 200
	maxNotes   = 8
)

func (c *Confinement) note(format string, args ...any) {
	if len(c.Notes) == maxNotes {
		return
	}
	n := fmt.Sprintf(format, args...)
	c.Notes = append(c.Notes, n[:min(len(n), maxNote)])
}

func writeHello(w io.Writer, c Confinement) error {
	body, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("report confinement: %w", err)
	}
	if len(body) > maxHello {
		return errors.New("report confinement: it is too long")
	}
	b := append([]byte(helloMagic), 0, 0)
	binary.BigEndian.PutUint16(b[len(helloMagic):], uint16(len(body)))
	if _, err := w.Write(append(b, body...)); err != nil {
		return fmt.Errorf("report confinement: %w", err)
	}
	return nil
}

// readHello reads exactly the report and not a byte more.
func readHello(r io.Reader) (c Confinement, err error) {
	head := make([]byte, len(helloMagic)+2)
	if _, err := io.ReadFull(r, head); err != nil {
		return c, fmt.Errorf("read the runner's report: %w", err)
	}
	if string(head[:len(helloMagic)]) != helloMagic {
		return c, fmt.Errorf("read the runner's report: it starts with %q, want %q: is the command another version?", head[:len(helloMagic)], helloMagic)
	}
	n := int(binary.BigEndian.Uint16(head[len(helloMagic):]))
	if n > maxHello {
		return c, fmt.Errorf("read the runner's report: %d bytes, at most %d", n, maxHello)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return c, fmt.Errorf("read the runner's report: %w", err)
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return c, fmt.Errorf("read the runner's report: %w", err)
	}
	return c, nil
}
