package transport

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// Retry says what is tried again, how often, and after what pause. The zero value holds the defaults, those of
// [role.RetryCodes], [role.RetryMax], [role.RetryMinBackoffMS] and [role.RetryMaxBackoffMS].
type Retry struct {
	// Codes: HTTP codes of answers that are no final answers, and codes of the service itself, which faults name. Those
	// of HTTP count for requests that are repeatable. An empty list that is not nil: none.
	Codes []string
	// Max is how many times a request is sent again.
	Max *int
	// A pause is drawn evenly between the two.
	MinBackoff, MaxBackoff time.Duration
}

var (
	defaultCodes      = splitCodes(*role.HostDefault(role.RetryCodes))
	defaultMax        = ownNumber(role.RetryMax)
	defaultMinBackoff = ownMilliseconds(role.RetryMinBackoffMS)
	defaultMaxBackoff = ownMilliseconds(role.RetryMaxBackoffMS)
)

// maxWait bounds what a Retry-After can ask for.
const maxWait = time.Hour

func (r Retry) withDefaults() Retry {
	if r.Codes == nil {
		r.Codes = defaultCodes
	}
	if r.Max == nil {
		r.Max = &defaultMax
	}
	if r.MinBackoff == 0 && r.MaxBackoff == 0 {
		r.MinBackoff, r.MaxBackoff = defaultMinBackoff, defaultMaxBackoff
	}
	r.MaxBackoff = max(r.MinBackoff, r.MaxBackoff)
	return r
}

// Times is how many times something is tried again.
func (r Retry) Times() int { return *r.withDefaults().Max }

// Names says whether a code, of HTTP or of the service, is one of those to be tried again.
func (r Retry) Names(code string) bool { return slices.Contains(r.withDefaults().Codes, code) }

// NamesMessage says whether a code of the service itself is one of those to be tried again. A number that is a status
// of HTTP is no such code: services repeat the status in their error documents, and say nothing by it.
func (r Retry) NamesMessage(code string) bool {
	if n, err := strconv.Atoi(code); err == nil && n >= 100 && n < 600 {
		return false
	}
	return r.Names(code)
}

// Wait pauses before the next try, at least for `atLeast`. It ends early with the context's cause.
func (r Retry) Wait(ctx context.Context, atLeast time.Duration) error {
	r = r.withDefaults()
	drawn := r.MinBackoff
	if spread := r.MaxBackoff - r.MinBackoff; spread > 0 {
		drawn += rand.N(spread + 1)
	}
	return pause.For(ctx, max(drawn, min(atLeast, maxWait)))
}

// RetryAfter is how long an answer asks to wait before the request is sent again, 0 where it does not say.
func RetryAfter(answer wit.Response) time.Duration {
	for _, h := range answer.Headers {
		if strings.EqualFold(h.Name, "Retry-After") {
			return retryAfter(http.Header{"Retry-After": {h.Value}}, time.Now())
		}
	}
	return 0
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return t.Sub(now)
	}
	return 0
}
