package rewrite_test

import (
	"fmt"
	"testing"

	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// section appends a section of n entries.
func section(b []byte, id wasmbin.SectionID, n int, entries []byte) []byte {
	count := wasmbin.AppendU32(nil, uint32(n))
	b = wasmbin.AppendU32(append(b, byte(id)), uint32(len(count)+len(entries)))
	return append(append(b, count...), entries...)
}

func functionName(i int) string { return fmt.Sprintf("f%d", i) }

// manyFunctions builds a module of n exported functions; function i gives i.
func manyFunctions(tb testing.TB, n int) *wasmbin.Module {
	tb.Helper()
	var funcs, exports, code []byte
	for i := range n {
		funcs = append(funcs, 0)
		exports = wasmbin.AppendName(exports, functionName(i))
		exports = wasmbin.AppendU32(append(exports, 0), uint32(i))
		body := append(wasmbin.AppendS64([]byte{0, 0x41}, int64(i)), 0x0b)
		code = wasmbin.AppendU32(code, uint32(len(body)))
		code = append(code, body...)
	}
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = section(b, wasmbin.SecType, 1, []byte{0x60, 0, 1, byte(wasmbin.I32)})
	b = section(b, wasmbin.SecFunction, n, funcs)
	b = section(b, wasmbin.SecExport, n, exports)
	b = section(b, wasmbin.SecCode, n, code)
	return parse(tb, b)
}
