package plugin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/culvert-project/culvert/host/meter"
)

// clock fences the time of an instance's calls. A guest comes by when its fuel is used up and whenever it calls out.
type clock struct {
	// ctx is the caller's; limit is the call's time, which is up at the deadline.
	ctx      context.Context
	limit    time.Duration
	deadline time.Time
	// canceled: the deadline is that of a caller who does not wait any more.
	canceled bool
	// yielded is when others were let in.
	yielded time.Time
	// began is when the call got its processor.
	began time.Time
	ticks int64
}

const (
	// graceAfterCancel is how long a call may go on whose caller has given up: what is nearly done need not be done again.
	graceAfterCancel = 250 * time.Millisecond
	// yieldEvery is how often a guest that works makes room for others.
	yieldEvery = time.Millisecond
	// turnTime is how long a call keeps its processor while others wait for one.
	turnTime = 10 * time.Millisecond
)

// Overdue is the reason of a [*Trap] when a call took longer than its limit.
type Overdue struct{ Limit time.Duration }

func (o *Overdue) Error() string {
	return fmt.Sprintf("ran for longer than the %v that are allowed", o.Limit)
}

// maxStackBytes is how large the engine's stack for a call may grow, which lies beside the guest's memory: it doubles from 10 KiB on, so
// that 10 MiB are there for any guest, enough for some 70,000 frames of Go. Without a limit of ours endless recursion makes it grow
// to 100 MB, in steps that copy all of it.
const maxStackBytes = 16 << 20

// Deep is the reason of a [*Trap] when a call recursed too deeply.
type Deep struct{ StackBytes int }

func (d *Deep) Error() string {
	return fmt.Sprintf("recursed too deeply: its stack has grown to %d bytes, at most %d are allowed", d.StackBytes, maxStackBytes)
}

// canceled ends a call whose caller has given up.
type canceled struct{ err error }

func (c *canceled) Error() string { return "stopped: " + c.err.Error() }
func (c *canceled) Unwrap() error { return c.err }

// start begins a call.
func (c *clock) start(ctx context.Context, now time.Time, limit time.Duration) {
	*c = clock{ctx: ctx, limit: limit, deadline: now.Add(limit), yielded: now, began: now}
}

// look ends the call that is running if its time is up, by a panic that the engine turns into the call's error with the guest's
// stack. Nothing in a guest can catch it: exceptions are refused. The instance is closed when it comes back; closing it here would
// take its memory away under the frames that are left.
func (c *clock) look(now time.Time) {
	if grace := now.Add(graceAfterCancel); !c.canceled && grace.Before(c.deadline) && c.ctx.Err() != nil {
		c.canceled, c.deadline = true, grace
	}
	switch {
	case now.Before(c.deadline):
	case c.canceled:
		panic(&canceled{c.ctx.Err()})
	default:
		panic(&Overdue{c.limit})
	}
}

// ended is the error of a call whose result is to be read no further, because its caller has given up.
func (c *clock) ended() error {
	if c.ctx == nil || c.ctx.Err() == nil {
		return nil
	}
	return &canceled{c.ctx.Err()}
}

// watchEvery is how many rows, faults or values are looked at between looks at the context.
const watchEvery = 1024

// tick is called by a guest whose fuel is used up. Being here is enough for the garbage collector; other goroutines get their turn
// every now and then.
func (c *clock) tick(p *processors) {
	c.ticks++
	now := time.Now()
	c.look(now)
	if now.Sub(c.yielded) >= yieldEvery {
		runtime.Gosched()
		c.yielded = time.Now()
	}
	if now.Sub(c.began) >= turnTime && p.pass() {
		c.began = time.Now()
		c.deadline = c.deadline.Add(c.began.Sub(now)) // it did not run
	}
}

// canceledBy returns the context's error where a call ended because its caller gave up.
func canceledBy(err error) error {
	var c *canceled
	if errors.As(err, &c) {
		return c.err
	}
	return nil
}

// provideTick makes the meter's import available.
func provideTick(ctx context.Context, r wazero.Runtime) error {
	tick := func(ctx context.Context, _ api.Module, stack []uint64) {
		if i, _ := ctx.Value(instanceKey{}).(*Instance); i != nil {
			if i.guest != nil {
				if n := i.guest.StackGrown(); n > maxStackBytes {
					panic(&Deep{n})
				}
			}
			i.clock.tick(i.module.loader.processors)
		}
		stack[0] = uint64(metering.Budget)
	}
	_, err := r.NewHostModuleBuilder(meter.DefaultModule).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(tick), nil, []api.ValueType{api.ValueTypeI64}).Export(meter.DefaultName).Instantiate(ctx)
	return err
}

// watched makes functions of the host's look at the clock each time that they are called: some of them take long, and cost no fuel.
func watched(ctx context.Context) context.Context {
	return experimental.WithFunctionListenerFactory(ctx, experimental.FunctionListenerFactoryFunc(
		func(api.FunctionDefinition) experimental.FunctionListener { return watcherOfCalls{} }))
}

type watcherOfCalls struct{}

// Before looks at the clock.
func (watcherOfCalls) Before(ctx context.Context, _ api.Module, _ api.FunctionDefinition, _ []uint64, _ experimental.StackIterator) {
	if i, _ := ctx.Value(instanceKey{}).(*Instance); i != nil {
		i.clock.look(time.Now())
	}
}

// After does nothing.
func (watcherOfCalls) After(context.Context, api.Module, api.FunctionDefinition, []uint64) {}

// Abort does nothing.
func (watcherOfCalls) Abort(context.Context, api.Module, api.FunctionDefinition, error) {}
