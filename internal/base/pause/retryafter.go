package pause

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter is the longest pause in seconds, a year. A longer one would be no duration.
const maxRetryAfter = 365 * 24 * 60 * 60

// RetryAfter returns the pause that the value of a header Retry-After requests: a number of seconds or a date (RFC 9110,
// section 10.2.3). The zero pause means that it requests none, or one that is over.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if n, err := strconv.Atoi(value); err == nil && n > 0 {
		return time.Duration(min(n, maxRetryAfter)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter*time.Second)
	}
	return 0
}
