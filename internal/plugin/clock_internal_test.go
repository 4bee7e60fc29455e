package plugin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// plainTick is the work of a guest per tick in these tests.
const plainTick = 200 * time.Microsecond

// limitedCall is the clock of a call with a limit.
type limitedCall struct {
	t *testing.T
	clock
	processors *processors
}

// workFor starts the clock of a call that has a processor.
func workFor(t *testing.T, ctx context.Context, limit time.Duration) *limitedCall {
	call := &limitedCall{t: t, processors: &processors{slots: make(chan struct{}, 1)}}
	require.NoError(t, call.processors.acquire(ctx))
	call.start(ctx, time.Now(), limit)
	call.perTick = 5 * plainTick // however slow the machine is
	return call
}

// tick simulates ticks that each wait for a processor, and returns why the call was ended, or nil.
func (l *limitedCall) tick(times int, wait time.Duration) (ended error) {
	defer func() {
		if p := recover(); p != nil {
			ended = p.(error)
		}
	}()
	for n := range times {
		time.Sleep(plainTick)
		if n%(10*windowLength) >= windowLength { // sometimes there is no wait
			time.Sleep(wait)
		}
		l.clock.tick(l.processors)
	}
	return nil
}

// Work counts; waiting for a processor does not, up to ten times the limit by the wall clock.
func TestDeadlinesCountWork(t *testing.T) {
	const limit = time.Second
	limitTicks := int(limit / plainTick)
	for name, c := range map[string]struct {
		ticks   int
		wait    time.Duration
		ended   bool          // whether the clock ends the call
		byClock time.Duration // wall time, approximate
	}{
		"work within the limit": {ticks: limitTicks - 2*windowLength, byClock: limit},
		"work beyond it":        {ticks: 2 * limitTicks, ended: true, byClock: limit},
		"work within it on a machine under load": {
			ticks: limitTicks - 2*windowLength, wait: 8 * plainTick, byClock: 8 * limit,
		},
		"work beyond it on a machine under load": {
			ticks: 2 * limitTicks, wait: 8 * plainTick, ended: true, byClock: 8 * limit,
		},
		"work within it that waits without an end": {
			ticks: limitTicks / 2, wait: 100 * plainTick, ended: true, byClock: clockFactor * limit,
		},
		"hardly any work, and a long pause": {
			ticks: 2 * windowLength, wait: time.Minute, ended: true, byClock: time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				call := workFor(t, t.Context(), limit)
				began := time.Now()
				err := call.tick(c.ticks, c.wait)
				elapsed := time.Since(began)
				var overdue *timeLimitError
				require.True(t, errors.As(err, &overdue) == c.ended && (err == nil) != c.ended,
					"after %v: expected the call to end: %v, found %v", elapsed, c.ended, err)
				assert.True(t, !c.ended || elapsed >= limit,
					"expected to end after %v at the earliest, found %v", limit, elapsed)
				assert.True(t, elapsed >= c.byClock*8/10 && elapsed <= c.byClock*12/10+2*c.wait,
					"expected about %v of wall time, found %v", c.byClock, elapsed)
				assert.True(t, !c.ended || (overdue.Elapsed > 0) == (elapsed >= clockFactor*limit),
					"after %v: %v", elapsed, overdue)
			})
		})
	}
}

// Time in host functions counts as work; yielding to other calls does not, up to ten times the limit.
func TestDeadlinesCountHostFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		call := workFor(t, t.Context(), time.Second)
		callOut := func() error {
			from := time.Now()
			time.Sleep(10 * time.Millisecond)
			call.addHostTime(from, time.Now())
			return call.tick(1, 0)
		}
		for range 95 {
			require.NoError(t, callOut())
		}
		var err error
		for range 5 {
			err = cmp.Or(err, callOut())
		}
		assert.True(t, errors.As(err, new(*timeLimitError)),
			"expected to end after a second in host functions, found %v", err)
	})
	synctest.Test(t, func(t *testing.T) {
		call := workFor(t, t.Context(), time.Second)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { // another call, with a long slice
			defer close(ended)
			for call.processors.acquire(ctx) == nil {
				time.Sleep(time.Second)
				call.processors.release()
			}
		}()
		synctest.Wait()
		began := time.Now()
		err := call.tick(5000, 0)
		var overdue *timeLimitError
		if elapsed := time.Since(began); !errors.As(err, &overdue) || overdue.Elapsed == 0 ||
			elapsed < clockFactor*time.Second || elapsed > (clockFactor+2)*time.Second {
			t.Errorf("expected to end after ten times the limit, found %v after %v", err, elapsed)
		}
		stop()
		call.processors.release()
		<-ended
	})
}

// A call ends soon after its context is canceled, however much it has worked.
func TestCanceledCallsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		call := workFor(t, ctx, time.Minute)
		began := time.Now()
		err := call.tick(1_000_000, 0)
		if elapsed := time.Since(began); !errors.As(err, new(*canceledError)) || elapsed > 400*time.Millisecond {
			t.Errorf("expected the canceled call to end, found %v after %v", err, elapsed)
		}
	})
}

// The clock is also checked within a request for 100 MB of random bytes, and within writes of millions of parts. The
// random bytes are the engine's default.
func TestLongHostCallsCheckTheClock(t *testing.T) {
	checks := 0
	r := &randomness{rand.New(rand.NewSource(randomSeed)), func() { checks++ }}
	got := make([]byte, 1<<20+7)
	want := make([]byte, 1<<20+7)
	_, _ = rand.New(rand.NewSource(42)).Read(want)
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) || checks != 17 {
		t.Errorf("expected the same numbers and 17 checks of the clock, found %d, %v", checks, err)
	}
	o := &output{checkTime: func() { checks++ }}
	for range 10 {
		_, _ = o.Write(nil)
	}
	assert.Equal(t, 27, checks, "checks of the clock")
}

// Captured lines are not logged, do not count toward the rate limit, and are bounded. Debug lines are left out.
func TestLinesForAReview(t *testing.T) {
	var lines []string
	o := &output{captured: &lines} // a log or a rate would panic
	o.log(wit.LevelDebug, []byte("detail"))
	for n := range maxCapturedLines + 1 {
		assert.Equal(t, false, o.log(wit.LevelInfo, fmt.Appendf(nil, "line %d", n)), "the call continues")
		assert.Equal(t, min(n+1, maxCapturedLines), len(lines))
	}
	assert.Equal(t, "line 0", lines[0])
}
