package lockouts

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
)

// Store holds gates, and refused secrets, which its file preserves. Safe for concurrent use.
type Store struct {
	lockFolder string // of lock files, or ""
	log        atomic.Pointer[slog.Logger]
	group      Group // nil for a single worker

	mu            guard.Mutex
	files         []*file  // this process's own first
	legacyFolders []string // with refusals of older versions
	gates         map[[sha256.Size]byte]*Gate
	locks         map[string]guard.CtxMutex // by [Identity.place]
	resumedAt     time.Time                 // the last known resume in the group
}

func New() *Store {
	return &Store{files: []*file{{}}, gates: map[[sha256.Size]byte]*Gate{}, locks: map[string]guard.CtxMutex{}}
}

// Open returns a store that saves refusals in folder own and also reads those of others. Processes with the same
// folder locks make first logons to an origin one after another.
func Open(locks, own string, others ...string) (*Store, error) {
	ownFile, err := openFile(own)
	if err != nil {
		return nil, fmt.Errorf("refused logons cannot be stored in %s: %w", own, err)
	}
	store := New()
	store.lockFolder = locks
	store.files = []*file{ownFile}
	for _, folder := range append([]string{own}, others...) {
		if former := filepath.Join(folder, legacyFolder); hasLegacyRefusals(former) {
			store.legacyFolders = append(store.legacyFolders, former)
		}
	}
	for _, folder := range others {
		if path := filepath.Join(folder, fileName); path != ownFile.path {
			store.files = append(store.files, &file{path: path, foreign: true})
		}
	}
	return store, nil
}

// Writable returns an error if the file belongs to another user: refusals are then lost at exit.
func (l *Store) Writable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.files[0].ownerErr
}

// Group shares refusals among the workers of a group (RATIONALE.md P10). Lookup and Report do not block.
type Group interface {
	// Lookup returns what this worker has read about the secret.
	Lookup(Secret) Finding
	// Acquire waits for permission to log on, ended by Report. attempt is "" if none is needed, or the secret was
	// refused. sessionEnded requests permission even if the secret was accepted just now.
	Acquire(ctx context.Context, s Secret, sessionEnded bool) (attempt string, refused time.Time, err error)
	Report(s Secret, attempt string, o Outcome)
	Resume(context.Context) (int, error)
}

// Finding holds what a worker has read about a secret of its group.
type Finding struct {
	// Refused is when the secret was refused. Zero means that it was not.
	Refused time.Time
	// Resumed is when an operator resumed last.
	Resumed time.Time
	// IsTried reports whether another worker tries the secret, because a session has ended.
	IsTried bool
}

// Outcome is what an answer proves about a secret.
type Outcome string

const (
	// Inconclusive means that the secret was not checked.
	Inconclusive Outcome = "nothing"
	Accepted     Outcome = "accepted"
	Rejected     Outcome = "refused"
)

// JoinGroup shares refusals with a group. Call it before the first [Store.Gate].
func (l *Store) JoinGroup(group Group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.gates) > 0 {
		panic("lockouts: expected no gates before JoinGroup")
	}
	l.group = group
}

// LogTo sets the logger for errors of the file, unless it is set or discards errors.
func (l *Store) LogTo(log *slog.Logger) {
	if log.Enabled(context.Background(), slog.LevelError) {
		l.log.CompareAndSwap(nil, log)
	}
}

// Gate returns the gate of a secret for a service, nil if there is no secret.
func (l *Store) Gate(id Identity) *Gate { return l.gate(id, 0) }

// RouteGate returns the gate of a secret that the route to a service sends, for example a proxy's password. A request
// acquires it while it holds the service's gate. maxWait, above zero, bounds the wait for an answer to an unknown
// secret: the route may answer only when the service does, hours later.
func (l *Store) RouteGate(id Identity, maxWait time.Duration) *Gate { return l.gate(id, maxWait) }

func (l *Store) gate(id Identity, routeWait time.Duration) *Gate {
	if !id.Needed() {
		return nil
	}
	key := id.key()
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.gates[key]; g != nil {
		return g
	}
	exclusive := l.locks[id.place()]
	if exclusive == nil {
		exclusive = guard.NewCtxMutex()
		l.locks[id.place()] = exclusive
	}
	g := &Gate{Identity: id, secret: id.hidden(), store: l, exclusive: exclusive, routeWait: routeWait}
	g.Secret = ""
	l.gates[key] = g
	l.importLegacy(id, g.secret)
	return g
}

func (l *Store) Status(id Identity) (accepted, isRefused bool) {
	s := id.hidden()
	l.mu.Lock()
	g := l.gates[id.key()]
	if g == nil {
		l.importLegacy(id, s)
	}
	l.mu.Unlock()
	if g != nil { // without the lock, because the gate takes it under Gate.mu
		s = g.secret
		accepted, _ = g.trust()
	}
	at, err := l.refused(s)
	return accepted, !at.IsZero() || err != nil
}

