package pause

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter is the longest pause in seconds, a year. Much longer ones overflow a [time.Duration].
const maxRetryAfter = 365 * 24 * 60 * 60

// RetryAfter returns the pause that a Retry-After header requests: a number of seconds, or until a date (RFC 9110,
// section 10.2.3). Zero means that the value requests no pause, or one that is over.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if n, err := strconv.Atoi(value); err == nil && n > 0 {
		return time.Duration(min(n, maxRetryAfter)) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), maxRetryAfter*time.Second)
	}
	return 0
}
