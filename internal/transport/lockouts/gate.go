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

// Identity is a user at an origin with a secret. Client is the SAP client, or "".
type Identity struct{ Origin, Client, User, Secret string }

// place ignores the case of users: in SAP systems me is ME and is locked with it.
func (id Identity) place() string {
	return id.Origin + "\x00" + id.Client + "\x00" + strings.ToUpper(id.User) + "\x00"
}

// Needed reports whether there is anything to log on with.
func (id Identity) Needed() bool { return id.User != "" || id.Secret != "" }

func (id Identity) key() [sha256.Size]byte { return sha256.Sum256([]byte(id.place() + id.Secret)) }

// Secret identifies a secret and its user without revealing it.
type Secret struct {
	// Place is origin, SAP client and user in one text.
	Place string
	// Hash returns a slow hash of the secret (20 ms at the first call), whose salt is the place.
	Hash func() [sha256.Size]byte
}

// hashRounds makes a guess at a hashed password take about 20 ms.
const hashRounds = 100_000

func (id Identity) hidden() Secret {
	place := id.place()
	return Secret{place, sync.OnceValue(func() [sha256.Size]byte {
		hash, err := pbkdf2.Key(sha256.New, id.Secret, []byte("Culvert, a secret at "+place), hashRounds, sha256.Size)
		if err != nil {
			panic(err) // of key lengths that FIPS refuses: ours are not among them
		}
		return [sha256.Size]byte(hash)
	})}
}

// Gate admits requests with one secret, which it does not store. Safe for concurrent use.
type Gate struct {
	Identity  // without the secret
	secret    Secret
	store     *Store
	exclusive guard.CtxMutex // of the gate: all secrets of the user share it

	mu       guard.Mutex
	accepted time.Time // the last time; zero before the first, and after a refusal
	// redirectedAway reports that requests are redirected elsewhere since the secret was known to be right.
	redirectedAway bool
	inFlight       int  // requests whose answer has not begun
	leading        bool // one of them goes ahead of others
	// suspect is a proxy that may have sent the 401 itself.
	proxyHint string
}

// Unsent replaces the status of a request that was not sent.
const Unsent = -1

// LockedOut is the error of a request that was not sent because its secret was refused before. It wraps a
// [wit.Error] of kind unauthorized.
type LockedOut struct {
	// Why describes who was refused where and since when, and what to do.
	Why string
}

// Error returns Why.
func (l *LockedOut) Error() string { return l.Why }

// Unwrap returns the fault.
func (l *LockedOut) Unwrap() error { return &wit.Error{Kind: wit.ErrorUnauthorized, Message: l.Why} }

