package task

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
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
		w.Add(began.Add(c.after), c.value)
		if s := w.Summary(began.Add(c.after)); s != c.want {
			t.Errorf("after %v: expected %v, found %v", c.after, c.want, s)
		}
	}
	if s := w.Summary(began.Add(time.Hour + 2*half)); !math.IsNaN(s.Avg) {
		t.Errorf("expected values that are forgotten, found %v", s)
	}
}

func TestTally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all Tally
		all.Batches.Hold(5)
		all.Batches.Hold(7)
		began := time.Now()
		time.Sleep(250 * time.Millisecond) // of the bubble
		all.Batches.Ended(began, 5)
		all.Batches.Hold(-5)
		all.Commits.Ended(began, nil)
		all.Commits.Ended(began, errors.New("away"))
		all.Commits.Transaction(began, 9, nil)
		all.Commits.Transaction(began, 100, errors.New("fenced"))
		n := all.At(time.Now())
		if one := (Summary{250, 250, 250}); n.BatchTime != one || n.CommitTime != one {
			t.Errorf("batches took %v, commits %v", n.BatchTime, n.CommitTime)
		}
		if n.BatchSize.Max != 5 || n.Active != 7 || n.ActiveRows.Max != 12 || n.ActiveRows.Min != 5 {
			t.Errorf("rows of batches %v, active %d, %v", n.BatchSize, n.Active, n.ActiveRows)
		}
		if n.Commits != 2 || n.FailedCommits != 2 || n.Transactions.Max != 9 {
			t.Errorf("%d commits, %d failed, transactions of %v", n.Commits, n.FailedCommits, n.Transactions)
		}
	})
}
