package source

import (
	"testing"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// TestNextPoll: a period counts from the end of what was read, and a cron expression from then on.
func TestNextPoll(t *testing.T) {
	now := time.Date(2024, 3, 30, 12, 0, 0, 0, time.UTC)
	period, often := wit.Ptr(uint32(60_000)), wit.Ptr(uint32(100))
	for _, c := range []struct {
		feed wit.Feed
		due  time.Duration
		ever bool
	}{
		{wit.Feed{}, 0, false},
		{wit.Feed{PollEveryMs: period}, time.Minute, true},
		{wit.Feed{PollEveryMs: often}, time.Second, true},
		{wit.Feed{Cron: wit.Ptr("0 30 * * * ?")}, 30 * time.Minute, true},
		{wit.Feed{Cron: wit.Ptr("0 0 14 * * ? Europe/Berlin")}, time.Hour, true},
		{wit.Feed{Cron: wit.Ptr("0 0 0 1 1 ? 2020")}, 0, false},
	} {
		f := &feed{opened: &openedVersion{feeds: []wit.Feed{c.feed}}}
		due, ever := f.nextPoll(now, time.Second)
		if ever != c.ever || ever && !due.Equal(now.Add(c.due)) {
			t.Errorf("%+v: due %v %v, expected %v", c.feed, due, ever, now.Add(c.due))
		}
	}
	if err := checkFeeds([]wit.Feed{{Name: "Orders", Cron: wit.Ptr("0 0 25 * * ?")}}); err == nil {
		t.Error("an expression that is none was taken")
	}
}
