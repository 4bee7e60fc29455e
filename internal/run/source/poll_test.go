package source

import (
	"sync/atomic"
	"testing"
	"time"

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
		feed  wit.Feed
		due   time.Duration
		isDue bool
	}{
		{},
		{feed: wit.Feed{PollEveryMs: period}, due: time.Minute, isDue: true},
		{feed: wit.Feed{PollEveryMs: often}, due: time.Second, isDue: true},
		{feed: wit.Feed{Cron: wit.Ptr("0 30 * * * ?")}, due: 30 * time.Minute, isDue: true},
		{feed: wit.Feed{Cron: wit.Ptr("0 0 14 * * ? Europe/Berlin")}, due: time.Hour, isDue: true},
		{feed: wit.Feed{Cron: wit.Ptr("0 0 0 1 1 ? 2020")}},
	} {
		f := emptyFeed(nil, &openedVersion{feeds: []wit.Feed{c.feed}})
		due, scheduled := f.nextPoll(now, time.Second)
		if scheduled != c.isDue || (scheduled && !due.Equal(now.Add(c.due))) {
			t.Errorf("%+v: due %v %v, expected %v", c.feed, due, scheduled, now.Add(c.due))
		}
	}
	if err := checkFeeds([]wit.Feed{{Name: "Orders", Cron: wit.Ptr("0 0 25 * * ?")}}); err == nil {
		t.Error("an invalid expression was accepted")
	}
}

// The instances of a plugin are released when all feeds wait for long, once per time, and not while one
// of them waits for less.
func TestIdleTask(t *testing.T) {
	const often, seldom = 4_999, 60_000
	for name, c := range map[string]struct {
		periods    [2]uint32 // of two feeds, in milliseconds; zero means read once
		subscribes bool
		rests      int
	}{
		"both are read once": {rests: 1},
		// at the start and after a minute
		"both seldom":         {periods: [2]uint32{seldom, seldom}, rests: 2},
		"one often":           {periods: [2]uint32{seldom, often}},
		"one is read once":    {periods: [2]uint32{0, seldom}, rests: 2},
		"one once, one often": {periods: [2]uint32{0, often}},
		// in 90 s, at once and after each 5
		"often, at the very edge": {periods: [2]uint32{often + 1, often + 1}, rests: 18},
		"notifications may come":  {periods: [2]uint32{0, seldom}, subscribes: true},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			w := newWorld(&reader{exact: true, feeds: 2, pollsMs: c.periods[:], subscribes: c.subscribes}, rows("a", 3))
			w.o.Once = false
			var rests, isLast atomic.Int64
			w.o.OnIdle = func(until time.Time) func() {
				rests.Add(1)
				if rests.Load() != isLast.Load()+1 {
					t.Errorf("%d idle periods and %d earlier ends", rests.Load(), isLast.Load())
				}
				if never := c.periods == [2]uint32{}; until.IsZero() != never ||
					(!never && time.Until(until) < MinIdleTime) {
					t.Errorf("idle until %v", until)
				}
				return func() { isLast.Add(1) }
			}
			stop := runtest.Start(t, NewTask(w.o).Run)
			runtest.Pass(89 * time.Second)
			require.NoError(t, stop())
			if got := rests.Load(); got != int64(c.rests) || got != isLast.Load() {
				t.Errorf("expected %d rests, each with its end, found %d and %d ends", c.rests, got, isLast.Load())
			}
		})
	}
}
