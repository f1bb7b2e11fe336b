package wire

import (
	"fmt"
)

// Magic is the first thing that a device says.
const Magic = "clonecloud"

// MinVersion and MaxVersion are the protocol versions that this code speaks.
const (
	MinVersion = 1
	MaxVersion = 1
)

// RefusedError is a Refuse of the whole connection.
type RefusedError struct {
	Code RefuseCode
	Text string
	Hint string
	// Min and Max are the peer's versions, when Code says VERSION.
	Min, Max uint32
}

// Error says what the peer said, and for a version both ranges.
func (e *RefusedError) Error() string {
	s := fmt.Sprintf("wire: the peer refused (%v): %s", e.Code, e.Text)
	if e.Code == RefuseCode_REFUSE_VERSION {
		s = fmt.Sprintf("wire: no protocol version in common: this side speaks %s, the peer %s; update the older side",
			versions(MinVersion, MaxVersion), versions(e.Min, e.Max))
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

func versions(lo, hi uint32) string {
	if lo == hi {
		return fmt.Sprintf("version %d", lo)
	}
	return fmt.Sprintf("versions %d to %d", lo, hi)
}

// Greet opens a connection from the device's side: Hello, then the node's
// Welcome. A Refuse comes back as a [*RefusedError].
func Greet(r *Reader, w *Writer, software string) (*Welcome, error) {
	hello := &Hello{Magic: Magic, MinVersion: MinVersion, MaxVersion: MaxVersion, Software: software}
	if err := w.Send(Header{Type: TypeHello}, hello, nil); err != nil {
		return nil, fmt.Errorf("greet: %w", err)
	}
	f, err := r.ReadFrame()
	if err != nil {
		return nil, fmt.Errorf("greet: wait for Welcome: %w", err)
	}
	m, err := f.Message()
	if err != nil {
		return nil, fmt.Errorf("greet: %w", err)
	}
	switch m := m.(type) {
	case *Welcome:
		if m.Version < MinVersion || m.Version > MaxVersion {
			return nil, fmt.Errorf("greet: the peer chose version %d, this side speaks %s", m.Version, versions(MinVersion, MaxVersion))
		}
		return m, nil
	case *Refuse:
		return nil, fmt.Errorf("greet: %w", refused(m))
	}
	return nil, fmt.Errorf("greet: %w", malformed("%v instead of Welcome", f.Type))
}

func refused(m *Refuse) *RefusedError {
	return &RefusedError{Code: m.Code, Text: m.Text, Hint: m.Hint, Min: m.MinVersion, Max: m.MaxVersion}
}

// Accept answers a Hello from the node's side with w, whose Version it sets.
// When no version is in common it sends Refuse and returns an error that
// names both ranges.
func Accept(r *Reader, w *Writer, welcome *Welcome) (*Hello, error) {
	f, err := r.ReadFrame()
	if err != nil {
		return nil, fmt.Errorf("accept: wait for Hello: %w", err)
	}
	m, err := f.Message()
	if err != nil {
		return nil, fmt.Errorf("accept: %w", err)
	}
	hello, ok := m.(*Hello)
	if !ok {
		return nil, fmt.Errorf("accept: %w", malformed("%v instead of Hello", f.Type))
	}
	if hello.MaxVersion < MinVersion || hello.MinVersion > MaxVersion {
		text := fmt.Sprintf("the device speaks %s, the node %s",
			versions(hello.MinVersion, hello.MaxVersion), versions(MinVersion, MaxVersion))
		refuse := &Refuse{
			Code: RefuseCode_REFUSE_VERSION, Text: text, Hint: "update the older side",
			MinVersion: MinVersion, MaxVersion: MaxVersion,
		}
		if err := w.Send(Header{Type: TypeRefuse}, refuse, nil); err != nil {
			return hello, fmt.Errorf("accept: %s; refusing: %w", text, err)
		}
		return hello, fmt.Errorf("accept: no protocol version in common: %s", text)
	}
	welcome.Version = min(hello.MaxVersion, MaxVersion)
	if err := w.Send(Header{Type: TypeWelcome}, welcome, nil); err != nil {
		return hello, fmt.Errorf("accept: %w", err)
	}
	return hello, nil
}
