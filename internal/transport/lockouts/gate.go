package lockouts

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/base/lock"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/wit"
)

// Identity is a user at an origin with a secret. Client is the SAP client, or "". The origin of a proxy's user is
// [ProxyOrigin], followed by the proxy's address.
type Identity struct{ Origin, Client, User, Secret string }

// ProxyOrigin begins the origin of a proxy's user.
const ProxyOrigin = "proxy "

// place identifies the user at the origin. It ignores the case of users, as SAP systems do.
func (id Identity) place() string {
	return id.Origin + "\x00" + id.Client + "\x00" + strings.ToUpper(id.User) + "\x00"
}

// Needed reports whether there is anything to log on with, so that a gate is needed.
func (id Identity) Needed() bool { return id.User != "" || id.Secret != "" }

func (id Identity) key() [sha256.Size]byte { return sha256.Sum256([]byte(id.place() + id.Secret)) }

// Secret identifies a secret and its user without revealing it.
type Secret struct {
	Place string
	// Hash returns a hash of the secret, salted with the place. The first call takes 20 ms.
	Hash func() [sha256.Size]byte
}

const hashRounds = 100_000

func (id Identity) toSecret() Secret {
	place := id.place()
	return Secret{Place: place, Hash: sync.OnceValue(func() [sha256.Size]byte {
		hash, err := pbkdf2.Key(sha256.New, id.Secret, []byte("Culvert, a secret at "+place), hashRounds, sha256.Size)
		if err != nil {
			panic(err) // only for key lengths that FIPS forbids
		}
		return [sha256.Size]byte(hash)
	})}
}

// Gate admits requests with one secret, of which it knows only a hash. Safe for concurrent use.
type Gate struct {
	Identity  // without the secret
	secret    Secret
	routeWait time.Duration // zero for services, see [Store.RouteGate]
	store     *Store
	exclusive guard.CtxMutex // held while logging on; all secrets of the user share it

	mu             guard.Mutex
	acceptedAt     time.Time // when the secret was accepted last; zero after a refusal
	lookups        lookups   // of the secret's refusals
	redirectedAway bool      // to another server since the secret was accepted
	inFlight       int       // requests without a response yet
	hasLeader      bool      // one of them was sent before others to test the secret
	recheck        *Recheck  // nil unless sessions have ended
	proxyHint      string
}

// Unsent replaces the status of a request that was not sent.
const Unsent = -1

// LockedOut is the error of a request that was not sent, a [wit.Error] of kind unauthorized.
type LockedOut struct {
	Why string
}

func (l *LockedOut) Error() string { return l.Why }

func (l *LockedOut) Unwrap() error { return &wit.Error{Kind: wit.ErrorUnauthorized, Message: l.Why} }

// Refusal describes the refused logon: the user, the place, the time, and what to do; "" if the secret may be sent.
func (g *Gate) Refusal() string {
	if g == nil {
		return ""
	}
	g.mu.Lock()
	mark := g.lookups.begin()
	g.mu.Unlock()
	since, err := g.store.refusedSince(g.secret)
	g.mu.Lock()
	defer g.mu.Unlock()
	if since.IsZero() && err == nil {
		g.lookups.foundNone(mark)
		return ""
	}
	g.lookups.reject()
	who := fmt.Sprintf("the password of user %q", g.User)
	if g.User == "" {
		who = "the secret"
	}
	if g.Client != "" {
		who += " in client " + g.Client
	}
	if err != nil {
		return fmt.Sprintf("%s is not sent to %s, because the list of refused logons cannot be read: %v", who,
			g.Origin, err)
	}
	hint := g.proxyHint
	if g.store.group != (noGroup{}) {
		hint += " (or two workers of the group stopped while they tried it)"
	}
	status := " (401)"
	consequence := "and is not sent again, because SAP locks users after a few failures"
	if strings.HasPrefix(g.Origin, ProxyOrigin) {
		status = ""
		consequence = "and is not sent again, because directories lock users after a few failures"
	}
	return fmt.Sprintf("%s was refused%s at %s by %s%s %s: correct user or password, or, if they are right and the "+
		"user is unlocked, run %s",
		who, status, since.Format("2006-01-02 15:04:05 -0700"), g.Origin, hint, consequence, g.store.resumeCommand)
}