// refused returns since when a secret is refused, or zero. The group's first known resume clears older refusals,
// later ones all, since clocks differ.
func (l *Store) refused(secret Secret) (time.Time, error) {
	var inGroup, resumed time.Time
	if l.group != nil {
		finding := l.group.Lookup(secret)
		inGroup = finding.Refused
		resumed = finding.Resumed
	}
	secret.Hash() // slow: not under the lock
	l.mu.Lock()
	defer l.mu.Unlock()
	if resumed.After(l.resumedAt) {
		var until time.Time
		if l.resumedAt.IsZero() {
			until = resumed
		}
		l.resumedAt = resumed
		_, _ = l.forget(until)
	}
	var unread error
	for _, f := range l.files {
		at, err := f.find(secret)
		if !at.IsZero() {
			return at, nil
		}
		unread = errors.Join(unread, err)
	}
	if inGroup.IsZero() || resumed.Before(l.resumedAt) { // outdated by a resume
		return time.Time{}, unread
	}
	l.save(secret, inGroup) // for commands that run next to this worker
	return inGroup, nil
}

func (l *Store) refuse(s Secret) {
	s.Hash() // slow: not under the lock
	l.mu.Lock()
	l.save(s, time.Now())
	l.mu.Unlock()
	if l.group != nil {
		l.group.Report(s, "", Rejected)
	}
}

func (l *Store) save(s Secret, at time.Time) {
	if known, _ := l.files[0].find(s); !known.IsZero() {
		return
	}
	err := l.files[0].add(s, at)
	if log := l.log.Load(); err != nil && log != nil {
		log.Error("a refused logon cannot be stored: this process does not send the secret again, but other "+
			"processes and the next start will and may lock the user", "error", err)
	}
}

// forget removes refusals up to a time, or all; l.mu is held.
func (l *Store) forget(until time.Time) (forgotten int, err error) {
	if until.IsZero() {
		for _, folder := range l.legacyFolders {
			err = errors.Join(err, os.RemoveAll(folder))
		}
		l.legacyFolders = nil
	}
	for _, f := range l.files {
		n, forgetErr := f.forget(until)
		forgotten = forgotten + n
		err = errors.Join(err, forgetErr)
	}
	return forgotten, err
}

// Resume clears all refusals, in a group of all workers, after operators have unlocked a user.
func (l *Store) Resume(ctx context.Context) (int, error) {
	known := 0
	err := error(nil)
	if l.group != nil {
		known, err = l.group.Resume(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	forgotten, forgetErr := l.forget(time.Time{})
	return max(known, forgotten), errors.Join(err, forgetErr)
}

// isTriedElsewhere reports whether another worker of the group tries a secret, because a session has ended.
func (l *Store) isTriedElsewhere(secret Secret) bool {
	return l.group != nil && l.group.Lookup(secret).IsTried
}

func (l *Store) acquire(ctx context.Context, g *Gate, sessionEnded bool) (end func(Outcome), err error) {
	secret := g.secret
	unlock := func() {}
	end = func(Outcome) { unlock() }
	if l.group != nil {
		attempt, err := l.acquireInGroup(ctx, secret, sessionEnded)
		if err != nil {
			return nil, err
		}
		if attempt != "" {
			end = func(o Outcome) {
				unlock()
				if o != Rejected { // refuse reports rejections
					l.group.Report(secret, attempt, o)
				}
			}
		}
	}
	if l.lockFolder != "" {
		// The name does not reveal the user; users with the same name of a lock file wait for each other. A request
		// that holds the file of its service's secret must not wait for the same one.
		name := "logons-%02x.lock"
		if g.routeWait > 0 {
			name = "route-" + name
		}
		name = fmt.Sprintf(name, sha256.Sum256([]byte(secret.Place))[0])
		unlockFile, err := lockFile(ctx, filepath.Join(l.lockFolder, name))
		if err != nil {
			end(Inconclusive)
			return nil, err
		}
		unlock = unlockFile
	}
	return end, nil
}

func (l *Store) acquireInGroup(ctx context.Context, secret Secret, sessionEnded bool) (attempt string, err error) {
	secret.Hash() // slow: not under the lock
	for {
		l.mu.Lock()
		resumed := l.resumedAt
		l.mu.Unlock()
		attempt, refusedAt, err := l.group.Acquire(ctx, secret, sessionEnded)
		if err != nil || refusedAt.IsZero() {
			return attempt, err
		}
		l.mu.Lock()
		if resumed.Equal(l.resumedAt) {
			l.save(secret, refusedAt)
		}
		l.mu.Unlock()
		if at, err := l.refused(secret); err != nil || !at.IsZero() {
			return attempt, nil // the caller checks for refusals itself
		}
	}
}

type Lockout struct {
	Origin string
	Client string
	User   string
	Since  time.Time
	Text   string
}

// List returns the refused secrets; others counts refusals of unknown identities.
func (l *Store) List() (list []Lockout, others int) {
	l.mu.Lock()
	known := make([]*Gate, 0, len(l.gates))
	for _, g := range l.gates {
		known = append(known, g)
	}
	l.mu.Unlock()
	for _, g := range known {
		if at, _ := l.refused(g.secret); !at.IsZero() {
			list = append(list, Lockout{Origin: g.Origin, Client: g.Client, User: g.User, Since: at, Text: g.Refusal()})
		}
	}
	slices.SortFunc(list, func(a, b Lockout) int {
		return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Client, b.Client), cmp.Compare(a.User, b.User),
			a.Since.Compare(b.Since))
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.files {
		_ = f.read()
		others += len(f.refused)
	}
	for _, g := range known {
		for _, f := range l.files {
			if len(f.refused) > 0 && !f.refused[f.digest(g.secret)].IsZero() {
				others--
			}
		}
	}
	return list, others
}
