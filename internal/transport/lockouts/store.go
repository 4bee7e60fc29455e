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
	group      Group
	// resumeCommand is the command for operators who have unlocked a user.
	resumeCommand string

	mu        guard.Mutex
	files     []*file // this process's own first
	gates     map[[sha256.Size]byte]*Gate
	locks     map[string]guard.CtxMutex // by [Identity.place]
	resumedAt time.Time                 // the last known resume in the group
}

// New returns a store that keeps refusals in memory only.
func New() *Store {
	return &Store{group: noGroup{}, files: []*file{{}}, gates: map[[sha256.Size]byte]*Gate{},
		locks: map[string]guard.CtxMutex{}, resumeCommand: "culvert connectors lockouts resume"}
}

// ResumeByRun makes refusals name the flag of the next run, because no request can resume logons in this one. Call it
// before the first [Store.Gate].
func (st *Store) ResumeByRun() { st.resumeCommand = "culvert run --resume-logons" }

// Open returns a store that saves refusals in ownFolder and also reads the refusals in others. Processes with the same
// lockFolder make first logons to an origin one after another.
func Open(lockFolder, ownFolder string, others ...string) (*Store, error) {
	ownFile := &file{path: filepath.Join(ownFolder, fileName)}
	if err := os.MkdirAll(ownFolder, 0o700); err != nil {
		return nil, fmt.Errorf("refused logons cannot be stored in %s: %w", ownFolder, err)
	}
	if err := ownFile.create(); err != nil {
		return nil, fmt.Errorf("refused logons cannot be stored in %s: %w", ownFolder, err)
	}
	if err := ownFile.read(); err != nil && ownFile.ownerErr == nil {
		return nil, fmt.Errorf("refused logons cannot be stored in %s: %w", ownFolder, err)
	}
	store := New()
	store.lockFolder = lockFolder
	store.files = []*file{ownFile}
	for _, folder := range others {
		if path := filepath.Join(folder, fileName); path != ownFile.path {
			store.files = append(store.files, &file{path: path, isForeign: true})
		}
	}
	return store, nil
}

// Writable returns an error if the file belongs to another user: refusals are then lost at exit.
func (st *Store) Writable() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.files[0].ownerErr
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

// noGroup is the [Group] of a worker in no group, and of a command.
type noGroup struct{}

// Lookup implements [Group].
func (noGroup) Lookup(Secret) (finding Finding) { return finding }

// Acquire implements [Group].
func (noGroup) Acquire(context.Context, Secret, bool) (attempt string, refused time.Time, err error) {
	return "", time.Time{}, nil
}

// Report implements [Group].
func (noGroup) Report(Secret, string, Outcome) {}

// Resume implements [Group].
func (noGroup) Resume(context.Context) (int, error) { return 0, nil }

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
func (st *Store) JoinGroup(group Group) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.gates) > 0 {
		panic("lockouts: expected no gates before JoinGroup")
	}
	st.group = group
}

// LogTo sets the logger for errors of the file, unless it is set or discards errors.
func (st *Store) LogTo(log *slog.Logger) {
	if log.Enabled(context.Background(), slog.LevelError) {
		st.log.CompareAndSwap(nil, log)
	}
}

// Gate returns the gate of a secret for a service, nil if there is no secret.
func (st *Store) Gate(id Identity) *Gate { return st.gate(id, 0) }

// RouteGate returns the gate of a secret of the route, for example a proxy's password, acquired after the service's.
// maxWait, above zero, bounds the wait for an unknown secret: the answer may come hours later.
func (st *Store) RouteGate(id Identity, maxWait time.Duration) *Gate { return st.gate(id, maxWait) }

// gate returns the gate of a secret, which all requests with it share; nil if there is no secret.
func (st *Store) gate(id Identity, routeWait time.Duration) *Gate {
	if !id.Needed() {
		return nil
	}
	key := id.key()
	st.mu.Lock()
	defer st.mu.Unlock()
	if g := st.gates[key]; g != nil {
		return g
	}
	exclusive := st.locks[id.place()]
	if exclusive == nil {
		exclusive = guard.NewCtxMutex()
		st.locks[id.place()] = exclusive
	}
	g := &Gate{Identity: id, secret: id.toSecret(), store: st, exclusive: exclusive, routeWait: routeWait}
	g.Secret = ""
	st.gates[key] = g
	return g
}

// Status reports whether a secret was accepted since the start, and whether it is locked out. It creates no gate.
func (st *Store) Status(id Identity) (wasAccepted, isRefused bool) {
	s := id.toSecret()
	st.mu.Lock()
	g := st.gates[id.key()]
	st.mu.Unlock()
	if g != nil { // without the lock, because the gate takes it under Gate.mu
		s = g.secret
		wasAccepted, _ = g.trustState()
	}
	since, err := st.refusedSince(s)
	return wasAccepted, !since.IsZero() || err != nil
}

// refusedSince returns the time since which a secret is refused, or zero. The group's first known resume clears older
// refusals, later ones all, since clocks differ.
func (st *Store) refusedSince(secret Secret) (time.Time, error) {
	finding := st.group.Lookup(secret)
	refusedInGroup := finding.Refused
	resumed := finding.Resumed
	secret.Hash() // slow: not under the lock
	st.mu.Lock()
	defer st.mu.Unlock()
	if resumed.After(st.resumedAt) {
		var until time.Time
		if st.resumedAt.IsZero() {
			until = resumed
		}
		st.resumedAt = resumed
		_, _ = st.forget(until)
	}
	var readErr error
	for _, f := range st.files {
		since, err := f.find(secret)
		if !since.IsZero() {
			return since, nil
		}
		readErr = errors.Join(readErr, err)
	}
	if refusedInGroup.IsZero() || resumed.Before(st.resumedAt) { // outdated by a resume
		return time.Time{}, readErr
	}
	st.save(secret, refusedInGroup) // for commands that run next to this worker
	return refusedInGroup, nil
}

