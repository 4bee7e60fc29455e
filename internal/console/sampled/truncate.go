package sampled

import (
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

const (
	maxSampled = 1 << 20 // bytes of HTML of the records of a sample on a page
	maxBrief   = 300     // characters of the value of a header
)

// Truncate shortens the records of a sample to maxSampled. Each gets an equal share of what remains.
func Truncate(s *rest.Sample) {
	var records []*rest.SampledRecord
	for i := range s.Rows {
		records = append(records, &s.Rows[i].Input)
		for _, step := range s.Rows[i].Steps {
			for n := range step.Records {
				records = append(records, &step.Records[n])
			}
		}
	}
	remaining := maxSampled
	for i, r := range records {
		share := remaining / (len(records) - i)
		remaining -= share
		for _, part := range []*string{&r.Key, &r.Value, &r.KeySchema, &r.ValueSchema} {
			short := truncate(*part, &share)
			r.Cut = r.Cut || len(short) < len(*part)
			*part = short
		}
		for n, h := range r.Headers {
			if text := h.Name + shown.LineUpTo(h.Value, maxBrief); truncate(text, &share) != text {
				r.Headers = r.Headers[:n]
				r.Cut = true
				break
			}
		}
		remaining += share
	}
}

// truncate returns the beginning of a text that fits into limit bytes of HTML, and subtracts its size from limit.
func truncate(text string, limit *int) string {
	for i, r := range text {
		cost := utf8.RuneLen(r)
		switch {
		case r == '<' || r == '>':
			cost = len("&lt;")
		case r == '&' || r == '"' || r == '\'' || r == '+':
			cost = len("&#34;")
		case cost < 0 || r < ' ':
			cost = utf8.RuneLen(utf8.RuneError)
		}
		if cost > *limit {
			return text[:i]
		}
		*limit -= cost
	}
	return text
}
