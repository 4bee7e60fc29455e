package btp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/guard"
)

// kept is a value that somebody else grants for a while. It is renewed before it ends, one request at a time. Who wants
// it meanwhile gets the old one while that is good, and waits otherwise.
type kept[V any] struct {
	clock func() time.Time
	// ask gets a new value. patient: it may be tried again and again.
	ask func(ctx context.Context, patient bool) (grant[V], error)
	// late says whether a value that is still good and could not be renewed is to be used on.
	late func(err error, left time.Duration) bool
	// same makes the error for a new value that is the unwanted one again.
	same func() error
	// rest is how long it is taken for granted that who did not answer is still away: with each caller's patience, one
	// after another, they would wait for minutes; and at first for how long a refusal counts, twice as long with each
	// further one up to [maxRest]. 0: everybody asks.
	rest time.Duration

	// turn is held by whoever asks.
	turn guard.Turn

	mu    sync.Mutex
	has   bool
	grant grant[V]
	// version counts calls of forget: what was asked for before is not kept.
	version int
	// attempts counts requests that ended, failed is how the last one did: who waited meanwhile shares it.
	attempts int
	failed   error
	// refused is how an early renewal was refused. It stands for the next question: a wrong secret is not shown again
	// for each caller.
	refused error
	// away is until when the service is not asked again, because it did not answer or refused the credentials; refusals
	// counts refusals in succession, and each doubles the wait.
	away     time.Time
	refusals int
}

// grant is a value, when to renew it, and when it is good no longer.
type grant[V any] struct {
	value          V
	renew, expires time.Time
}

// start makes the zero value usable.
func (k *kept[V]) start() {
	k.turn = guard.NewTurn()
}

// snapshot is what there was at one moment.
type snapshot[V any] struct {
	grant             grant[V]
	good              bool
	attempts, version int
}

func (k *kept[V]) look(unwanted func(V) bool) snapshot[V] {
	k.mu.Lock()
	defer k.mu.Unlock()
	good := k.has && k.clock().Before(k.grant.expires) && !unwanted(k.grant.value)
	return snapshot[V]{k.grant, good, k.attempts, k.version}
}

// get is the value, unless it is unwanted: then another one.
func (k *kept[V]) get(ctx context.Context, unwanted func(V) bool) (V, error) {
	for {
		s := k.look(unwanted)
		if s.good && k.clock().Before(s.grant.renew) {
			return s.grant.value, nil
		}
		if s.good {
			k.renewEarly(ctx, s)
			if s = k.look(unwanted); s.good {
				return s.grant.value, nil
			}
		}
		value, again, err := k.fetch(ctx, unwanted, s)
		if !again {
			return value, err
		}
	}
}

// earlyPatience bounds a renewal that can wait, since a caller waits for it, and is how long the next one is put off
// when it fails.
const earlyPatience = 10 * time.Second

// renewEarly asks once, unless somebody else is about it.
func (k *kept[V]) renewEarly(ctx context.Context, s snapshot[V]) {
	if !k.turn.TryLock() {
		return
	}
	defer k.turn.Unlock()
	if now := k.look(never[V]); now.attempts != s.attempts || now.version != s.version {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, earlyPatience)
	defer cancel()
	g, err := k.ask(ctx, false)
	if err == nil {
		k.keep(g, s.version)
		return
	}
	left := s.grant.expires.Sub(k.clock())
	stays := k.late(err, left)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.version != s.version {
		return
	}
	k.has = stays
	k.grant.renew = k.clock().Add(min(earlyPatience, left/4))
	if failure, ok := errors.AsType[*Failure](err); ok && stays && failure.Kind == Unauthorized {
		k.grant.renew, k.refused = k.grant.expires, err
	}
}

// refusedEarly is how an early renewal was refused, once.
func (k *kept[V]) refusedEarly() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.refused
	k.refused = nil
	return err
}

func never[V any](V) bool { return false }

// fetch asks with patience; callers that wait for their turn meanwhile share its end. again: look once more.
func (k *kept[V]) fetch(ctx context.Context, unwanted func(V) bool, s snapshot[V]) (value V, again bool, err error) {
	if err := k.turn.Lock(ctx); err != nil {
		return value, false, &Failure{Kind: Unavailable, err: err,
			text: "waiting for what another caller has asked for: " + err.Error()}
	}
	defer k.turn.Unlock()
	now := k.look(unwanted)
	if now.good {
		return now.grant.value, false, nil
	}
	if err := k.lately(now, s); err != nil {
		return value, false, err
	}
	if err := k.refusedEarly(); err != nil {
		k.fail(ctx, err, now.version)
		return value, false, err
	}
	g, err := k.ask(ctx, true)
	switch {
	case err != nil:
		if !k.fail(ctx, err, now.version) {
			return value, true, nil
		}
		return value, false, err
	case unwanted(g.value):
		return value, false, k.same()
	case !k.keep(g, now.version):
		return value, true, nil
	}
	return g.value, false, nil
}

// lately is how a request ended that another caller has made since, or that nobody answered just now.
func (k *kept[V]) lately(now, since snapshot[V]) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	shared := now.attempts != since.attempts && now.version == since.version
	if shared || k.clock().Before(k.away) {
		return k.failed
	}
	return nil
}

// maxRest is the longest time for which a refusal counts: whoever mends it in the cockpit waits no longer.
const maxRest = 10 * time.Minute

func (k *kept[V]) fail(ctx context.Context, err error, version int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.version != version {
		return false
	}
	k.attempts++
	if k.failed = err; ctx.Err() != nil {
		k.failed = nil // this caller's own end is not the others'
	}
	failure, found := errors.AsType[*Failure](err)
	switch {
	case found && failure.Temporary():
		k.away = k.clock().Add(k.rest)
	case found && failure.Kind == Unauthorized:
		k.away = k.clock().Add(min(maxRest, k.rest<<min(k.refusals, 16)))
		k.refusals++
	default:
		k.away = time.Time{}
	}
	return true
}

func (k *kept[V]) keep(g grant[V], version int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.version != version {
		return false
	}
	k.attempts, k.failed, k.refused, k.refusals = k.attempts+1, nil, nil, 0
	k.grant, k.has = g, true
	return true
}

// forget gives up the value, and whatever is being asked for now.
func (k *kept[V]) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.has, k.refused = false, nil
	if k.refusals == 0 { // who was refused is not heard any better now
		k.failed = nil
	}
	k.version++
}
