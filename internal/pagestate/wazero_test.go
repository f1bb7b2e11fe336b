package pagestate_test

import (
	"bytes"
	"context"
	_ "embed"
	"testing"

	"github.com/clonecloud/clonecloud/internal/pagestate"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// guestWasm is testdata/guest.wat, made by wat2wasm.
//
//go:embed testdata/guest.wasm
var guestWasm []byte

var _ experimental.LinearMemory = (*pagestate.Space)(nil)

// instance is the guest in a real engine, its memory in a Space.
type instance struct {
	t     *testing.T
	mod   api.Module
	space *pagestate.Space
	// offload answers the guest's call; -1 lets it run by itself.
	offload func(in *instance, n uint32) int32
	runtime wazero.Runtime
}

func newInstance(t *testing.T, config wazero.RuntimeConfig, kind pagestate.Kind, offload func(*instance, uint32) int32) *instance {
	t.Helper()
	in := &instance{t: t, offload: offload}
	ctx := experimental.WithMemoryAllocator(context.Background(), experimental.MemoryAllocatorFunc(func(_, most uint64) experimental.LinearMemory {
		space, err := pagestate.New(pagestate.Options{Kind: kind, Max: most})
		in.must(err)
		in.space = space
		return space
	}))
	in.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	t.Cleanup(func() { in.must(in.runtime.Close(ctx)) })
	_, err := in.runtime.NewHostModuleBuilder("env").NewFunctionBuilder().
		WithFunc(func(n uint32) int32 { return in.offload(in, n) }).Export("offload").Instantiate(ctx)
	in.must(err)
	in.mod, err = in.runtime.Instantiate(ctx, guestWasm)
	in.must(err)
	in.must(in.space.SetImage("image0"))
	return in
}

func (in *instance) must(err error) {
	in.t.Helper()
	if err != nil {
		in.t.Fatal(err)
	}
}

func (in *instance) call(name string, n uint64) uint64 {
	in.t.Helper()
	out, err := in.mod.ExportedFunction(name).Call(context.Background(), n)
	in.must(err)
	return out[0]
}

// take applies a delta, growing through the engine.
func (in *instance) take(encoded []byte, name pagestate.Name) {
	in.t.Helper()
	ch, err := in.space.Prepare(encoded, pagestate.Limits{})
	in.must(err)
	in.growTo(ch.NewSize())
	in.must(ch.ApplyImage(name))
}

func (in *instance) growTo(size uint64) {
	in.t.Helper()
	if more := size - in.space.Size(); more > 0 {
		if _, ok := in.mod.Memory().Grow(uint32(more >> 16)); !ok {
			in.t.Fatalf("memory does not grow to %d bytes", size)
		}
	}
}

func TestGuestOffloadedInARealEngineEndsAsLocally(t *testing.T) {
	configs := map[string]wazero.RuntimeConfig{
		"compiler":    wazero.NewRuntimeConfigCompiler(),
		"interpreter": wazero.NewRuntimeConfigInterpreter(),
	}
	for _, kind := range pagestate.Kinds() {
		for engine, config := range configs {
			t.Run(kind.String()+" in the "+engine, func(t *testing.T) {
				if err := pagestate.SelfTest(kind); err != nil {
					t.Skipf("not on this system: %v", err)
				}
				offloadedEndsAsLocally(t, config, kind)
			})
		}
	}
}

func offloadedEndsAsLocally(t *testing.T, config wazero.RuntimeConfig, kind pagestate.Kind) {
	local := newInstance(t, config, kind, func(*instance, uint32) int32 { return -1 })
	clone := newInstance(t, config, kind, nil)
	lost := 0
	offload := func(device *instance, n uint32) int32 {
		base := device.space.Image()
		call, err := device.space.Capture(nil, "entry")
		device.must(err)
		if clone.space.Image() == base {
			device.must(clone.space.Rollback())
		} else {
			device.must(clone.space.SetImage(base)) // the clone's result, committed before
		}
		clone.take(call, "entry")
		result := clone.call("heavy", uint64(n))
		back, err := clone.space.Diff()
		device.must(err)
		if lost++; lost == 2 {
			// The Return is lost. The clone's memory grew: back to its entry by adoption.
			fresh := newInstance(t, config, kind, nil)
			fresh.growTo(clone.space.BaseSize())
			fresh.must(fresh.space.Adopt(clone.space))
			fresh.must(clone.runtime.Close(context.Background()))
			clone = fresh
			return -1
		}
		device.take(back, "result")
		return int32(result)
	}
	device := newInstance(t, config, kind, offload)
	for n := uint64(1); n <= 5; n++ {
		want, got := local.call("work", n), device.call("work", n)
		if got != want {
			t.Fatalf("call %d answers %d, locally %d", n, got, want)
		}
		if !bytes.Equal(device.space.Bytes(), local.space.Bytes()) {
			t.Fatalf("call %d: memories of %d and %d bytes differ", n, device.space.Size(), local.space.Size())
		}
		if mem, _ := device.mod.Memory().Read(0, device.mod.Memory().Size()); !bytes.Equal(mem, device.space.Bytes()) {
			t.Fatal("the engine sees another memory")
		}
	}
	if device.space.Size() != 17<<16 {
		t.Fatalf("memory ended at %d bytes", device.space.Size())
	}
}

// A memory bomb sees memory.grow fail; nothing is killed.
func TestMemoryBombSeesGrowFail(t *testing.T) {
	var space *pagestate.Space
	kind, _ := pagestate.Choose()
	ctx := experimental.WithMemoryAllocator(context.Background(), experimental.MemoryAllocatorFunc(func(_, most uint64) experimental.LinearMemory {
		var err error
		if space, err = pagestate.New(pagestate.Options{Kind: kind, Max: most, Limit: 4 << 16}); err != nil {
			t.Fatal(err)
		}
		return space
	}))
	r := wazero.NewRuntime(ctx)
	defer func() { _ = r.Close(ctx) }()
	_, err := r.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func(uint32) int32 { return -1 }).Export("offload").Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := r.Instantiate(ctx, guestWasm)
	if err != nil {
		t.Fatal(err)
	}
	grown, ok := mod.Memory().Grow(2)
	if !ok || grown != 2 {
		t.Fatalf("growth to the limit: %d, %v", grown, ok)
	}
	if _, ok := mod.Memory().Grow(1); ok {
		t.Fatal("memory passed the limit")
	}
	if space.Size() != 4<<16 {
		t.Fatalf("memory is of %d bytes", space.Size())
	}
}
