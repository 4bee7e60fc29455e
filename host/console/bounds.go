package console

import (
	"unicode/utf8"

	"github.com/culvert-project/culvert/host/rest"
)

// maxSampled is how many bytes the rows of a sample have on a page: the rest of it is for tables and lines around them.
const maxSampled = 1 << 20

// bound cuts the texts of a sample to what a page has room for. Each record gets the same part of it, and what those
// before have left.
func bound(s *rest.Sample) {
	records := 0
	each := func(do func(texts []*string, headers *[]rest.SampledHeader, cut *bool)) {
		record := func(r *rest.SampledRecord) {
			do([]*string{&r.Key, &r.Value, &r.KeySchema, &r.ValueSchema}, &r.Headers, &r.Cut)
		}
		for i := range s.Rows {
			record(&s.Rows[i].Came)
			for j := range s.Rows[i].Steps {
				step := &s.Rows[i].Steps[j]
				if step.Error != "" {
					do([]*string{&step.Error}, nil, nil)
				}
				for n := range step.Records {
					record(&step.Records[n])
				}
			}
		}
	}
	each(func([]*string, *[]rest.SampledHeader, *bool) { records++ })
	left := maxSampled
	each(func(texts []*string, headers *[]rest.SampledHeader, cut *bool) {
		share := left / records
		left, records = left-share, records-1
		for _, text := range texts {
			short := within(*text, &share)
			switch {
			case len(short) == len(*text):
			case cut != nil:
				*cut = true
			default:
				short += "..."
			}
			*text = short
		}
		if headers != nil {
			for i, h := range *headers {
				if shown := h.Name + brief(h.Value); within(shown, &share) != shown {
					*headers, *cut = (*headers)[:i], true
					break
				}
			}
		}
		left += share
	})
}

// within is as much of a text as so many bytes of HTML have room for, which become fewer by it.
func within(text string, left *int) string {
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
