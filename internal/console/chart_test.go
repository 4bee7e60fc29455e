package console

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/history"
)

// stepsOf returns known steps.
func stepsOf(values ...int64) (steps []*int64) {
	for _, n := range values {
		steps = append(steps, &n)
	}
	return steps
}

// Unknown steps leave a gap in a line, and do not count in a merged value. A value between gaps is a dot.
func TestUnknownStepsLeaveGaps(t *testing.T) {
	steps := append(append(stepsOf(1, 2), nil, nil), stepsOf(4)...)
	const sum, highest = false, true
	line, area := box{width: 4, height: 4}.paths(mergeSteps(steps, 1, sum), 4)
	assert.Equal(t, "M0.0 3.0h0L1.0 2.0M4.0 0.0h0", line)
	assert.Equal(t, "M0.0 4.0V3.0L1.0 2.0V4.0ZM4.0 4.0V0.0V4.0Z", area)
	assert.Equal(t, []*float64{new(3.0), new(4.0)}, mergeSteps(steps, 3, sum), "sums")
	assert.Equal(t, []*float64{new(2.0), new(4.0)}, mergeSteps(steps, 3, highest), "maxima")
	assert.Equal(t, []*float64{nil}, mergeSteps(steps[2:4], 2, sum), "unknown steps")
}

// A chart has the rates of the steps, five times on its axis, and a table. Without history it has no line.
func TestChartsOfAConnector(t *testing.T) {
	h := history.History{
		Step:    10,
		From:    time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		Rows:    stepsOf(30, 30, 30, 60, 60, 60),
		P50:     stepsOf(1, 2, 3, 4, 5, 6),
		P95:     stepsOf(7, 8, 9, 10, 11, 120),
		Errors:  stepsOf(0, 0, 0, 0, 0, 1),
		Refused: stepsOf(0, 0, 0, 0, 0, 0),
		Lag:     make([]*int64, 6), // unknown
	}
	format := func(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
	charts := newCharts(&h, "rows", format)
	for i, want := range []string{"6", "6 / 120", "6 / 0", "–"} {
		assert.Equal(t, want, charts[i].Now)
	}
	assert.Equal(t, 8.0, charts[0].Maximum)
	assert.Equal(t, 5, len(charts[0].Times))
	assert.Equal(t, "12:00:50", charts[0].Times[4].Label)
	assert.Equal(t, 1, len(charts[0].Rows))
	assert.Equal(t, 6, countPoints(charts[0]), "points")

	// The table has the sum of counts in an interval, and the maximum of latencies and lags.
	var table []string
	for _, c := range charts {
		table = append(table, c.Measure+" of "+c.Interval+": "+c.Rows[0].First+" "+c.Rows[0].Second)
	}
	assert.Equal(t, []string{"sum of 1 min: 270 –", "maximum of 1 min: 6 120", "sum of 1 min: 1 0",
		"maximum of 1 min: – –"}, table)

	for i, want := range []bool{false, false, false, true} {
		assert.Equal(t, want, charts[i].IsEmpty(), charts[i].Title)
	}
	assert.Equal(t, "", charts[3].Line, "line of an unknown lag")
	assert.Equal(t, false, strings.Contains(charts[0].Line, "NaN"), charts[0].Line)
	unknown := make([]*int64, 6)
	empty := history.History{Step: 10, Rows: unknown, P50: unknown, P95: unknown, Errors: unknown, Refused: unknown,
		Lag: unknown}
	assert.Equal(t, 0, len(newCharts(&empty, "rows", format)), "charts without a sample")
}

// The axis begins with the point of the first sample, for example after the start of a worker.
func TestChartBeginsAtTheFirstSample(t *testing.T) {
	h := historyOf(31)
	rows := h.Rows
	c := newCharts(&h, "rows", func(float64) string { return "" })[0]
	assert.Equal(t, "2026-11-24T12:54:30Z 2026-11-24T12:59:30Z", c.FromTime()+" "+c.ToTime())
	assert.Equal(t, 2, len(c.Rows))
	assert.Equal(t, "5 min", c.Interval)
	assert.Equal(t, 11, countPoints(c), "points")
	assert.Equal(t, "M0.0", newSparkline("", mergeSteps(rows, 1, false), 96, 24).Line[:4])

	h.Step = 300
	c = newCharts(&h, "rows", func(float64) string { return "" })[0]
	assert.Equal(t, "2026-11-25T15:25:00Z 2026-11-25T17:55:00Z", c.FromTime()+" "+c.ToTime())
	assert.Equal(t, "60 min", c.Interval)
	assert.Equal(t, 3, len(c.Rows))
	assert.Equal(t, 31, countPoints(c), "points of a step each")
}

// historyOf returns an hour of which the last steps are known.
func historyOf(samples int) history.History {
	unknown := make([]*int64, 360)
	return history.History{
		Step:    10,
		From:    time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		Rows:    append(make([]*int64, 360-samples), stepsOf(make([]int64, samples)...)...),
		P50:     unknown,
		P95:     unknown,
		Errors:  unknown,
		Refused: unknown,
		Lag:     unknown,
	}
}

func countPoints(c chart) int { return strings.Count(c.Line, "L") + strings.Count(c.Line, "M") }

// A young history has a point for each step, and a single step is a line.
func TestPointsOfAYoungHistory(t *testing.T) {
	for samples, want := range map[int]int{1: 2, 2: 2, 29: 29, 30: 10, 31: 11} {
		h := historyOf(samples)
		c := newCharts(&h, "rows", func(float64) string { return "" })[0]
		assert.Equal(t, want, countPoints(c), samples, "samples")
		assert.True(t, c.To.After(c.From), "%d samples: expected a range, found %v", samples, c.From)
	}
}

// The maximum is 1, 2, 4 or 8 times a power of ten.
func TestMaximumOfAChartIsRound(t *testing.T) {
	for value, want := range map[float64]float64{0: 1, 0.3: 0.4, 1: 1, 3: 4, 9: 10, 41: 80, 81_200: 100_000} {
		assert.Equal(t, want, roundMaximum(value), value)
	}
}
