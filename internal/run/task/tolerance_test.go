package task

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// Refused records are one stretch until none was refused for [RefusingTime].
func TestStretchesOfRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e ErrorCounts
		assert.Equal(t, true, e.Refusal().Last.IsZero())
		first := time.Now()
		for _, step := range []struct {
			pause time.Duration
			since time.Duration // after first
		}{{}, {pause: RefusingTime - 1}, {pause: RefusingTime - 1}, {pause: RefusingTime, since: 3*RefusingTime - 2}} {
			time.Sleep(step.pause)
			err := errors.New(step.pause.String())
			e.AddRefused(2, err)
			refusal := e.Refusal()
			assert.Equal(t, step.since, refusal.Since.Sub(first))
			assert.Equal(t, []any{time.Now(), err.Error()}, []any{refusal.Last, refusal.Err.Error()})
		}
		assert.Equal(t, int64(8), e.Skipped.Load())
	})
}
