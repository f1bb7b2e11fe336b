package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// maxLocals bounds the locals of one function, as browsers do. The engine
// expands them before it looks further, and four bytes can announce four billion.
const maxLocals = 50_000

// errCut is the error for a module that cannot be read item by item.
var errCut = errors.New("invalid module: a section is cut off or malformed")

// checkCounts refuses a module that announces more items than it has bytes for.
// The engine trusts such counts when it allocates, even past the end of the
// section that they are in, and a module of fifteen bytes ends the process. What
// the items say is left to the engine's validation.
func checkCounts(wasm []byte) error {
	c := &counter{}
	return eachSection(wasm, func(id byte, body []byte) error {
		c.b = body
		if err := c.section(id); err != nil {
			return fmt.Errorf("section %d: %w", id, err)
		}
		return nil
	})
}

// eachSection calls f with each section's body, in order.
func eachSection(wasm []byte, f func(id byte, body []byte) error) error {
	const header = 8
	for at := header; at < len(wasm); {
		id := wasm[at]
		size, n := uleb(wasm[at+1:])
		start := at + 1 + n
		if n == 0 || size > uint64(len(wasm)-start) {
			return errCut
		}
		at = start + int(size)
		if err := f(id, wasm[start:at]); err != nil {
			return err
		}
	}
	return nil
}

// uleb decodes an unsigned LEB128 number of at most 32 bits; n is 0 if there is
// none.
func uleb(b []byte) (v uint64, n int) {
	v, n = binary.Uvarint(b)
	if n <= 0 || n > 5 || v > 1<<32-1 {
		return 0, 0
	}
	return v, n
}

// counter reads a section's items only as far as counts go.
type counter struct{ b []byte }

// section checks one section by its id in the binary format.
func (c *counter) section(id byte) error {
	item := map[byte]func() error{
		1: c.funcType, 2: c.imports, 9: c.element, 10: c.code, 11: c.data,
		// Of these only the number of items matters.
		3: nil, 4: nil, 5: nil, 6: nil, 7: nil, 13: nil,
	}
	one, known := item[id]
	switch {
	case id == 0:
		return c.custom()
	case !known:
		return nil
	}
	return c.vector(one)
}

// count reads a count and refuses one above the bytes that remain.
func (c *counter) count() (uint64, error) {
	v, n := uleb(c.b)
	if n == 0 {
		return 0, errCut
	}
	c.b = c.b[n:]
	if v > uint64(len(c.b)) {
		return 0, fmt.Errorf("invalid module: it announces %d items in %d bytes", v, len(c.b))
	}
	return v, nil
}

// vector reads a count and as many items; a nil item is not looked at.
func (c *counter) vector(one func() error) error {
	n, err := c.count()
	if err != nil || one == nil {
		return err
	}
	for range n {
		if err := one(); err != nil {
			return err
		}
	}
	return nil
}

// bytes skips as many bytes as a count says.
func (c *counter) bytes() error {
	n, err := c.count()
	if err != nil {
		return err
	}
	return c.skip(int(n))
}

func (c *counter) skip(n int) error {
	if n > len(c.b) {
		return errCut
	}
	c.b = c.b[n:]
	return nil
}

func (c *counter) byte() (byte, error) {
	if len(c.b) == 0 {
		return 0, errCut
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v, nil
}

// leb skips a number of either sign.
func (c *counter) leb() error {
	for {
		v, err := c.byte()
		if err != nil || v < 0x80 {
			return err
		}
	}
}

func (c *counter) funcType() error {
	return errors.Join(c.skip(1), c.bytes(), c.bytes())
}

func (c *counter) imports() error {
	if err := errors.Join(c.bytes(), c.bytes()); err != nil {
		return err
	}
	kind, err := c.byte()
	if err != nil {
		return err
	}
	switch kind {
	case 0: // function
		return c.leb()
	case 1: // table
		return errors.Join(c.skip(1), c.limits())
	case 2: // memory
		return c.limits()
	case 3: // global
		return c.skip(2)
	}
	return errCut
}

func (c *counter) limits() error {
	flag, err := c.byte()
	if err == nil {
		err = c.leb()
	}
	if err == nil && flag&1 != 0 {
		err = c.leb()
	}
	return err
}

// expression skips a constant expression.
func (c *counter) expression() error {
	for {
		op, err := c.byte()
		if err != nil {
			return err
		}
		switch op {
		case 0x0b: // end
			return nil
		case 0x41, 0x42, 0x23, 0xd2: // i32.const, i64.const, global.get, ref.func
			err = c.leb()
		case 0x43: // f32.const
			err = c.skip(4)
		case 0x44: // f64.const
			err = c.skip(8)
		case 0xd0: // ref.null
			err = c.skip(1)
		case 0xfd: // v128.const
			err = errors.Join(c.leb(), c.skip(16))
		default:
			return errCut
		}
		if err != nil {
			return err
		}
	}
}

// flags reads a number of at most highest.
func (c *counter) flags(highest uint64) (uint64, error) {
	v, n := uleb(c.b)
	if n == 0 || v > highest {
		return 0, errCut
	}
	c.b = c.b[n:]
	return v, nil
}

func (c *counter) element() error {
	flags, err := c.flags(7)
	if err != nil {
		return err
	}
	active, explicit, expressions := flags&1 == 0, flags&2 != 0, flags&4 != 0
	if active && explicit {
		err = c.leb()
	}
	if err == nil && active {
		err = c.expression()
	}
	if err == nil && (explicit || !active) {
		err = c.skip(1) // the kind or type of the elements
	}
	if err != nil {
		return err
	}
	if expressions {
		return c.vector(c.expression)
	}
	return c.vector(c.leb)
}

func (c *counter) data() error {
	flags, err := c.flags(2)
	if err != nil {
		return err
	}
	if flags == 2 {
		err = c.leb()
	}
	if err == nil && flags != 1 {
		err = c.expression()
	}
	return errors.Join(err, c.bytes())
}

func (c *counter) code() error {
	size, err := c.count()
	if err != nil {
		return err
	}
	body := &counter{b: c.b[:size]}
	c.b = c.b[size:]
	locals := uint64(0)
	return body.vector(func() error {
		n, width := uleb(body.b)
		if width == 0 {
			return errCut
		}
		if locals += n; locals > maxLocals {
			return fmt.Errorf("invalid module: a function has %d locals, at most %d", locals, maxLocals)
		}
		return body.skip(width + 1)
	})
}

// custom checks the one custom section that the engine reads.
func (c *counter) custom() error {
	n, err := c.count()
	if err != nil {
		return err
	}
	name := string(c.b[:n])
	c.b = c.b[n:]
	if name != "name" {
		return nil
	}
	for len(c.b) > 0 {
		id, err := c.byte()
		if err != nil {
			return err
		}
		size, err := c.count()
		if err != nil {
			return err
		}
		sub := &counter{b: c.b[:size]}
		c.b = c.b[size:]
		switch id {
		case 1: // functions
			err = sub.vector(sub.nameOf)
		case 2: // locals of functions
			err = sub.vector(func() error { return errors.Join(sub.leb(), sub.vector(sub.nameOf)) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *counter) nameOf() error { return errors.Join(c.leb(), c.bytes()) }
