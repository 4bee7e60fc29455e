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

	"github.com/culvert-project/culvert/host/guard"
)

// Store holds the gates of a process, and which secrets were refused. One is shared by all clients of a process; its
// file, if it has one, outlives it. Safe for use by several goroutines.
type Store struct {
	lockFolder string // the folder of lock files, "" for none
	log   atomic.Pointer[slog.Logger]
	group Group // nil for a worker that is alone

	mu      guard.Mutex
	files   []*file  // the own one first
	former  []string // folders of [formerFolder]
	gates  map[[sha256.Size]byte]*Gate
	locks   map[string]guard.CtxMutex // by [Identity.place]
	resumed time.Time             // when an operator had resumed in the group, as of the last look
}

// New returns a store that ends with the process.
func New() *Store {
	return &Store{files: []*file{{}}, gates: map[[sha256.Size]byte]*Gate{}, locks: map[string]guard.CtxMutex{}}
}

// Open returns a store that keeps refusals in a file in the first folder, which is made if it is missing, and reads
// those in files of the other folders: a worker and commands beside it know of each other. While processes with the
// same folder locks log on to an origin for the first time, the others wait.
func Open(locks, own string, others ...string) (*Store, error) {
	f, err := openFile(own)
	if err != nil {
		return nil, fmt.Errorf("refused logons are kept in %s: %w", own, err)
	}
	l := New()
	l.lockFolder, l.files = locks, []*file{f}
	for _, folder := range append([]string{own}, others...) {
		if former := filepath.Join(folder, formerFolder); hasFormer(former) {
			l.former = append(l.former, former)
		}
	}
	for _, folder := range others {
		if path := filepath.Join(folder, fileName); path != f.path {
			l.files = append(l.files, &file{path: path, foreign: true})
		}
	}
	return l, nil
}

// Writable returns an error if refusals can't be added to the own file because it is another user's: they end with the
// process then.
func (l *Store) Writable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.files[0].owner
}

// Group is what the workers of a group find out about secrets together (P10). Methods may be called by several
// goroutines; all but Enter and Resume return at once.
type Group interface {
	// Lookup returns since when the group knows a secret as refused (zero: it does not), and when an operator resumed
	// last.
	Lookup(Secret) (refused, resumed time.Time)
	// Acquire waits until this worker has the turn to log on with a secret, which [Group.Report] ends. turn is "" if none
	// is needed; then refused is since when the group knows the secret as refused, zero: it is not. The error is the
	// cause of the context.
	Acquire(context.Context, Secret) (turn string, refused time.Time, err error)
	// Report says what has come of a secret. A refusal counts with and without a turn.
	Report(s Secret, turn string, o Outcome)
	// Resume has all workers forget all refusals, and returns how many the group knew.
	Resume(context.Context) (int, error)
}

// Outcome is what has come of a secret.
type Outcome string

// The outcomes.
const (
	// Inconclusive: nobody has looked at it.
	Inconclusive  Outcome = "nothing"
	Accepted Outcome = "accepted"
	Rejected Outcome = "refused"
)

// JoinGroup has the store send secrets in turn with other workers of a group. It comes before the first [Store.Gate].
func (l *Store) JoinGroup(with Group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.gates) > 0 {
		panic("lockouts: expected no logons before Share")
	}
	l.group = with
}

// LogTo sets the logger of what cannot be written to the file: that of the first client that logs at all.
func (l *Store) LogTo(log *slog.Logger) {
	if log.Enabled(context.Background(), slog.LevelError) {
		l.log.CompareAndSwap(nil, log)
	}
}

// Gate returns the logon of an identity; nil if it has neither user nor secret.
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
	l.importFormer(id, g.secret)
	return g
}

// Status reports whether the origin has accepted the secret in this process, and not refused it since; and whether it
// counts as refused, so that clients do not send it.
func (l *Store) Status(id Identity) (accepted, isRefused bool) {
	l.mu.Lock()
	g, s := l.gates[id.key()], id.hidden()
	if g == nil {
		l.importFormer(id, s)
	} else {
		s = g.secret
		accepted, _ = g.known()
	}
	l.mu.Unlock()
	at, err := l.refused(s)
	return accepted, !at.IsZero() || err != nil
}

// refused returns since when a secret is refused, as far as this process, its files and the group know; zero: it is
// not. The error is that of the own file, if it can't be read. An operator's resume in the group removes what this
// worker kept before it began; later everything that is there when it hears of the resume, since clocks differ.
func (l *Store) refused(s Secret) (time.Time, error) {
	var inGroup, resumed time.Time
	if l.group != nil {
		inGroup, resumed = l.group.Lookup(s)
	}
	s.Hash() // before others wait for the lock
	l.mu.Lock()
	defer l.mu.Unlock()
	if resumed.After(l.resumed) {
		var until time.Time
		if l.resumed.IsZero() {
			until = resumed
		}
		l.resumed = resumed
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
	if inGroup.IsZero() || resumed.Before(l.resumed) { // a look from before a resume
		return time.Time{}, unread
	}
	l.save(s, inGroup) // for commands beside this worker
	return inGroup, nil
}

// refuse notes that a service refused the secret.
func (l *Store) refuse(s Secret) {
	s.Hash() // before others wait for the lock
	l.mu.Lock()
	l.save(s, time.Now())
	l.mu.Unlock()
	if l.group != nil {
		l.group.Report(s, "", Rejected)
	}
}

// save adds a refusal to the own file; l.mu is held. One that cannot be written is reported, since a restart would show
// the secret again.
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

// forget removes refusals that are not after a time, all if it is zero, as far as they are known here; l.mu is held.
func (l *Store) forget(until time.Time) (forgotten int, err error) {
	if until.IsZero() {
		for _, folder := range l.former {
			err = errors.Join(err, os.RemoveAll(folder))
		}
		l.former = nil
	}
	for _, f := range l.files {
		n, wrong := f.forget(until)
		forgotten, err = forgotten+n, errors.Join(err, wrong)
	}
	return forgotten, err
}

// Resume forgets all refusals, so that each secret is tried once more: for operators who have unlocked a user. It
// returns how many there were. In a group all workers forget them; without a leader that waits for the context's end.
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

// acquire waits until no other process of the machine, and no other worker of the group, logs on with a secret of the
// user. end says what has come of it.
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

// acquireInGroup has the group give the turn, see [Group.Acquire], and notes a secret that it knows as refused, unless an operator
// has resumed in the meantime: then it asks again.
func (l *Store) acquireInGroup(ctx context.Context, s Secret) (turn string, err error) {
	s.Hash() // before others wait for the lock
	for {
		l.mu.Lock()
		resumed := l.resumed
		l.mu.Unlock()
		turn, at, err := l.group.Acquire(ctx, s)
		if err != nil || at.IsZero() {
			return turn, err
		}
		l.mu.Lock()
		if resumed.Equal(l.resumed) {
			l.save(s, at)
		}
		l.mu.Unlock()
		if at, err := l.refused(s); err != nil || !at.IsZero() {
			return turn, nil // the caller looks itself
		}
	}
}

// Lockout is a secret that is not sent, and why.
type Lockout struct {
	Origin, Client, User string
	// Since is when it was refused.
	Since time.Time
	// Text says all of it, and what is to be done.
	Text string
}

// List returns the lockouts of those who log on in this process. others counts refusals of other processes, which say
// nothing of whom they concern.
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
