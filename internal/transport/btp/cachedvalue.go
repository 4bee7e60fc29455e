package btp

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
)

// cachedValue caches a value of limited validity. It is renewed early, by one request at a time; until then callers
// get the old value while it is valid, else they wait.
type cachedValue[V any] struct {
	clock func() time.Time
	// request requests a value. With retry, it repeats the request after temporary failures.
	request func(ctx context.Context, retry bool) (cacheEntry[V], error)
	// keepOnError decides, after a failed early renewal, whether the old value stays in use for the time left.
	keepOnError func(err error, left time.Duration) bool
	// sameValueError is the error if the unwanted value is returned again.
	sameValueError func() error
	// retryInterval is how long all callers get a failure before the next request; it doubles for refusals. Zero
	// means none.
	retryInterval time.Duration

	fetching guard.CtxMutex // held during a request

	mu       sync.Mutex
	hasEntry bool
	entry    cacheEntry[V]
	// version counts calls of forget: responses to earlier requests are dropped.
	version int
	// attempts counts finished requests; callers that waited share lastErr.
	attempts int
	lastErr  error
	// earlyRefusal is the refusal of an early renewal, returned once after expiry.
	earlyRefusal error
	// retryAt is the earliest next request after a failure; refusals counts consecutive refusals.
	retryAt  time.Time
	refusals int
}

type cacheEntry[V any] struct {
	value   V
	renew   time.Time // when to request the next value, before expires
	expires time.Time
}

func (c *cachedValue[V]) init() { c.fetching = guard.NewCtxMutex() }

// cacheState is a copy of the state of a cachedValue.
type cacheState[V any] struct {
	entry    cacheEntry[V]
	valid    bool // the entry has not expired and is not unwanted
	attempts int
	version  int
}

func (c *cachedValue[V]) snapshot(unwanted func(V) bool) cacheState[V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	isValid := c.hasEntry && c.clock().Before(c.entry.expires) && !unwanted(c.entry.value)
	return cacheState[V]{c.entry, isValid, c.attempts, c.version}
}

// get returns a valid value that is not unwanted. It blocks while it, or another caller, requests one.
func (c *cachedValue[V]) get(ctx context.Context, unwanted func(V) bool) (V, error) {
	for {
		s := c.snapshot(unwanted)
		if s.valid && c.clock().Before(s.entry.renew) {
			return s.entry.value, nil
		}
		if s.valid {
			c.renewEarly(ctx, s)
			if s = c.snapshot(unwanted); s.valid {
				return s.entry.value, nil
			}
		}
		if value, startOver, err := c.fetch(ctx, unwanted, s); !startOver {
			return value, err
		}
	}
}

// earlyTimeout bounds an early renewal, for which a caller waits, and delays the next one after a failure.
const earlyTimeout = 10 * time.Second

// renewEarly requests a new value while the old one is valid, unless another caller does. It blocks for up to
// earlyTimeout. After a failure the old value stays if keepOnError allows that.
func (c *cachedValue[V]) renewEarly(ctx context.Context, earlier cacheState[V]) {
	if !c.fetching.TryLock() {
		return
	}
	defer c.fetching.Unlock()
	current := c.snapshot(noneUnwanted[V])
	if current.attempts != earlier.attempts || current.version != earlier.version {
		return // another caller has just requested one, or called forget
	}
	ctx, cancel := context.WithTimeout(ctx, earlyTimeout)
	defer cancel()
	entry, err := c.request(ctx, false)
	if err == nil {
		c.store(entry, earlier.version)
		return
	}
	remaining := earlier.entry.expires.Sub(c.clock())
	isKept := c.keepOnError(err, remaining)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version != earlier.version {
		return
	}
	c.hasEntry = isKept
	c.entry.renew = c.clock().Add(min(earlyTimeout, remaining/4))
	// The same credentials must not be sent again after the service or the proxy refused them.
	if failure, ok := errors.AsType[*Failure](err); ok && isKept &&
		(failure.Kind == Unauthorized || failure.Status == http.StatusProxyAuthRequired) {
		c.entry.renew = c.entry.expires
		c.earlyRefusal = err
	}
}

// takeEarlyRefusal returns the refusal of an early renewal, and resets it.
func (c *cachedValue[V]) takeEarlyRefusal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.earlyRefusal
	c.earlyRefusal = nil
	return err
}

func noneUnwanted[V any](V) bool { return false }

// fetch requests a value with retries; callers that wait share the result. startOver reports that forget was called in
// the meantime.
func (c *cachedValue[V]) fetch(ctx context.Context, unwanted func(V) bool,
	earlier cacheState[V]) (value V, startOver bool, err error) {
	if err := c.fetching.Lock(ctx); err != nil {
		return value, false, &Failure{Kind: Unavailable, err: err,
			text: "waiting for another caller's request: " + err.Error()}
	}
	defer c.fetching.Unlock()
	current := c.snapshot(unwanted)
	if current.valid {
		return current.entry.value, false, nil
	}
	if err := c.sharedError(current, earlier); err != nil {
		return value, false, err
	}
	if err := c.takeEarlyRefusal(); err != nil {
		c.fail(ctx, err, current.version)
		return value, false, err
	}
	fetched, err := c.request(ctx, true)
	switch {
	case err != nil:
		if !c.fail(ctx, err, current.version) {
			return value, true, nil
		}
		return value, false, err
	case unwanted(fetched.value):
		return value, false, c.sameValueError()
	case !c.store(fetched, current.version):
		return value, true, nil
	}
	return fetched.value, false, nil
}

// sharedError returns the error of a request that another caller made in the meantime, or before retryAt.
func (c *cachedValue[V]) sharedError(current, earlier cacheState[V]) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	shared := current.attempts != earlier.attempts && current.version == earlier.version
	if shared || c.clock().Before(c.retryAt) {
		return c.lastErr
	}
	return nil
}

// maxRetryInterval bounds how long a refusal counts, so that a correction in the cockpit is noticed.
const maxRetryInterval = 10 * time.Minute

// fail records the failure of a request. It reports false, and records nothing, if forget was called in the meantime.
func (c *cachedValue[V]) fail(ctx context.Context, err error, version int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version != version {
		return false
	}
	c.attempts++
	c.lastErr = err
	if ctx.Err() != nil {
		c.lastErr = nil // the end of this caller's context must not fail other callers
	}
	failure, ok := errors.AsType[*Failure](err)
	switch {
	case ok && failure.Temporary():
		c.retryAt = c.clock().Add(c.retryInterval)
	case ok && failure.Kind == Unauthorized:
		doublings := min(c.refusals, 16) // without an overflow
		c.retryAt = c.clock().Add(min(maxRetryInterval, c.retryInterval<<doublings))
		c.refusals++
	default: // a correction counts at once
		c.retryAt = time.Time{}
	}
	return true
}

// store records a value. It reports false, and records nothing, if forget was called in the meantime.
func (c *cachedValue[V]) store(entry cacheEntry[V], version int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version != version {
		return false
	}
	c.attempts++
	c.lastErr = nil
	c.earlyRefusal = nil
	c.refusals = 0
	c.entry = entry
	c.hasEntry = true
	return true
}

// forget drops the value and the result of a running request.
func (c *cachedValue[V]) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hasEntry = false
	c.earlyRefusal = nil
	if c.refusals == 0 { // a refusal keeps its retryAt, and the error for it
		c.lastErr = nil
	}
	c.version++
}
