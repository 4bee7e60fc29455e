package transport

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// Retry is a retry policy. Zero fields mean the defaults of their roles.
type Retry struct {
	// Codes are HTTP statuses, for repeatable requests, and error codes of the service. Empty but not nil means none.
	Codes      []string
	Max        *int // number of retries; nil means the default
	MinBackoff time.Duration
	MaxBackoff time.Duration
}

var (
	defaultCodes      = splitCodes(*role.HostDefault(role.RetryCodes))
	defaultMax        = defaultNumber(role.RetryMax)
	defaultMinBackoff = defaultMilliseconds(role.RetryMinBackoffMS)
	defaultMaxBackoff = defaultMilliseconds(role.RetryMaxBackoffMS)
)

const maxWait = time.Hour // bounds atLeast of [Retry.Wait]

func (r Retry) withDefaults() Retry {
	if r.Codes == nil {
		r.Codes = defaultCodes
	}
	if r.Max == nil {
		r.Max = &defaultMax
	}
	if r.MinBackoff == 0 && r.MaxBackoff == 0 {
		r.MinBackoff = defaultMinBackoff
		r.MaxBackoff = defaultMaxBackoff
	}
	r.MaxBackoff = max(r.MinBackoff, r.MaxBackoff)
	return r
}

// Times returns the number of retries.
func (r Retry) Times() int { return *r.withDefaults().Max }

// Names reports whether Codes contains an HTTP status or a code of the service.
func (r Retry) Names(code string) bool { return slices.Contains(r.withDefaults().Codes, code) }

// NamesMessage reports whether Codes has an error document's code. Statuses are ignored: they repeat the answer's.
func (r Retry) NamesMessage(code string) bool {
	if n, err := strconv.Atoi(code); err == nil && n >= 100 && n < 600 {
		return false
	}
	return r.Names(code)
}

// Wait pauses before the next attempt, for at least atLeast, or returns the context's cause.
func (r Retry) Wait(ctx context.Context, atLeast time.Duration) error {
	r = r.withDefaults()
	backoff := r.MinBackoff
	if spread := r.MaxBackoff - r.MinBackoff; spread > 0 {
		backoff += rand.N(spread + 1)
	}
	return pause.For(ctx, max(backoff, min(atLeast, maxWait)))
}

// RetryAfter returns the pause that an answer requests, or zero.
func RetryAfter(answer wit.Response) time.Duration {
	for _, h := range answer.Headers {
		if strings.EqualFold(h.Name, "Retry-After") {
			return pause.RetryAfter(h.Value, time.Now())
		}
	}
	return 0
}
