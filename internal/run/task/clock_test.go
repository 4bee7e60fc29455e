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

func worked(c *BusyClock) (seconds float64, calls int64) {
	s := NewStage("", c)
	return s.Busy.Round(time.Millisecond).Seconds(), s.Calls
}

func TestBusyClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c BusyClock
		says := func(want float64, calls int64, total time.Duration, when string) {
			t.Helper()
			seconds, n := worked(&c)
			assert.Equal(t, want, seconds, when)
			assert.Equal(t, calls, n, when)
			assert.Equal(t, total, c.Total(), when)
		}
		says(0, 0, 0, "before it began")
		c.Start()
		time.Sleep(12 * time.Second)
		says(12, 1, 12*time.Second, "what lasts counts, too")
		c.Start()
		time.Sleep(3 * time.Second)
		c.Stop()
		says(15, 2, 18*time.Second, "two side by side are one stage at work")
		c.Stop()
		time.Sleep(time.Minute - 10*time.Second)
		says(10, 1, 18*time.Second, "the first seconds are too old")
		time.Sleep(time.Hour)
		says(0, 0, 18*time.Second, "all of it is")
		c.Start()
		time.Sleep(time.Hour)
		says(60, 0, time.Hour+18*time.Second, "a minute has no more than a minute")
	})
}

// Waits do not count, also concurrent ones and those that outlast the work.
func TestBusyClockIgnoresWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c, waiting BusyClock
		ctx, end := c.Track(context.Background(), &waiting)
		time.Sleep(time.Second)
		require.NoError(t, pause.For(ctx, 10*time.Second))
		first := pause.MarkWait(ctx)
		second := pause.MarkWait(ctx)
		time.Sleep(5 * time.Second)
		first()
		time.Sleep(5 * time.Second)
		second()
		time.Sleep(2 * time.Second)
		late := pause.MarkWait(ctx)
		end()
		time.Sleep(4 * time.Second)
		late()
		time.Sleep(4 * time.Second)
		seconds, calls := worked(&c)
		assert.Equal(t, 3.0, seconds)
		assert.Equal(t, int64(1), calls)
		assert.Equal(t, 3*time.Second, c.Total())
		assert.Equal(t, 20*time.Second, waiting.Total(), "until the end of the work")
		waited, waits := worked(&waiting)
		assert.Equal(t, 20.0, waited)
		assert.Equal(t, int64(3), waits)
	})
}

func TestFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rows, bytes Meter
		var one, other BusyClock
		began := time.Now()
		flow := func() Flow {
			return NewFlow(began, &rows, &bytes, NewStage("fetch", &one, &other))
		}
		time.Sleep(10 * time.Second)
		assert.Equal(t, Flow{Period: 10 * time.Second, Stages: []Stage{{Name: "fetch"}}}, flow(), "nothing has arrived")
		first := time.Now()
		rows.Add(30)
		bytes.Add(600)
		one.Start()
		other.Start()
		time.Sleep(20 * time.Second)
		rows.Add(30)
		rows.Add(0)
		assert.Equal(t, Flow{Period: 30 * time.Second, Stages: []Stage{{"fetch", 30 * time.Second, 2}}, Rows: 2,
			Bytes: 20, ActiveSince: first, LastActive: time.Now()}, flow(),
			"no stage is at work for longer than the time")
		one.Stop()
		other.Stop()
		time.Sleep(2 * time.Minute)
		rows.Add(120)
		assert.Equal(t, Flow{Period: time.Minute, Stages: []Stage{{Name: "fetch"}}, Rows: 2, ActiveSince: time.Now(),
			LastActive: time.Now()}, flow(), "after a break")
		assert.Equal(t, int64(180), rows.Load())
	})
}

// The clock is used for each piece of a page.
func TestClockAllocatesNothing(t *testing.T) {
	var c BusyClock
	var m Meter
	assert.Equal(t, 0.0, testing.AllocsPerRun(100, func() { c.Start(); c.Stop(); m.Add(1) }))
}
