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

// Store holds the gates of a process and the refused secrets. All clients share one; its file, if any, outlives the
// process. Safe for concurrent use.
type Store struct {
	lockFolder string // the folder of lock files, "" for none
	log        atomic.Pointer[slog.Logger]
	group      Group // nil for a worker that is alone

	mu            guard.Mutex
	files         []*file  // the own one first
	legacyFolders []string // folders of [legacyFolder]
	gates         map[[sha256.Size]byte]*Gate
	locks         map[string]guard.CtxMutex // by [Identity.place]
	resumedAt     time.Time                 // when an operator had resumed in the group, as of the last look
}

// New returns a store in memory.
func New() *Store {
	return &Store{files: []*file{{}}, gates: map[[sha256.Size]byte]*Gate{}, locks: map[string]guard.CtxMutex{}}
}

// Open returns a store that saves refusals in a file in folder own, which is created if needed, and reads those of
// the other folders, so that a worker and commands share them. Processes with the same folder locks log on to an
// origin for the first time one after another.
func Open(locks, own string, others ...string) (*Store, error) {
	f, err := openFile(own)
	if err != nil {
		return nil, fmt.Errorf("refused logons are kept in %s: %w", own, err)
	}
	l := New()
	l.lockFolder, l.files = locks, []*file{f}
	for _, folder := range append([]string{own}, others...) {
		if former := filepath.Join(folder, legacyFolder); hasLegacyRefusals(former) {
			l.legacyFolders = append(l.legacyFolders, former)
		}
	}
	for _, folder := range others {
		if path := filepath.Join(folder, fileName); path != f.path {
			l.files = append(l.files, &file{path: path, foreign: true})
		}
	}
	return l, nil
}

// Writable returns an error if the own file belongs to another user: refusals are lost at exit then.
func (l *Store) Writable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.files[0].ownerErr
}

// Group shares refusals among the workers of a group (P10). Safe for concurrent use; all methods but Acquire and
// Resume return at once.
type Group interface {
	// Lookup returns when the group learned of the secret's refusal (zero means not refused), and when an operator
	// resumed last.
	Lookup(Secret) (refused, resumed time.Time)
	// Acquire waits for the exclusive turn to log on with a secret, which [Group.Report] ends. turn is "" if none
	// is needed; refused is set then if the secret was refused. The error is the context's cause.
	Acquire(context.Context, Secret) (turn string, refused time.Time, err error)
	// Report stores a secret's outcome. A refusal counts even without a turn.
	Report(s Secret, turn string, o Outcome)
	// Resume clears the refusals of all workers and returns their number.
	Resume(context.Context) (int, error)
}

// Outcome is what an answer proves about a secret.
type Outcome string

// The outcomes.
const (
	// Inconclusive means that the secret was not checked.
	Inconclusive Outcome = "nothing"
	Accepted     Outcome = "accepted"
	Rejected     Outcome = "refused"
)

// JoinGroup shares refusals and turns with the workers of a group. It must precede the first [Store.Gate].
func (l *Store) JoinGroup(with Group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.gates) > 0 {
		panic("lockouts: expected no logons before Share")
	}
	l.group = with
}

// LogTo sets the logger for errors of the file, unless it is set or discards errors.
func (l *Store) LogTo(log *slog.Logger) {
	if log.Enabled(context.Background(), slog.LevelError) {
		l.log.CompareAndSwap(nil, log)
	}
}

// Gate returns the gate of an identity; nil without user and secret.
func (l *Store) Gate(id Identity) *Gate {
	if !id.Needed() {
		return nil
	}
	key := id.key()
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.gates[key]; g != nil {
		return g
	}
	turn := l.locks[id.place()]
	if turn == nil {
		turn = guard.NewCtxMutex()
		l.locks[id.place()] = turn
	}
	g := &Gate{Identity: id, secret: id.hidden(), store: l, exclusive: turn}
	g.Secret = ""
	l.gates[key] = g
	l.importLegacy(id, g.secret)
	return g
}

// Status reports whether the origin accepted the secret in this process and has not refused it since; and whether
// it counts as refused, so that it is not sent.
func (l *Store) Status(id Identity) (accepted, isRefused bool) {
	l.mu.Lock()
	g, s := l.gates[id.key()], id.hidden()
	if g == nil {
		l.importLegacy(id, s)
	} else {
		s = g.secret
		accepted, _ = g.trust()
	}
	l.mu.Unlock()
	at, err := l.refused(s)
	return accepted, !at.IsZero() || err != nil
}

