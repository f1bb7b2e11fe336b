package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// maxTableElements bounds a table, and what all tables of a module begin with.
// Tables live on the Go heap, eight bytes an element, and the engine lets a
// guest grow one until the process dies; browsers have the same bound.
const maxTableElements = 10_000_000

// capTables returns the module with a maximum on each table that it defines, so
// that table.grow fails, as it may, where it would exhaust memory. A module that
// needs no change, or that cannot be read this far, is returned as it is: the
// engine's validation comes after and reads all of it.
func capTables(wasm []byte) ([]byte, error) {
	const (
		header       = 8
		tableSection = 4
	)
	for at := header; at < len(wasm); {
		id := wasm[at]
		size, n := uleb(wasm[at+1:])
		start := at + 1 + n
		if n == 0 || size > uint64(len(wasm)-start) {
			return wasm, nil
		}
		end := start + int(size)
		if id != tableSection {
			at = end
			continue
		}
		body, changed, err := capTableSection(wasm[start:end])
		if err != nil || !changed {
			return wasm, err
		}
		var out bytes.Buffer
		out.Grow(len(wasm) + 64)
		out.Write(wasm[:at+1])
		out.Write(binary.AppendUvarint(nil, uint64(len(body))))
		out.Write(body)
		out.Write(wasm[end:])
		return out.Bytes(), nil
	}
	return wasm, nil
}

// capTableSection rewrites the limits in the body of a table section.
func capTableSection(in []byte) (out []byte, changed bool, err error) {
	count, n := uleb(in)
	if n == 0 || count > uint64(len(in)) {
		return in, false, nil
	}
	out = append(out, in[:n]...)
	in = in[n:]
	total := uint64(0)
	for i := range count {
		if len(in) < 2 || in[0] != byte(FuncRef) && in[0] != byte(ExternRef) || in[1] > 1 {
			return in, false, nil // not a table of WebAssembly 2.0
		}
		kind, hasMax := in[0], in[1] == 1
		lowest, n := uleb(in[2:])
		if n == 0 {
			return in, false, nil
		}
		in = in[2+n:]
		highest := uint64(maxTableElements)
		if hasMax {
			declared, n := uleb(in)
			if n == 0 {
				return in, false, nil
			}
			in = in[n:]
			highest = min(highest, declared)
			changed = changed || declared != highest
		}
		if total += lowest; total > maxTableElements {
			return nil, false, fmt.Errorf("%w: %d tables have %d elements, at most %d", ErrTooLarge, i+1, total, maxTableElements)
		}
		changed = changed || !hasMax
		out = append(out, kind, 1)
		out = binary.AppendUvarint(out, lowest)
		out = binary.AppendUvarint(out, highest)
	}
	return out, changed && len(in) == 0, nil
}
