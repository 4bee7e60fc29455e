package plugin

import (
	"context"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/culvert-project/culvert/internal/meter"
	"github.com/culvert-project/culvert/internal/plugin/binary"
	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/plugin/internal/code"
	"github.com/culvert-project/culvert/wit"
)

// provideImports adds the meter's tick, WASI and the contract's host interface to a runtime.
func provideImports(ctx context.Context, runtime wazero.Runtime, m *binary.Module) error {
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
			// Some host calls take long and cost no fuel: the clock is checked at each.
			withClock := experimental.WithFunctionListenerFactory(ctx, experimental.FunctionListenerFactoryFunc(
				func(api.FunctionDefinition) experimental.FunctionListener { return clockListener{} }))
			if _, err := wasi_snapshot_preview1.Instantiate(withClock, runtime); err != nil {
				return err
			}
			continue
		}
		// CheckContract accepts no other module than the contract's host interface.
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

// logFromGuest implements the contract's log. The upper halves of the stack's slots are undefined.
func logFromGuest(ctx context.Context, m api.Module, stack []uint64) {
	began := time.Now()
	instance, _ := ctx.Value(instanceKey{}).(*Instance)
	level := uint32(stack[0])
	ptr := uint32(stack[1])
	size := uint32(stack[2])
	line, ok := m.Memory().Read(ptr, size)
	switch {
	case instance == nil: // logged outside of a call
	case !ok:
		failCall("log: %d bytes at %#x exceed the memory", size, ptr)
	case level >= uint32(wit.Level(0).Cases()):
		failCall("log: expected a level from 0 to %d, found %d", wit.Level(0).Cases()-1, level)
	case instance.out.log(wit.Level(level), line):
		panic(&logLimitError{abi.Violation{Text: fmt.Sprintf("more than %.0f log lines beyond the allowed %.0f a "+
			"second in one call (%s)", floodFactor*instance.out.lines.perSecond, instance.out.lines.perSecond,
			limitSetting(instance.module.info.Name, "log.lines.per.second"))}})
	default:
		now := time.Now()
		instance.clock.addHostTime(began, now)
		instance.clock.check(now)
	}
}

// failCall ends the running call from a host function: the engine turns the panic into the call's error.
func failCall(format string, args ...any) { panic(abi.NewViolation(format, args...)) }

// provideTick adds the function that a guest calls when its fuel is used up.
func provideTick(ctx context.Context, runtime wazero.Runtime) error {
	tick := func(ctx context.Context, _ api.Module, stack []uint64) {
		if i, _ := ctx.Value(instanceKey{}).(*Instance); i != nil {
			if i.guest != nil { // nil while the engine instantiates the module
				if n := i.guest.StackGrowth(); n > maxStackBytes {
					panic(&stackLimitError{n})
				}
			}
			i.clock.tick(i.module.host.processors)
		}
		stack[0] = uint64(code.Metering.Budget) // the result: new fuel
	}
	_, err := runtime.NewHostModuleBuilder(meter.Module).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(tick), nil,
			[]api.ValueType{api.ValueTypeI64}).Export(meter.Name).Instantiate(ctx)
	return err
}

// clockListener checks the clock before each host function, and records the time of each.
type clockListener struct{}

func (clockListener) Before(ctx context.Context, _ api.Module, _ api.FunctionDefinition, _ []uint64,
	_ experimental.StackIterator) {
	if i, _ := ctx.Value(instanceKey{}).(*Instance); i != nil {
		i.clock.hostCallStart = time.Now()
		i.clock.check(i.clock.hostCallStart)
	}
}

func (clockListener) After(ctx context.Context, _ api.Module, _ api.FunctionDefinition, _ []uint64) {
	if i, _ := ctx.Value(instanceKey{}).(*Instance); i != nil {
		i.clock.addHostTime(i.clock.hostCallStart, time.Now())
	}
}

func (clockListener) Abort(context.Context, api.Module, api.FunctionDefinition, error) {}
