package history

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
)

var startTime = time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)

// sample returns the sample of a connector with one task, in which all counts are n.
func sample(name string, n int64) Sample {
	counts := Counts{Rows: n, Requests: n, Errors: n, Refused: n, Lag: &n}
	return Sample{Name: name, Created: startTime, Parts: []Part{{Task: 0, Counts: counts}}}
}

// lastOf formats the last numbers, - for unknown ones.
func lastOf(count int, numbers []*int64) (line string) {
	for _, n := range numbers[len(numbers)-count:] {
		if n == nil {
			line += " -"
		} else {
			line += fmt.Sprint(" ", *n)
		}
	}
	return line
}

// record records samples at a time after startTime. Other connectors do not exist.
func record(r *Recorder, after time.Duration, samples ...Sample) {
	existing := map[string]bool{}
	for _, s := range samples {
		existing[s.Name] = true
	}
	r.Record(startTime.Add(after), samples, existing)
}

func TestStepsHaveTheIncreaseOfCounts(t *testing.T) {
	t.Parallel()
	var r Recorder
	record(&r, 10*time.Second, sample("a", 100))
	record(&r, 20*time.Second, sample("a", 130))
	record(&r, 32*time.Second, sample("a", 150)) // late; the next one is in time
	record(&r, 40*time.Second, sample("a", 160))
	record(&r, 70*time.Second, sample("a", 170)) // the machine slept
	record(&r, 80*time.Second, sample("a", 5))   // new tasks
	h := r.Connector("a", startTime.Add(83*time.Second), "1h")
	assert.Equal(t, " - 100 30 20 10 - - 10 5", lastOf(9, h.Rows))
	assert.Equal(t, " - 100 130 150 160 - - 170 5", lastOf(9, h.Lag))
	assert.Equal(t, h.Rows, h.Refused)
	assert.Equal(t, startTime.Add(80*time.Second-time.Hour), h.From)
	later := r.Connector("a", startTime.Add(100*time.Second), "1h")
	assert.Equal(t, " 10 5 - -", lastOf(4, later.Rows), "no sample since")
	assert.Equal(t, " - -", lastOf(2, r.Connector("none", startTime, "1h").Rows))
}

// A point is kept for exactly an hour.
func TestPointIsKeptForAnHour(t *testing.T) {
	t.Parallel()
	var r Recorder
	for step := int64(1); step <= 1000; step++ {
		record(&r, time.Duration(step)*stepSeconds*time.Second, sample("a", step*step))
	}
	h := r.Connector("a", startTime.Add(1000*stepSeconds*time.Second), "1h")
	assert.Equal(t, int64(641*641-640*640), *h.Rows[0])
	assert.Equal(t, int64(1000*1000-999*999), *h.Rows[hourSteps-1])
	minutes, refused := r.Hour("a", startTime.Add(1000*stepSeconds*time.Second))
	assert.Equal(t, int64(1000*1000-994*994), *minutes[Minutes-1])
	assert.Equal(t, int64(1000*1000-640*640), *refused)
}

// Of two samples in one step the counts are added, but not the lag.
func TestSamplesInOneStepAreAdded(t *testing.T) {
	t.Parallel()
	var r Recorder
	record(&r, 35*time.Second, sample("a", 100))
	record(&r, 40*time.Second, sample("a", 130))
	h := r.Connector("a", startTime.Add(40*time.Second), "1h")
	assert.Equal(t, " - 130", lastOf(2, h.Rows))
	assert.Equal(t, " - 130", lastOf(2, h.Lag))
}

func TestHistoryBeginsAgainIfClockIsSetBack(t *testing.T) {
	t.Parallel()
	var r Recorder
	record(&r, time.Hour, sample("a", 1))
	record(&r, time.Minute, sample("a", 3))
	record(&r, time.Minute+10*time.Second, sample("a", 4))
	assert.Equal(t, " - 2 1", lastOf(3, r.Connector("a", startTime.Add(70*time.Second), "1h").Rows))
	record(&r, 1000*time.Hour, sample("a", 9))
	assert.Equal(t, " - 5", lastOf(2, r.All(startTime.Add(1000*time.Hour), "1h").Rows))
}

func TestConnectorCreatedAgainHasNoEarlierCounts(t *testing.T) {
	t.Parallel()
	var r Recorder
	record(&r, 10*time.Second, sample("a", 100), sample("b", 1))
	again := sample("a", 200)
	again.Created = startTime.Add(time.Second)
	record(&r, 20*time.Second, again, sample("b", 1))
	assert.Equal(t, " - 200", lastOf(2, r.Connector("a", startTime.Add(20*time.Second), "1h").Rows))
	record(&r, 30*time.Second, sample("b", 1))
	assert.Equal(t, 1, len(r.connectors), "connectors after one was deleted")
	assert.Equal(t, " 101 200 0", lastOf(3, r.All(startTime.Add(30*time.Second), "1h").Rows))
}

