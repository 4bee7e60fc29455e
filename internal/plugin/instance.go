package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/culvert-project/culvert/internal/plugin/binary"
	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/plugin/internal/code"
	"github.com/culvert-project/culvert/internal/plugin/internal/schemas"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// Instance is a guest that works for one connector. One goroutine uses it at a time, see [Pool]. A page stays on the
// instance that began it; an instance may have several pages open.
//
// Methods return a [*wit.Fault] from the plugin, a [*Trap] if the call ended badly (the instance is unusable then),
// or another error if the call was not made.
type Instance struct {
	module *module
	guest  *abi.Guest
	// callCtx carries the instance to host functions. It is created once, since the engine does not watch contexts.
	callCtx        context.Context
	clock          clock
	out            output
	schemas        schemas.Translator
	buffers        buffers
	use            instanceUse
	createdAt      time.Time
	hasReservation bool
	reportedBytes  int64
	// pool is nil for calls of the host itself, which have separate counters so that they do not distort a
	// connector's.
	pool     *Pool
	counters *counters
	broken   error
	funcs    map[*canon.Func]*abi.Func
	calls    int64
	recycleBytes  int64
	call     currentCall
}

type currentCall struct {
	function string
	started  time.Time
	running  bool
	in, out  uint64
}

func (i *Instance) connector() string {
	if i.pool == nil {
		return ""
	}
	return i.pool.connector
}

func (m *module) newInstance(ctx context.Context, lines *bucket, pool *Pool) (*Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	logger := m.host.logger.With("plugin", m.info.Name, "version", m.info.Version)
	if m.info.Name == "" {
		logger = m.host.logger.With("plugin", m.info.Path)
	}
	instance := &Instance{module: m, call: currentCall{function: "_initialize"}, pool: pool, counters: &m.counters,
		funcs: map[*canon.Func]*abi.Func{}}
	if pool != nil {
		logger = logger.With("connector", pool.connector)
	} else {
		instance.counters = &counters{}
	}
	compiled, err := m.acquireCode(ctx)
	made := false
	defer func() {
		if !made {
			m.releaseCode()
		}
	}()
	if err != nil {
		return nil, err
	}
	if err := instance.checkBreaker(instance.call.function, time.Now()); err != nil {
		return nil, err
	}
	watch := func() { instance.clock.check(time.Now()) }
	instance.out = output{logger: logger, lines: lines, checkTime: watch}
	instance.schemas = schemas.New(m.host.registry.For(instance.connector()), instance.clock.callerErr)
	instance.callCtx = context.WithValue(context.Background(), instanceKey{}, instance)
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().WithStdout(&instance.out).WithStderr(&instance.out).
		WithRandSource(&randomness{rand.New(rand.NewSource(randomSeed)), watch})
	if err := m.host.processors.acquire(ctx); err != nil {
		return nil, err
	}
	defer m.host.processors.release()
	instance.clock.start(ctx, time.Now(), m.limits.call(instance.call.function))
	module, err := compiled.Instantiate(instance.callCtx, config)
	if err == nil {
		if instance.guest, err = abi.NewGuest(module, m.limits.ResultBytes); err != nil {
			_ = module.Close(instance.callCtx)
			return nil, &code.UnusableError{Reason: err}
		}
		instance.guest.CallerErr = instance.clock.callerErr
		// Not by the engine, which would not allow to watch the stack.
		err = instance.guest.CallExports(instance.callCtx, binary.StartExport, instance.call.function)
	}
	instance.counters.ticks.Add(instance.clock.ticks)
	if err != nil {
		err = instance.callError(err)
		instance.recordOutcome(err)
		if module != nil {
			_ = module.Close(instance.callCtx)
		}
		return nil, err
	}
	instance.recordOutcome(nil)
	instance.counters.instances.Add(1)
	instance.counters.started.Add(1)
	instance.out.flush()
	instance.recycleBytes = max(m.limits.RecycleBytes, int64(instance.guest.MemoryBytes())+16<<20)
	instance.counters.observeMemory(int64(instance.guest.MemoryBytes()))
	instance.reportMemory(int64(instance.guest.MemoryBytes()))
	made = true
	return instance, nil
}

var errPanicked = errors.New("a call ended in a panic of the host's")

// abortRunning releases the processor of a call that a panic interrupted; the guest's state is unknown then.
func (i *Instance) abortRunning() {
	if i.call.running {
		i.call.running, i.broken = false, errPanicked
		i.module.host.processors.release()
	}
}

func (i *Instance) close() {
	i.abortRunning()
	_ = i.guest.Close(context.Background())
	i.module.releaseCode()
	i.reportMemory(0)
	if i.hasReservation {
		i.pool.budget.release(i.module)
	}
	i.counters.instances.Add(-1)
}

func (i *Instance) reportMemory(bytes int64) {
	i.module.host.memory.used.Add(bytes - i.reportedBytes)
	i.reportedBytes = bytes
}

// Module describes the instance's module.
func (i *Instance) Module() Info { return i.module.snapshot() }

