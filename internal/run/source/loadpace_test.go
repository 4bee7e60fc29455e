package source

import (
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// The remaining time of a load is estimated from its last minute, once it has lasted for 30 seconds.
func TestLoadPace(t *testing.T) {
	start := time.Unix(1000, 0)
	total := uint64(100_000)
	f := feed{status: &feedStatus{}, notifications: &notificationQueue{}}
	f.status.load = &FeedLoad{Read: 1, SecondsLeft: new(int64(9))}
	for age, isEstimated := range map[time.Duration]bool{0: true, time.Minute: false} { // without a response since
		f.status.loadPace.samples = []loadSample{{time.Now().Add(-age), 1}}
		progress := f.progress()
		assert.True(t, (progress.Load.SecondsLeft != nil) == isEstimated && progress.Load.Read == 1,
			"%v after the last observation: expected an estimate: %t, found %+v", age, isEstimated, progress.Load)
	}
	var pace loadPace
	observe := func(second int64, read uint64) (secondsLeft *int64) {
		load := &FeedLoad{Read: read, Total: &total}
		pace.observe(start.Add(time.Duration(second)*time.Second), load)
		return load.SecondsLeft
	}
	assert.Equal(t, (*int64)(nil), observe(0, 5000))
	assert.Equal(t, (*int64)(nil), observe(29, 8000))
	assert.Equal(t, new(int64(889)), observe(30, 8000+100), "3,100 rows in 30 s")
	for second := int64(31); second <= 300; second++ { // 100 rows a second
		observe(second, 8100+uint64(second-30)*100)
	}
	assert.Equal(t, new(int64((100_000-35_200)/100)), observe(301, 35_200), "the slow beginning is forgotten")
	assert.Equal(t, new(int64(0)), observe(302, 100_500), "the count was too low")
	assert.Equal(t, (*int64)(nil), observe(303, 10), "another load")
	assert.Equal(t, 1, len(pace.samples))
	load := &FeedLoad{Read: 5000}
	pace.observe(start.Add(400*time.Second), load)
	assert.Equal(t, (*int64)(nil), load.SecondsLeft, "without a total")
}

// The progress of a load is logged once a minute.
func TestLoadIsLoggedEachMinute(t *testing.T) {
	start := time.Unix(1000, 0)
	var pace loadPace
	logged := 0
	for second := range 301 {
		now := start.Add(time.Duration(second) * time.Second)
		pace.observe(now, &FeedLoad{Read: uint64(second)})
		if pace.takeLogTurn(now) {
			logged++
		}
	}
	assert.Equal(t, 5, logged)
}