// refused returns since when a secret is refused, by this process, its files and the group; zero if it is not. The
// error is that of the own file. The first resume known from the group clears what this worker stored before it;
// later ones clear everything, since clocks differ.
func (l *Store) refused(s Secret) (time.Time, error) {
	var inGroup, resumed time.Time
	if l.group != nil {
		inGroup, resumed = l.group.Lookup(s)
	}
	s.Hash() // before others wait for the lock
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
		at, err := f.find(s)
		if !at.IsZero() {
			return at, nil
		}
		unread = errors.Join(unread, err)
	}
	if inGroup.IsZero() || resumed.Before(l.resumedAt) { // a look from before a resume
		return time.Time{}, unread
	}
	l.save(s, inGroup) // for commands beside this worker
	return inGroup, nil
}

func (l *Store) refuse(s Secret) {
	s.Hash() // before others wait for the lock
	l.mu.Lock()
	l.save(s, time.Now())
	l.mu.Unlock()
	if l.group != nil {
		l.group.Report(s, "", Rejected)
	}
}

// save expects l.mu to be held. It logs failures, since after a restart the secret would be sent again.
func (l *Store) save(s Secret, at time.Time) {
	if known, _ := l.files[0].find(s); !known.IsZero() {
		return
	}
	err := l.files[0].add(s, at)
	if log := l.log.Load(); err != nil && log != nil {
		log.Error("a refused logon can't be written down: until this process ends the secret is not sent again, other "+
			"processes and the next start do not know and may lock the user", "error", err)
	}
}

// forget removes refusals up to a time, all if it is zero; l.mu is held.
func (l *Store) forget(until time.Time) (forgotten int, err error) {
	if until.IsZero() {
		for _, folder := range l.legacyFolders {
			err = errors.Join(err, os.RemoveAll(folder))
		}
		l.legacyFolders = nil
	}
	for _, f := range l.files {
		n, wrong := f.forget(until)
		forgotten, err = forgotten+n, errors.Join(err, wrong)
	}
	return forgotten, err
}

// Resume clears all refusals, for operators who have unlocked a user, and returns their number. In a group it
// applies to all workers and waits for a leader until ctx ends.
func (l *Store) Resume(ctx context.Context) (int, error) {
	known, err := 0, error(nil)
	if l.group != nil {
		known, err = l.group.Resume(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	forgotten, here := l.forget(time.Time{})
	return max(known, forgotten), errors.Join(err, here)
}

// acquire waits until no other process or worker logs on with a secret of the user. end reports the outcome.
func (l *Store) acquire(ctx context.Context, s Secret) (end func(Outcome), err error) {
	unlock := func() {}
	end = func(Outcome) { unlock() }
	if l.group != nil {
		turn, err := l.acquireInGroup(ctx, s)
		if err != nil {
			return nil, err
		}
		if turn != "" {
			end = func(o Outcome) {
				unlock()
				if o != Rejected { // which ends it, too, see refuse
					l.group.Report(s, turn, o)
				}
			}
		}
	}
	if l.lockFolder != "" {
		// The name says nothing of who logs on where: users that share it wait for each other.
		name := fmt.Sprintf("logons-%02x.lock", sha256.Sum256([]byte(s.Place))[0])
		taken, err := lockFile(ctx, filepath.Join(l.lockFolder, name))
		if err != nil {
			end(Inconclusive)
			return nil, err
		}
		unlock = taken
	}
	return end, nil
}

// acquireInGroup saves a refusal known to the group, unless an operator resumed in the meantime.
func (l *Store) acquireInGroup(ctx context.Context, s Secret) (turn string, err error) {
	s.Hash() // before others wait for the lock
	for {
		l.mu.Lock()
		resumed := l.resumedAt
		l.mu.Unlock()
		turn, at, err := l.group.Acquire(ctx, s)
		if err != nil || at.IsZero() {
			return turn, err
		}
		l.mu.Lock()
		if resumed.Equal(l.resumedAt) {
			l.save(s, at)
		}
		l.mu.Unlock()
		if at, err := l.refused(s); err != nil || !at.IsZero() {
			return turn, nil // the caller looks itself
		}
	}
}

// Lockout is a secret that is not sent.
type Lockout struct {
	Origin, Client, User string
	Since                time.Time
	// Text describes the refusal and what to do.
	Text string
}

// List returns the lockouts of this process's identities. others counts stored refusals of unknown identities.
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
