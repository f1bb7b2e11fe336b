package runner

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/wasi"
	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// pinHost names the host module behind all stand-ins; only they import from it.
const pinHost = "clonecloud.pinned"

// pinImports provides, at a clone, the imports that only the device can answer:
// functions of host modules and of other instances. A stand-in has the type of
// what it stands for and ends the attempt when it is called (PROTOCOL rule 10),
// so that the call runs on the device. Imported globals are constants.
func (g *guest) pinImports(ctx context.Context, constants []Constant) error {
	var modules []string
	for _, im := range g.module.Imports {
		if im.Module != wasi.ModuleName && !slices.Contains(modules, im.Module) {
			modules = append(modules, im.Module)
		}
	}
	if len(modules) == 0 {
		return nil
	}
	var pinned []string // what each number stands for
	pin := engine.HostFunc{
		Name: "pin", Params: []engine.ValType{engine.I32},
		Call: func(_ context.Context, stack []uint64) {
			engine.Throw(wasi.Abort{Reason: "pinned: " + pinned[uint32(stack[0])]})
		},
	}
	if err := g.room.eng.Host(ctx, pinHost, []engine.HostFunc{pin}); err != nil {
		return err
	}
	for _, name := range modules {
		code, functions, err := standIn(g.module, name, len(pinned), constants)
		if err != nil {
			return err
		}
		pinned = append(pinned, functions...)
		m, err := g.room.eng.Compile(ctx, code)
		if err != nil {
			return fmt.Errorf("stand in for the imports from %q: %w", name, err)
		}
		inst, err := g.room.eng.Instantiate(ctx, m, "")
		if err != nil {
			return fmt.Errorf("stand in for the imports from %q: %w", name, err)
		}
		g.links = append(g.links, engine.Link{Name: name, Instance: inst})
	}
	return nil
}

// standIn builds a module that exports what m imports from the module of that
// name. Its functions call the host's pin with their number, from first on;
// functions lists their names.
func standIn(m *wasmbin.Module, name string, first int, constants []Constant) (code []byte, functions []string, err error) {
	const opEnd, opCall, opI32Const, opUnreachable = 0x0b, 0x10, 0x41, 0x00
	types := section{n: 1, b: []byte{0x60, 1, byte(wasmbin.I32), 0}}
	imports := section{n: 1, b: append(wasmbin.AppendName(wasmbin.AppendName(nil, pinHost), "pin"), byte(wasmbin.KindFunc), 0)}
	var funcs, globals, exports, bodies section
	seen := map[string]bool{}
	for _, im := range m.Imports {
		if im.Module != name || seen[im.Name] {
			continue
		}
		seen[im.Name] = true
		var index uint32
		switch im.Kind {
		case wasmbin.KindFunc:
			body := wasmbin.AppendS64([]byte{0, opI32Const}, int64(first+len(functions)))
			body = append(body, opCall, 0, opUnreachable, opEnd)
			bodies.add(append(wasmbin.AppendU32(nil, uint32(len(body))), body...))
			funcs.add(wasmbin.AppendU32(nil, types.n))
			types.add(encodeType(m.Types[im.Type]))
			functions = append(functions, name+"."+im.Name)
			index = funcs.n // the import comes first
		case wasmbin.KindGlobal:
			at := slices.IndexFunc(constants, func(c Constant) bool { return c.Module == name && c.Name == im.Name })
			if at < 0 {
				return nil, nil, &Unsupported{Reason: fmt.Sprintf("the value of the imported global %s.%s is not known here", name, im.Name)}
			}
			globals.add(encodeGlobal(m.Globals[im.Index].Type, constants[at].Bits))
			index = globals.n - 1
		case wasmbin.KindTable, wasmbin.KindMemory:
			return nil, nil, &Unsupported{Reason: fmt.Sprintf("module imports a %s from %s.%s", im.Kind, name, im.Name)}
		}
		export := append(wasmbin.AppendName(nil, im.Name), byte(im.Kind))
		exports.add(wasmbin.AppendU32(export, index))
	}
	code = []byte("\x00asm\x01\x00\x00\x00")
	code = types.append(code, wasmbin.SecType)
	code = imports.append(code, wasmbin.SecImport)
	code = funcs.append(code, wasmbin.SecFunction)
	code = globals.append(code, wasmbin.SecGlobal)
	code = exports.append(code, wasmbin.SecExport)
	return bodies.append(code, wasmbin.SecCode), functions, nil
}

// section is a number of encoded entries.
type section struct {
	n uint32
	b []byte
}

func (s *section) add(entry []byte) {
	s.n++
	s.b = append(s.b, entry...)
}

// append adds the section to a module.
func (s *section) append(code []byte, id wasmbin.SectionID) []byte {
	if s.n == 0 {
		return code
	}
	count := wasmbin.AppendU32(nil, s.n)
	code = wasmbin.AppendU32(append(code, byte(id)), uint32(len(count)+len(s.b)))
	return append(append(code, count...), s.b...)
}

func encodeType(t wasmbin.FuncType) []byte {
	b := []byte{0x60}
	for _, list := range [][]wasmbin.ValType{t.Params, t.Results} {
		b = wasmbin.AppendU32(b, uint32(len(list)))
		for _, v := range list {
			b = append(b, byte(v))
		}
	}
	return b
}

// encodeGlobal encodes an immutable global with its value.
func encodeGlobal(t wasmbin.ValType, bits uint64) []byte {
	b := []byte{byte(t), 0}
	switch t {
	case wasmbin.I64:
		b = wasmbin.AppendS64(append(b, 0x42), int64(bits))
	case wasmbin.F32:
		b = binary.LittleEndian.AppendUint32(append(b, 0x43), uint32(bits))
	case wasmbin.F64:
		b = binary.LittleEndian.AppendUint64(append(b, 0x44), bits)
	default:
		b = wasmbin.AppendS64(append(b, 0x41), int64(int32(bits)))
	}
	return append(b, 0x0b)
}
