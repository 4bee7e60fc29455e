package plugin

import (
	"context"
	"fmt"
	"math/rand"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/culvert-project/culvert/host/plugin/binary"
	"github.com/culvert-project/culvert/host/plugin/internal/abi"
	"github.com/culvert-project/culvert/wit"
)

// randomSeed is the engine's own.
const randomSeed = 42

// randomness is random numbers that are the same at every start, in pieces, so that a guest that asks for the whole of
// its memory is ended in time. They are the engine's default, which gives all in one.
type randomness struct {
	*rand.Rand
	watch func()
}

// Read fills at most 64 KiB.
func (r *randomness) Read(p []byte) (int, error) {
	r.watch()
	return r.Rand.Read(p[:min(len(p), 64<<10)])
}

// instanceKey is the key under which a call's context carries the instance that calls out.
type instanceKey struct{}

// provide makes the imports of a module available in its runtime: the contract's log under the version that the module
// names, and preview 1 where it asks for it.
func provide(ctx context.Context, runtime wazero.Runtime, m *binary.Module) error {
	if err := provideTick(ctx, runtime); err != nil {
		return err
	}
	provided := map[string]bool{}
	for _, i := range m.Imports {
		if provided[i.Module] {
			continue
		}
		provided[i.Module] = true
		if i.Module == wasi_snapshot_preview1.ModuleName {
			if _, err := wasi_snapshot_preview1.Instantiate(watched(ctx), runtime); err != nil {
				return err
			}
			continue
		}
		i32 := api.ValueTypeI32
		_, err := runtime.NewHostModuleBuilder(i.Module).NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(logFromGuest), []api.ValueType{i32, i32, i32},
				nil).Export("log").Instantiate(ctx)
		if err != nil {
			return err
		}
	}
	return nil
}

// logFromGuest is the contract's log. The upper halves of the stack's slots are garbage.
func logFromGuest(ctx context.Context, m api.Module, stack []uint64) {
	began := time.Now()
	i, _ := ctx.Value(instanceKey{}).(*Instance)
	level, ptr, size := uint32(stack[0]), uint32(stack[1]), uint32(stack[2])
	text, ok := m.Memory().Read(ptr, size)
	switch {
	case i == nil:
	case !ok:
		breach("log: %d bytes at %#x lie past the end of memory", size, ptr)
	case level >= uint32(wit.Level(0).Cases()):
		breach("log: expected a level from 0 to %d, found %d", wit.Level(0).Cases()-1, level)
	case i.out.said(wit.Level(level), text):
		panic(&flood{abi.Violation{Text: fmt.Sprintf("more than %.0f log lines beyond the allowed %.0f a "+
			"second in one call (%s)",
			100*i.out.lines.perSecond, i.out.lines.perSecond, limitSetting(i.module.info.Name,
				"log.lines.per.second"))}})
	default:
		now := time.Now()
		i.clock.called(began, now)
		i.clock.look(now)
	}
}

// flood is the reason of a [*Trap] when a call logged too much.
type flood struct{ abi.Violation }

// Unwrap makes it a violation.
func (f *flood) Unwrap() error { return &f.Violation }

// breach ends the call that is running, from inside a call out: the engine turns the panic into the error of the call.
func breach(format string, args ...any) { panic(abi.Violated(format, args...)) }
