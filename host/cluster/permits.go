package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/transport/lockouts"
)

// Notes of the topic of configurations about refused logons (P10). A user's is named by a digest of origin, SAP client
// and user, and has digests of secrets. The key of the digests is a note, too, and no session key, since that changes
// every hour (inter.worker.key.ttl.ms): what was refused under one could not be found under the next. It hides as much
// as a session key, since whoever reads the topic reads both. Where it is lost, what was refused may be tried again.
const (
	lockoutNotes = "culvert-lockout-"
	lockoutKey   = "key"
)

const (
	// lockoutDigest is how many characters a digest has. No other note has a name as long.
	lockoutDigest = 32
	// takenLately is how long a secret that one worker has logged on with is let through by all without a turn.
	takenLately = time.Minute
	// maxSpent is how often a service may have refused a secret before it counts as refused: S/4HANA Cloud locks a
	// communication user after three failures (P10). What a worker did that vanished in its turn is one.
	maxSpent = 2
	// maxRefused is how many refused secrets of one user are kept; of more, the oldest may be tried once more.
	maxRefused = 16
)

// doubted is a refusal in the words of workers before this version, in a rolling upgrade.
const doubted lockouts.Outcome = "doubted"

// resumeLogons is what a worker asks in the place of an outcome, so that all refusals be forgotten.
const resumeLogons lockouts.Outcome = "resume"

// lockoutCall is what a worker tells the leader; without What it asks for the turn to send a secret, without Who that
// there be a key.
type lockoutCall struct {
	What   lockouts.Outcome `json:"what,omitempty"`
	Who    string           `json:"who,omitempty"`
	Secret string           `json:"secret,omitempty"`
	// Permit is the worker's name for the turn: asked again, it is the same. Member is what the group calls the worker.
	Permit string `json:"permit,omitempty"`
	Member string `json:"member,omitempty"`
}

// lockoutAnswer is the leader's.
type lockoutAnswer struct {
	// Refused is since when the secret is refused; zero: it is not.
	Refused time.Time
	// Wait: ask again. Held: the worker has the turn, and is to tell what has come of it.
	Wait, Held bool
	// Forgotten is how many refusals there were.
	Forgotten int
}

// lockout is a user's note. Its transitions are ask and tell; the leader alone makes them.
//
// Invariants: at most one worker has the turn to send one of the user's secrets. What is refused stays so until an
// operator resumes. A turn is written before it is given, with what it may cost.
type lockout struct {
	Refused []refusal `json:"refused,omitempty"` // the oldest first
	// Accepted is the secret that somebody was seen to log on with last, at a time in milliseconds.
	Accepted   string `json:"accepted,omitempty"`
	AcceptedAt int64  `json:"acceptedAt,omitempty"`
	Trial      *trial `json:"trial,omitempty"`
}

// refusal says since when, in milliseconds.
type refusal struct {
	Secret string `json:"secret"`
	At     int64  `json:"at"`
}

// trial is a secret that is being tried.
type trial struct {
	Secret string `json:"secret"`
	// Permit and Member are those of the worker that has the turn.
	Permit string `json:"permit,omitempty"`
	Member string `json:"member,omitempty"`
	// Spent is how often the service may have refused the secret by the end of it.
	Spent int `json:"spent"`
}

// ask answers a worker that asks for the turn, in a group of these members.
func (l *lockout) ask(c lockoutCall, now time.Time, members map[string]bool) (a lockoutAnswer, changed bool) {
	if i := l.find(c.Secret); i >= 0 {
		return lockoutAnswer{Refused: time.UnixMilli(l.Refused[i].At)}, false
	}
	t, spent := l.Trial, 0
	if t != nil && t.Secret == c.Secret {
		spent = t.Spent
	}
	held := t != nil && members[t.Member]
	switch {
	case !members[c.Member], held && t.Permit != c.Permit:
		return lockoutAnswer{Wait: true}, false
	case held: // it did not hear the answer
		return lockoutAnswer{Held: true}, false
	case spent == 0 && l.takenLately(c.Secret, now):
		return lockoutAnswer{}, false
	case spent >= maxSpent:
		l.refuse(c.Secret, now)
		return lockoutAnswer{Refused: now}, true
	}
	l.Trial = &trial{c.Secret, c.Permit, c.Member, spent + 1}
	return lockoutAnswer{Held: true}, true
}

// tell takes what has come of a secret. A refusal counts from any worker, everything else from the one that has the
// turn.
func (l *lockout) tell(c lockoutCall, now time.Time) (changed bool) {
	t := l.Trial
	own := t != nil && t.Secret == c.Secret && c.Permit != "" && t.Permit == c.Permit
	switch {
	case (c.What == lockouts.Rejected || c.What == doubted) && l.find(c.Secret) < 0:
		l.refuse(c.Secret, now)
	case c.What == lockouts.Accepted && own:
		l.Trial, l.Accepted, l.AcceptedAt = nil, c.Secret, now.UnixMilli()
	case c.What == lockouts.Nothing && own:
		next := trial{Secret: t.Secret, Spent: t.Spent - 1}
		if l.Trial = &next; next.Spent <= 0 {
			l.Trial = nil
		}
	default:
		return false
	}
	return true
}

