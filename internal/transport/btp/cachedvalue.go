package btp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
)

// cachedValue caches a value of limited validity. It is renewed early, by one request at a time; until then callers
// get the old value while it is valid, else they wait.
type cachedValue[V any] struct {
	clock func() time.Time
	// request requests a new value; patient allows retries.
	request func(ctx context.Context, patient bool) (cacheEntry[V], error)
	// keepOnError reports whether a valid value that could not be renewed stays in use.
	keepOnError func(err error, left time.Duration) bool
	// sameValueError is the error if the rejected value is returned again.
	sameValueError func() error
	// retryInterval is how long a failure is returned to all callers before the next request: otherwise each of
	// them would wait for its own timeout. For refusals it doubles up to [maxRetryInterval]. Zero means that every
	// caller requests.
	retryInterval time.Duration

	// fetching is held during a request.
	fetching guard.CtxMutex

	mu       sync.Mutex
	hasEntry bool
	entry    cacheEntry[V]
	// version counts calls of forget: responses to earlier requests are dropped.
	version int
	// attempts counts finished requests; callers that waited share lastErr.
	attempts int
	lastErr  error
	// earlyRefusal is the refusal of an early renewal, returned once after expiry: a wrong secret is not sent for
	// each caller.
	earlyRefusal error
	// retryAt is the earliest next request after a failure; refusals counts consecutive refusals.
	retryAt  time.Time
	refusals int
}

// grant is a value with the times of renewal and expiry.
type cacheEntry[V any] struct {
	value          V
	renew, expires time.Time
}

func (k *cachedValue[V]) init() {
	k.fetching = guard.NewCtxMutex()
}

type snapshot[V any] struct {
	entry             cacheEntry[V]
	valid             bool
	attempts, version int
}

func (k *cachedValue[V]) snapshot(unwanted func(V) bool) snapshot[V] {
	k.mu.Lock()
	defer k.mu.Unlock()
	good := k.hasEntry && k.clock().Before(k.entry.expires) && !unwanted(k.entry.value)
	return snapshot[V]{k.entry, good, k.attempts, k.version}
}

// get returns a value that is not unwanted.
func (k *cachedValue[V]) get(ctx context.Context, unwanted func(V) bool) (V, error) {
	for {
		s := k.snapshot(unwanted)
		if s.valid && k.clock().Before(s.entry.renew) {
			return s.entry.value, nil
		}
		if s.valid {
			k.renewEarly(ctx, s)
			if s = k.snapshot(unwanted); s.valid {
				return s.entry.value, nil
			}
		}
		value, again, err := k.fetch(ctx, unwanted, s)
		if !again {
			return value, err
		}
	}
}

// earlyTimeout bounds an early renewal, for which a caller waits, and delays the next one after a failure.
const earlyTimeout = 10 * time.Second

// renewEarly makes one attempt, unless one is running.
func (k *cachedValue[V]) renewEarly(ctx context.Context, s snapshot[V]) {
	if !k.fetching.TryLock() {
		return
	}
	defer k.fetching.Unlock()
	if now := k.snapshot(noneUnwanted[V]); now.attempts != s.attempts || now.version != s.version {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, earlyTimeout)
	defer cancel()
	g, err := k.request(ctx, false)
	if err == nil {
		k.store(g, s.version)
		return
	}
	left := s.entry.expires.Sub(k.clock())
	stays := k.keepOnError(err, left)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.version != s.version {
		return
	}
	k.hasEntry = stays
	k.entry.renew = k.clock().Add(min(earlyTimeout, left/4))
	if failure, ok := errors.AsType[*Failure](err); ok && stays && failure.Kind == Unauthorized {
		k.entry.renew, k.earlyRefusal = k.entry.expires, err
	}
}

func (k *cachedValue[V]) takeEarlyRefusal() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.earlyRefusal
	k.earlyRefusal = nil
	return err
}

func noneUnwanted[V any](V) bool { return false }

// fetch requests with retries; callers that wait share the result. again asks the caller to start over.
func (k *cachedValue[V]) fetch(ctx context.Context, unwanted func(V) bool, s snapshot[V]) (value V, again bool,
	err error) {
	if err := k.fetching.Lock(ctx); err != nil {
		return value, false, &Failure{Kind: Unavailable, err: err,
			text: "waiting for what another caller has asked for: " + err.Error()}
	}
	defer k.fetching.Unlock()
	now := k.snapshot(unwanted)
	if now.valid {
		return now.entry.value, false, nil
	}
	if err := k.sharedError(now, s); err != nil {
		return value, false, err
	}
	if err := k.takeEarlyRefusal(); err != nil {
		k.fail(ctx, err, now.version)
		return value, false, err
	}
	g, err := k.request(ctx, true)
	switch {
	case err != nil:
		if !k.fail(ctx, err, now.version) {
			return value, true, nil
		}
		return value, false, err
	case unwanted(g.value):
		return value, false, k.sameValueError()
	case !k.store(g, now.version):
		return value, true, nil
	}
	return g.value, false, nil
}

// sharedError returns the error of a request that another caller made in the meantime, or before retryAt.
func (k *cachedValue[V]) sharedError(now, since snapshot[V]) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	shared := now.attempts != since.attempts && now.version == since.version
	if shared || k.clock().Before(k.retryAt) {
		return k.lastErr
	}
	return nil
}

// maxRetryInterval bounds how long a refusal counts, so that a correction in the cockpit is noticed.
const maxRetryInterval = 10 * time.Minute

func (k *cachedValue[V]) fail(ctx context.Context, err error, version int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.version != version {
		return false
	}
	k.attempts++
	if k.lastErr = err; ctx.Err() != nil {
		k.lastErr = nil // this caller's own end is not the others'
	}
	failure, found := errors.AsType[*Failure](err)
	switch {
	case found && failure.Temporary():
		k.retryAt = k.clock().Add(k.retryInterval)
	case found && failure.Kind == Unauthorized:
		k.retryAt = k.clock().Add(min(maxRetryInterval, k.retryInterval<<min(k.refusals, 16)))
		k.refusals++
	default:
		k.retryAt = time.Time{}
	}
	return true
}

func (k *cachedValue[V]) store(g cacheEntry[V], version int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.version != version {
		return false
	}
	k.attempts, k.lastErr, k.earlyRefusal, k.refusals = k.attempts+1, nil, nil, 0
	k.entry, k.hasEntry = g, true
	return true
}

// forget drops the value and the result of a running request.
func (k *cachedValue[V]) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hasEntry, k.earlyRefusal = false, nil
	if k.refusals == 0 { // who was refused is not heard any better now
		k.lastErr = nil
	}
	k.version++
}
