package plugin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// clock limits the guest's own work in a call: its fuel, at the best rate measured in this call, and the time in host
// functions, but not waiting for a processor. By the wall clock a call may take clockFactor times its limit. The clock
// is checked when fuel is used up and at every host call.
type clock struct {
	ctx               context.Context
	limit             time.Duration
	started           time.Time
	cancelDeadline    time.Time     // when a canceled call must end; zero means that it is not canceled
	yielded           time.Time     // the last yield to the Go scheduler
	processorSince    time.Time     // when the call received its processor
	ticks             int64         // how often the fuel was used up
	perTick           time.Duration // the work per tick: the minimum of all windows, at most maxTick
	tickStart         time.Time     // when the guest continued after the last tick
	hostTime          time.Duration // in host functions
	hostTimeSinceTick time.Duration // the part of hostTime since the last tick
	hostCallStart     time.Time     // the start of the running host function
	window            time.Duration // the guest's own time in the windowTicks ticks of the running window
	windowTicks       int
}

const (
	// graceAfterCancel lets a nearly finished call end after its caller has given up.
	graceAfterCancel = 250 * time.Millisecond
	yieldEvery       = time.Millisecond
	processorSlice   = 10 * time.Millisecond
	clockFactor      = 10
	// windowLength is how many ticks are measured together: even on a busy machine a guest runs undisturbed for some
	// milliseconds at times.
	windowLength = 8
)

// timeLimitError is the panic for a call that took too long.
type timeLimitError struct {
	Limit   time.Duration
	Elapsed time.Duration // set if the call was ended by the wall clock, not by its own work
}

func (t *timeLimitError) Error() string {
	message := fmt.Sprintf("ran longer than the allowed %v", t.Limit)
	if t.Elapsed > 0 {
		message += fmt.Sprintf(": %v by the wall clock, where %d times as long is allowed",
			t.Elapsed.Round(time.Millisecond), clockFactor)
	}
	return message
}

// maxStackBytes bounds the engine's stack for a call, which is not part of the guest's memory. It doubles from 10 KiB,
// so a guest has 10 MiB, about 70,000 frames of Go. Without a limit, endless recursion grows it to 100 MB and copies it
// at each step.
const maxStackBytes = 16 << 20

type stackLimitError struct{ StackBytes int }

func (s *stackLimitError) Error() string {
	return fmt.Sprintf("recursed too deeply: its stack has %d bytes, at most %d are allowed", s.StackBytes,
		maxStackBytes)
}

// canceledError is the panic for a call whose caller has given up.
type canceledError struct{ err error }

func (c *canceledError) Error() string { return "stopped: " + c.err.Error() }
func (c *canceledError) Unwrap() error { return c.err }

func (c *clock) start(ctx context.Context, now time.Time, limit time.Duration) {
	*c = clock{ctx: ctx, limit: limit, started: now, yielded: now, processorSince: now, tickStart: now,
		perTick: maxTick()}
}

// check ends the running call if its time is up, by a panic that the engine turns into an error with the guest's stack.
// A guest cannot catch it, since exceptions are refused. The instance is closed later: its frames still use its memory.
func (c *clock) check(now time.Time) {
	if c.cancelDeadline.IsZero() && c.ctx.Err() != nil {
		c.cancelDeadline = now.Add(graceAfterCancel)
	}
	elapsed := now.Sub(c.started)
	switch {
	case elapsed >= c.limit && c.work() >= c.limit: // work is an estimate, and can exceed elapsed
		panic(&timeLimitError{Limit: c.limit})
	case elapsed >= clockFactor*c.limit:
		panic(&timeLimitError{Limit: c.limit, Elapsed: elapsed})
	case !c.cancelDeadline.IsZero() && !now.Before(c.cancelDeadline):
		panic(&canceledError{c.ctx.Err()})
	}
}

func (c *clock) work() time.Duration { return time.Duration(c.ticks)*c.perTick + c.hostTime }

func (c *clock) addHostTime(from, till time.Time) {
	elapsed := till.Sub(from)
	c.hostTime += elapsed
	c.hostTimeSinceTick += elapsed
}

// callerErr returns an error once the caller has given up, so that reading of a result stops.
func (c *clock) callerErr() error {
	if c.ctx == nil || c.ctx.Err() == nil {
		return nil
	}
	return &canceledError{c.ctx.Err()}
}

// checkEvery is the number of rows between two checks whether the caller has given up.
const checkEvery = 1024

// tick is called when the guest has used up its fuel. It counts the tick, panics if the time is up (see check), and at
// intervals lets other goroutines and other calls run.
func (c *clock) tick(slots *processors) {
	now := time.Now()
	c.ticks++
	c.window += now.Sub(c.tickStart) - c.hostTimeSinceTick
	c.windowTicks++
	if c.windowTicks == windowLength {
		c.perTick = min(c.perTick, c.window/windowLength)
		c.window = 0
		c.windowTicks = 0
	}
	c.tickStart = now
	c.hostTimeSinceTick = 0
	c.check(now)
	if now.Sub(c.yielded) >= yieldEvery {
		runtime.Gosched()
		c.yielded = time.Now()
		c.tickStart = c.yielded
	}
	if now.Sub(c.processorSince) >= processorSlice && slots.yield() {
		c.processorSince = time.Now()
		c.tickStart = c.processorSince
	}
}

// canceledBy returns the error of the caller's context if the call ended because of it, else nil.
func canceledBy(err error) error {
	if c, ok := errors.AsType[*canceledError](err); ok {
		return c.err
	}
	return nil
}

// maxTick is the longest work between two ticks that counts, five times the work of plain code on this machine. Longer
// ticks include waiting. It is measured once by a loop of the host: a guest would take ten times as long at the start.
var maxTick = sync.OnceValue(func() time.Duration {
	best := time.Hour
	for range calibrations {
		started := time.Now()
		spin(calibrationRounds)
		best = min(best, time.Since(started))
	}
	return max(best*calibrationsPerTick, minMaxTick)
})

const (
	calibrations      = 5
	calibrationRounds = 40_000
	// A tick may take as long as calibrationsPerTick loops of 67 µs; plain work ticks every 0.2 ms.
	calibrationsPerTick = 15
	minMaxTick          = 100 * time.Microsecond
)

// spinState is package-level so that the compiler cannot remove the loop of spin.
var spinState uint64

// spin runs dependent operations, like most of a guest's.
//
//go:noinline
func spin(rounds int) {
	x := spinState | 1
	for range rounds {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	spinState = x
}
