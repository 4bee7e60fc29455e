package console

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/history"
)

// mergeSteps returns a value for each n steps: their sum or, with highest, the greatest. Nil means that no step is
// known.
func mergeSteps(steps []*int64, n int, highest bool) (groups []*float64) {
	for len(steps) > 0 {
		var group *float64
		part := steps[:min(n, len(steps))]
		steps = steps[len(part):]
		for _, value := range part {
			switch {
			case value == nil:
				// an unknown step changes nothing
			case group == nil:
				group = new(float64(*value))
			case highest:
				*group = max(*group, float64(*value))
			default:
				*group += float64(*value)
			}
		}
		groups = append(groups, group)
	}
	return groups
}

func scale(values []*float64, factor float64) []*float64 {
	result := make([]*float64, len(values))
	for i, value := range values {
		if value != nil {
			result[i] = new(*value * factor)
		}
	}
	return result
}

// highestValue returns the greatest known value, or zero.
func highestValue(values ...*float64) (maximum float64) {
	for _, value := range values {
		if value != nil {
			maximum = max(maximum, *value)
		}
	}
	return maximum
}

// box is a rectangle of an SVG.
type box struct{ left, top, width, height float64 }

// paths returns the path of a line in a box, and of the area below it. Unknown values leave gaps.
func (b box) paths(values []*float64, maximum float64) (line, area string) {
	var path, fill strings.Builder
	bottom := b.top + b.height
	isOpen := false
	closeArea := func() {
		if isOpen {
			fmt.Fprintf(&fill, "V%.1fZ", bottom)
		}
		isOpen = false
	}
	for i, value := range values {
		if value == nil {
			closeArea()
			continue
		}
		x := b.left + float64(i)*b.width/float64(max(len(values)-1, 1))
		y := bottom - b.height*min(max(*value/maximum, 0), 1)
		if isOpen {
			fmt.Fprintf(&path, "L%.1f %.1f", x, y)
			fmt.Fprintf(&fill, "L%.1f %.1f", x, y)
			continue
		}
		isOpen = true
		fmt.Fprintf(&path, "M%.1f %.1fh0", x, y) // h0 makes a point between gaps visible
		fmt.Fprintf(&fill, "M%.1f %.1fV%.1f", x, bottom, y)
	}
	closeArea()
	return path.String(), fill.String()
}

// sparkline is a small chart of the last hour.
type sparkline struct {
	Label  string
	Line   string
	Area   string
	Width  int
	Height int
}

// newSparkline returns a sparkline with a size in pixels, from the first known value on.
func newSparkline(label string, values []*float64, width, height int) sparkline {
	first := slices.IndexFunc(values, func(value *float64) bool { return value != nil })
	values = values[max(first, 0):]
	s := sparkline{Label: label, Width: width, Height: height}
	plot := box{left: 0, top: 1, width: float64(width), height: float64(height - 2)}
	s.Line, s.Area = plot.paths(values, max(highestValue(values...), 1e-9)) // not 0: values are divided by it
	return s
}

// chart is a chart with one or two lines.
type chart struct {
	Title      string
	Unit       string
	Now        string
	First      string // name of the first line
	Second     string // name of the second line; "" if there is only one
	Measure    string // what Rows have of each Interval: sum or maximum
	Interval   string
	Line       string
	Area       string
	SecondLine string
	Maximum    float64
	Ticks      []tick
	Times      []tick
	Rows       []chartRow
	From       time.Time
	To         time.Time
}

// IsEmpty reports whether no value of the first line is known.
func (c chart) IsEmpty() bool { return c.Line == "" }

// FromTime returns the time of the first point, for the script.
func (c chart) FromTime() string { return c.From.UTC().Format(time.RFC3339) }

// ToTime returns the time of the last point.
func (c chart) ToTime() string { return c.To.UTC().Format(time.RFC3339) }

type tick struct {
	At     float64 // y of a value, x of a time
	Label  string
	Anchor string
}

type chartRow struct{ Time, First, Second string }

// chartPlot is the place of the lines in the SVG of connector.html (560×150). Labels are left of it and below it.
var chartPlot = box{left: 44, top: 10, width: 516, height: 120}

const (
	pointSeconds   = 30 // unless the steps are longer, or the history is young
	youngPoints    = 10 // a history of fewer points is young: each of its steps is a point
	chartIntervals = 4
)

// rowMinutes returns the minutes of a row in the table of a chart whose range has a number of minutes.
func rowMinutes(minutes int) int {
	switch {
	case minutes > 60:
		return 60
	case minutes > 15:
		return 5
	}
	return 1
}

// series has the values of a line and of the table.
type series struct{ points, rows []*float64 }

