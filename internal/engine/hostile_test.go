package engine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/clonecloud/clonecloud/internal/engine"
)

func TestATableDoesNotGrowUntilTheProcessDies(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		in := h.instance("bomb")
		for _, table := range []string{"open", "bounded"} {
			for _, n := range []uint64{0xffffffff, 0x7fffffff, 10_000_000} {
				if got := int32(h.must(in, "grow."+table, n)); got != -1 {
					t.Errorf("%s grew by %d from %d", table, n, got)
				}
			}
			if got := int32(h.must(in, "grow."+table, 1000)); got < 1 || got > 2 {
				t.Errorf("%s: grow(1000) = %d", table, got)
			}
		}
		if int32(h.must(in, "grow.small", 3)) != -1 || h.must(in, "grow.small", 2) != 3 {
			t.Error("a small maximum does not hold")
		}
	})
}

// section builds a module of one section.
func section(id byte, body ...byte) []byte {
	return append([]byte{0, 'a', 's', 'm', 1, 0, 0, 0, id, byte(len(body))}, body...)
}

func TestBadModulesAreErrors(t *testing.T) {
	tests := map[string][]byte{
		"nothing":                      nil,
		"no module":                    []byte("#!/bin/sh\n"),
		"a component":                  {0, 'a', 's', 'm', 0x0d, 0, 1, 0},
		"cut off after the header":     append(bytes.Clone(section(1)[:9]), 0x7f),
		"a section without its end":    append(section(4), 0xff, 0xff, 0xff, 0xff, 0x0f),
		"a size of six bytes":          {0, 'a', 's', 'm', 1, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"two memories":                 section(5, 2, 0, 1, 0, 1),
		"a shared memory":              section(5, 1, 3, 1, 2),
		"a 64-bit memory":              section(5, 1, 4, 1),
		"a memory above 4 GiB":         section(5, 1, 0, 0x81, 0x80, 0x04),
		"a table of too many":          section(4, 1, 0x70, 0, 0x81, 0xad, 0xe2, 0x04),
		"a table of another type":      section(4, 1, 0x7f, 0, 1),
		"many types":                   section(1, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"many parameters":              section(1, 1, 0x60, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"many imports":                 section(2, 0xff, 0xff, 0xff, 0xff, 0x0f, 1),
		"a long name":                  section(2, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1),
		"many functions":               section(3, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"many tables":                  section(4, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"many globals":                 section(6, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"many exports":                 section(7, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"many elements":                section(9, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"a long element":               section(9, 1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"many bodies":                  section(10, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"a long body":                  section(10, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0),
		"many locals":                  section(10, 1, 8, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0x0b),
		"many data":                    section(11, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"long data":                    section(11, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"many names":                   section(0, 4, 'n', 'a', 'm', 'e', 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"a table section cut off":      section(4, 9, 0x70, 0, 1),
		"a table section that is long": section(4, 1, 0x70, 0, 1, 0),
	}
	eachKind(t, func(t *testing.T, h *harness) {
		for name, wasm := range tests {
			if _, err := h.engine.Compile(h.ctx, wasm); err == nil {
				t.Errorf("%s: it compiled", name)
			}
		}
	})
}

func TestModulesAboveTheLimitAreRefused(t *testing.T) {
	wasm := module(t, "suite")
	eachKindConfig(t, engine.Config{MaxModuleBytes: len(wasm) - 1}, func(t *testing.T, h *harness) {
		if _, err := h.engine.Compile(h.ctx, wasm); !errors.Is(err, engine.ErrTooLarge) {
			t.Errorf("err = %v, want ErrTooLarge", err)
		}
		if _, err := h.engine.Compile(h.ctx, module(t, "plain")); err != nil {
			t.Errorf("a smaller one: %v", err)
		}
	})
}

func TestHostModulesMustBeWellFormed(t *testing.T) {
	nop := func(context.Context, []uint64) {}
	tests := map[string][]engine.HostFunc{
		"of another module": {{Module: "other", Name: "f", Call: nop}},
		"without code":      {{Name: "f"}},
		"defined twice":     {{Name: "f", Call: nop}, {Name: "f", Call: nop}},
	}
	eachKind(t, func(t *testing.T, h *harness) {
		for name, funcs := range tests {
			if err := h.engine.Host(h.ctx, "bad", funcs); err == nil {
				t.Errorf("a function %s was accepted", name)
			}
		}
		if err := h.engine.Host(h.ctx, "host", nil); err == nil {
			t.Error("a module name was taken twice")
		}
	})
}

func TestEnginesDoNotMix(t *testing.T) {
	eachKind(t, func(t *testing.T, h *harness) {
		other := newHarness(t, engine.Config{Kind: engine.Interpreter})
		if _, err := h.engine.Instantiate(h.ctx, other.compile("plain"), ""); err == nil {
			t.Error("another engine's module was accepted")
		}
		link := engine.Link{Name: "main", Instance: other.instance("suite")}
		if _, err := h.engine.Instantiate(h.ctx, h.compile("glue"), "", link); err == nil {
			t.Error("another engine's instance was accepted")
		}
	})
}

func TestAConfigurationOutOfRangeIsRefused(t *testing.T) {
	for _, c := range []engine.Config{{Kind: 9}, {Kind: -1}} {
		if _, err := engine.New(t.Context(), c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

// hasStart tells whether a module has a start section.
func hasStart(wasm []byte) bool {
	const header, start = 8, 8
	for at := header; at < len(wasm); {
		if wasm[at] == start {
			return true
		}
		size, n := binary.Uvarint(wasm[at+1:])
		if n <= 0 {
			return false
		}
		at += 1 + n + int(size)
	}
	return false
}

// FuzzCompile feeds altered modules to both engines: an error or a module, the
// same from both, and never a panic of the caller.
func FuzzCompile(f *testing.F) {
	for _, name := range []string{"suite", "glue", "bomb", "start", "borrow"} {
		f.Add(module(f, name))
	}
	ctx := context.Background()
	var engines []engine.Engine
	for _, kind := range kinds {
		requireKind(f, kind)
		e, err := engine.New(ctx, engine.Config{Kind: kind, MaxMemoryPages: 16, MaxModuleBytes: 1 << 16})
		if err != nil {
			f.Fatal(err)
		}
		engines = append(engines, e)
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		var outcomes []error
		for _, e := range engines {
			m, err := e.Compile(ctx, wasm)
			// The engine does panic on some modules; here that is an error, and
			// the one case in which the two may differ.
			var trap *engine.Trap
			if !errors.As(err, &trap) {
				outcomes = append(outcomes, err)
			}
			if m == nil {
				continue
			}
			m.Imports()
			m.Exports()
			if hasStart(wasm) {
				continue // it may run for ever
			}
			if in, err := e.Instantiate(ctx, m, ""); err == nil {
				if mem, ok := in.Memory(); ok && uint64(mem.Pages())*engine.PageSize != uint64(len(mem.Bytes())) {
					t.Errorf("%d pages, %d bytes", mem.Pages(), len(mem.Bytes()))
				}
				_ = in.Close(ctx)
			}
			_ = m.Close(ctx)
		}
		if len(outcomes) == 2 && (outcomes[0] == nil) != (outcomes[1] == nil) {
			t.Fatalf("the engines disagree: %v", outcomes)
		}
	})
}
