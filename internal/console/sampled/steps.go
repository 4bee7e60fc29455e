// Package sampled shows the records of samples: what each transform has changed, cut to the size of a page.
package sampled

import "github.com/culvert-project/culvert/internal/rest"

// Compared is a record after a step, with the record before it.
type Compared struct{ Now, Before rest.SampledRecord }

// CompareStep returns the records after a step, each with the last record of an earlier step.
func CompareStep(row rest.SampledRow, step int) (records []Compared) {
	previous := row.Input
	for _, s := range row.Steps[:step] {
		if len(s.Records) > 0 {
			previous = s.Records[len(s.Records)-1]
		}
	}
	for _, r := range row.Steps[step].Records {
		records = append(records, Compared{Now: r, Before: previous})
	}
	return records
}

// LastStep returns the step that the viewer opens at first: the last one with a change, -1 if no step has one.
func LastStep(row rest.SampledRow) int {
	for i := len(row.Steps) - 1; i >= 0; i-- {
		if outcome := row.Steps[i].Outcome; outcome != "skipped" && outcome != "unchanged" {
			return i
		}
	}
	return -1
}

// Outcome returns what the transforms did with a row, in one word.
func Outcome(row rest.SampledRow) string {
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
