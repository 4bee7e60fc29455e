package svg

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/history"
)

func known(values ...int64) (steps []*int64) {
	for _, n := range values {
		steps = append(steps, &n)
	}
	return steps
}

// Unknown steps leave a gap: they are neither zero nor joined.
func TestUnknownStepsLeaveGaps(t *testing.T) {
	steps := append(append(known(1, 2), nil, nil), known(4)...)
	line, area := box{0, 0, 4, 4}.paths(Merge(steps, 1, false), 4)
	assert.Equal(t, "M0.0 3.0L1.0 2.0M4.0 0.0", line)
	assert.Equal(t, "M0.0 4.0V3.0L1.0 2.0V4.0ZM4.0 4.0V0.0V4.0Z", area)
	sums := Merge(steps, 3, false)
	most := Merge(steps, 3, true)
	if len(sums) != 2 || *sums[0] != 3 || *sums[1] != 4 || *most[0] != 2 || Merge(steps[2:4], 2, false)[0] != nil {
		t.Errorf("found %v %v", sums, most)
	}
}

// Charts have rates of the steps, five times, and a table; without history there is no line.
func TestChartsOfAConnector(t *testing.T) {
	h := history.History{Step: 10, From: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Rows: known(30, 30, 30, 60, 60,
		60), P50: known(1, 2, 3, 4, 5, 6), P95: known(7, 8, 9, 10, 11, 120), Errors: known(0, 0, 0, 0, 0, 1),
		Refused: known(0, 0, 0, 0, 0, 0), Lag: make([]*int64, 6)}
	format := func(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
	all := Charts(&h, "rows", format)
	for i, want := range []string{"6", "6 / 120", "2 / 0", "–"} {
		assert.Equal(t, want, all[i].Now)
	}
	if c := all[0]; c.Maximum != 8 || len(c.Times) != 5 || c.Times[4].Label != "12:00:30" || len(c.Rows) != 1 {
		t.Errorf("found %+v", c)
	}
	// The table has the sum of counts in an interval, and the maximum of latencies and lags.
	var table []string
	for _, c := range all {
		table = append(table, c.Measure+" of "+c.Interval+": "+c.Rows[0].First+" "+c.Rows[0].Second)
	}
	assert.Equal(t, []string{"sum of 5 min: 270 –", "maximum of 5 min: 6 120", "sum of 5 min: 1 0",
		"maximum of 5 min: – –"}, table)
	assert.Equal(t, []bool{false, false, false, true}, []bool{all[0].IsEmpty(), all[1].IsEmpty(), all[2].IsEmpty(),
		all[3].IsEmpty()})
	if all[3].Line != "" || strings.Contains(all[0].Line, "NaN") {
		t.Errorf("found %q and %q", all[3].Line, all[0].Line)
	}
	if empty := Charts(&history.History{Step: 10}, "rows", format); len(empty) != 4 || empty[0].Now != "–" {
		t.Errorf("found %+v", empty)
	}
}

// The axis of a worker that has just started begins at its first sample, as far as points allow.
func TestChartOfAYoungWorker(t *testing.T) {
	unknown := make([]*int64, 360)
	rows := append(make([]*int64, 340), known(make([]int64, 20)...)...)
	h := history.History{Step: 10, From: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Rows: rows, P50: unknown,
		P95: unknown, Errors: unknown, Refused: unknown, Lag: unknown}
	c := Charts(&h, "rows", func(float64) string { return "" })[0]
	assert.Equal(t, "2026-11-24T12:56:30Z 2026-11-24T12:59:30Z", c.FromTime()+" "+c.ToTime())
	assert.Equal(t, []int{1, 7}, []int{len(c.Rows), strings.Count(c.Line, "L") + strings.Count(c.Line, "M")})
}

func TestMaximumOfAChart(t *testing.T) {
	for value, want := range map[float64]float64{0: 1, 0.3: 0.4, 1: 1, 3: 4, 9: 10, 41: 80, 81_200: 100_000} {
		if got := roundMaximum(value); got != want {
			t.Errorf("%v: expected %v, found %v", value, want, got)
		}
	}
}
