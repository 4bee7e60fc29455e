package config

import (
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// MergeLayers concatenates layers; of each key the last entry counts.
func MergeLayers(layers ...[]Entry) []Entry {
	entries, _ := dropDuplicates(slices.Concat(layers...))
	return entries
}

// dropDuplicates returns the last entry of each key, with a problem for each entry that repeats a key.
func dropDuplicates(entries []Entry) ([]Entry, Problems) {
	first := make(map[string]int, len(entries))
	set := make(map[string]Entry, len(entries)) // the last one with a value
	last := make(map[string]int, len(entries))
	var problems Problems
	for i, entry := range entries {
		if earlier, ok := first[entry.Key]; ok {
			problems = append(problems, entry.repeats(entries[earlier], set[entry.Key]))
		} else {
			first[entry.Key] = i
		}
		if setting.Trim(entry.Raw) != "" {
			set[entry.Key] = entry
		}
		last[entry.Key] = i
	}
	if len(problems) == 0 {
		return entries, nil
	}
	remaining := entries[:0:0]
	for i, entry := range entries {
		if last[entry.Key] == i {
			remaining = append(remaining, entry)
		}
	}
	return remaining, problems
}

// repeats returns the problem of a key that was set before: an error if the empty value of this entry would switch off
// a protection. withValue is the last earlier entry with a value, or the zero entry.
func (e Entry) repeats(first, withValue Entry) Problem {
	if isProtection(e.Key) && setting.Trim(e.Raw) == "" && withValue.Key != "" {
		return e.CodedProblem(setting.CodeInvalid, fmt.Sprintf("is empty, which would switch off the protection that "+
			"line %d sets: expected one of the two lines", withValue.Line))
	}
	return e.Warning("set again, first in line %d: the last one counts", first.Line)
}
