package wasmbin_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/clonecloud/clonecloud/internal/wasmbin"
)

func TestFilesThatAreNoModuleAreToldApart(t *testing.T) {
	for _, tc := range []struct{ name, bytes, says string }{
		{"an empty file", "", "the file is empty"},
		{"a native program", "\x7fELF\x02\x01\x01\x00", "native Linux program"},
		{"the text format", "(module)", "wat2wasm"},
		{"a compressed module", "\x1f\x8b\x08\x00", "gzip"},
		{"anything else", "hello, world", "it begins with 68 65 6c 6c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := read([]byte(tc.bytes), Limits{})
			if !errors.Is(err, ErrMagic) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestBrokenModulesAreRefused(t *testing.T) {
	nop := []byte{0x01}
	for _, tc := range []struct {
		name string
		b    []byte
		kind error
		says string
	}{
		{"a header cut short", []byte("\x00as"), ErrTruncated, "header"},
		{"a later version", []byte("\x00asm\x02\x00\x00\x00"), ErrInvalid, "version"},
		{"a section longer than the file", append(module(), 1, 100), ErrTruncated, "type section"},
		{"a section that is repeated", module().vec(SecType, 0).vec(SecType, 0), ErrInvalid, "repeated"},
		{"sections out of order", module().vec(SecExport, 0).vec(SecType, 0), ErrInvalid, "out of order"},
		{"an unknown section", module().raw(77), ErrInvalid, "unknown section 77"},
		{"bytes after the last entry", module().vec(SecType, 0, 1, 2), ErrInvalid, "2 bytes left over"},
		{"more entries than bytes", module().raw(SecType, 0xff, 0xff, 0x03), ErrTruncated, "types"},
		{"a count that is too long", module().raw(SecType, 0x80, 0x80, 0x80, 0x80, 0x80, 0), ErrInvalid, "too long"},
		{"a count beyond 32 bits", module().raw(SecType, 0xff, 0xff, 0xff, 0xff, 0x1f), ErrInvalid, "too long"},
		{"functions without bodies", module().vec(SecType, 1, 0x60, 0, 0).vec(SecFunction, 1, 0), ErrInvalid, "1 functions are declared and 0 have bodies"},
		{"bodies without functions", module().code(nop), ErrInvalid, "0 functions are declared"},
		{"a type that does not exist", module().vec(SecFunction, 1, 0).code(nop), ErrInvalid, "type 0 does not exist"},
		{"an unknown type form", module().vec(SecType, 1, 0x61), ErrInvalid, "type form 0x61"},
		{"an unknown value type", module().vec(SecType, 1, 0x60, 1, 0x10, 0), ErrInvalid, "0x10 is no value type"},
		{"an export that does not exist", module().vec(SecExport, 1, 1, 'f', 0, 0), ErrInvalid, `export "f" names function 0`},
		{"an export named twice", module().vec(SecMemory, 1, 0, 1).vec(SecExport, 2, 1, 'm', 2, 0, 1, 'm', 2, 0), ErrInvalid, `two exports are named "m"`},
		{"a start function that does not exist", module().raw(SecStart, 3), ErrInvalid, "start function 3"},
		{"a start function with parameters", module().vec(SecType, 1, 0x60, 1, 0x7f, 0).vec(SecFunction, 1, 0).raw(SecStart, 0).code(nop), ErrInvalid, "start function 0 has type (i32) -> ()"},
		{"data segments that were not announced", module().vec(SecMemory, 1, 0, 1).raw(SecDataCount, 2), ErrInvalid, "2 data segments are announced and 0 are there"},
		{"elements of a table that does not exist", module().vec(SecElement, 1, 0, 0x41, 0, 0x0b, 0), ErrInvalid, "table 0 does not exist"},
		{"a global that does not exist, in a constant", module().vec(SecGlobal, 1, 0x7f, 0, 0x23, 0, 0x0b), ErrInvalid, "global 0 does not exist"},
		{"a constant without an end", module().vec(SecGlobal, 1, 0x7f, 0, 0x41, 0), ErrTruncated, "constant expression"},
		{"a call of a function that rewriting would add", module().voids([]byte{0x10, 1}), ErrInvalid, "function 1 does not exist, in function 0"},
		{"a global that rewriting would add", module().voids([]byte{0x23, 0, 0x1a}), ErrInvalid, "global 0 does not exist"},
		{"a table that rewriting would add", module().voids([]byte{0x41, 0, 0x11, 0, 0}), ErrInvalid, "table 0 does not exist"},
		{"a type that rewriting would add", module().voids([]byte{0x02, 1, 0x0b}), ErrInvalid, "type 1 does not exist"},
		{"a reference to a function that rewriting would declare", module().voids([]byte{0xd2, 0, 0x1a}), ErrInvalid, "ref.func 0 without a declaration"},
		{"a body without its end", module().vec(SecType, 1, 0x60, 0, 0).vec(SecFunction, 1, 0).vec(SecCode, 1, 2, 0, 1), ErrTruncated, "without its end"},
		{"an empty body", module().vec(SecType, 1, 0x60, 0, 0).vec(SecFunction, 1, 0).vec(SecCode, 1, 0), ErrTruncated, "code section"},
		{"a body that goes on after its end", module().voids([]byte{0x0b, 0x01}), ErrInvalid, "bytes after the end"},
		{"an unknown instruction", module().voids([]byte{0xff}), ErrInvalid, "unknown instruction 0xff"},
		{"an operand cut short", module().voids([]byte{0x41, 0x80}), ErrInvalid, ""},
		{"a br_table of very many labels", module().voids([]byte{0x0e, 0xff, 0xff, 0xff, 0xff, 0x0f}), ErrTruncated, "operand"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := read(tc.b, Limits{})
			if tc.says == "" {
				if err == nil {
					t.Error("accepted")
				}
				return
			}
			if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestOtherProposalsAreRefusedByName(t *testing.T) {
	for _, tc := range []struct {
		name    string
		b       []byte
		feature string
	}{
		{"atomic instructions", module().voids([]byte{0xfe, 0x03, 0x00}), FeatureThreads},
		{"a shared memory", module().vec(SecMemory, 1, 3, 1, 1), FeatureThreads},
		{"try and catch", module().voids([]byte{0x06, 0x40, 0x0b}), FeatureLegacyEH},
		{"try_table", module().voids([]byte{0x1f, 0x40, 0, 0x0b}), FeatureEH},
		{"throw_ref", module().voids([]byte{0x0a}), FeatureEH},
		{"a tag section", module().vec(SecTag, 0), FeatureEH},
		{"exnref", module().vec(SecType, 1, 0x60, 1, 0x69, 0), FeatureEH},
		{"a struct type", module().vec(SecType, 1, 0x5f, 0), FeatureGC},
		{"a recursive type group", module().vec(SecType, 1, 0x4e, 0), FeatureGC},
		{"anyref", module().vec(SecType, 1, 0x60, 1, 0x6e, 0), FeatureGC},
		{"struct.new", module().voids([]byte{0xfb, 0x00, 0x00}), FeatureGC},
		{"a 64-bit memory", module().vec(SecMemory, 1, 4, 1), FeatureMemory64},
		{"two memories", module().vec(SecMemory, 2, 0, 1, 0, 1), FeatureMultiMemory},
		{"a load from a second memory", module().vec(SecType, 1, 0x60, 0, 0).vec(SecFunction, 1, 0).vec(SecMemory, 1, 0, 1).code([]byte{0x41, 0, 0x28, 0x42, 1, 0}), FeatureMultiMemory},
		{"relaxed SIMD", module().voids([]byte{0xfd, 0x80, 0x02}), FeatureRelaxedSIMD},
		{"an addition in a constant", module().vec(SecGlobal, 1, 0x7f, 0, 0x41, 1, 0x41, 1, 0x6a, 0x0b), FeatureExtendedConst},
		{"call_ref", module().voids([]byte{0x14, 0}), FeatureTypedFuncRefs},
		{"a typed reference", module().vec(SecType, 1, 0x60, 1, 0x64, 0x70, 0), FeatureTypedFuncRefs},
		{"a table with an initial value", module().vec(SecTable, 1, 0x40, 0, 0x70, 0, 0, 0xd0, 0x70, 0x0b), FeatureTypedFuncRefs},
		{"a component", []byte("\x00asm\x0d\x00\x01\x00"), FeatureComponent},
		{"64-bit addition with carry", module().voids([]byte{0xfc, 0x13}), FeatureWideArithmetic},
		{"resume", module().voids([]byte{0xe3, 0, 0}), FeatureStackSwitching},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := read(tc.b, Limits{})
			if !errors.Is(err, ErrUnsupported) || as(err).Feature != tc.feature {
				t.Fatalf("error %v", err)
			}
			if !strings.Contains(err.Error(), "unsupported feature "+tc.feature) {
				t.Errorf("the message does not name it: %v", err)
			}
		})
	}
}

func TestLimitsBoundEverythingThatIsCounted(t *testing.T) {
	void := []byte{}
	big := module().vec(SecType, 2, 0x60, 2, 0x7f, 0x7f, 0, 0x60, 0, 0).
		vec(SecImport, 2, 1, 'm', 1, 'a', 0, 1, 1, 'm', 1, 'b', 0, 1).
		vec(SecFunction, 2, 1, 1).vec(SecTable, 2, 0x70, 0, 1, 0x70, 0, 1).vec(SecMemory, 1, 0, 1).
		vec(SecGlobal, 2, 0x7f, 0, 0x41, 0, 0x0b, 0x7f, 0, 0x41, 0, 0x0b).
		vec(SecExport, 2, 1, 'f', 0, 0, 1, 'g', 0, 1).
		vec(SecElement, 2, 0, 0x41, 0, 0x0b, 1, 0, 0, 0x41, 0, 0x0b, 1, 0).
		code([]byte{0x02, 0x40, 0x02, 0x40, 0x0b, 0x0b}, void).vec(SecData, 2, 0, 0x41, 0, 0x0b, 0, 0, 0x41, 0, 0x0b, 0).
		custom("one").custom("two")
	if err := read(big, Limits{}); err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]Limits{
		"module bytes": {ModuleBytes: len(big) - 1}, "types": {Types: 1}, "functions": {Functions: 1},
		"imports": {Imports: 1}, "exports": {Exports: 1}, "globals": {Globals: 1}, "tables": {Tables: 1},
		"elements": {Elements: 1}, "segments": {Segments: 1}, "parameters": {Params: 1},
		"body bytes": {BodyBytes: 3}, "nesting": {Nesting: 1}, "custom sections": {CustomBlocks: 1}, "names": {NameBytes: 2},
	} {
		if err := read(big, l); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEveryPrefixOfAModuleIsRefused cuts modules short at every byte.
func TestEveryPrefixOfAModuleIsRefused(t *testing.T) {
	files, err := filepath.Glob("../rewrite/testdata/golden/*.wasm")
	if err != nil || len(files) == 0 {
		t.Fatalf("no modules: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		m := parse(t, b)
		ends := map[int]bool{8: true}
		for _, s := range m.Sections {
			ends[s.End] = true // a module may lack its last sections
		}
		for n := range b {
			if err := read(b[:n], Limits{}); err == nil && !ends[n] {
				t.Errorf("%s cut at %d is accepted", f, n)
			} else if err != nil && as(err).Kind == nil {
				t.Errorf("%s cut at %d: untyped error %v", f, n, err)
			}
		}
	}
}