// newChart completes a chart that has its texts. The values begin at from; point and interval are the lengths of a
// point and of a row.
func newChart(c chart, format func(float64) string, from time.Time, point, interval time.Duration,
	first, second series) chart {
	c.From = from
	if len(first.points) == 1 { // a line needs two
		first.points = append(first.points, first.points...)
		second.points = append(second.points, second.points...)
	}
	c.To = from.Add(time.Duration(len(first.points)-1) * point)
	c.Maximum = roundMaximum(max(highestValue(first.points...), highestValue(second.points...)))
	c.Line, c.Area = chartPlot.paths(first.points, c.Maximum)
	c.SecondLine, _ = chartPlot.paths(second.points, c.Maximum)
	c.Interval = strconv.Itoa(int(interval.Minutes())) + " min"
	layout := "15:04"
	if c.To.Sub(from) < 5*time.Minute {
		layout = time.TimeOnly
	}
	for i := range chartIntervals + 1 {
		part := float64(i) / chartIntervals
		y := chartPlot.top + chartPlot.height*(1-part)
		c.Ticks = append(c.Ticks, tick{At: y, Label: formatShort(part * c.Maximum)})
		labelTime := from.Add(time.Duration(part * float64(c.To.Sub(from)))).UTC()
		anchor := "middle"
		switch i {
		case 0:
			anchor = "start"
		case chartIntervals:
			anchor = "end"
		}
		x := chartPlot.left + chartPlot.width*part
		c.Times = append(c.Times, tick{At: x, Label: labelTime.Format(layout), Anchor: anchor})
	}
	valueAt := func(values []*float64, i int) string {
		if i < 0 || i >= len(values) || values[i] == nil {
			return "–"
		}
		return format(*values[i])
	}
	c.Now = valueAt(first.points, len(first.points)-1)
	if c.Second != "" {
		c.Now += " / " + valueAt(second.points, len(second.points)-1)
	}
	for i := range first.rows {
		date := from.Add(time.Duration(i) * interval).UTC()
		c.Rows = append(c.Rows, chartRow{date.Format(time.TimeOnly), valueAt(first.rows, i), valueAt(second.rows, i)})
	}
	return c
}

// roundMaximum returns the next of 1, 2, 4, 8 times a power of ten, which four intervals divide evenly.
func roundMaximum(value float64) float64 {
	if value <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(value)))
	for _, digit := range []float64{1, 2, 4, 8} {
		if value <= digit*power {
			return digit * power
		}
	}
	return 10 * power
}

// formatShort formats the value of a grid line, such as 250k.
func formatShort(n float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= unit.size {
			return strconv.FormatFloat(n/unit.size, 'g', 4, 64) + unit.name
		}
	}
	return strconv.FormatFloat(n, 'g', 4, 64)
}

// newCharts returns the charts of a connector from its first sample on, nil without a sample. unread is the unit of the
// lag.
func newCharts(h *history.History, unread string, format func(float64) string) []chart {
	start, steps := firstPoint(h)
	if start == len(h.Rows) {
		return nil
	}
	point := time.Duration(steps*h.Step) * time.Second
	interval := time.Duration(rowMinutes(len(h.Rows)*h.Step/60)) * time.Minute
	from := h.From.Add(time.Duration(start*h.Step) * time.Second)
	merge := func(values []*int64, factor float64, highest bool) series {
		values = values[min(start, len(values)):]
		return series{points: scale(mergeSteps(values, steps, highest), factor),
			rows: mergeSteps(values, int(interval.Seconds())/h.Step, highest)}
	}
	sums := func(c chart, factor float64, first, second []*int64) chart {
		const highest = false
		c.Measure = "sum"
		return newChart(c, format, from, point, interval, merge(first, factor, highest), merge(second, factor, highest))
	}
	maxima := func(c chart, first, second []*int64) chart {
		const highest = true
		c.Measure = "maximum"
		return newChart(c, format, from, point, interval, merge(first, 1, highest), merge(second, 1, highest))
	}
	return []chart{
		sums(chart{Title: "Rows a second", Unit: "rows/s", First: "rows"}, 1/point.Seconds(), h.Rows, nil),
		maxima(chart{Title: "Request latency", Unit: "ms", First: "p50", Second: "p95"}, h.P50, h.P95),
		sums(chart{Title: "Errors and refused", Unit: "a minute", First: "errors", Second: "refused"},
			60/point.Seconds(), h.Errors, h.Refused),
		maxima(chart{Title: "Not read yet", Unit: unread, First: unread}, h.Lag, nil),
	}
}

// firstPoint returns the step with which the first point begins, and the number of steps of a point. The first point
// has the first sample, and the last point is complete. Without a sample, first is the number of all steps.
func firstPoint(h *history.History) (first, steps int) {
	first = len(h.Rows)
	for _, values := range [][]*int64{h.Rows, h.P50, h.P95, h.Errors, h.Refused, h.Lag} {
		if i := slices.IndexFunc(values, func(value *int64) bool { return value != nil }); i >= 0 {
			first = min(first, i)
		}
	}
	steps = max(pointSeconds/h.Step, 1)
	samples := len(h.Rows) - first
	if samples < youngPoints*steps {
		steps = 1
	}
	points := (samples + steps - 1) / steps
	return max(len(h.Rows)-points*steps, 0), steps
}

// share is a part of a bar with the counts of states.
type share struct {
	Color string
	X     float64
	Width float64
}

// stackShares returns the parts of a bar with a width of 100 in proportion to counts by color.
func stackShares(counts map[string]int) (parts []share) {
	total := 0
	for _, n := range counts {
		total += n
	}
	x := 0.0
	for _, color := range []string{"bad", "warn", "info", "good", "off"} {
		if n := counts[color]; n > 0 {
			width := 100 * float64(n) / float64(total)
			parts = append(parts, share{Color: color, X: x, Width: max(width-0.8, 0.4)}) // with a gap
			x += width
		}
	}
	return parts
}
