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
)

func TestWindow(t *testing.T) {
	var w Window
	began := time.Unix(1_000_000, 0)
	if s := w.Summary(began); !math.IsNaN(s.Avg) || !math.IsNaN(s.Max) || !math.IsNaN(s.Min) {
		t.Errorf("expected NaN without values, found %v", s)
	}
	for _, c := range []struct {
		after time.Duration
		value float64
		want  Summary
	}{
		{0, 4, Summary{4, 4, 4}},
		{10 * time.Second, 8, Summary{6, 8, 4}},
		{35 * time.Second, 3, Summary{5, 8, 3}}, // in another half
		{59 * time.Second, 1, Summary{4, 8, 1}},
		{65 * time.Second, 11, Summary{5, 11, 1}}, // the first half is too old
		{time.Hour, 2, Summary{2, 2, 2}},
	} {
		w.add(began.Add(c.after), c.value)
		if s := w.Summary(began.Add(c.after)); s != c.want {
			t.Errorf("after %v: expected %v, found %v", c.after, c.want, s)
		}
	}
	if s := w.Summary(began.Add(time.Hour + 2*halfWindow)); !math.IsNaN(s.Avg) {
		t.Errorf("expected no values after the window, found %v", s)
	}
}

func TestOutcomes(t *testing.T) {
	var o Outcomes
	began := time.Unix(1_000_000, 0)
	want := func(after time.Duration, want OutcomeRatios) {
		t.Helper()
		if got := o.Ratios(began.Add(after)); got != want {
			t.Errorf("after %v: expected %v, found %v", after, want, got)
		}
	}
	want(0, OutcomeRatios{})
	o.Add(began, false)
	want(0, OutcomeRatios{Failed: 1})
	for range 3 {
		o.Add(began.Add(time.Second), true)
	}
	want(time.Second, OutcomeRatios{0.75, 0.25})
	o.Add(began.Add(40*time.Second), true)
	want(61*time.Second, OutcomeRatios{Succeeded: 1})
	want(time.Hour, OutcomeRatios{})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all Metrics
		all.Batches.AddActive(5)
		all.Batches.AddActive(7)
		began := time.Now()
		time.Sleep(250 * time.Millisecond) // virtual time
		all.Batches.Record(began, 5)
		all.Batches.AddActive(-5)
		all.Commits.Record(began, nil)
		all.Commits.Record(began, errors.New("away"))
		all.Commits.RecordTransaction(began, 9, nil)
		all.Commits.RecordTransaction(began, 100, errors.New("fenced"))
		n := all.Snapshot(time.Now())
		if one := (Summary{250, 250, 250}); n.BatchTime != one || n.CommitTime != one {
			t.Errorf("batches took %v, commits %v", n.BatchTime, n.CommitTime)
		}
		if n.BatchSize.Max != 5 || n.Active != 7 || n.ActiveRows.Max != 12 || n.ActiveRows.Min != 5 {
			t.Errorf("rows of batches %v, active %d, %v", n.BatchSize, n.Active, n.ActiveRows)
		}
		if n.RecentCommits != (OutcomeRatios{0.5, 0.5}) {
			t.Errorf("expected half of the commits to be done, found %v", n.RecentCommits)
		}
		if n.Commits != 2 || n.FailedCommits != 2 || n.Transactions.Max != 9 {
			t.Errorf("%d commits, %d failed, transactions of %v", n.Commits, n.FailedCommits, n.Transactions)
		}
	})
}