// refuse has a secret count as refused.
func (l *lockout) refuse(secret string, now time.Time) {
	if l.Trial != nil && l.Trial.Secret == secret {
		l.Trial = nil
	}
	if l.Accepted == secret {
		l.Accepted, l.AcceptedAt = "", 0
	}
	l.Refused = append(l.Refused, refusal{secret, now.UnixMilli()})
	l.Refused = l.Refused[max(0, len(l.Refused)-maxRefused):]
}

// find is where a secret is among those that are refused; -1: it is not.
func (l *lockout) find(secret string) int {
	return slices.IndexFunc(l.Refused, func(r refusal) bool { return r.Secret == secret })
}

// takenLately reports whether a secret was accepted a moment ago. Leaders' clocks differ.
func (l *lockout) takenLately(secret string, now time.Time) bool {
	return l.Accepted == secret && now.Sub(time.UnixMilli(l.AcceptedAt)).Abs() < takenLately
}

// AttemptArbiter is the leader's part in logons: it answers what the [Lockouts] of all workers ask. Each turn is
// written to the topic before it is given, so that two leaders never let two workers send one secret, and the next
// leader knows who has it. Members that the group has lost have no turn. Methods may be called by several goroutines.
type AttemptArbiter struct {
	ledger  config.ClusterState
	members func() map[string]bool
	turn    guard.Turn // of calls, until what they change is written
}

// NewAttemptArbiter makes those of a worker. members are those of the group, as this worker has placed them last as its
// leader; nil where it does not lead, or has not read all that leaders before it wrote ([Log.Lead]).
func NewAttemptArbiter(ledger config.ClusterState, members func() map[string]bool) *AttemptArbiter {
	return &AttemptArbiter{ledger: ledger, members: members, turn: guard.NewTurn()}
}

// HandleCall answers a [LockoutsCall]. Errors are [ErrNotLeader],
// those of [config.Ledger], and of what is damaged.
func (p *AttemptArbiter) HandleCall(ctx context.Context, _ string, body []byte) (answer any, err error) {
	var c lockoutCall
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, fmt.Errorf("a call about a logon: %w", err)
	}
	if err := p.turn.Lock(ctx); err != nil {
		return nil, err
	}
	defer p.turn.Unlock()
	members := p.members()
	var all lockoutCluster
	if raw := p.ledger.Annotations(lockoutNotes + lockoutKey)[""]; raw != nil {
		_ = json.Unmarshal(raw, &all) // a damaged one is replaced
	}
	switch {
	case members == nil:
		return nil, ErrNotLeader
	case c.What == resumeLogons:
		return p.resume(ctx, all)
	case c.Who == "":
		return lockoutAnswer{Wait: true}, p.start(ctx, all)
	case len(c.Who) != lockoutDigest:
		return nil, fmt.Errorf("a call about a logon: expected a digest of %d characters, found %d", lockoutDigest,
			len(c.Who))
	}
	return p.decide(ctx, c, members)
}

// decide answers a call about a secret; the turn is held.
func (p *AttemptArbiter) decide(ctx context.Context, c lockoutCall, members map[string]bool) (a lockoutAnswer,
	err error) {
	var l lockout
	if raw := p.ledger.Annotations(lockoutNotes + c.Who)[""]; raw != nil {
		if err := json.Unmarshal(raw, &l); err != nil {
			return a, fmt.Errorf("the note %s%s, which an operator's resume deletes: %w", lockoutNotes, c.Who, err)
		}
	}
	changed := false
	if c.What == "" {
		a, changed = l.ask(c, time.Now(), members)
	} else {
		changed = l.tell(c, time.Now())
	}
	if changed {
		err = p.write(ctx, nil, c.Who, &l)
	}
	return a, err
}

// lockoutCluster is the note that has the key of all digests, and says when an operator has resumed last, in
// milliseconds.
type lockoutCluster struct {
	Key     []byte `json:"key"`
	Resumed int64  `json:"resumed,omitempty"`
}

// start makes a key where there is none.
func (p *AttemptArbiter) start(ctx context.Context, all lockoutCluster) error {
	if len(all.Key) > 0 {
		return nil
	}
	all.Key = make([]byte, 32)
	rand.Read(all.Key)
	return p.write(ctx, nil, lockoutKey, all)
}

// resume deletes the notes of all users, and says so after that: workers forget what they keep themselves then.
func (p *AttemptArbiter) resume(ctx context.Context, all lockoutCluster) (a lockoutAnswer, err error) {
	var records []config.Record
	for name, raw := range p.ledger.Annotations(lockoutNotes) {
		if len(name) != lockoutDigest {
			continue
		}
		var l lockout
		_ = json.Unmarshal(raw, &l) // a damaged one is deleted, too
		a.Forgotten += len(l.Refused)
		records = append(records, config.Record{Key: lockoutNotes + name})
	}
	all.Resumed = max(time.Now().UnixMilli(), all.Resumed+1) // by the clock of a leader before it may be later
	return a, p.write(ctx, records, lockoutKey, all)
}

// write writes a note, after other records.
func (p *AttemptArbiter) write(ctx context.Context, records []config.Record, name string, value any) error {
	r, err := config.AnnotationRecord(lockoutNotes+name, value)
	if err == nil {
		_, err = p.ledger.Write(ctx, append(records, r)...)
	}
	return err
}
