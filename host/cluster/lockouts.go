package cluster

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/transport/lockouts"
)

const (
	// askAgain is after how long a worker asks again for a permit that another one holds, sayAgain after how long it
	// says again what the leader has not heard.
	askAgain, sayAgain = 250 * time.Millisecond, time.Second
	// askWithin is how long a call may take.
	askWithin = 10 * time.Second
	// notesFor is for how long notes that were read are not looked at again.
	notesFor = 50 * time.Millisecond
)

// Lockouts is a worker's part in the logons of its cluster: the [lockouts.Shared] of its store. It asks the leader for
// permits, and reads in the topic of configurations what others have found out.
//
// Neither secrets nor users stand in the topic or in calls. What does are HMACs under a key that all readers of the
// topic know: from one of the secret itself they could guess a password, so it is one of a slow hash.
//
// Invariants: what Tell is given is said to one leader after another until one has heard it, or Run ends. Without a
// permit, refusals and doubts alone are said. Of a secret, no permit is asked for before that was heard.
type Lockouts struct {
	ledger config.Ledger
	ask    func(ctx context.Context, call, answer any) error
	member func() string
	log    *slog.Logger
	wake   guard.Bell // of Run

	mu      guard.Mutex
	notes   map[string]json.RawMessage // as they were at read
	read    time.Time
	held    map[lockouts.Secret]string      // permits
	pending map[lockouts.Secret]lockoutCall // what is to be said, without digests
}

// NewLockouts has a store share what it knows, see [lockouts.Store.Share]. ask has the leader answer a [LockoutsCall],
// and fails where none is known; member is what the group calls this worker, see [Group.Member].
func NewLockouts(store *lockouts.Store, ledger config.Ledger,
	ask func(ctx context.Context, call, answer any) error, member func() string, log *slog.Logger) *Lockouts {
	l := &Lockouts{ledger: ledger, ask: ask, member: member, log: log, wake: guard.NewBell(),
		held: map[lockouts.Secret]string{}, pending: map[lockouts.Secret]lockoutCall{}}
	store.Share(l)
	return l
}

// note reads a note; l.mu is held. Where there is none, or it is damaged, nothing is known: the leader says so.
func (l *Lockouts) note(name string, into any) {
	if time.Since(l.read) > notesFor {
		l.notes, l.read = l.ledger.Notes(lockoutNotes), time.Now()
	}
	_ = json.Unmarshal(l.notes[name], into)
}

// call is one about a secret, or for a key where there is none yet; l.mu is held.
func (l *Lockouts) call(s lockouts.Secret, c lockoutCall) (_ lockoutCall, all lockoutCluster) {
	if l.note(lockoutKey, &all); len(all.Key) == 0 {
		return lockoutCall{}, all
	}
	digest := func(text string) string {
		mac := hmac.New(sha256.New, all.Key)
		mac.Write([]byte(text))
		return hex.EncodeToString(mac.Sum(nil))[:lockoutDigest]
	}
	c.Who, c.Secret = digest("who "+s.Place), digest("secret "+string(s.Hash[:]))
	return c, all
}

// Look implements [lockouts.Shared].
func (l *Lockouts) Look(s lockouts.Secret) (found lockouts.Finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, all := l.call(s, lockoutCall{})
	var note lockout
	l.note(c.Who, &note)
	found.Resumed = time.UnixMilli(all.Resumed)
	if i := note.find(c.Secret); i >= 0 {
		found.Refused, found.Unknown = time.UnixMilli(note.Refused[i].At), note.Refused[i].Unknown
	}
	if t := note.Trial; t != nil && t.Secret == c.Secret && t.Doubted > 0 {
		found.Doubted = time.UnixMilli(t.Doubted)
	}
	return found
}

// Enter implements [lockouts.Shared]. Without a leader it waits.
func (l *Lockouts) Enter(ctx context.Context, s lockouts.Secret) (leave lockouts.Leave, err error) {
	origin, _, _ := strings.Cut(s.Place, "\x00")
	ask := lockoutCall{Permit: rand.Text()}
	for said := ""; ; {
		answer, err := l.enter(ctx, s, ask)
		switch {
		case err == nil && !answer.Wait:
			return answer.Leave, nil
		case err != nil && ctx.Err() == nil && err.Error() != said:
			said = err.Error()
			l.log.Warn("a logon waits for the leader of the cluster", "origin", origin, "error", err)
		}
		if err := pause.For(ctx, askAgain); err != nil {
			l.Tell(s, lockouts.Nothing)
			return leave, err
		}
	}
}

// enter asks for a permit, once the leader has heard what has come of the one before.
func (l *Lockouts) enter(ctx context.Context, s lockouts.Secret, ask lockoutCall) (a lockoutAnswer, err error) {
	ask.Member = l.member()
	l.mu.Lock()
	_, pending := l.pending[s]
	c, _ := l.call(s, ask)
	if !pending {
		l.held[s] = ask.Permit // the leader may give it, and the answer be lost
	}
	l.mu.Unlock()
	if pending {
		return lockoutAnswer{Wait: true}, nil
	}
	if a, err = l.request(ctx, c); err == nil && !a.Wait && !a.Held {
		l.mu.Lock()
		delete(l.held, s)
		l.mu.Unlock()
	}
	return a, err
}

// Tell implements [lockouts.Shared].
func (l *Lockouts) Tell(s lockouts.Secret, what lockouts.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	permit, held := l.held[s]
	if !held && what != lockouts.Rejected && what != lockouts.Doubted {
		return
	}
	delete(l.held, s)
	l.pending[s] = lockoutCall{What: what, Permit: cmp.Or(permit, l.pending[s].Permit)}
	l.wake.Ring()
}

// Resume implements [lockouts.Shared].
func (l *Lockouts) Resume(ctx context.Context) (int, error) {
	for {
		answer, err := l.request(ctx, lockoutCall{What: resumeLogons})
		if err == nil || pause.For(ctx, sayAgain) != nil {
			return answer.Forgotten, err
		}
	}
}

// Run says to the leader what Tell was given, until ctx ends. It is to run while anything is sent to services: others
// wait for what came of this worker's permits.
func (l *Lockouts) Run(ctx context.Context) {
	for said := ""; ctx.Err() == nil; {
		s, pending, c := l.next()
		var err error
		if pending.What != "" {
			_, err = l.request(ctx, c)
		}
		switch {
		case pending.What == "":
			select {
			case <-l.wake:
			case <-ctx.Done():
			}
		case err == nil && c.What != "":
			said = ""
			l.mu.Lock()
			if l.pending[s] == pending {
				delete(l.pending, s)
			}
			l.mu.Unlock()
		default: // no leader, or no key
			if err != nil && err.Error() != said && ctx.Err() == nil {
				said = err.Error()
				l.log.Warn("the leader of the cluster has not heard yet what has come of a logon", "error", err)
			}
			_ = pause.For(ctx, sayAgain)
		}
	}
}

// next is something that is to be said, and the call that says it.
func (l *Lockouts) next() (s lockouts.Secret, pending, c lockoutCall) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s, pending = range l.pending {
		c, _ = l.call(s, pending)
		break
	}
	return s, pending, c
}

// request has the leader answer a call.
func (l *Lockouts) request(ctx context.Context, c lockoutCall) (a lockoutAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	err = l.ask(ctx, c, &a)
	return a, err
}
