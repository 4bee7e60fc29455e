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

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/lock"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/wit"
)

// Identity is who logs on where, and by what. The client is SAP's, "" if none is named.
type Identity struct{ Origin, Client, User, Secret string }

// place is where an identity logs on as whom. SAP's users have no lower case: me is ME, and locked with it.
func (id Identity) place() string {
	return id.Origin + "\x00" + id.Client + "\x00" + strings.ToUpper(id.User) + "\x00"
}

// Needed reports whether there is anything to log on with.
func (id Identity) Needed() bool { return id.User != "" || id.Secret != "" }

// key tells identities apart.
func (id Identity) key() [sha256.Size]byte { return sha256.Sum256([]byte(id.place() + id.Secret)) }

// Secret stands for a secret, and for who logs on with it where, without showing it.
type Secret struct {
	// Place is origin, SAP client and user, in one text.
	Place string
	// Hash returns a slow hash of the secret (20 ms at the first call), whose salt is the place.
	Hash func() [sha256.Size]byte
}

// hashRounds makes guessing a password from its hash slow: some 20 ms a guess.
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

// Gate is a secret at its gate. The secret itself is not kept. Safe for use by several goroutines.
type Gate struct {
	Identity // without the secret
	secret   Secret
	store    *Store
	exclusive     guard.CtxMutex // of the gate: all secrets of the user share it

	mu       guard.Mutex
	accepted time.Time // the last time; zero before the first, and after a refusal
	// ledAside: requests are redirected elsewhere since a time when the secret was known to be right.
	redirectedAway bool
	underway int  // requests whose answer has not begun
	leading  bool // one of them goes ahead of others
	// suspect is who else may have refused: a proxy that answers 401 for itself.
	suspect string
}

// Unsent is in the place of the status of a request that was not sent.
const Unsent = -1

// LockedOut is the error of a request that was not sent, because its secret was refused before. It wraps a [wit.Fault]
// of kind unauthorized.
type LockedOut struct {
	// Why says who was refused where and since when, and how that is mended.
	Why string
}

// Error is Why.
func (l *LockedOut) Error() string { return l.Why }

// Unwrap is the fault.
func (l *LockedOut) Unwrap() error { return &wit.Error{Kind: wit.ErrorUnauthorized, Message: l.Why} }

// Refusal says who was refused where and since when, and how that is mended, or that refusals can't be read; "" if the
// secret was not refused. So does a nil logon.
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
	suspect := g.suspect
	if g.store.group != nil {
		suspect += " (or two workers of the group ended while they tried it)"
	}
	return fmt.Sprintf("%s was refused (401) at %s by %s%s and is not sent again, because SAP locks users after a few "+
		"failures: change user or password, or, when the user is unlocked and they are right, try once more with "+
		"culvert run --resume-logons, or PUT /culvert/lockouts/resume",
		who, at.Format("2006-01-02 15:04:05 -0700"), g.Origin, suspect)
}

// lockedOut returns the error of a secret that was refused before.
func (g *Gate) lockedOut() error {
	if why := g.Refusal(); why != "" {
		return &LockedOut{why}
	}
	return nil
}

// SetSuspect notes who else may have refused. The refusal counts for the service all the same: nobody can tell, and its
// users are locked.
func (g *Gate) SetSuspect(text string) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.suspect = text
}

const (
	// trustPeriod is for how long a secret that was accepted is known to be right. After that it may have been changed, and
	// sessions have ended that nobody used: the next request goes alone again.
	trustPeriod = time.Minute
	// leaderAfter is after how long without an answer the next request goes ahead of others, firstTurn how long these wait
	// for it at most: if the secret was changed in the meantime, one request is refused.
	leaderAfter, leaderWait = 100 * time.Millisecond, 500 * time.Millisecond
	// openingWait is how long a logon has others wait whose secret was accepted before: an answer may take hours.
	openingWait = 10 * time.Second
	// recentPeriod is how long an acceptance speaks for a secret while requests are redirected elsewhere.
	recentPeriod = time.Hour
)

// Acquire waits until the secret may be sent with a request. opening reports whether that will be a logon of its own,
// since there is no session yet. done must be called with the status of the answer, 0 if none came, [Unsent] if nothing
// was sent. Errors are *[LockedOut], the cause of the context, or of the lock file. A nil logon lets everything
// through.
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
	known, fresh := g.known()
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

// send counts a request as under way until its answer begins, and learns from that. after may be nil.
func (g *Gate) send(after func(Outcome)) (done func(status int)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.underway++
	return func(status int) {
		o := outcome(status)
		g.learn(o)
		if after != nil {
			after(o)
		}
	}
}

// learn notes the outcome of a request. A refusal is known before anybody can ask whether the secret is still right.
func (g *Gate) learn(o Outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.underway--
	switch o {
	case Accepted:
		g.accepted, g.redirectedAway = time.Now(), false
	case Rejected:
		g.accepted, g.redirectedAway = time.Time{}, false
		g.store.refuse(g.secret)
	}
}

// notAuthoritative lists statuses below 500 that do not prove that credentials were checked: of proxies, of guards of
// the service's load, and of what answers before anybody logs on that there is no such service.
var notAuthoritative = []int{http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooManyRequests,
	http.StatusNotFound, http.StatusForbidden}

// outcome is what the status of an answer says of the secret. A gateway that answers 503, or redirects to a page of its
// own, has not looked at it.
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

// mayJoin reports whether a request may go out while others are under way: the secret was right in this moment, or others
// are under way with it anyway.
func (g *Gate) mayJoin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	ago := time.Since(g.accepted)
	return ago < leaderAfter || ago < trustPeriod && g.underway > 0 && !g.leading
}

// known reports whether the secret was accepted, and not refused since; fresh whether that was lately.
func (g *Gate) known() (known, fresh bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.accepted.IsZero(), time.Since(g.accepted) < trustPeriod
}

func (g *Gate) setLeading(leading bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leading = leading
}

// RedirectedAway notes that a request was redirected elsewhere. It reports whether the secret was accepted within the hour
// before that began: the longer somebody answers in the service's place, the longer ago that is.
func (g *Gate) RedirectedAway() bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.redirectedAway = g.redirectedAway || !g.accepted.IsZero() && time.Since(g.accepted) < recentPeriod
	return g.redirectedAway
}

// lockRetryInterval is how often a lock that another process holds is tried again.
const lockRetryInterval = 50 * time.Millisecond

// lockFile waits until no other process holds the lock.
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
