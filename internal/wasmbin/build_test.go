package wasmbin_test

import (
	"errors"
	"testing"

	. "github.com/clonecloud/clonecloud/internal/wasmbin"
)

// mod builds modules section by section.
type mod []byte

func module() mod { return mod("\x00asm\x01\x00\x00\x00") }

// raw appends a section with contents as they are.
func (m mod) raw(id SectionID, contents ...byte) mod {
	m = AppendU32(append(m, byte(id)), uint32(len(contents)))
	return append(m, contents...)
}

// vec appends a section of n entries.
func (m mod) vec(id SectionID, n int, entries ...byte) mod {
	return m.raw(id, append(AppendU32(nil, uint32(n)), entries...)...)
}

// custom appends a custom section.
func (m mod) custom(name string, contents ...byte) mod {
	return m.raw(SecCustom, append(AppendName(nil, name), contents...)...)
}

// voids appends the type () -> () and a function of it for each body; a body is
// instructions without locals and without its end.
func (m mod) voids(bodies ...[]byte) mod {
	return m.vec(SecType, 1, 0x60, 0, 0).vec(SecFunction, len(bodies), make([]byte, len(bodies))...).code(bodies...)
}

func (m mod) code(bodies ...[]byte) mod {
	var entries []byte
	for _, b := range bodies {
		entries = AppendU32(entries, uint32(len(b)+2))
		entries = append(entries, 0)
		entries = append(append(entries, b...), 0x0b)
	}
	return m.vec(SecCode, len(bodies), entries...)
}

func parse(tb testing.TB, b []byte) *Module {
	tb.Helper()
	m, err := Parse(b, Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func scan(tb testing.TB, b []byte) (*Module, *Code) {
	tb.Helper()
	m := parse(tb, b)
	c, err := m.Scan()
	if err != nil {
		tb.Fatal(err)
	}
	return m, c
}

// read parses and scans, and gives the first error.
func read(b []byte, l Limits) error {
	m, err := Parse(b, l)
	if err != nil {
		return err
	}
	_, err = m.Scan()
	return err
}

func as(err error) *Error {
	e := (*Error)(nil)
	if !errors.As(err, &e) {
		return &Error{}
	}
	return e
}
