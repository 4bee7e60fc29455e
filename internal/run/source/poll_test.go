package source

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

// A period starts at the end of the last read, and a cron expression is evaluated from then on.
func TestNextPoll(t *testing.T) {
	now := time.Date(2024, 3, 30, 12, 0, 0, 0, time.UTC)
	period := wit.Ptr(uint32(60_000))
	often := wit.Ptr(uint32(100))
	for _, c := range []struct {
		feed        wit.Feed
		due         time.Duration // after now
		isScheduled bool
	}{
		{feed: wit.Feed{}},
		{feed: wit.Feed{PollEveryMs: period}, due: time.Minute, isScheduled: true},
		{feed: wit.Feed{PollEveryMs: often}, due: time.Second, isScheduled: true},
		{feed: wit.Feed{Cron: wit.Ptr("0 30 * * * ?")}, due: 30 * time.Minute, isScheduled: true},
		{feed: wit.Feed{Cron: wit.Ptr("0 0 14 * * ? Europe/Berlin")}, due: time.Hour, isScheduled: true},
		{feed: wit.Feed{Cron: wit.Ptr("0 0 0 1 1 ? 2020")}},
	} {
		f := emptyFeed(nil, &openedVersion{feeds: []wit.Feed{c.feed}})
		due, isScheduled := f.nextPoll(now, time.Second)
		if isScheduled != c.isScheduled || (isScheduled && !due.Equal(now.Add(c.due))) {
			t.Errorf("%+v: expected %v (%t), found %v (%t)", c.feed, now.Add(c.due), c.isScheduled, due, isScheduled)
		}
	}
	for expression, want := range map[string]string{
		"0 0 25 * * ?":       "feed Orders: its times: hour: expected 0 to 23",
		"0 0 0 31 2 ?":       "feed Orders: its times: expected a time that exists",
		"0 0 12 30 3 ? 2024": `feed Orders: its times: expected times in the future, found "0 0 12 30 3 ? 2024"`,
		"1 0 12 30 3 ? 2024": "",
	} {
		err := checkFeeds([]wit.Feed{{Name: "Orders", Cron: &expression}}, now)
		assert.ErrorOrNone(t, err, want, expression)
	}
}

// While all feeds wait for long, OnIdle is called once, and not while one of them waits for less.
func TestIdleTask(t *testing.T) {
	const often, seldom = 4_999, 60_000
	for name, c := range map[string]struct {
		periods    [2]uint32 // of two feeds, in milliseconds; zero means read once
		subscribes bool
		want       int // calls of OnIdle in 89 seconds
	}{
		"both are read once":      {want: 1},
		"both seldom":             {periods: [2]uint32{seldom, seldom}, want: 2}, // at the start and after a minute
		"one often":               {periods: [2]uint32{seldom, often}},
		"one is read once":        {periods: [2]uint32{0, seldom}, want: 2},
		"one once, one often":     {periods: [2]uint32{0, often}},
		"often, at the very edge": {periods: [2]uint32{often + 1, often + 1}, want: 18}, // at the start and every 5 s
		"notifications may come":  {periods: [2]uint32{0, seldom}, subscribes: true},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			w := newWorld(&reader{repeatsExactly: true, feeds: 2, pollsMs: c.periods[:], subscribes: c.subscribes},
				rows("a", 3))
			w.o.Once = false
			var starts, ends atomic.Int64
			w.o.OnIdle = func(until time.Time) func() {
				starts.Add(1)
				assert.True(t, starts.Load() == ends.Load()+1,
					"expected the end of each earlier idle time, found %d starts and %d ends", starts.Load(),
					ends.Load())
				never := c.periods == [2]uint32{}
				assert.True(t, until.IsZero() == never && (never || time.Until(until) >= MinIdleTime),
					"expected an end after %v or never, found %v", MinIdleTime, until)
				return func() { ends.Add(1) }
			}
			stop := runtest.Start(t, NewTask(w.o).Run)
			runtest.Pass(89 * time.Second)
			require.NoError(t, stop())
			if got := starts.Load(); got != int64(c.want) || got != ends.Load() {
				t.Errorf("expected %d idle times with their ends, found %d and %d ends", c.want, got, ends.Load())
			}
		})
	}
}
