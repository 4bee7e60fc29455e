package history

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
)

var began = time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)

// sample has a connector with as many rows, requests, and refused records.
func sample(name string, n int64) Sample {
	return Sample{Name: name, Created: began, Parts: []Part{{0, Counts{Rows: n, Requests: n, Errors: n,
		Refused: n, Lag: &n}}}}
}

// text shows the last numbers, - for unknown ones.
func text(numbers []*int64, last int) (line string) {
	for _, n := range numbers[len(numbers)-last:] {
		if n == nil {
			line += " -"
		} else {
			line += fmt.Sprint(" ", *n)
		}
	}
	return line
}

func record(r *Recorder, after time.Duration, samples ...Sample) {
	existing := map[string]bool{}
	for _, s := range samples {
		existing[s.Name] = true
	}
	r.Record(began.Add(after), samples, existing)
}

func TestSteps(t *testing.T) {
	t.Parallel()
	var r Recorder
	record(&r, 10*time.Second, sample("a", 100))
	record(&r, 20*time.Second, sample("a", 130))
	record(&r, 32*time.Second, sample("a", 150)) // late, and the next one in time
	record(&r, 40*time.Second, sample("a", 160))
	record(&r, 70*time.Second, sample("a", 170)) // the machine slept
	record(&r, 80*time.Second, sample("a", 5))   // new tasks
	h := r.Connector("a", began.Add(83*time.Second))
	assert.Equal(t, " - 100 30 20 10 - - 10 5", text(h.Rows, 9))
	assert.Equal(t, " - 100 130 150 160 - - 170 5", text(h.Lag, 9))
	assert.Equal(t, h.Rows, h.Refused)
	assert.Equal(t, began.Add(80*time.Second-time.Hour), h.From)
	later := r.Connector("a", began.Add(100*time.Second))
	assert.Equal(t, " 10 5 - -", text(later.Rows, 4), "no sample since")
	assert.Equal(t, " - -", text(r.Connector("none", began).Rows, 2))
}

// A point is kept for exactly an hour.
func TestOldestStep(t *testing.T) {
	t.Parallel()
	var r Recorder
	for step := int64(1); step <= 1000; step++ {
		record(&r, time.Duration(step)*StepSeconds*time.Second, sample("a", step*step))
	}
	h := r.Connector("a", began.Add(1000*StepSeconds*time.Second))
	assert.Equal(t, int64(641*641-640*640), *h.Rows[0])
	assert.Equal(t, int64(1000*1000-999*999), *h.Rows[Steps-1])
	minutes, refused := r.Hour("a", began.Add(1000*StepSeconds*time.Second))
	assert.Equal(t, int64(1000*1000-994*994), *minutes[Minutes-1])
	assert.Equal(t, int64(1000*1000-640*640), *refused)
}

// Of two samples in one step the counts are added, but not the lag.
func TestSamplesInOneStep(t *testing.T) {
	t.Parallel()
	var r Recorder
	record(&r, 35*time.Second, sample("a", 100))
	record(&r, 40*time.Second, sample("a", 130))
	h := r.Connector("a", began.Add(40*time.Second))
	assert.Equal(t, " - 130", text(h.Rows, 2))
	assert.Equal(t, " - 130", text(h.Lag, 2))
}

func TestClockSetBack(t *testing.T) {
	t.Parallel()
	var r Recorder
	record(&r, time.Hour, sample("a", 1))
	record(&r, time.Minute, sample("a", 3))
	record(&r, time.Minute+10*time.Second, sample("a", 4))
	assert.Equal(t, " - 2 1", text(r.Connector("a", began.Add(70*time.Second)).Rows, 3))
	record(&r, 1000*time.Hour, sample("a", 9))
	assert.Equal(t, " - 5", text(r.All(began.Add(1000*time.Hour)).Rows, 2))
}

func TestConnectorMadeAgain(t *testing.T) {
	t.Parallel()
	var r Recorder
	record(&r, 10*time.Second, sample("a", 100), sample("b", 1))
	again := sample("a", 200)
	again.Created = began.Add(time.Second)
	record(&r, 20*time.Second, again, sample("b", 1))
	assert.Equal(t, " - 200", text(r.Connector("a", began.Add(20*time.Second)).Rows, 2))
	record(&r, 30*time.Second, sample("b", 1))
	assert.Equal(t, 1, len(r.connectors), "a deleted connector is forgotten")
	assert.Equal(t, " 101 200 0", text(r.All(began.Add(30*time.Second)).Rows, 3))
}

// Another worker's steps are added by their time, of latencies the greatest is shown.
func TestHistoryOfSeveralWorkers(t *testing.T) {
	t.Parallel()
	var one, other Recorder
	slow := sample("a", 10)
	quick := sample("a", 1)
	slow.Parts = append(slow.Parts, Part{Client, Counts{Latency: [LatencyBuckets]int64{10: 4}}})
	quick.Parts = append(quick.Parts, Part{Client, Counts{Latency: [LatencyBuckets]int64{3: 4}}})
	record(&one, 10*time.Second, quick)
	record(&one, 20*time.Second, quick)
	record(&other, 10*time.Second, slow)
	h := one.Connector("a", began.Add(20*time.Second))
	h.Add(other.Connector("a", began.Add(10*time.Second)))
	assert.Equal(t, " - 11 0", text(h.Rows, 3))
	assert.Equal(t, " - 768 -", text(h.P50, 3))
	assert.Equal(t, " - 998 -", text(h.P95, 3), "rounded")
}

func TestLatencies(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]int{0: 0, time.Millisecond: 0, time.Millisecond + 1: 1,
		2 * time.Millisecond:    1,
		1024 * time.Millisecond: 10, 1025 * time.Millisecond: 11, 512 * time.Second: 19, time.Hour: 19} {
		assert.Equal(t, want, LatencyBucket(d), d.String())
	}
	assert.Equal(t, unknownMillis, percentile(&[LatencyBuckets]int64{}, 0.5))
	assert.Equal(t, millis(6), percentile(&[LatencyBuckets]int64{3: 10}, 0.5), "in the middle of 4 to 8 ms")
	assert.Equal(t, millis(65_534), percentile(&[LatencyBuckets]int64{19: 10}, 0.95), "the greatest that fits")
}

// One of several tasks that begins again does not count the others again.
func TestTaskThatRestarts(t *testing.T) {
	t.Parallel()
	var r Recorder
	of := func(rows ...int64) Sample {
		s := Sample{Name: "a", Created: began}
		for task, n := range rows {
			s.Parts = append(s.Parts, Part{task, Counts{Rows: n, Refused: n}})
		}
		return s
	}
	record(&r, 10*time.Second, of(1_000_000, 1_000_000, 1_000_000))
	record(&r, 20*time.Second, of(1_000_000, 5, 1_000_000))
	record(&r, 30*time.Second, of(1_000_000, 7)) // the third one has moved to another worker
	record(&r, 40*time.Second, of(1_000_000, 7, 4))
	h := r.Connector("a", began.Add(40*time.Second))
	assert.Equal(t, " 3000000 5 2 4", text(h.Rows, 4))
	_, refused := r.Hour("a", began.Add(40*time.Second))
	assert.Equal(t, int64(3_000_011), *refused)
}

// Not parallel: other tests would be measured as well.
func TestMemoryOfAConnector(t *testing.T) {
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
	assert.Equal(t, true, size > 8_640 && size < 10_000, fmt.Sprint(size))
	assert.Equal(t, connectors, len(r.connectors))
}
