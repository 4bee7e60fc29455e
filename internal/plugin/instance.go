package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/culvert-project/culvert/internal/plugin/binary"
	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/plugin/internal/code"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// Instance is a guest that serves one connector. One goroutine uses it at a time, see [Pool]. A page stays on the
// instance that began it; an instance may have several open pages.
//
// Methods return a [*wit.Error] from the plugin, a [*Trap] if the call ended badly and the instance is unusable, or
// another error if the call was not made.
type Instance struct {
	module *module
	guest  *abi.Guest
	// callCtx passes the instance to host functions. It is created once, since the engine does not watch contexts.
	callCtx context.Context
	clock   clock
	out     output
	schemas abi.Translator
	buffers buffers
	use     instanceUse
	pool    *Pool // nil for calls of the host itself
	// counters are the module's; calls of the host itself have their own, which do not distort a connector's.
	counters *counters
	broken   error // why the instance cannot be used any more
	funcs    map[*canon.Func]*abi.Func
	call     currentCall
	recycling
	reservation
}

// recycling decides when an instance is replaced, since guest memory never shrinks.
type recycling struct {
	createdAt    time.Time
	calls        int64 // made so far
	recycleBytes int64 // the memory above which it is replaced
}

// minGrowth is how much an instance may grow at least before it is replaced, in bytes.
const minGrowth = 16 << 20

// reservation is an instance's share of the memory budget.
type reservation struct {
	hasReservation bool  // close releases it
	reportedBytes  int64 // the part of memoryLimiter.used
}

// currentCall is the running or last call.
type currentCall struct {
	function string
	started  time.Time
	running  bool
	bytesIn  uint64 // all bytes passed to the guest until the end of the last call
	bytesOut uint64 // all bytes read from the guest until the end of the last call
}

// buffers are reused from call to call.
type buffers struct {
	rows   []wit.Row
	topics []uint32
	blocks []abi.Block
	counts []uint8
}

// instanceUse records the use of an instance by calls and readers. It is guarded by the pool's lock.
type instanceUse struct {
	inUse     bool // for a call, or by the caller of [Pool.Acquire]
	readers   int
	queue     []chan struct{} // readers that wait for their call
	detached  bool            // removed from the pool, and closed when it is unused
	closed    bool
	idleSince time.Time // zero while it is in use
}

func (i *Instance) connector() string {
	if i.pool == nil {
		return ""
	}
	return i.pool.connector
}

// newInstance creates an instance for a pool, or for the host itself if pool is nil, and runs its initialization. lines
// limits its log.
func (m *module) newInstance(ctx context.Context, lines *bucket, pool *Pool) (*Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	instance := &Instance{module: m, call: currentCall{function: "_initialize"}, pool: pool, counters: &m.counters,
		funcs: map[*canon.Func]*abi.Func{}}
	logger := m.host.logger.With("plugin", m.info.Name, "version", m.info.Version)
	if m.info.Name == "" {
		logger = m.host.logger.With("plugin", m.info.Path)
	}
	if pool != nil {
		logger = logger.With("connector", pool.connector)
	} else {
		instance.counters = &counters{}
	}
	instance.out = output{logger: logger, lines: lines, checkTime: instance.checkTime}
	instance.callCtx = context.WithValue(context.Background(), instanceKey{}, instance)
	compiled, err := m.acquireCode(ctx)
	created := false
	defer func() { // also after a panic
		if !created {
			m.releaseCode()
		}
	}()
	if err != nil {
		return nil, err
	}
	if err := instance.start(ctx, compiled); err != nil {
		return nil, err
	}
	instance.counters.instances.Add(1)
	instance.counters.started.Add(1)
	instance.out.flush()
	memoryBytes := int64(instance.guest.MemoryBytes())
	instance.recycleBytes = max(m.limits.RecycleBytes, memoryBytes+minGrowth)
	instance.counters.observeMemory(memoryBytes)
	instance.reportMemory(memoryBytes)
	created = true
	return instance, nil
}

func (i *Instance) checkTime() { i.clock.check(time.Now()) }

// start instantiates the module and calls its initialization functions.
func (i *Instance) start(ctx context.Context, compiled *code.Code) error {
	i.schemas = abi.NewTranslator(i.module.host.registry.ForConnector(i.connector()), i.clock.callerErr)
	limits := i.module.limits
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().WithStdout(&i.out).WithStderr(&i.out).
		WithRandSource(&randomness{rand.New(rand.NewSource(randomSeed)), i.checkTime})
	if err := i.module.host.processors.acquire(ctx); err != nil {
		return err
	}
	defer i.module.host.processors.release()
	started := time.Now()
	if err := i.checkBreaker(i.call.function, started); err != nil {
		return err
	}
	outcome := errPanicked // until the call has ended
	defer func() { i.recordOutcome(outcome) }()
	i.clock.start(ctx, started, limits.callTime(i.call.function))
	running, err := compiled.Instantiate(i.callCtx, config)
	if err == nil {
		if i.guest, err = abi.NewGuest(running, limits.ResultBytes); err != nil {
			_ = running.Close(i.callCtx)
			outcome = &code.UnusableError{Reason: err}
			return outcome
		}
		i.guest.CallerErr = i.clock.callerErr
		// Not called by the engine, which would not allow to watch the stack.
		err = i.guest.CallExports(i.callCtx, binary.StartExport, i.call.function)
	}
	i.counters.ticks.Add(i.clock.ticks)
	if err == nil {
		outcome = nil
		return nil
	}
	outcome = i.callError(err)
	if running != nil {
		_ = running.Close(i.callCtx)
	}
	return outcome
}

var errPanicked = errors.New("a call ended with a panic of the host")

