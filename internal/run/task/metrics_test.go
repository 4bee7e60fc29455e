package task

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
)

// A window summarizes the values of the current and the previous half.
func TestWindow(t *testing.T) {
	var w Window
	start := time.Unix(1_000_000, 0)
	if s := w.Summary(start); !math.IsNaN(s.Avg) || !math.IsNaN(s.Max) || !math.IsNaN(s.Min) {
		t.Errorf("expected NaN without values, found %v", s)
	}
	for _, c := range []struct {
		after time.Duration
		value float64
		want  Summary
	}{
		{after: 0, value: 4, want: Summary{Avg: 4, Max: 4, Min: 4}},
		{after: 10 * time.Second, value: 8, want: Summary{Avg: 6, Max: 8, Min: 4}},
		{after: 35 * time.Second, value: 3, want: Summary{Avg: 5, Max: 8, Min: 3}}, // starts the second half
		{after: 59 * time.Second, value: 1, want: Summary{Avg: 4, Max: 8, Min: 1}},
		{after: 65 * time.Second, value: 11, want: Summary{Avg: 5, Max: 11, Min: 1}}, // replaces the first half
		{after: time.Hour, value: 2, want: Summary{Avg: 2, Max: 2, Min: 2}},
	} {
		w.add(start.Add(c.after), c.value)
		assert.Equal(t, c.want, w.Summary(start.Add(c.after)), "after", c.after)
	}
	s := w.Summary(start.Add(time.Hour + 2*halfWindow))
	assert.True(t, math.IsNaN(s.Avg), "expected no values after the window, found %v", s)
}

// Ratios count the operations of the window only.
func TestOutcomes(t *testing.T) {
	var o Outcomes
	start := time.Unix(1_000_000, 0)
	check := func(after time.Duration, want OutcomeRatios) {
		t.Helper()
		assert.Equal(t, want, o.Ratios(start.Add(after)), "after", after)
	}
	check(0, OutcomeRatios{})
	o.Add(start, false)
	check(0, OutcomeRatios{Failed: 1})
	for range 3 {
		o.Add(start.Add(time.Second), true)
	}
	check(time.Second, OutcomeRatios{Succeeded: 0.75, Failed: 0.25})
	o.Add(start.Add(40*time.Second), true)
	check(61*time.Second, OutcomeRatios{Succeeded: 1})
	check(time.Hour, OutcomeRatios{})
}

// A snapshot has the summaries of batches, commits and transactions; failed ones have no duration and records.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Metrics
		m.Batches.AddActive(5)
		m.Batches.AddActive(7)
		start := time.Now()
		time.Sleep(250 * time.Millisecond) // virtual time
		m.Batches.Record(start, 5)
		m.Batches.AddActive(-5)
		m.Commits.Record(start, nil)
		m.Commits.Record(start, errors.New("away"))
		m.Commits.RecordTransaction(start, 9, nil)
		m.Commits.RecordTransaction(start, 100, errors.New("fenced"))
		n := m.Snapshot(time.Now())
		if want := (Summary{Avg: 250, Max: 250, Min: 250}); n.BatchTime != want || n.CommitTime != want {
			t.Errorf("expected %v, found %v for batches and %v for commits", want, n.BatchTime, n.CommitTime)
		}
		assert.True(t, n.BatchSize.Max == 5 && n.Active == 7 && n.ActiveRows.Max == 12 && n.ActiveRows.Min == 5,
			"expected batches of 5 rows, 7 active rows, 5 to 12 before, found %v, %d, %v", n.BatchSize, n.Active,
			n.ActiveRows)
		assert.Equal(t, (OutcomeRatios{Succeeded: 0.5, Failed: 0.5}), n.RecentCommits, "half of the commits to succeed")
		assert.True(t, n.Commits == 2 && n.FailedCommits == 2 && n.Transactions.Max == 9,
			"expected 2 commits, 2 failed ones and a transaction of 9 records, found %d, %d and %v", n.Commits,
			n.FailedCommits, n.Transactions)
	})
}

