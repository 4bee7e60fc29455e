// Package history keeps what connectors did, for charts: the last hour in steps of 10 seconds, the last 24 hours in
// steps of 5 minutes. It is kept in memory: a connector with one task needs less than 16 kB.
package history

import (
	"slices"
	"sync"
	"time"
)

// Minutes is the length of [Recorder.Hour].
const Minutes = 60

const (
	stepSeconds     = 10
	hourSteps       = 360 // of stepSeconds
	stepsPerMinute  = hourSteps / Minutes
	stepsPerDayStep = 30  // 5 minutes
	daySteps        = 288 // 24 hours of 5 minutes
)

// Ranges are the ranges of a history. The first two have steps of 10 seconds, the last one of 5 minutes.
var Ranges = []string{"15m", "1h", "24h"}

// Counts are the totals of a task, or of a connector's client. They begin again with a new task or client.
type Counts struct {
	Rows     int64 // delivered rows
	Requests int64 // a smaller number shows that the client is new
	Errors   int64 // including refused records
	Refused  int64
	Latency  [LatencyBuckets]int64 // requests by duration
	Lag      *int64                // nil if it is unknown
}

// Sample has the counts of a connector with tasks on this worker.
type Sample struct {
	Name    string
	Created time.Time // distinguishes a connector from an earlier one with its name
	Parts   []Part
}

// Part has the counts of a task, or of the connector's client, whose Task is [Client].
type Part struct {
	Task int
	Counts
}

// Client is the task of the client in [Sample.Parts].
const Client = -1

// History has the complete steps of a range, the oldest first. Null means unknown: the worker or the tasks did not run.
type History struct {
	Step int       `json:"step"` // seconds
	From time.Time `json:"from"`
	// P50 and P95 are milliseconds until the service began to answer, at most 65,534, null without requests.
	Rows    []*int64 `json:"rows"` // delivered rows
	P50     []*int64 `json:"p50"`
	P95     []*int64 `json:"p95"`
	Errors  []*int64 `json:"errors"` // including refused records
	Refused []*int64 `json:"refused"`
	Lag     []*int64 `json:"lag"`    // at the end of the step
	Silent  []string `json:"silent"` // workers that did not answer
}

// Recorder records samples. It is safe for concurrent use.
type Recorder struct {
	mu         sync.Mutex
	connectors map[string]*connectorHistory
	total      rings // of all connectors
}

type connectorHistory struct {
	created  time.Time
	previous []Part // counts of the last sample, without lag
	rings    rings
}

// NextSample returns when the next sample is due: at the end of a step.
func NextSample(now time.Time) time.Time {
	return now.Truncate(stepSeconds * time.Second).Add(stepSeconds * time.Second)
}

// Record adds the samples of the connectors with tasks on this worker. Connectors that do not exist are removed.
func (r *Recorder) Record(now time.Time, samples []Sample, existing map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.connectors == nil {
		r.connectors = map[string]*connectorHistory{}
	}
	for name := range r.connectors {
		if !existing[name] {
			delete(r.connectors, name)
		}
	}
	step := lastStep(now)
	total := unknownPoint
	for i := range samples {
		sample := &samples[i]
		c := r.connectors[sample.Name]
		if c == nil || !c.created.Equal(sample.Created) {
			c = &connectorHistory{created: sample.Created}
			r.connectors[sample.Name] = c
		}
		increase := sample.since(c.previous)
		c.previous = slices.Clone(sample.Parts)
		for i := range c.previous {
			c.previous[i].Lag = nil
		}
		c.rings.record(step, increase)
		total.add(increase)
	}
	r.total.record(step, total)
}

// lastStep returns the number of the step whose end is closest to now.
func lastStep(now time.Time) int64 { return (now.Unix()+stepSeconds/2)/stepSeconds - 1 }

// Connector returns the history of a connector in one of [Ranges]; all of it is unknown if the connector has none.
func (r *Recorder) Connector(name string, now time.Time, timeRange string) History {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.connectors[name]; c != nil {
		return c.rings.history(lastStep(now), timeRange)
	}
	return new(rings).history(lastStep(now), timeRange)
}

// All returns the history of all connectors together. Its latencies are the greatest of the connectors.
func (r *Recorder) All(now time.Time, timeRange string) History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total.history(lastStep(now), timeRange)
}

// Hour returns the rows of each minute, the oldest first, and the refused records of the hour; nil means unknown.
func (r *Recorder) Hour(name string, now time.Time) (minutes []*int64, refused *int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	minutes = make([]*int64, Minutes)
	c := r.connectors[name]
	if c == nil {
		return minutes, nil
	}
	first := lastStep(now) - hourSteps + 1
	for i := range hourSteps {
		p := c.rings.hour.at(first + int64(i))
		if p.rows == unknown {
			continue
		}
		minute := i / stepsPerMinute
		minutes[minute] = Sum(minutes[minute], new(int64(p.rows)))
		refused = Sum(refused, new(int64(p.refused)))
	}
	return minutes, refused
}

// Add adds the same range of another worker, whose steps may be at other times.
func (h *History) Add(other History) {
	if other.Step != h.Step {
		return
	}
	shift := int(other.From.Sub(h.From).Seconds()) / h.Step
	for i := range h.Rows {
		from := i - shift
		addStep(h.Rows, other.Rows, i, from, Sum)
		addStep(h.Errors, other.Errors, i, from, Sum)
		addStep(h.Refused, other.Refused, i, from, Sum)
		addStep(h.Lag, other.Lag, i, from, Sum)
		addStep(h.P50, other.P50, i, from, greatest)
		addStep(h.P95, other.P95, i, from, greatest)
	}
}

// addStep combines the step i of a series with the step from of another worker's, which may lack it.
func addStep(series, other []*int64, i, from int, combine func(a, b *int64) *int64) {
	if from >= 0 && from < len(other) {
		series[i] = combine(series[i], other[from])
	}
}

// Sum adds two numbers. Nil means unknown and adds nothing.
func Sum[N int64 | float64](a, b *N) *N {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return new(*a + *b)
}

func greatest(a, b *int64) *int64 {
	if a == nil || (b != nil && *b > *a) {
		return b
	}
	return a
}