// abortRunning ends a call that a panic of the host interrupted. The guest's state is then unknown.
func (i *Instance) abortRunning() {
	if i.call.running {
		i.call.running = false
		i.broken = errPanicked
		i.recordOutcome(errPanicked)
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

// beginCall waits for a processor and returns the guest's export of a function. Unless it returns an error, the call
// must end with endCall or abortRunning.
func (i *Instance) beginCall(ctx context.Context, function *canon.Func) (*abi.Func, error) {
	if i.broken != nil {
		return nil, fmt.Errorf("%s: the instance was discarded: %w", function.Name, i.broken)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	export := i.funcs[function]
	if export == nil {
		if export = i.guest.Func(binary.ExportName(i.module.info.Contract, function.Interface,
			function.Name)); export == nil {
			return nil, fmt.Errorf("plugin %s %s does not have the interface %s", i.module.info.Name,
				i.module.info.Version, function.Interface)
		}
		i.funcs[function] = export
	}
	if err := i.module.host.processors.acquire(ctx); err != nil {
		return nil, err
	}
	i.call.function = function.Name
	i.call.started = time.Now()
	if err := i.checkBreaker(i.call.function, i.call.started); err != nil {
		i.module.host.processors.release()
		return nil, err
	}
	i.call.running = true
	i.clock.start(ctx, i.call.started, i.module.limits.callTime(function.Name))
	i.calls++
	i.out.reset()
	return export, nil
}

// endCall ends a call, counts it, and returns its error. err is from the engine or the codec, failure from the plugin.
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
	counts.bytesIn.Add(int64(in - i.call.bytesIn))
	counts.bytesOut.Add(int64(out - i.call.bytesOut))
	i.call.bytesIn = in
	i.call.bytesOut = out
	bytes := int64(i.guest.MemoryBytes())
	counts.observeMemory(bytes)
	i.reportMemory(bytes)
	if err != nil && !isA[*abi.Refusal](err) { // a refusal means that the guest was not called
		err = i.callError(err)
		i.broken = err
	}
	i.recordOutcome(err)
	if err != nil {
		return err
	}
	i.out.flush()
	if failure != nil {
		counts.faults.Add(1)
		sanitize(failure)
		return failure
	}
	return nil
}

// newTrap counts a trap, and returns it with the limit that was exceeded.
func (i *Instance) newTrap(err error) *Trap {
	counts := i.counters
	counts.traps.Add(1)
	t := &Trap{Plugin: cmp.Or(i.module.info.Name, i.module.info.Path), Version: i.module.info.Version,
		Connector: i.connector(), Function: i.call.function, Reason: err, Output: string(i.out.text)}
	if i.guest != nil { // a trap with nearly all memory in use is attributed to the limit
		if size, limit := int64(i.guest.MemoryBytes()), i.module.limits.MemoryBytes; size > limit-limit/8 ||
			strings.Contains(t.Output, "out of memory") {
			t.Limit = "memory.bytes"
			t.Hint = fmt.Sprintf("its memory has %d of the allowed %d bytes (%s)", size, limit, limitSetting(
				i.module.info.Name, "memory.bytes"))
		}
	}
	switch {
	case isA[*abi.TooLarge](err):
		t.Hint = "the limit is set by " + limitSetting(i.module.info.Name, "result.bytes")
		t.Limit = "result.bytes"
	case isA[*timeLimitError](err):
		t.Hint = "the limit is set by " + limitSetting(i.module.info.Name, "call.ms")
		t.Limit = "call.ms"
	case isA[*logLimitError](err):
		t.Limit = "log.lines.per.second"
	case isA[*stackLimitError](err):
		t.Limit = "stack"
	}
	if i := slices.Index(callLimits[:], t.Limit); i >= 0 {
		counts.aborted[i].Add(1)
	}
	return t
}

// callError returns the error of a call that ended badly: a trap, which is counted, or the error of its caller.
func (i *Instance) callError(err error) error {
	if cause := canceledBy(err); cause != nil {
		return fmt.Errorf("plugin %s %s: %s: %w", i.module.info.Name, i.module.info.Version, i.call.function, cause)
	}
	return i.newTrap(err)
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

// recordOutcome records the error of a call, or nil, for the breaker and the canary.
func (i *Instance) recordOutcome(err error) {
	trap, isTrap := errors.AsType[*Trap](err)
	switch {
	case i.pool == nil: // a call of the host itself has no breaker
	case err == nil:
		i.pool.breaker.recordSuccess(i.call.function)
	case !isTrap:
		i.pool.breaker.recordInconclusive(i.call.function)
	default:
		if s := i.pool.breaker.recordBreak(i.call.function, trap.Cause(), time.Now()); s != nil {
			i.module.counters.stopped.Add(1)
			i.out.logger.Error("plugin stopped", "error", s.withPlugin(i.module, i.connector()))
		}
		i.pool.recordTrap(trap)
	}
}

func (s *StoppedError) withPlugin(mod *module, connector string) *StoppedError {
	s.Plugin = cmp.Or(mod.info.Name, mod.info.Path)
	s.Version = mod.info.Version
	s.Hash = mod.info.Hash
	s.Connector = connector
	return s
}

type instanceKey struct{}

const randomSeed = 42 // the engine's default

// randomness returns the engine's default sequence, in small pieces, so that the time limit also applies to a guest
// that fills its memory.
type randomness struct {
	*rand.Rand
	checkTime func()
}

// Read fills at most 64 KiB.
func (r *randomness) Read(p []byte) (int, error) {
	r.checkTime()
	return r.Rand.Read(p[:min(len(p), 64<<10)])
}
