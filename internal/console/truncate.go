package console

import (
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/rest"
)

// maxSampled is how many bytes the records of a sample have on a page: the rest of it is for what stands around them.
const maxSampled = 1 << 20

// truncateSample cuts the records of a sample to what a page has room for. Each gets the same part of it, and what
// those before have left. Errors are lines already, one of a row.
func truncateSample(s *rest.Sample) {
	var records []*rest.SampledRecord
	for i := range s.Rows {
		records = append(records, &s.Rows[i].Input)
		for _, step := range s.Rows[i].Steps {
			for n := range step.Records {
				records = append(records, &step.Records[n])
			}
		}
	}
	left := maxSampled
	for i, r := range records {
		share := left / (len(records) - i)
		left -= share
		for _, text := range []*string{&r.Key, &r.Value, &r.KeySchema, &r.ValueSchema} {
			short := truncate(*text, &share)
			r.Cut = r.Cut || len(short) < len(*text)
			*text = short
		}
		for n, h := range r.Headers {
			if shown := h.Name + brief(h.Value); truncate(shown, &share) != shown {
				r.Headers, r.Cut = r.Headers[:n], true
				break
			}
		}
		left += share
	}
}

// truncate is as much of a text as so many bytes of HTML have room for, which become fewer by it.
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
