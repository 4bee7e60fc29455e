package odataerror

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// RetryAfter reads a header Retry-After: seconds, or a date. now is when the answer came, in milliseconds since 1970;
// ok is false where it says neither.
func RetryAfter(text string, now int64) (wait time.Duration, ok bool) {
	if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
		return time.Duration(min(max(n, 0), math.MaxInt32)) * time.Second, true
	}
	at, ok := Date(text)
	return time.Duration(min(max(at-now, 0), math.MaxInt32)) * time.Millisecond, ok
}

// Date reads a date of a header, in milliseconds since 1970.
func Date(text string) (ms int64, ok bool) {
	t, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", strings.TrimSpace(text))
	return t.UnixMilli(), err == nil
}
