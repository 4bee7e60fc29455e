package history

import (
	"math"
	"slices"
	"time"
)

type (
	number uint32 // a count, or unknown
	millis uint16 // a duration in milliseconds, or unknownMillis
)

const (
	unknown       number = math.MaxUint32
	unknownMillis millis = math.MaxUint16
)

// newNumber returns the closest number that is not unknown.
func newNumber(n int64) number { return number(min(max(n, 0), int64(unknown)-1)) }

func newMillis(n float64) millis { return millis(min(math.Round(n), float64(unknownMillis)-1)) }

func (m millis) value() *int64 {
	if m == unknownMillis {
		return nil
	}
	return new(int64(m))
}

func (m millis) greatest(other millis) millis {
	if m == unknownMillis || (other != unknownMillis && other > m) {
		return other
	}
	return m
}

func (n number) value() *int64 {
	if n == unknown {
		return nil
	}
	return new(int64(n))
}

func (n number) plus(other number) number {
	if n == unknown {
		return other
	}
	if other == unknown {
		return n
	}
	return newNumber(int64(n) + int64(other))
}

// point has the values of a step in 20 bytes.
type point struct {
	rows    number
	errors  number
	refused number
	lag     number
	p50     millis
	p95     millis
}

var unknownPoint = point{rows: unknown, errors: unknown, refused: unknown, lag: unknown, p50: unknownMillis,
	p95: unknownMillis}

func (p *point) add(other point) {
	p.rows = p.rows.plus(other.rows)
	p.errors = p.errors.plus(other.errors)
	p.refused = p.refused.plus(other.refused)
	p.lag = p.lag.plus(other.lag)
	p.p50 = p.p50.greatest(other.p50)
	p.p95 = p.p95.greatest(other.p95)
}

// rings has the points of the last hour and of the last day. The zero value is empty.
type rings struct {
	hour ring
	day  ring // has one more step, which is incomplete
}

func (r *rings) record(step int64, p point) {
	r.hour.record(step, p, hourSteps)
	r.day.record(step/stepsPerDayStep, p, daySteps+1)
}

// history returns a range up to the step last of the hour.
func (r *rings) history(last int64, timeRange string) History {
	switch timeRange {
	case "15m":
		return r.hour.history(last, hourSteps/4, stepSeconds)
	case "24h":
		lastComplete := (last+1)/stepsPerDayStep - 1
		return r.day.history(lastComplete, daySteps, stepSeconds*stepsPerDayStep)
	}
	return r.hour.history(last, hourSteps, stepSeconds)
}

// ring has the points of the last steps. The point of a step is at the index step%len(points).
type ring struct {
	points []point // nil before the first record
	last   int64   // the newest step
	length int     // number of steps with a point, at most len(points)
}

// record adds a point, also to an earlier one of the step. If the clock was set back, the ring begins again. size is
// the number of points that the ring keeps.
func (r *ring) record(step int64, p point, size int) {
	if r.points == nil {
		r.points = make([]point, size)
	}
	if r.length > 0 && step == r.last {
		previous := &r.points[step%int64(size)]
		if p.lag != unknown { // the lag is replaced, because it is no count of the step
			previous.lag = unknown
		}
		previous.add(p)
		return
	}
	skipped := step - r.last - 1
	if r.length == 0 || skipped < 0 || skipped >= int64(size) {
		r.length = 0
		skipped = 0
	}
	for i := range skipped {
		r.points[(r.last+1+i)%int64(size)] = unknownPoint
	}
	r.points[step%int64(size)] = p
	r.last = step
	r.length = min(r.length+int(skipped)+1, size)
}

func (r *ring) at(step int64) point {
	if age := r.last - step; age >= 0 && age < int64(r.length) {
		return r.points[step%int64(len(r.points))]
	}
	return unknownPoint
}

// history returns the given number of steps up to the step last.
func (r *ring) history(last int64, steps, seconds int) History {
	first := last - int64(steps) + 1
	h := History{Step: seconds, From: time.Unix(first*int64(seconds), 0).UTC(), Silent: []string{}}
	for step := first; step <= last; step++ {
		p := r.at(step)
		h.Rows = append(h.Rows, p.rows.value())
		h.P50 = append(h.P50, p.p50.value())
		h.P95 = append(h.P95, p.p95.value())
		h.Errors = append(h.Errors, p.errors.value())
		h.Refused = append(h.Refused, p.refused.value())
		h.Lag = append(h.Lag, p.lag.value())
	}
	return h
}

// LatencyBuckets is the number of buckets of durations: bucket i counts durations of at most 2^i milliseconds that no
// earlier bucket counts, the last bucket all longer ones.
const LatencyBuckets = 20

// LatencyBucket returns the bucket of a duration.
func LatencyBucket(d time.Duration) int {
	bucket := 0
	for bucket < LatencyBuckets-1 && d > time.Millisecond<<bucket {
		bucket++
	}
	return bucket
}

// since returns the increase of the counts of all parts since the previous sample.
func (s *Sample) since(previous []Part) point {
	total := unknownPoint
	for i := range s.Parts {
		part := &s.Parts[i]
		var counts Counts
		if pos := slices.IndexFunc(previous, func(p Part) bool { return p.Task == part.Task }); pos >= 0 {
			counts = previous[pos].Counts
		}
		total.add(part.since(&counts))
	}
	return total
}

// since returns the increase since the previous counts. Smaller counts belong to a new task or client.
func (c *Counts) since(previous *Counts) point {
	if c.Rows < previous.Rows || c.Requests < previous.Requests || c.Errors < previous.Errors ||
		c.Refused < previous.Refused {
		previous = &Counts{}
	}
	p := point{rows: newNumber(c.Rows - previous.Rows), errors: newNumber(c.Errors - previous.Errors),
		refused: newNumber(c.Refused - previous.Refused), lag: unknown}
	if c.Lag != nil {
		p.lag = newNumber(*c.Lag)
	}
	var latency [LatencyBuckets]int64
	for i := range latency {
		latency[i] = c.Latency[i] - previous.Latency[i]
	}
	p.p50 = percentile(&latency, 0.5)
	p.p95 = percentile(&latency, 0.95)
	return p
}

// percentile returns the duration that a share of the requests does not exceed, interpolated within its bucket.
func percentile(latency *[LatencyBuckets]int64, share float64) millis {
	total := int64(0)
	for _, n := range latency {
		total += max(n, 0)
	}
	if total == 0 {
		return unknownMillis
	}
	rank := share * float64(total)
	lowerCount := int64(0)
	for i, n := range latency {
		if n <= 0 || float64(lowerCount+n) < rank {
			lowerCount += max(n, 0)
			continue
		}
		upper := float64(int64(1) << i)
		lower := upper / 2
		if i == 0 {
			lower = 0
		}
		return newMillis(lower + (upper-lower)*(rank-float64(lowerCount))/float64(n))
	}
	return newMillis(1 << (LatencyBuckets - 1))
}
