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
		w.add(began.Add(c.after), c.value)
		if s := w.Summary(began.Add(c.after)); s != c.want {
			t.Errorf("after %v: expected %v, found %v", c.after, c.want, s)
		}
	}
	if s := w.Summary(began.Add(time.Hour + 2*half)); !math.IsNaN(s.Avg) {
		t.Errorf("expected values that are forgotten, found %v", s)
	}
}

// A failure of an hour ago is no part of a percentage, as in Kafka.
func TestOutcomes(t *testing.T) {
	var o Outcomes
	began := time.Unix(1_000_000, 0)
	want := func(after time.Duration, want Shares) {
		t.Helper()
		if got := o.Shares(began.Add(after)); got != want {
			t.Errorf("after %v: expected %v, found %v", after, want, got)
		}
	}
	want(0, Shares{})
	o.Add(began, false)
	want(0, Shares{Badly: 1})
	for range 3 {
		o.Add(began.Add(time.Second), true)
	}
	want(time.Second, Shares{0.75, 0.25})
	o.Add(began.Add(40*time.Second), true)
	want(61*time.Second, Shares{Well: 1})
	want(time.Hour, Shares{})
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
		if n.Recent != (Shares{0.5, 0.5}) {
			t.Errorf("expected half of the commits to be done, found %v", n.Recent)
		}
		if n.Commits != 2 || n.FailedCommits != 2 || n.Transactions.Max != 9 {
			t.Errorf("%d commits, %d failed, transactions of %v", n.Commits, n.FailedCommits, n.Transactions)
		}
	})
}
