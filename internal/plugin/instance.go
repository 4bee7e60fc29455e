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
	schemas        schemas.Numbers
	scratch        scratch
	use            usage
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
	recycle  int64
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
	i := &Instance{module: m, call: currentCall{function: "_initialize"}, pool: pool, counters: &m.counters,
		funcs: map[*canon.Func]*abi.Func{}}
	if pool != nil {
		logger = logger.With("connector", pool.connector)
	} else {
		i.counters = &counters{}
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
	if err := i.checkBreaker(i.call.function, time.Now()); err != nil {
		return nil, err
	}
	watch := func() { i.clock.check(time.Now()) }
	i.out = output{logger: logger, lines: lines, watch: watch}
	i.schemas = schemas.New(m.host.registry.ForConnector(i.connector()), i.clock.callerErr)
	i.callCtx = context.WithValue(context.Background(), instanceKey{}, i)
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().WithStdout(&i.out).WithStderr(&i.out).
		WithRandSource(&randomness{rand.New(rand.NewSource(randomSeed)), watch})
	if err := m.host.processors.acquire(ctx); err != nil {
		return nil, err
	}
	defer m.host.processors.release()
	i.clock.start(ctx, time.Now(), m.limits.call(i.call.function))
	module, err := compiled.Instantiate(i.callCtx, config)
	if err == nil {
		if i.guest, err = abi.NewGuest(module, m.limits.ResultBytes); err != nil {
			_ = module.Close(i.callCtx)
			return nil, &code.Unfit{Reason: err}
		}
		i.guest.Ended = i.clock.callerErr
		// Not by the engine, which would not allow to watch the stack.
		err = i.guest.Begin(i.callCtx, binary.StartExport, i.call.function)
	}
	i.counters.ticks.Add(i.clock.ticks)
	if err != nil {
		err = i.callError(err)
		i.recordOutcome(err)
		if module != nil {
			_ = module.Close(i.callCtx)
		}
		return nil, err
	}
	i.recordOutcome(nil)
	i.counters.instances.Add(1)
	i.counters.started.Add(1)
	i.out.flush()
	i.recycle = max(m.limits.RecycleBytes, int64(i.guest.MemoryBytes())+16<<20)
	i.counters.observeMemory(int64(i.guest.MemoryBytes()))
	i.reportMemory(int64(i.guest.MemoryBytes()))
	made = true
	return i, nil
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

func (i *Instance) enter(ctx context.Context, fn *canon.Func) (*abi.Func, error) {
	if i.broken != nil {
		return nil, fmt.Errorf("%s: the instance was discarded: %w", fn.Name, i.broken)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f := i.funcs[fn]
	if f == nil {
		if f = i.guest.Func(binary.ExportName(i.module.info.Contract, fn.Interface, fn.Name)); f == nil {
			return nil, fmt.Errorf("plugin %s %s does not have the interface %s", i.module.info.Name,
				i.module.info.Version, fn.Interface)
		}
		i.funcs[fn] = f
	}
	if err := i.module.host.processors.acquire(ctx); err != nil {
		return nil, err
	}
	i.call.function, i.call.started = fn.Name, time.Now()
	if err := i.checkBreaker(i.call.function, i.call.started); err != nil {
		i.module.host.processors.release()
		return nil, err
	}
	i.call.running = true
	i.clock.start(ctx, i.call.started, i.module.limits.call(fn.Name))
	i.calls++
	i.out.reset()
	return f, nil
}

// leave ends a call. err is from the engine or the codec, fault from the plugin.
func (i *Instance) leave(fault *wit.Error, err error) error {
	i.call.running = false
	i.module.host.processors.release()
	i.schemas.SetBatch(nil)
	c := i.counters
	c.calls.Add(1)
	elapsed := int64(time.Since(i.call.started))
	c.nanos.Add(elapsed)
	raise(&c.longest, elapsed)
	c.ticks.Add(i.clock.ticks)
	in, out := i.guest.Crossed()
	c.bytesIn.Add(int64(in - i.call.in))
	c.bytesOut.Add(int64(out - i.call.out))
	i.call.in, i.call.out = in, out
	bytes := int64(i.guest.MemoryBytes())
	c.observeMemory(bytes)
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
	if fault != nil {
		c.faults.Add(1)
		readable(fault)
		return fault
	}
	return nil
}

func (i *Instance) trap(err error) *Trap {
	c := i.counters
	c.traps.Add(1)
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
	case isA[*overdue](err):
		t.Limit, t.Hint = "call.ms", "the limit is set by "+limitSetting(i.module.info.Name, "call.ms")
	case isA[*flood](err):
		t.Limit = "log.lines.per.second"
	case isA[*tooDeep](err):
		t.Limit = "stack"
	}
	c.countAbort(t.Limit)
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
	case int64(i.guest.MemoryBytes()) > i.recycle:
		return "memory"
	case i.schemas.NeedsRecycling():
		return "schemas"
	}
	return ""
}

type scratch struct {
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
		return s.named(i.module, i.connector())
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
		i.out.logger.Error("plugin stopped", "error", s.named(i.module, i.connector()))
	}
	i.pool.recordTrap(trap)
}

func (s *Stopped) named(m *module, connector string) *Stopped {
	s.Plugin, s.Version, s.Hash, s.Connector = cmp.Or(m.info.Name, m.info.Path), m.info.Version, m.info.Hash,
		connector
	return s
}

type instanceKey struct{}

const randomSeed = 42

// randomness returns the engine's default sequence, in pieces, so that a guest that fills all of its memory is ended
// in time.
type randomness struct {
	*rand.Rand
	watch func()
}

// Read fills at most 64 KiB.
func (r *randomness) Read(p []byte) (int, error) {
	r.watch()
	return r.Rand.Read(p[:min(len(p), 64<<10)])
}

type usage struct {
	held             bool
	readers          int
	queue            []chan struct{}
	detached, closed bool
	idle             time.Time
}
