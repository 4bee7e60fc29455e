package task

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/base/require"
)

// lastMinute returns the busy time and the starts of the last minute.
func lastMinute(c *BusyClock) (seconds float64, calls int64) {
	s := NewStage("", c)
	return s.Busy.Round(time.Millisecond).Seconds(), s.Calls
}

// The total adds up concurrent work; in the last minute it counts once.
func TestBusyClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c BusyClock
		check := func(wantSeconds float64, wantCalls int64, wantTotal time.Duration, when string) {
			t.Helper()
			seconds, calls := lastMinute(&c)
			assert.Equal(t, wantSeconds, seconds, when)
			assert.Equal(t, wantCalls, calls, when)
			assert.Equal(t, wantTotal, c.Total(), when)
		}
		check(0, 0, 0, "before the first start")
		c.Start()
		time.Sleep(12 * time.Second)
		check(12, 1, 12*time.Second, "work that has not ended counts, too")
		c.Start()
		time.Sleep(3 * time.Second)
		c.Stop()
		check(15, 2, 18*time.Second, "two concurrent goroutines count once in the last minute, twice in total")
		c.Stop()
		time.Sleep(time.Minute - 10*time.Second)
		check(10, 1, 18*time.Second, "the first five seconds are older than a minute")
		time.Sleep(time.Hour)
		check(0, 0, 18*time.Second, "all work is older than a minute")
		c.Start()
		time.Sleep(time.Hour)
		check(60, 0, time.Hour+18*time.Second, "no more than a minute in the last minute")
	})
}

// Waits do not count, also concurrent ones and those that outlast the work.
func TestBusyClockIgnoresWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock, waitClock BusyClock
		ctx, end := clock.Track(context.Background(), &waitClock)
		time.Sleep(time.Second)
		require.NoError(t, pause.For(ctx, 10*time.Second))
		endFirst := pause.MarkWait(ctx)
		endSecond := pause.MarkWait(ctx)
		time.Sleep(5 * time.Second)
		endFirst()
		time.Sleep(5 * time.Second)
		endSecond()
		time.Sleep(2 * time.Second)
		endLate := pause.MarkWait(ctx)
		end()
		time.Sleep(4 * time.Second)
		endLate()
		time.Sleep(4 * time.Second)
		seconds, calls := lastMinute(&clock)
		assert.Equal(t, 3.0, seconds)
		assert.Equal(t, int64(1), calls)
		assert.Equal(t, 3*time.Second, clock.Total())
		assert.Equal(t, 20*time.Second, waitClock.Total(), "the late wait counts until the end of the work")
		waited, waits := lastMinute(&waitClock)
		assert.Equal(t, 20.0, waited)
		assert.Equal(t, int64(3), waits)
	})
}

// A flow has the rates and busy times of the last minute, or of a younger task.
func TestFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rows, bytes Meter
		var first, second BusyClock
		start := time.Now()
		flow := func() Flow {
			return NewFlow(start, &rows, &bytes, NewStage("fetch", &first, &second))
		}
		time.Sleep(10 * time.Second)
		assert.Equal(t, Flow{Period: 10 * time.Second, Stages: []Stage{{Name: "fetch"}}}, flow(), "nothing has arrived")
		firstRows := time.Now()
		rows.Add(30)
		bytes.Add(600)
		first.Start()
		second.Start()
		time.Sleep(20 * time.Second)
		rows.Add(30)
		rows.Add(0)
		busy := Stage{Name: "fetch", Busy: 30 * time.Second, Calls: 2}
		assert.Equal(t, Flow{Period: 30 * time.Second, Stages: []Stage{busy}, Rows: 2, Bytes: 20,
			ActiveSince: firstRows, LastActive: time.Now()}, flow(), "no stage is busy for longer than the period")
		first.Stop()
		second.Stop()
		time.Sleep(2 * time.Minute)
		rows.Add(120)
		assert.Equal(t, Flow{Period: time.Minute, Stages: []Stage{{Name: "fetch"}}, Rows: 2, ActiveSince: time.Now(),
			LastActive: time.Now()}, flow(), "after a pause of more than a minute")
		assert.Equal(t, int64(180), rows.Load())
	})
}

// Clock and meter are used for each chunk of a page.
func TestClockAllocatesNothing(t *testing.T) {
	var c BusyClock
	var m Meter
	assert.Equal(t, 0.0, testing.AllocsPerRun(100, func() { c.Start(); c.Stop(); m.Add(1) }))
}
