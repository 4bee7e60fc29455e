package console

import (
	"html/template"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/rest"
)

// Rows of a sample are truncated to fit into an HTML page, and say so. Small rows stay complete next to large ones.
func TestSampleRowsAreTruncated(t *testing.T) {
	text := func(r rest.SampledRecord) (n int) {
		for _, text := range []string{r.Key, r.Value, r.KeySchema, r.ValueSchema} {
			n += len(template.HTMLEscapeString(text))
		}
		for _, h := range r.Headers {
			n += len(template.HTMLEscapeString(h.Name + brief(h.Value)))
		}
		return n
	}
	small := rest.SampledRecord{Key: `{"<":1}`, Value: strings.Repeat("ä", 300),
		Headers: []rest.SampledHeader{{Name: "h"}}}
	s := rest.Sample{}
	for range 99 {
		large := rest.SampledRecord{Value: strings.Repeat(`"<`, 32<<10), Headers: make([]rest.SampledHeader, 100)}
		for i := range large.Headers {
			large.Headers[i] = rest.SampledHeader{Name: "h", Value: strings.Repeat("'", 1000)}
		}
		copied := large
		copied.Headers = slices.Clone(large.Headers)
		s.Rows = append(s.Rows, rest.SampledRow{Input: large, Steps: []rest.SampledStep{
			{Records: []rest.SampledRecord{copied}}}})
	}
	s.Rows = append(s.Rows, rest.SampledRow{Input: small})
	truncateSample(&s)
	sum := 0
	for _, row := range s.Rows[:99] {
		sum += text(row.Input) + text(row.Steps[0].Records[0])
		if !row.Input.Cut || !row.Steps[0].Records[0].Cut || len(row.Input.Value) == 0 || len(row.Input.Headers) > 0 {
			t.Fatalf("found %+v", row)
		}
	}
	if sum > maxSampled || sum < maxSampled*9/10 {
		t.Errorf("expected some %d bytes, found %d", maxSampled, sum)
	}
	assert.Equal(t, small, s.Rows[99].Input)
}