func (g *Gate) lockedOut() error {
	if refusal := g.Refusal(); refusal != "" {
		return &LockedOut{Why: refusal}
	}
	return nil
}

// checkRequest is lockedOut without a look-up in the files just after the secret was accepted, see [lookups].
func (g *Gate) checkRequest() error {
	g.mu.Lock()
	canOmit := g.lookups.canOmit(time.Now())
	g.mu.Unlock()
	if canOmit && g.store.group.Lookup(g.secret).Refused.IsZero() {
		return nil
	}
	return g.lockedOut()
}

// SetProxyHint names a proxy that may have sent the 401; it counts as the service's nevertheless.
func (g *Gate) SetProxyHint(text string) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.proxyHint = text
}

const (
	// trustPeriod is how long an accepted secret counts as right; the next request after it is sent alone again.
	trustPeriod = time.Minute
	// After leaderAfter without a response, one request is sent before others, in case the secret has changed.
	leaderAfter, leaderWait = 100 * time.Millisecond, 500 * time.Millisecond
	// openingWait bounds the wait for a logon with a known secret, whose response may take hours.
	openingWait  = 10 * time.Second
	recentPeriod = time.Hour // see RedirectedAway
)

// Acquire waits until the secret may be sent. isOpening reports whether the request logs on. done must be called with
// the response's status, 0 for none, or [Unsent]. A nil gate admits everything.
func (g *Gate) Acquire(ctx context.Context, isOpening func() bool) (done func(status int), err error) {
	if g == nil {
		return func(int) {}, nil
	}
	// Join other requests if the secret is trusted, else get the lock at a time without a recheck.
	for {
		if err := g.checkRequest(); err != nil {
			return nil, err
		}
		for r := g.currentRecheck(); r != nil; r = g.currentRecheck() {
			select {
			case <-r.ended:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		if err := g.checkRequest(); err != nil {
			return nil, err
		}
		if !isOpening() && g.mayJoin() {
			return g.begin(nil), nil
		}
		if err := g.exclusive.Lock(ctx); err != nil {
			return nil, err
		}
		if g.currentRecheck() == nil {
			break
		}
		g.exclusive.Unlock()
	}
	// Another request may have logged on, or been refused, during the wait for the lock.
	if err := g.checkRequest(); err != nil {
		g.exclusive.Unlock()
		return nil, err
	}
	if !isOpening() && g.mayJoin() {
		g.exclusive.Unlock()
		return g.begin(nil), nil
	}
	// This request holds the lock until its response, or for maxWait.
	isTrusted, isRecent := g.trustState()
	end := func(Outcome) {}
	if !isRecent { // not next to logons of other processes and workers either
		if end, err = g.acquireTurn(ctx, false); err != nil {
			g.exclusive.Unlock()
			return nil, err
		}
	}
	isLeader := isRecent && !isOpening()
	var once sync.Once
	release := func(o Outcome) {
		once.Do(func() {
			if isLeader {
				g.setHasLeader(false)
			}
			end(o)
			g.exclusive.Unlock()
		})
	}
	maxWait := openingWait
	switch {
	case !isTrusted && g.routeWait == 0: // only the response decides
		return g.begin(release), nil
	case !isTrusted:
		maxWait = g.routeWait
	case isLeader:
		maxWait = leaderWait
		g.setHasLeader(true)
	}
	timer := releaseAfter(maxWait, release)
	return g.begin(func(o Outcome) {
		timer.Stop()
		release(o)
	}), nil
}

// releaseAfter lets others log on if there is no response within a time. The caller stops the timer.
func releaseAfter(wait time.Duration, release func(Outcome)) *time.Timer {
	admitOthers := func() { release(Inconclusive) }
	return time.AfterFunc(wait, admitOthers)
}

// acquireTurn waits until no other process or worker logs on with the secret. Call end with the outcome.
func (g *Gate) acquireTurn(ctx context.Context, sessionEnded bool) (end func(Outcome), err error) {
	if end, err = g.store.acquire(ctx, g, sessionEnded); err != nil {
		return nil, err
	}
	if err = g.lockedOut(); err != nil { // refused for another process or worker in the meantime
		end(Inconclusive)
		return nil, err
	}
	return end, nil
}

// begin counts a request in flight. done records the outcome and then calls after, which may be nil.
func (g *Gate) begin(after func(Outcome)) (done func(status int)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight++
	return func(status int) {
		o := outcomeOf(status)
		g.record(o)
		if after != nil {
			after(o)
		}
	}
}

// record records the end of a request in flight.
func (g *Gate) record(o Outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	switch o {
	case Accepted:
		g.acceptedAt = time.Now()
		g.redirectedAway = false
		g.lookups.accept(g.acceptedAt)
	case Rejected:
		g.acceptedAt = time.Time{}
		g.redirectedAway = false
		g.refuse()
	}
}

// refuse stores a refusal; g.mu is held.
func (g *Gate) refuse() {
	g.lookups.reject()
	g.store.refuse(g.secret)
}

// ObserveRefusal records that the secret was refused, whatever its request receives: net/http may still dial a proxy
// when the request has ended. A request that begins before sends the secret again. A nil gate does nothing.
func (g *Gate) ObserveRefusal() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.acceptedAt = time.Time{}
	g.refuse()
}

// Observe records that a secret was accepted that was sent together with the secret of another gate. A refusal is
// attributed to the other gate. A nil gate observes nothing.
func (g *Gate) Observe(status int) {
	if g == nil || outcomeOf(status) != Accepted {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.acceptedAt = time.Now()
}

// inconclusiveStatuses are statuses below 500 that may come from proxies, rate limits or a check of the path.
var inconclusiveStatuses = []int{http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooManyRequests,
	http.StatusNotFound, http.StatusForbidden}

func outcomeOf(status int) Outcome {
	switch {
	case status == http.StatusUnauthorized:
		return Rejected
	case status <= 0, status >= 500, slices.Contains(inconclusiveStatuses, status),
		status/100 == 3 && status != http.StatusNotModified: // a redirect, maybe to a logon page
		return Inconclusive
	}
	return Accepted
}

// mayJoin reports whether a request in an open session may be sent next to others.
func (g *Gate) mayJoin() bool {
	if g.store.isTriedElsewhere(g.secret) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	elapsed := time.Since(g.acceptedAt)
	return elapsed < leaderAfter || (elapsed < trustPeriod && g.inFlight > 0 && !g.hasLeader)
}

// trustState reports whether the secret counts as right, and whether it was accepted within [trustPeriod].
func (g *Gate) trustState() (isTrusted, isRecent bool) {
	isTried := g.store.isTriedElsewhere(g.secret)
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.acceptedAt.IsZero(), time.Since(g.acceptedAt) < trustPeriod && !isTried
}

func (g *Gate) setHasLeader(hasLeader bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hasLeader = hasLeader
}

// RedirectedAway records a redirect to another server. It reports whether the secret was accepted in the hour before
// or, if the client had answers before, ever: a secret that was changed since then may be wrong. A nil gate
// guards no secret and returns hasAnswers.
func (g *Gate) RedirectedAway(hasAnswers bool) bool {
	if g == nil {
		return hasAnswers
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	wasAccepted := !g.acceptedAt.IsZero()
	g.redirectedAway = g.redirectedAway || (wasAccepted && time.Since(g.acceptedAt) < recentPeriod)
	return g.redirectedAway || (wasAccepted && hasAnswers)
}

const lockRetryInterval = 50 * time.Millisecond

// lockFile locks a file. It waits while another process holds the lock.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	for {
		l, err := lock.Acquire(path)
		switch {
		case err == nil:
			return func() { l.Release() }, nil
		case errors.Is(err, errors.ErrUnsupported):
			// Without file locks, first logons of several processes may be concurrent; all know a refusal afterwards.
			return func() {}, nil
		case !errors.Is(err, lock.ErrLocked):
			return nil, fmt.Errorf("waiting for logons of other processes: %w", err)
		}
		if err := pause.For(ctx, lockRetryInterval); err != nil {
			return nil, err
		}
	}
}
