package plugin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// clock fences the time of an instance's calls. A guest comes by when its fuel is used up and whenever it calls out.
//
// What counts is the guest's own work: the fuel that it used, by what fuel takes in this very call where nothing
// disturbs it, and the time in functions of the host's. So a call is not ended because it waits for a processor, of
// ours or of the machine's; yet no call takes longer than clockFactor times its limit.
type clock struct {
	// ctx is the caller's; limit is the call's time, began when it began.
	ctx   context.Context
	limit time.Duration
	began time.Time
	// canceled is when the call is ended because its context has, some time later; zero while the context lasts.
	canceled time.Time
	// yielded is when Go's scheduler was let in last, turn when the call got its processor.
	yielded, processorSince time.Time
	ticks                   int64
	// perTick is what the guest works for one, at most maxTick: the least of a window's so far.
	perTick time.Duration
	// resumed is when the guest went on after the last tick; outside is the time in functions of the host's, away that
	// since then.
	resumed                     time.Time
	hostTime, hostTimeSinceTick time.Duration
	entered                     time.Time // a function of the host's
	// window is the time of the last windowTicks ticks.
	window      time.Duration
	windowTicks int
}

const (
	// graceAfterCancel is how long a call may go on whose caller has given up: what is nearly done need not be done
	// again.
	graceAfterCancel = 250 * time.Millisecond
	// yieldEvery is how often a guest that works makes room for others.
	yieldEvery = time.Millisecond
	// turnTime is how long a call keeps its processor while others wait for one.
	turnTime = 10 * time.Millisecond
	// clockFactor is how many times its limit a call may take by the clock.
	clockFactor = 10
	// windowLength is how many ticks are looked at together: some ms, within which a machine under load lets a guest
	// work undisturbed every now and then.
	windowLength = 8
)

// overdue is the reason of a [*Trap] when a call took longer than its limit.
type overdue struct {
	Limit time.Duration
	// Elapsed is not zero where the call did not work for so long, but took this by the clock, most of it waiting for a
	// processor.
	Elapsed time.Duration
}

func (o *overdue) Error() string {
	text := fmt.Sprintf("ran for longer than the %v that are allowed", o.Limit)
	if o.Elapsed > 0 {
		text += fmt.Sprintf(": by the clock %v, where %d times as long is allowed", o.Elapsed.Round(time.Millisecond),
			clockFactor)
	}
	return text
}

// maxStackBytes is how large the engine's stack for a call may grow, which is not part of the guest's memory: it
// doubles from 10 KiB on, so that 10 MiB are there for any guest, enough for some 70,000 frames of Go. Without a limit
// of ours endless recursion makes it grow to 100 MB, in steps that copy all of it.
const maxStackBytes = 16 << 20

// tooDeep is the reason of a [*Trap] when a call recursed too deeply.
type tooDeep struct{ StackBytes int }

func (d *tooDeep) Error() string {
	return fmt.Sprintf("recursed too deeply: its stack has grown to %d bytes, at most %d are allowed", d.StackBytes,
		maxStackBytes)
}

// canceled ends a call whose caller has given up.
type canceled struct{ err error }

func (c *canceled) Error() string { return "stopped: " + c.err.Error() }
func (c *canceled) Unwrap() error { return c.err }

// start begins a call.
func (c *clock) start(ctx context.Context, now time.Time, limit time.Duration) {
	*c = clock{ctx: ctx, limit: limit, began: now, yielded: now, processorSince: now, resumed: now, perTick: maxTick()}
}

// check ends the call that is running if its time is up, by a panic that the engine turns into the call's error with
// the guest's stack. Nothing in a guest can catch it: exceptions are refused. The instance is closed when it comes
// back; closing it here would take its memory away under the frames that are left.
func (c *clock) check(now time.Time) {
	if c.canceled.IsZero() && c.ctx.Err() != nil {
		c.canceled = now.Add(graceAfterCancel)
	}
	elapsed := now.Sub(c.began)
	switch {
	case elapsed >= c.limit && c.work() >= c.limit:
		panic(&overdue{Limit: c.limit})
	case elapsed >= clockFactor*c.limit:
		panic(&overdue{Limit: c.limit, Elapsed: elapsed})
	case !c.canceled.IsZero() && !now.Before(c.canceled):
		panic(&canceled{c.ctx.Err()})
	}
}

// work is what the call has worked for.
func (c *clock) work() time.Duration { return time.Duration(c.ticks)*c.perTick + c.hostTime }

// addHostTime notes that a function of the host's was called from then till now.
func (c *clock) addHostTime(from, till time.Time) {
	elapsed := till.Sub(from)
	c.hostTime += elapsed
	c.hostTimeSinceTick += elapsed
}

// countTick notes a tick.
func (c *clock) countTick(now time.Time) {
	c.ticks++
	c.window += now.Sub(c.resumed) - c.hostTimeSinceTick
	if c.windowTicks++; c.windowTicks == windowLength {
		c.perTick = min(c.perTick, c.window/windowLength)
		c.window, c.windowTicks = 0, 0
	}
	c.resumed, c.hostTimeSinceTick = now, 0
}

// ended is the error of a call whose result is to be read no further, because its caller has given up.
func (c *clock) callerErr() error {
	if c.ctx == nil || c.ctx.Err() == nil {
		return nil
	}
	return &canceled{c.ctx.Err()}
}

// watchEvery is how many rows, faults or values are looked at between looks at the context.
const watchEvery = 1024

// tick is called by a guest whose fuel is used up. Being here is enough for the garbage collector; other goroutines get
// their turn every now and then.
func (c *clock) tick(p *processors) {
	now := time.Now()
	c.countTick(now)
	c.check(now)
	if now.Sub(c.yielded) >= yieldEvery {
		runtime.Gosched()
		c.yielded = time.Now()
		c.resumed = c.yielded
	}
	if now.Sub(c.processorSince) >= turnTime && p.yield() {
		c.processorSince = time.Now()
		c.resumed = c.processorSince
	}
}

// canceledBy returns the context's error where a call ended because its caller gave up.
func canceledBy(err error) error {
	if c, ok := errors.AsType[*canceled](err); ok {
		return c.err
	}
	return nil
}
