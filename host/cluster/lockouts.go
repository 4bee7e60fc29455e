package cluster

import (
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
	"github.com/culvert-project/culvert/host/internal/base/away"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/transport/lockouts"
)

const (
	// askAgain is after how long a worker asks again for a turn that another one has, sayAgain after how long it tells
	// again what the leader has not heard.
	askAgain, sayAgain = 250 * time.Millisecond, time.Second
	// askWithin is how long a call may take.
	askWithin = 10 * time.Second
	// notesFor is for how long notes that were read are not looked at again.
	notesFor = 50 * time.Millisecond
)

// Lockouts is a worker's part in the logons of its group: the [lockouts.Group] of its store. It asks the leader for
// turns, and reads in the topic of configurations what others have found out.
//
// Neither secrets nor users are in the topic or in calls, but HMACs under a key that all readers of the topic know:
// from one of the secret itself they could guess a password, so it is one of a slow hash.
//
// Invariant: what Tell is given is told to one leader after another until one has heard it or Run ends. Its order does
// not matter: a refusal counts at any time, anything else only from the turn that it ends.
type Lockouts struct {
	ledger config.ClusterState
	ask    func(ctx context.Context, call, answer any) error
	member func() string
	log    *slog.Logger
	wake   guard.Bell   // of Run
	leader away.Partner // as all logons that wait, and Run, see it

	mu      guard.Mutex
	notes   map[string]json.RawMessage // as they were at read
	read    time.Time
	pending []verdict // what is to be told
}

// verdict is what has come of a secret, in a turn or not.
type verdict struct {
	secret lockouts.Secret
	turn   string
	what   lockouts.Outcome
}

// NewLockouts has a store share what it knows, see [lockouts.Store.Share]. ask has the leader answer a [LockoutsCall],
// and fails if none is known; member is what the group calls this worker, see [Group.MemberID].
func NewLockouts(store *lockouts.Store, ledger config.ClusterState,
	ask func(ctx context.Context, call, answer any) error, member func() string, log *slog.Logger) *Lockouts {
	l := &Lockouts{ledger: ledger, ask: ask, member: member, log: log, wake: guard.NewBell()}
	store.Share(l)
	return l
}

// note reads a note; l.mu is held. If there is none, or it is damaged, nothing is known: the leader says so.
func (l *Lockouts) note(name string, into any) {
	if time.Since(l.read) > notesFor {
		l.notes, l.read = l.ledger.Annotations(lockoutNotes), time.Now()
	}
	_ = json.Unmarshal(l.notes[name], into)
}

// digest is a text under the group's key.
func (c *lockoutCluster) digest(text string) string {
	mac := hmac.New(sha256.New, c.Key)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))[:lockoutDigest]
}

func (c *lockoutCluster) who(s lockouts.Secret) string { return c.digest("who " + s.Place) }

func (c *lockoutCluster) secret(s lockouts.Secret) string {
	hash := s.Hash()
	return c.digest("secret " + string(hash[:]))
}

// call has the leader answer a call about a secret, or one for a key if there is none yet: then known is false.
func (l *Lockouts) call(ctx context.Context, s lockouts.Secret, c lockoutCall) (a lockoutAnswer, known bool,
	err error) {
	var all lockoutCluster
	l.mu.Lock()
	l.note(lockoutKey, &all)
	l.mu.Unlock()
	if known = len(all.Key) > 0; !known {
		c = lockoutCall{}
	} else {
		c.Who, c.Secret = all.who(s), all.secret(s)
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	err = l.ask(ctx, c, &a)
	return a, known, err
}

// Look implements [lockouts.Group].
func (l *Lockouts) Look(s lockouts.Secret) (refused, resumed time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all lockoutCluster
	if l.note(lockoutKey, &all); len(all.Key) == 0 {
		return refused, resumed
	}
	var note lockout
	l.note(all.who(s), &note)
	if len(note.Refused) > 0 { // the digest of a secret takes its time
		if i := note.find(all.secret(s)); i >= 0 {
			refused = time.UnixMilli(note.Refused[i].At)
		}
	}
	return refused, time.UnixMilli(all.Resumed)
}

// Enter implements [lockouts.Group]. Without a leader it waits.
func (l *Lockouts) Enter(ctx context.Context, s lockouts.Secret) (turn string, refused time.Time, err error) {
	origin, _, _ := strings.Cut(s.Place, "\x00")
	turn = rand.Text()
	for {
		began := time.Now()
		a, _, err := l.call(ctx, s, lockoutCall{Permit: turn, Member: l.member()})
		if err == nil {
			l.leader.Back(l.log, began, "the leader of the cluster answers logons again")
		}
		switch {
		case err == nil && a.Held:
			return turn, refused, nil
		case err == nil && !a.Wait:
			return "", a.Refused, nil
		case err != nil && ctx.Err() == nil:
			l.leader.Lost(l.log, began, err.Error(), "a logon waits for the leader of the cluster", "origin", origin,
				"error", err)
		}
		if err := pause.For(ctx, askAgain); err != nil {
			l.Tell(s, turn, lockouts.Nothing) // the leader may have given it, and the answer be lost
			return "", refused, err
		}
	}
}

// Tell implements [lockouts.Group].
func (l *Lockouts) Tell(s lockouts.Secret, turn string, what lockouts.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(l.pending, verdict{s, turn, what})
	l.wake.Ring()
}

// Resume implements [lockouts.Group].
func (l *Lockouts) Resume(ctx context.Context) (int, error) {
	for {
		asking, cancel := context.WithTimeout(ctx, askWithin)
		var a lockoutAnswer
		err := l.ask(asking, lockoutCall{What: resumeLogons}, &a)
		cancel()
		if err == nil || pause.For(ctx, sayAgain) != nil {
			return a.Forgotten, err
		}
	}
}

// Run tells the leader what Tell was given, until ctx ends. It is to run while anything is sent to services: others
// wait for what comes of this worker's turns. What the leader cannot take of one user, as where the user's note is
// damaged, holds up nothing of others.
func (l *Lockouts) Run(ctx context.Context) {
	for ctx.Err() == nil {
		l.mu.Lock()
		pending := l.pending
		l.pending = nil
		l.mu.Unlock()
		unheard := false
		for _, v := range pending {
			began := time.Now()
			_, known, err := l.call(ctx, v.secret, lockoutCall{What: v.what, Permit: v.turn})
			if known && err == nil {
				l.leader.Back(l.log, began, "the leader of the cluster has heard what has come of a logon")
				continue
			}
			if unheard = true; err != nil && ctx.Err() == nil {
				l.leader.Lost(l.log, began, err.Error(), "the leader of the cluster has not heard yet what has come "+
					"of a logon", "error", err)
			}
			l.mu.Lock()
			l.pending = append(l.pending, v)
			l.mu.Unlock()
		}
		if unheard {
			_ = pause.For(ctx, sayAgain)
			continue
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
		}
	}
}
