package console

import (
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/shown"
)

// comparedRecord is a record after a step, with the record before it.
type comparedRecord struct{ Now, Before rest.SampledRecord }

// compareStep returns the records after a step, each with the last record of an earlier step.
func compareStep(row rest.SampledRow, step int) (records []comparedRecord) {
	previous := row.Input
	for _, s := range row.Steps[:step] {
		if len(s.Records) > 0 {
			previous = s.Records[len(s.Records)-1]
		}
	}
	for _, r := range row.Steps[step].Records {
		records = append(records, comparedRecord{Now: r, Before: previous})
	}
	return records
}

// lastStep returns the step that the viewer opens at first: the last one with a change, -1 if no step has one.
func lastStep(row rest.SampledRow) int {
	for i := len(row.Steps) - 1; i >= 0; i-- {
		if outcome := row.Steps[i].Outcome; outcome != "skipped" && outcome != "unchanged" {
			return i
		}
	}
	return -1
}

// stepOutcome returns what the transforms did with a row, in one word.
func stepOutcome(row rest.SampledRow) string {
	if row.Problem != "" {
		return "not shown"
	}
	word := "unchanged"
	for _, step := range row.Steps {
		switch step.Outcome {
		case "dropped", "failed":
			return step.Outcome
		case "unchanged", "skipped":
			// the step has changed nothing
		default:
			word = "changed"
		}
	}
	return word
}

const maxSampled = 1 << 20 // bytes of HTML of the records of a sample on a page

// truncateSample shortens the records of a sample to maxSampled. Each gets an equal share of what remains.
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
	remaining := maxSampled
	for i, r := range records {
		share := remaining / (len(records) - i)
		remaining -= share
		for _, part := range []*string{&r.Key, &r.Value, &r.KeySchema, &r.ValueSchema} {
			short := truncateText(*part, &share)
			r.Cut = r.Cut || len(short) < len(*part)
			*part = short
		}
		for n, h := range r.Headers {
			if text := h.Name + shown.LineUpTo(h.Value, maxBrief); truncateText(text, &share) != text {
				r.Headers = r.Headers[:n]
				r.Cut = true
				break
			}
		}
		remaining += share
	}
}

// truncateText returns the beginning of a text that fits into limit bytes of HTML, and subtracts its size from limit.
func truncateText(text string, limit *int) string {
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
