package pause_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/pause"
)

// A pause ends after its time, or with the cause of its context.
func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := pause.For(t.Context(), time.Minute); err != nil || time.Since(began) != time.Minute {
			t.Errorf("expected a minute, found %v, %v", time.Since(began), err)
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(enough) })
		if err := pause.For(ctx, time.Hour); err != enough || time.Since(began) != time.Minute+time.Second {
			t.Errorf("expected the cause after a second, found %v after %v", err, time.Since(began)-time.Minute)
		}
		err := pause.For(ctx, 0)
		assert.True(t, err == enough, "expected the cause, found %v", err)
	})
}

// Pauses double up to the longest, and begin again after a reset.
func TestBackoff(t *testing.T) {
	b := pause.Backoff{First: 300, Longest: 1000}
	var got []time.Duration
	for range 4 {
		got = append(got, b.Next())
	}
	b.Reset()
	if got = append(got, b.Next()); !slices.Equal(got, []time.Duration{300, 600, 1000, 1000, 300}) {
		t.Errorf("expected 300, 600, 1000, 1000 and 300 ns, found %v", got)
	}
}