// Random subsets and their intersections are compared with sets of indexes. Their texts can be parsed, others not.
func TestRowSubset(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 0))
	for range 500 {
		total := 2 + random.Uint32N(12)
		var subsets [2]RowSubset
		var members [2]map[uint32]bool
		for n := range subsets {
			members[n] = map[uint32]bool{}
			var indexes []uint32
			for range 1 + random.IntN(int(total)-1) {
				index := random.Uint32N(total)
				indexes = append(indexes, index)
				members[n][index] = true
			}
			subsets[n] = NewRowSubset(total, indexes)
			if isAll := len(members[n]) == int(total); isAll != subsets[n].IsAll() {
				t.Fatalf("%v of %d: expected all rows: %t, found %t", indexes, total, isAll, subsets[n].IsAll())
			}
			if subsets[n].IsAll() {
				continue
			}
			parsed, err := ParseRowSubset(subsets[n].String())
			require.True(t, err == nil && parsed.String() == subsets[n].String(),
				"%s: expected the same subset, found %s, %v", subsets[n], parsed, err)
		}
		common, ok := subsets[0].Intersect(subsets[1])
		if !common.IsAll() {
			parsed, err := ParseRowSubset(common.String())
			if err != nil || parsed.Total != common.Total || !slices.Equal(parsed.spans, common.spans) {
				t.Fatalf("%s and %s: %q was read as %q (%v)", subsets[0], subsets[1], common, parsed, err)
			}
		}
		for index := range total {
			if expected := members[0][index] && members[1][index]; !ok || common.Contains(index) != expected ||
				subsets[0].Contains(index) != members[0][index] {
				t.Fatalf("%s and %s: %d in both: %t, found %t", subsets[0], subsets[1], index, expected,
					common.Contains(index))
			}
		}
	}

	disjoint, _ := NewRowSubset(3, []uint32{0}).Intersect(NewRowSubset(3, []uint32{2}))
	assert.Equal(t, "none of 3", disjoint.String())
	none, err := ParseRowSubset("none of 3")
	assert.True(t, err == nil && !none.IsAll() && !none.Contains(0) && none.CheckTotal(4) != nil,
		"expected no row of 3, found %q (%v)", none, err)
	_, ok := NewRowSubset(3, []uint32{1}).Intersect(NewRowSubset(4, []uint32{1}))
	assert.True(t, !ok, "expected no intersection of subsets of 3 and of 4 rows")
	assert.True(t, NewRowSubset(3, []uint32{1}).CheckTotal(4) != nil &&
		NewRowSubset(3, []uint32{1}).CheckTotal(3) == nil && (RowSubset{}).CheckTotal(9) == nil,
		"expected an error for another total only")

	for _, text := range []string{"", "1", "1 of 0", "0 of 3", "4 of 3", "2-1 of 3", "2,1 of 3", "1,1 of 3", "1- of 3",
		"1 of 99999999999", "x of 3", "none of 0", "none", "none,1 of 3", " of 3"} {
		parsed, err := ParseRowSubset(text)
		assert.True(t, err != nil, "%q: expected an error, found %s", text, parsed)
	}
}

// The first record of a cause is logged at once, the others are counted in intervals. The causes are limited.
func TestSkipLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Journal
		log := out.Logger(slog.LevelInfo)
		checkedLen := 0
		s := &SkipLog{Message: "record skipped"}
		checkNewLines := func(want ...string) {
			t.Helper()
			synctest.Wait()
			journal := out.String()
			lines := strings.Split(strings.TrimSuffix(journal[checkedLen:], "\n"), "\n")
			checkedLen = len(journal)
			require.Len(t, len(want), lines, "lines")
			for _, text := range want {
				assert.True(t, strings.Contains(strings.Join(lines, "\n"), text), "expected %q, found %q", text, lines)
			}
		}
		for i := range 1000 {
			s.Skip(log, StageEncode, fmt.Errorf("expected a date, found %q", fmt.Sprint("x", i)), []any{"offset", i},
				nil)
			s.Skip(log, StageWrite, errors.New("no such product"), []any{"offset", i}, nil)
		}
		checkNewLines("offset=0 stage=encode", "offset=0 stage=write")
		time.Sleep(skipLogInterval)
		checkNewLines("count=999 stage=encode", "count=999 stage=write")
		s.Skip(log, StageEncode, errors.New(`expected a date, found "y"`), nil, nil)
		time.Sleep(skipLogInterval)
		checkNewLines("count=1 stage=encode")
		time.Sleep(3 * skipLogInterval)
		for i := range 1000 { // each with another cause
			s.Skip(log, StageEncode, errors.New(strings.Repeat("x", i+1)), []any{"offset", i}, nil)
		}
		journal := out.String()
		assert.Equal(t, maxCauses+1, strings.Count(journal[checkedLen:], "\n"), "lines")
		checkedLen = len(journal)
		s.Close()
		checkNewLines(fmt.Sprintf("count=%d", 1000-maxCauses-1))
	})
}