// Refusal describes who was refused where and since when and what to do, or that stored refusals cannot be read; ""
// if the secret was not refused, and for a nil gate.
func (g *Gate) Refusal() string {
	if g == nil {
		return ""
	}
	at, err := g.store.refused(g.secret)
	if at.IsZero() && err == nil {
		return ""
	}
	who := fmt.Sprintf("the password of user %q", g.User)
	if g.User == "" {
		who = "the secret"
	}
	if g.Client != "" {
		who += " in client " + g.Client
	}
	if err != nil {
		return fmt.Sprintf("%s is not sent to %s, because refused logons can't be read: %v", who, g.Origin, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	suspect := g.proxyHint
	if g.store.group != nil {
		suspect += " (or two workers of the group ended while they tried it)"
	}
	return fmt.Sprintf("%s was refused (401) at %s by %s%s and is not sent again, because SAP locks users after a few "+
		"failures: change user or password, or, when the user is unlocked and they are right, try once more with "+
		"culvert run --resume-logons, or PUT /culvert/lockouts/resume",
		who, at.Format("2006-01-02 15:04:05 -0700"), g.Origin, suspect)
}

func (g *Gate) lockedOut() error {
	if why := g.Refusal(); why != "" {
		return &LockedOut{why}
	}
	return nil
}

// SetProxyHint names a proxy that may have refused instead of the service. The refusal counts for the service
// nevertheless, whose users may be locked.
func (g *Gate) SetProxyHint(text string) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.proxyHint = text
}

const (
	// trustPeriod is how long an accepted secret counts as right. After that it may have been changed, and unused
	// sessions have ended: the next request is sent alone again.
	trustPeriod = time.Minute
	// leaderAfter is the time without an answer after which one request is sent before others, leaderWait how long
	// these wait at most: if the secret was changed in the meantime, only one request is refused.
	leaderAfter, leaderWait = 100 * time.Millisecond, 500 * time.Millisecond
	// openingWait bounds how long others wait for a logon with a known secret: its answer may take hours.
	openingWait = 10 * time.Second
	// recentPeriod is how long an acceptance counts while requests are redirected to another server.
	recentPeriod = time.Hour
)

// Acquire waits until the secret may be sent. opening reports whether the request is a logon of its own because it
// has no session. done must be called with the answer's status, 0 for none, or [Unsent]. Errors are *[LockedOut],
// the context's cause, or that of the lock file. A nil gate admits everything.
func (g *Gate) Acquire(ctx context.Context, opening func() bool) (done func(status int), err error) {
	if g == nil {
		return func(int) {}, nil
	}
	if err := g.lockedOut(); err != nil {
		return nil, err
	}
	if !opening() && g.mayJoin() {
		return g.send(nil), nil
	}
	if err := g.exclusive.Lock(ctx); err != nil {
		return nil, err
	}
	if err := g.lockedOut(); err != nil {
		g.exclusive.Unlock()
		return nil, err
	}
	if !opening() && g.mayJoin() { // by now, thanks to whose turn it was
		g.exclusive.Unlock()
		return g.send(nil), nil
	}
	known, fresh := g.trust()
	end := func(Outcome) {}
	if !fresh {
		if end, err = g.store.acquire(ctx, g.secret); err == nil {
			if err = g.lockedOut(); err != nil { // others have found out while this one waited
				end(Inconclusive)
			}
		}
		if err != nil {
			g.exclusive.Unlock()
			return nil, err
		}
	}
	leads := fresh && !opening()
	var once sync.Once
	release := func(o Outcome) {
		once.Do(func() {
			if leads {
				g.setLeading(false)
			}
			end(o)
			g.exclusive.Unlock()
		})
	}
	if !known {
		return g.send(release), nil
	}
	most := openingWait
	if leads {
		most = leaderWait
		g.setLeading(true)
	}
	giveUp := func() { release(Inconclusive) }
	timer := time.AfterFunc(most, giveUp)
	return g.send(func(o Outcome) { timer.Stop(); release(o) }), nil
}

// send counts a request in flight until done; after may be nil.
func (g *Gate) send(after func(Outcome)) (done func(status int)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight++
	return func(status int) {
		o := outcome(status)
		g.record(o)
		if after != nil {
			after(o)
		}
	}
}

// record stores a refusal before another request can check the secret.
func (g *Gate) record(o Outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	switch o {
	case Accepted:
		g.accepted, g.redirectedAway = time.Now(), false
	case Rejected:
		g.accepted, g.redirectedAway = time.Time{}, false
		g.store.refuse(g.secret)
	}
}

// notAuthoritative are statuses below 500 that do not prove that credentials were checked: they come from proxies,
// rate limits, or a check of the path before the logon.
var notAuthoritative = []int{http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooManyRequests,
	http.StatusNotFound, http.StatusForbidden}

// outcome ignores 503 and redirects of gateways, which have not checked the secret.
func outcome(status int) Outcome {
	switch {
	case status == http.StatusUnauthorized:
		return Rejected
	case status <= 0, status >= 500, slices.Contains(notAuthoritative, status),
		status/100 == 3 && status != http.StatusNotModified:
		return Inconclusive
	}
	return Accepted
}

// mayJoin reports whether a request may be sent concurrently: the secret was just accepted, or others are in flight
// with it.
func (g *Gate) mayJoin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	ago := time.Since(g.accepted)
	return ago < leaderAfter || ago < trustPeriod && g.inFlight > 0 && !g.leading
}

// trust reports whether the secret was accepted and not refused since; fresh whether within [trustPeriod].
func (g *Gate) trust() (known, fresh bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.accepted.IsZero(), time.Since(g.accepted) < trustPeriod
}

func (g *Gate) setLeading(leading bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leading = leading
}

// RedirectedAway records a redirect to another server. It reports whether the secret was accepted within the hour
// before the redirects began.
func (g *Gate) RedirectedAway() bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.redirectedAway = g.redirectedAway || !g.accepted.IsZero() && time.Since(g.accepted) < recentPeriod
	return g.redirectedAway
}

const lockRetryInterval = 50 * time.Millisecond

func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	for {
		l, err := lock.Acquire(path)
		switch {
		case err == nil:
			return func() { l.Release() }, nil
		case errors.Is(err, errors.ErrUnsupported):
			// By this system, or this file system. First logons of several processes may go side by side here; what was
			// refused is known to all of them after that.
			return func() {}, nil
		case !errors.Is(err, lock.ErrLocked):
			return nil, fmt.Errorf("first logons: %w", err)
		}
		if err := pause.For(ctx, lockRetryInterval); err != nil {
			return nil, err
		}
	}
}
