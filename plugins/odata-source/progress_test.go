package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/wit"
)

// The progress of a load, and the proof at its end, are those of the stored offset.
func TestProgress(t *testing.T) {
	done := wit.BooleanEntry("done", true)
	url := wit.StringEntry("url", "/s/A")
	phase := func(name string, fields ...wit.OffsetEntry) []wit.OffsetEntry {
		return append([]wit.OffsetEntry{wit.StringEntry("phase", name), url}, fields...)
	}
	total := wit.Ptr(uint64(9))
	key := wit.StringEntry("complete", "key")
	for name, c := range map[string]struct {
		offset []wit.OffsetEntry
		want   *wit.LoadProgress
	}{
		"nothing stored": {nil, nil},
		"first page":     {[]wit.OffsetEntry{url, wit.IntegerEntry("seen", 0)}, &wit.LoadProgress{}},
		"load under way": {[]wit.OffsetEntry{url, wit.IntegerEntry("seen", 7), wit.IntegerEntry("count", 9)},
			&wit.LoadProgress{Read: 7, Total: total}},
		"end": {[]wit.OffsetEntry{url, wit.IntegerEntry("seen", 9), wit.IntegerEntry("count", 9), done, key},
			&wit.LoadProgress{Read: 9, Total: total, Complete: wit.Ptr("key")}},
		"end without proof, of an earlier version": {[]wit.OffsetEntry{url, wit.IntegerEntry("seen", 9), done}, nil},
		"delta, load":       {phase("load", wit.IntegerEntry("seen", 3)), &wit.LoadProgress{Read: 3}},
		"delta, load again": {phase("load", wit.IntegerEntry("seen", 3), key), &wit.LoadProgress{Read: 3}},
		"delta, snapshot": {phase("second", wit.StringEntry("second.url", "/s/A"), wit.IntegerEntry("second.seen", 4),
			wit.IntegerEntry("second.count", 9), wit.StringEntry("complete", "unproven")),
			&wit.LoadProgress{Read: 4, Total: total}},
		"delta, comparison": {phase("keys", wit.StringEntry("second.url", "/s/A"), wit.IntegerEntry("second.seen", 4),
			wit.IntegerEntry("second.count", 9)), &wit.LoadProgress{Read: 4, Total: total}},
		"delta, end of a comparison": {phase("keys", wit.StringEntry("second.url", "/s/A"),
			wit.IntegerEntry("second.seen", 9), wit.BooleanEntry("second.done", true),
			wit.StringEntry("second.complete", "key")), &wit.LoadProgress{Read: 9}},
		"delta, hidden rows": {phase("hidden", wit.IntegerEntry("seen", 3)), &wit.LoadProgress{Read: 3}},
		"delta, waits": {phase("changes", wit.BooleanEntry("rest", true), wit.StringEntry("complete", "delta")),
			&wit.LoadProgress{Complete: wit.Ptr("delta")}},
		"delta, changes": {phase("changes", wit.IntegerEntry("seen", 3), key),
			&wit.LoadProgress{Complete: wit.Ptr("key")}},
		"delta, of an earlier version": {phase("changes", wit.BooleanEntry("rest", true)), nil},
	} {
		if diff := cmp.Diff(c.want, (&plugin{}).Progress(nil, 0, c.offset)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