// The steps of another worker are added by their time. Of latencies the greatest counts.
func TestHistoriesOfWorkersAreAddedByTime(t *testing.T) {
	t.Parallel()
	var first, second Recorder
	slow := sample("a", 10)
	quick := sample("a", 1)
	slow.Parts = append(slow.Parts, Part{Task: Client, Counts: Counts{Latency: [LatencyBuckets]int64{10: 4}}})
	quick.Parts = append(quick.Parts, Part{Task: Client, Counts: Counts{Latency: [LatencyBuckets]int64{3: 4}}})
	record(&first, 10*time.Second, quick)
	record(&first, 20*time.Second, quick)
	record(&second, 10*time.Second, slow)
	h := first.Connector("a", startTime.Add(20*time.Second), "1h")
	h.Add(second.Connector("a", startTime.Add(10*time.Second), "1h"))
	assert.Equal(t, " - 11 0", lastOf(3, h.Rows))
	assert.Equal(t, " - 768 -", lastOf(3, h.P50))
	assert.Equal(t, " - 998 -", lastOf(3, h.P95), "rounded")
}

func TestPercentilesOfLatencies(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]int{
		0:                       0,
		time.Millisecond:        0,
		time.Millisecond + 1:    1,
		2 * time.Millisecond:    1,
		1024 * time.Millisecond: 10,
		1025 * time.Millisecond: 11,
		512 * time.Second:       19,
		time.Hour:               19,
	} {
		assert.Equal(t, want, LatencyBucket(d), d.String())
	}
	assert.Equal(t, unknownMillis, percentile(&[LatencyBuckets]int64{}, 0.5))
	assert.Equal(t, millis(6), percentile(&[LatencyBuckets]int64{3: 10}, 0.5), "in the middle of 4 to 8 ms")
	assert.Equal(t, millis(65_534), percentile(&[LatencyBuckets]int64{19: 10}, 0.95), "the greatest that fits")
}

// If one of several tasks restarts, the rows of the others do not count again.
func TestTaskThatRestartsCountsFromZero(t *testing.T) {
	t.Parallel()
	var r Recorder
	ofTasks := func(rows ...int64) Sample {
		s := Sample{Name: "a", Created: startTime}
		for task, n := range rows {
			s.Parts = append(s.Parts, Part{Task: task, Counts: Counts{Rows: n, Refused: n}})
		}
		return s
	}
	record(&r, 10*time.Second, ofTasks(1_000_000, 1_000_000, 1_000_000))
	record(&r, 20*time.Second, ofTasks(1_000_000, 5, 1_000_000))
	record(&r, 30*time.Second, ofTasks(1_000_000, 7)) // the third one has moved to another worker
	record(&r, 40*time.Second, ofTasks(1_000_000, 7, 4))
	h := r.Connector("a", startTime.Add(40*time.Second), "1h")
	assert.Equal(t, " 3000000 5 2 4", lastOf(4, h.Rows))
	_, refused := r.Hour("a", startTime.Add(40*time.Second))
	assert.Equal(t, int64(3_000_011), *refused)
}

// It does not run in parallel with others, whose memory would count.
func TestHistoryOfAConnectorIsSmall(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const connectors = 1000
	var r Recorder
	before := heap()
	for step := range time.Duration(3) {
		var samples []Sample
		for i := range connectors {
			s := sample(fmt.Sprint("connector-", i), int64(step))
			s.Parts = append(s.Parts, Part{Task: Client})
			samples = append(samples, s)
		}
		record(&r, 10*step*time.Second, samples...)
	}
	size := (heap() - before) / connectors
	data := int64(20 * (hourSteps + daySteps))
	assert.True(t, size > data && size < 16_000, "expected %d to 15,999 bytes, found %d", data, size)
	assert.Equal(t, connectors, len(r.connectors))
}

// Each range has its steps; the day has complete steps only, each with the sum of the counts and the last lag.
func TestRangesOfHistory(t *testing.T) {
	t.Parallel()
	var r Recorder
	for step := int64(1); step <= 9001; step++ { // 25 hours
		record(&r, time.Duration(step)*stepSeconds*time.Second, sample("a", step*step))
	}
	end := startTime.Add(9001 * stepSeconds * time.Second)
	squares := func(to, count int64) int64 { return to*to - (to-count)*(to-count) }
	for _, want := range []struct {
		timeRange string
		seconds   int
		steps     int
		last      int64  // the number of the last step of 10 seconds
		other     string // a range with other steps
	}{
		{timeRange: "15m", seconds: 10, steps: 90, last: 9001, other: "24h"},
		{timeRange: "1h", seconds: 10, steps: 360, last: 9001, other: "24h"},
		{timeRange: "24h", seconds: 300, steps: 288, last: 9000, other: "1h"},
	} {
		h := r.Connector("a", end, want.timeRange)
		all := r.All(end, want.timeRange)
		count := int64(want.seconds / stepSeconds)
		assert.Equal(t, want.seconds, h.Step, want.timeRange)
		assert.Equal(t, want.steps, len(h.Rows), want.timeRange)
		assert.Equal(t, squares(want.last, count), *h.Rows[want.steps-1], want.timeRange)
		first := want.last - int64(want.steps-1)*count
		assert.Equal(t, squares(first, count), *h.Rows[0], want.timeRange)
		assert.Equal(t, want.last*want.last, *h.Lag[want.steps-1], want.timeRange)
		assert.Equal(t, startTime.Add(time.Duration(first-count)*stepSeconds*time.Second), h.From, want.timeRange)
		assert.Equal(t, h.Rows, all.Rows, want.timeRange)
		merged := r.Connector("a", end, want.timeRange)
		merged.Add(h)
		merged.Add(r.Connector("a", end, want.other))
		assert.Equal(t, 2**h.Rows[0], *merged.Rows[0], want.timeRange)
	}
}
