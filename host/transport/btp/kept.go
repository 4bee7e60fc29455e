package btp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

// cachedValue is a value that somebody else grants for a while. It is renewed before it ends, one request at a time. Who wants
// it meanwhile gets the old one while that is good, and waits otherwise.
type cachedValue[V any] struct {
	clock func() time.Time
	// request gets a new value. patient: it may be tried again and again.
	request func(ctx context.Context, patient bool) (grant[V], error)
	// keepOnError says whether a value that is still good and could not be renewed is to be used on.
	keepOnError func(err error, left time.Duration) bool
	// sameValueError makes the error for a new value that is the unwanted one again.
	sameValueError func() error
	// retryInterval is how long it is taken for granted that who did not answer is still away: with each caller's patience, one
	// after another, they would wait for minutes; and at first for how long a refusal counts, twice as long with each
	// further one up to [maxRetryInterval]. 0: everybody asks.
	retryInterval time.Duration

	// fetching is held by whoever asks.
	fetching guard.CtxMutex

	mu    sync.Mutex
	has   bool
	grant grant[V]
	// version counts calls of forget: what was asked for before is not kept.
	version int
	// attempts counts requests that ended, failed is how the last one did: who waited meanwhile shares it.
	attempts int
	lastErr   error
	// earlyRefusal is how an early renewal was refused. It stands for the next question: a wrong secret is not shown again
	// for each caller.
	earlyRefusal error
	// retryAt is until when the service is not asked again, because it did not answer or refused the credentials; refusals
	// counts refusals in succession, and each doubles the wait.
	retryAt     time.Time
	refusals int
}

// grant is a value, when to renew it, and when it is good no longer.
type grant[V any] struct {
	value          V
	renew, expires time.Time
}

// start makes the zero value usable.
func (k *cachedValue[V]) start() {
	k.fetching = guard.NewCtxMutex()
}

// snapshot is what there was at one moment.
type snapshot[V any] struct {
	grant             grant[V]
	good              bool
	attempts, version int
}

func (k *cachedValue[V]) snapshot(unwanted func(V) bool) snapshot[V] {
	k.mu.Lock()
	defer k.mu.Unlock()
	good := k.has && k.clock().Before(k.grant.expires) && !unwanted(k.grant.value)
	return snapshot[V]{k.grant, good, k.attempts, k.version}
}

// get is the value, unless it is unwanted: then another one.
func (k *cachedValue[V]) get(ctx context.Context, unwanted func(V) bool) (V, error) {
	for {
		s := k.snapshot(unwanted)
		if s.good && k.clock().Before(s.grant.renew) {
			return s.grant.value, nil
		}
		if s.good {
			k.renewEarly(ctx, s)
			if s = k.snapshot(unwanted); s.good {
				return s.grant.value, nil
			}
		}
		value, again, err := k.fetch(ctx, unwanted, s)
		if !again {
			return value, err
		}
	}
}

// earlyTimeout bounds a renewal that can wait, since a caller waits for it, and is how long the next one is put off
// when it fails.
const earlyTimeout = 10 * time.Second

// renewEarly asks once, unless somebody else is about it.
func (k *cachedValue[V]) renewEarly(ctx context.Context, s snapshot[V]) {
	if !k.fetching.TryLock() {
		return
	}
	defer k.fetching.Unlock()
	if now := k.snapshot(acceptAll[V]); now.attempts != s.attempts || now.version != s.version {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, earlyTimeout)
	defer cancel()
	g, err := k.request(ctx, false)
	if err == nil {
		k.store(g, s.version)
		return
	}
	left := s.grant.expires.Sub(k.clock())
	stays := k.keepOnError(err, left)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.version != s.version {
		return
	}
	k.has = stays
	k.grant.renew = k.clock().Add(min(earlyTimeout, left/4))
	if failure, ok := errors.AsType[*Failure](err); ok && stays && failure.Kind == Unauthorized {
		k.grant.renew, k.earlyRefusal = k.grant.expires, err
	}
}

// takeEarlyRefusal is how an early renewal was refused, once.
func (k *cachedValue[V]) takeEarlyRefusal() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.earlyRefusal
	k.earlyRefusal = nil
	return err
}

func acceptAll[V any](V) bool { return false }

// fetch asks with patience; callers that wait for their turn meanwhile share its end. again: look once more.
func (k *cachedValue[V]) fetch(ctx context.Context, unwanted func(V) bool, s snapshot[V]) (value V, again bool, err error) {
	if err := k.fetching.Lock(ctx); err != nil {
		return value, false, &Failure{Kind: Unavailable, err: err,
			text: "waiting for what another caller has asked for: " + err.Error()}
	}
	defer k.fetching.Unlock()
	now := k.snapshot(unwanted)
	if now.good {
		return now.grant.value, false, nil
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

// sharedError is how a request ended that another caller has made since, or that nobody answered just now.
func (k *cachedValue[V]) sharedError(now, since snapshot[V]) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	shared := now.attempts != since.attempts && now.version == since.version
	if shared || k.clock().Before(k.retryAt) {
		return k.lastErr
	}
	return nil
}

// maxRetryInterval is the longest time for which a refusal counts: whoever mends it in the cockpit waits no longer.
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

func (k *cachedValue[V]) store(g grant[V], version int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.version != version {
		return false
	}
	k.attempts, k.lastErr, k.earlyRefusal, k.refusals = k.attempts+1, nil, nil, 0
	k.grant, k.has = g, true
	return true
}

// forget gives up the value, and whatever is being asked for now.
func (k *cachedValue[V]) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.has, k.earlyRefusal = false, nil
	if k.refusals == 0 { // who was refused is not heard any better now
		k.lastErr = nil
	}
	k.version++
}