func TestRowSubset(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 0))
	for range 500 {
		of := 2 + random.Uint32N(12)
		var lists [2]RowSubset
		var has [2]map[uint32]bool
		for n := range lists {
			has[n] = map[uint32]bool{}
			var places []uint32
			for range 1 + random.IntN(int(of)-1) {
				at := random.Uint32N(of)
				places = append(places, at)
				has[n][at] = true
			}
			lists[n] = NewRowSubset(of, places)
			if all := len(has[n]) == int(of); all != lists[n].IsAll() {
				t.Fatalf("%v of %d: whole %t", places, of, lists[n].IsAll())
			}
			if lists[n].IsAll() {
				continue
			}
			read, err := ParseRowSubset(lists[n].String())
			if err != nil || read.String() != lists[n].String() {
				t.Fatalf("%s: read %s, %v", lists[n], read, err)
			}
		}
		both, ok := lists[0].Intersect(lists[1])
		if !both.IsAll() {
			read, err := ParseRowSubset(both.String())
			if err != nil || read.Total != both.Total || !slices.Equal(read.spans, both.spans) {
				t.Fatalf("%s and %s: %q was read as %q (%v)", lists[0], lists[1], both, read, err)
			}
		}
		for at := range of {
			if expected := has[0][at] && has[1][at]; !ok || both.Contains(at) != expected ||
				lists[0].Contains(at) != has[0][at] {
				t.Fatalf("%s and %s: %d in both: %t, found %t", lists[0], lists[1], at, expected, both.Contains(at))
			}
		}
	}
	disjoint, _ := NewRowSubset(3, []uint32{0}).Intersect(NewRowSubset(3, []uint32{2}))
	assert.Equal(t, "none of 3", disjoint.String())
	stored, err := ParseRowSubset(" of 3") // as earlier versions stored it
	if err != nil || stored.IsAll() || stored.Contains(0) || stored.CheckTotal(4) == nil {
		t.Errorf("expected no row of 3, found %q (%v)", stored, err)
	}
	if _, ok := NewRowSubset(3, []uint32{1}).Intersect(NewRowSubset(4, []uint32{1})); ok {
		t.Error("parts of 3 rows and of 4 were combined")
	}
	if NewRowSubset(3, []uint32{1}).CheckTotal(4) == nil || NewRowSubset(3, []uint32{1}).CheckTotal(3) != nil ||
		(RowSubset{}).CheckTotal(9) != nil {
		t.Error("a subset that fits")
	}
	for _, text := range []string{"", "1", "1 of 0", "0 of 3", "4 of 3", "2-1 of 3", "2,1 of 3", "1,1 of 3", "1- of 3",
		"1 of 99999999999", "x of 3", "none of 0", "none", "none,1 of 3"} {
		if p, err := ParseRowSubset(text); err == nil {
			t.Errorf("%q: read %s", text, p)
		}
	}
}

func TestSkipLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Journal
		log := out.Logger(slog.LevelInfo)
		seen := 0
		s := &SkipLog{Message: "record skipped"}
		lines := func(want ...string) {
			t.Helper()
			synctest.Wait()
			said := out.String()
			found := strings.Split(strings.TrimSuffix(said[seen:], "\n"), "\n")
			seen = len(said)
			if len(found) != len(want) {
				t.Fatalf("expected %d lines, found %q", len(want), found)
			}
			for _, w := range want {
				if !strings.Contains(strings.Join(found, "\n"), w) {
					t.Errorf("expected %q, found %q", w, found)
				}
			}
		}
		for i := range 1000 {
			s.Skip(log, StageEncode, fmt.Errorf("expected a date, found %q", fmt.Sprint("x", i)), []any{"offset", i},
				nil)
			s.Skip(log, StageWrite, errors.New("no such product"), []any{"offset", i}, nil)
		}
		lines("offset=0 stage=encode", "offset=0 stage=write")
		time.Sleep(skipLogInterval)
		lines("count=999 stage=encode", "count=999 stage=write")
		s.Skip(log, StageEncode, errors.New(`expected a date, found "y"`), nil, nil)
		time.Sleep(skipLogInterval)
		lines("count=1 stage=encode")
		time.Sleep(3 * skipLogInterval)
		for i := range 1000 { // with as many causes
			s.Skip(log, StageEncode, errors.New(strings.Repeat("x", i+1)), []any{"offset", i}, nil)
		}
		said := out.String()
		assert.Equal(t, maxCauses+1, strings.Count(said[seen:], "\n"), "lines")
		seen = len(said)
		s.Close()
		lines(fmt.Sprintf("count=%d", 1000-maxCauses-1))
	})
}