func (st *Store) refuse(s Secret) {
	s.Hash() // slow: not under the lock
	st.mu.Lock()
	st.save(s, time.Now())
	st.mu.Unlock()
	st.group.Report(s, "", Rejected)
}

// save stores a refusal, unless one is stored; st.mu is held.
func (st *Store) save(s Secret, at time.Time) {
	if since, _ := st.files[0].find(s); !since.IsZero() {
		return
	}
	err := st.files[0].add(s, at)
	if log := st.log.Load(); err != nil && log != nil {
		log.Error("a refused logon cannot be stored: this process does not send the secret again, but other "+
			"processes and the next start will and may lock the user", "error", err)
	}
}

// forget removes refusals up to a time, or all if it is zero, and returns their number; st.mu is held.
func (st *Store) forget(until time.Time) (forgotten int, err error) {
	for _, f := range st.files {
		n, forgetErr := f.forget(until)
		forgotten += n
		err = errors.Join(err, forgetErr)
	}
	return forgotten, err
}

// Resume clears all refusals, in a group of all workers, after operators have unlocked a user. It returns their number.
func (st *Store) Resume(ctx context.Context) (int, error) {
	forgottenInGroup, err := st.group.Resume(ctx)
	st.mu.Lock()
	defer st.mu.Unlock()
	forgotten, forgetErr := st.forget(time.Time{})
	return max(forgottenInGroup, forgotten), errors.Join(err, forgetErr)
}

// isTriedElsewhere reports whether another worker of the group tries a secret, because a session has ended.
func (st *Store) isTriedElsewhere(secret Secret) bool {
	return st.group.Lookup(secret).IsTried
}

// acquire waits until no other process or worker logs on with the gate's secret. Call end with the outcome.
func (st *Store) acquire(ctx context.Context, g *Gate, sessionEnded bool) (end func(Outcome), err error) {
	secret := g.secret
	unlock := func() {}
	end = func(Outcome) { unlock() }
	attempt, err := st.acquireInGroup(ctx, secret, sessionEnded)
	if err != nil {
		return nil, err
	}
	if attempt != "" {
		end = func(o Outcome) {
			unlock()
			if o != Rejected { // refuse reports rejections
				st.group.Report(secret, attempt, o)
			}
		}
	}
	if st.lockFolder != "" {
		// The name does not reveal the user; users with the same name of a lock file wait for each other. A request
		// that holds the file of its service's secret must not wait for the same one.
		name := "logons-%02x.lock"
		if g.routeWait > 0 {
			name = "route-" + name
		}
		name = fmt.Sprintf(name, sha256.Sum256([]byte(secret.Place))[0])
		unlockFile, err := lockFile(ctx, filepath.Join(st.lockFolder, name))
		if err != nil {
			end(Inconclusive)
			return nil, err
		}
		unlock = unlockFile
	}
	return end, nil
}

// acquireInGroup waits for the group's permission, see [Group]. It stores a refusal that the group knows.
func (st *Store) acquireInGroup(ctx context.Context, secret Secret, sessionEnded bool) (attempt string, err error) {
	secret.Hash() // slow: not under the lock
	for {
		st.mu.Lock()
		resumed := st.resumedAt
		st.mu.Unlock()
		attempt, refusedAt, err := st.group.Acquire(ctx, secret, sessionEnded)
		if err != nil || refusedAt.IsZero() {
			return attempt, err
		}
		st.mu.Lock()
		if resumed.Equal(st.resumedAt) {
			st.save(secret, refusedAt)
		}
		st.mu.Unlock()
		if since, err := st.refusedSince(secret); err != nil || !since.IsZero() {
			return attempt, nil // the caller checks for refusals itself
		}
	}
}

// Lockout is a refused secret, for operators.
type Lockout struct {
	Origin string
	Client string
	User   string
	Since  time.Time
	Text   string // what to do, see [Gate.Refusal]
}

// List returns the refused secrets; others counts refusals of unknown identities.
func (st *Store) List() (list []Lockout, others int) {
	st.mu.Lock()
	gates := make([]*Gate, 0, len(st.gates))
	for _, g := range st.gates {
		gates = append(gates, g)
	}
	st.mu.Unlock()
	for _, g := range gates {
		if since, _ := st.refusedSince(g.secret); !since.IsZero() {
			list = append(list, Lockout{Origin: g.Origin, Client: g.Client, User: g.User, Since: since,
				Text: g.Refusal()})
		}
	}
	slices.SortFunc(list, func(a, b Lockout) int {
		return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Client, b.Client), cmp.Compare(a.User, b.User),
			a.Since.Compare(b.Since))
	})
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, f := range st.files {
		_ = f.read() // after an error its last content counts
		others += len(f.refusals)
	}
	for _, g := range gates {
		for _, f := range st.files {
			if len(f.refusals) > 0 && !f.refusals[f.digest(g.secret)].IsZero() {
				others--
			}
		}
	}
	return list, others
}
