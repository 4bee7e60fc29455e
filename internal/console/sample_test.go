package console

import (
	"html/template"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

// Rows of a sample are truncated to fit into an HTML page and marked as cut. Small rows stay complete next to large
// ones.
func TestSampleRowsAreTruncated(t *testing.T) {
	htmlSize := func(r rest.SampledRecord) (n int) {
		for _, text := range []string{r.Key, r.Value, r.KeySchema, r.ValueSchema} {
			n += len(template.HTMLEscapeString(text))
		}
		for _, h := range r.Headers {
			n += len(template.HTMLEscapeString(h.Name + shown.LineUpTo(h.Value, maxBrief)))
		}
		return n
	}
	small := rest.SampledRecord{
		Key:     `{"<":1}`,
		Value:   strings.Repeat("ä", 300),
		Headers: []rest.SampledHeader{{Name: "h"}},
	}
	sample := rest.Sample{}
	for range 99 {
		large := rest.SampledRecord{Value: strings.Repeat(`"<`, 32<<10), Headers: make([]rest.SampledHeader, 100)}
		for i := range large.Headers {
			large.Headers[i] = rest.SampledHeader{Name: "h", Value: strings.Repeat("'", 1000)}
		}
		cloned := large
		cloned.Headers = slices.Clone(large.Headers)
		sample.Rows = append(sample.Rows, rest.SampledRow{
			Input: large,
			Steps: []rest.SampledStep{{Records: []rest.SampledRecord{cloned}}},
		})
	}
	sample.Rows = append(sample.Rows, rest.SampledRow{Input: small})
	truncateSample(&sample)
	sum := 0
	for _, row := range sample.Rows[:99] {
		sum += htmlSize(row.Input) + htmlSize(row.Steps[0].Records[0])
		require.True(t, row.Input.Cut && row.Steps[0].Records[0].Cut && len(row.Input.Value) != 0 &&
			len(row.Input.Headers) == 0, "expected cut records with a value and without headers, found %+v", row)
	}
	assert.True(t, sum <= maxSampled && sum >= maxSampled*9/10, "expected some %d bytes, found %d", maxSampled, sum)
	assert.Equal(t, small, sample.Rows[99].Input)
}

// A record is compared with the last step that has records.
func TestCompareStepSkipsUnchangedSteps(t *testing.T) {
	row := rest.SampledRow{
		Input: rest.SampledRecord{Value: "0"},
		Steps: []rest.SampledStep{
			{Records: []rest.SampledRecord{{Value: "1"}}},
			{Outcome: "unchanged"},
			{Records: []rest.SampledRecord{{Value: "2"}}},
		},
	}
	records := compareStep(row, 2)
	assert.True(t, len(records) == 1 && records[0].Before.Value == "1" && records[0].Now.Value == "2",
		"expected a change from 1 to 2, found %v", records)
}
