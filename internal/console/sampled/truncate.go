package sampled

import (
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

// maxSampled bounds the records of a sample on a page.
const maxSampled = 1 << 20

// maxBrief bounds the value of a header.
const maxBrief = 300

// Truncate cuts the records of a sample to maxSampled: each gets the same share, and what earlier ones left.
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
			if shown := h.Name + shown.LineUpTo(h.Value, maxBrief); truncate(shown, &share) != shown {
				r.Headers = r.Headers[:n]
				r.Cut = true
				break
			}
		}
		remaining += share
	}
}

// truncate returns the part of a text that fits into left bytes of HTML, and subtracts it from left.
func truncate(text string, left *int) string {
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
		if cost > *left {
			return text[:i]
		}
		*left -= cost
	}
	return text
}
