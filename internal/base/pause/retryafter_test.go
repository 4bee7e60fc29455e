package pause

import (
	"net/http"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
)

// Retry-After is a number of seconds or a date. Long pauses are limited.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":     0,
		"0":    0,
		"-1":   0,
		"soon": 0,
		"1.5":  0,
		" 12 ": 12 * time.Second,
		"120":  2 * time.Minute,
		now.Add(time.Minute).Format(http.TimeFormat):  time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat): 0,
		now.Add(90 * time.Second).Format(time.RFC850): 90 * time.Second,
		"31536000":            maxRetryAfter * time.Second,
		"31536001":            maxRetryAfter * time.Second,
		"9223372036854775807": maxRetryAfter * time.Second,
		now.AddDate(200, 0, 0).Format(http.TimeFormat): maxRetryAfter * time.Second,
	} {
		assert.Equal(t, want, RetryAfter(value, now), value)
	}
}
