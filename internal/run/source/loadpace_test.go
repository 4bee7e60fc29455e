package source

import (
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// The rest of a load is estimated from its last minute, once it has lasted for 30 seconds.
func TestLoadPace(t *testing.T) {
	began := time.Unix(1000, 0)
	total := uint64(100_000)
	f := feed{status: &feedStatus{}, notifications: &notificationQueue{}}
	seconds := int64(9)
	f.status.load = &FeedLoad{Read: 1, SecondsLeft: &seconds}
	for age, want := range map[time.Duration]bool{0: true, time.Minute: false} { // the service does not answer since
		f.status.loadPace.samples = []loadSample{{time.Now().Add(-age), 1}}
		if progress := f.progress(); (progress.Load.SecondsLeft != nil) != want || progress.Load.Read != 1 {
			t.Errorf("%v after the last observation: found %+v", age, progress.Load)
		}
	}
	var pace loadPace
	at := func(second int64, read uint64) *int64 {
		load := &FeedLoad{Read: read, Total: &total}
		pace.observe(began.Add(time.Duration(second)*time.Second), load)
		return load.SecondsLeft
	}
	left := func(seconds int64) *int64 { return &seconds }
	assert.Equal(t, (*int64)(nil), at(0, 5000))
	assert.Equal(t, (*int64)(nil), at(29, 8000))
	assert.Equal(t, left(889), at(30, 8000+100), "3,100 rows in 30 s")
	for second := int64(31); second <= 300; second++ { // 1,000 rows a second from here
		at(second, 8100+uint64(second-30)*100)
	}
	assert.Equal(t, left((100_000-35_200)/100), at(301, 35_200), "the slow beginning is forgotten")
	assert.Equal(t, left(0), at(302, 100_500), "the count was too low")
	assert.Equal(t, (*int64)(nil), at(303, 10), "another load")
	assert.Equal(t, 1, len(pace.samples))
	load := &FeedLoad{Read: 5000}
	pace.observe(began.Add(400*time.Second), load)
	assert.Equal(t, (*int64)(nil), load.SecondsLeft, "without a total")
}

func TestLoadIsLoggedEachMinute(t *testing.T) {
	began := time.Unix(1000, 0)
	var pace loadPace
	logged := 0
	for second := range 301 {
		now := began.Add(time.Duration(second) * time.Second)
		pace.observe(now, &FeedLoad{Read: uint64(second)})
		if pace.takeLogTurn(now) {
			logged++
		}
	}
	assert.Equal(t, 5, logged)
}
