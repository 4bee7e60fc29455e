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
	clock       func() time.Time
	request     func(ctx context.Context, retry bool) (cacheEntry[V], error)
	keepOnError func(err error, left time.Duration) bool
	// sameValueError is the error if the unwanted value is returned again.
	sameValueError func() error
	// retryInterval is how long all callers get a failure before the next request; it doubles for refusals. Zero
	// means none.
	retryInterval time.Duration

	fetching guard.CtxMutex

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
		value, startOver, err := k.fetch(ctx, unwanted, s)
		if !startOver {
			return value, err
		}
	}
}

// earlyTimeout bounds an early renewal, for which a caller waits, and delays the next one after a failure.
const earlyTimeout = 10 * time.Second

func (k *cachedValue[V]) renewEarly(ctx context.Context, before snapshot[V]) {
	if !k.fetching.TryLock() {
		return
	}
	defer k.fetching.Unlock()
	if now := k.snapshot(noneUnwanted[V]); now.attempts != before.attempts || now.version != before.version {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, earlyTimeout)
	defer cancel()
	g, err := k.request(ctx, false)
	if err == nil {
		k.store(g, before.version)
		return
	}
	left := before.entry.expires.Sub(k.clock())
	stays := k.keepOnError(err, left)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.version != before.version {
		return
	}
	k.hasEntry = stays
	k.entry.renew = k.clock().Add(min(earlyTimeout, left/4))
	if failure, ok := errors.AsType[*Failure](err); ok && stays && failure.isRefusal() {
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

// fetch requests with retries; callers that wait share the result. startOver: the cache was invalidated meanwhile.
func (k *cachedValue[V]) fetch(ctx context.Context, unwanted func(V) bool, before snapshot[V]) (value V, startOver bool,
	err error) {
	if err := k.fetching.Lock(ctx); err != nil {
		return value, false, &Failure{Kind: Unavailable, err: err,
			text: "waiting for another caller's request: " + err.Error()}
	}
	defer k.fetching.Unlock()
	now := k.snapshot(unwanted)
	if now.valid {
		return now.entry.value, false, nil
	}
	if err := k.sharedError(now, before); err != nil {
		return value, false, err
	}
	if err := k.takeEarlyRefusal(); err != nil {
		k.fail(ctx, err, now.version)
		return value, false, err
	}
	fetched, err := k.request(ctx, true)
	switch {
	case err != nil:
		if !k.fail(ctx, err, now.version) {
			return value, true, nil
		}
		return value, false, err
	case unwanted(fetched.value):
		return value, false, k.sameValueError()
	case !k.store(fetched, now.version):
		return value, true, nil
	}
	return fetched.value, false, nil
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
		k.lastErr = nil // the end of this caller's context must not fail other callers
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
	if k.refusals == 0 { // a refusal keeps its retryAt, and the error for it
		k.lastErr = nil
	}
	k.version++
}