func (i *Instance) beginCall(ctx context.Context, function *canon.Func) (*abi.Func, error) {
	if i.broken != nil {
		return nil, fmt.Errorf("%s: the instance was discarded: %w", function.Name, i.broken)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	export := i.funcs[function]
	if export == nil {
		if export = i.guest.Func(binary.ExportName(i.module.info.Contract, function.Interface, function.Name)); export == nil {
			return nil, fmt.Errorf("plugin %s %s does not have the interface %s", i.module.info.Name,
				i.module.info.Version, function.Interface)
		}
		i.funcs[function] = export
	}
	if err := i.module.host.processors.acquire(ctx); err != nil {
		return nil, err
	}
	i.call.function, i.call.started = function.Name, time.Now()
	if err := i.checkBreaker(i.call.function, i.call.started); err != nil {
		i.module.host.processors.release()
		return nil, err
	}
	i.call.running = true
	i.clock.start(ctx, i.call.started, i.module.limits.call(function.Name))
	i.calls++
	i.out.reset()
	return export, nil
}

// leave ends a call. err is from the engine or the codec, fault from the plugin.
func (i *Instance) endCall(failure *wit.Error, err error) error {
	i.call.running = false
	i.module.host.processors.release()
	i.schemas.SetBatch(nil)
	counts := i.counters
	counts.calls.Add(1)
	elapsed := int64(time.Since(i.call.started))
	counts.nanos.Add(elapsed)
	raise(&counts.longest, elapsed)
	counts.ticks.Add(i.clock.ticks)
	in, out := i.guest.TransferredBytes()
	counts.bytesIn.Add(int64(in - i.call.in))
	counts.bytesOut.Add(int64(out - i.call.out))
	i.call.in, i.call.out = in, out
	bytes := int64(i.guest.MemoryBytes())
	counts.observeMemory(bytes)
	i.reportMemory(bytes)
	if err != nil {
		if isA[*abi.Refusal](err) {
			// The arguments cannot be passed: the guest was not called.
			i.recordOutcome(err)
			return err
		}
		i.broken = i.callError(err)
		i.recordOutcome(i.broken)
		return i.broken
	}
	i.recordOutcome(nil)
	i.out.flush()
	if failure != nil {
		counts.faults.Add(1)
		sanitize(failure)
		return failure
	}
	return nil
}

func (i *Instance) trap(err error) *Trap {
	counts := i.counters
	counts.traps.Add(1)
	t := &Trap{Plugin: cmp.Or(i.module.info.Name, i.module.info.Path), Version: i.module.info.Version,
		Connector: i.connector(), Function: i.call.function, Reason: err, Output: string(i.out.text)}
	if i.guest != nil {
		if size, limit := int64(i.guest.MemoryBytes()), i.module.limits.MemoryBytes; size > limit-limit/8 ||
			strings.Contains(t.Output, "out of memory") {
			t.Limit = "memory.bytes"
			t.Hint = fmt.Sprintf("its memory is at %d of the allowed %d bytes (%s)", size, limit, limitSetting(
				i.module.info.Name, "memory.bytes"))
		}
	}
	switch {
	case isA[*abi.TooLarge](err):
		t.Limit, t.Hint = "result.bytes", "the limit is set by "+limitSetting(i.module.info.Name, "result.bytes")
	case isA[*timeExceeded](err):
		t.Limit, t.Hint = "call.ms", "the limit is set by "+limitSetting(i.module.info.Name, "call.ms")
	case isA[*logExceeded](err):
		t.Limit = "log.lines.per.second"
	case isA[*stackExceeded](err):
		t.Limit = "stack"
	}
	counts.countAbort(t.Limit)
	return t
}

func (i *Instance) callError(err error) error {
	if by := canceledBy(err); by != nil {
		return fmt.Errorf("plugin %s %s: %s: %w", i.module.info.Name, i.module.info.Version, i.call.function, by)
	}
	return i.trap(err)
}

func (i *Instance) recycleReason() string {
	switch {
	case i.calls >= i.module.limits.Calls:
		return "calls"
	case int64(i.guest.MemoryBytes()) > i.recycleBytes:
		return "memory"
	case i.schemas.NeedsRecycling():
		return "schemas"
	}
	return ""
}

type buffers struct {
	rows   []wit.Row
	topics []uint32
	blocks []abi.Block
	counts []uint8
}

func (i *Instance) checkBreaker(function string, now time.Time) error {
	if i.pool == nil {
		return nil
	}
	if s := i.pool.breaker.check(function, now); s != nil {
		return s.withPlugin(i.module, i.connector())
	}
	return nil
}

func (i *Instance) recordOutcome(err error) {
	switch {
	case i.pool == nil:
	case err == nil:
		i.pool.breaker.succeeded(i.call.function)
	default:
		i.recordFailure(err)
	}
}

func (i *Instance) recordFailure(err error) {
	trap, ok := errors.AsType[*Trap](err)
	if !ok {
		i.pool.breaker.inconclusive(i.call.function)
		return
	}
	if s := i.pool.breaker.trapped(i.call.function, trap.Cause(), time.Now()); s != nil {
		i.module.counters.stopped.Add(1)
		i.out.logger.Error("plugin stopped", "error", s.withPlugin(i.module, i.connector()))
	}
	i.pool.recordTrap(trap)
}

func (s *Stopped) withPlugin(mod *module, connector string) *Stopped {
	s.Plugin, s.Version, s.Hash, s.Connector = cmp.Or(mod.info.Name, mod.info.Path), mod.info.Version, mod.info.Hash,
		connector
	return s
}

type instanceKey struct{}

const randomSeed = 42

// randomness returns the engine's default sequence, in pieces, so that a guest that fills all of its memory is ended
// in time.
type randomness struct {
	*rand.Rand
	checkTime func()
}

// Read fills at most 64 KiB.
func (r *randomness) Read(p []byte) (int, error) {
	r.checkTime()
	return r.Rand.Read(p[:min(len(p), 64<<10)])
}

type instanceUse struct {
	inUse             bool
	readers          int
	queue            []chan struct{}
	detached, closed bool
	idleSince             time.Time
}
