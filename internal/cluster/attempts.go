package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

// Annotations about rejected logons: a service locks a user after a few wrong passwords, so no secret may be tried by
// several workers (RATIONALE.md P10). An annotation is named by a digest of origin, SAP client and user, and has
// digests of secrets under a key that is written once. If the key is lost, rejected secrets may be tried again.
const (
	lockoutPrefix = "culvert-lockout-"
	lockoutKey    = "key"
)

const (
	digestLength = 32          // hexadecimal digits; other annotations have shorter names
	acceptedTTL  = time.Minute // how long all workers may send an accepted secret without a turn
	// maxFailures rejections make a secret rejected: S/4HANA Cloud locks a user after three. A lost worker's turn
	// counts.
	maxFailures = 2
	maxRejected = 16
)

// resumeLogons is the request of an operator to forget all rejections.
const resumeLogons lockouts.Outcome = "resume"

// lockoutCall is a call to the leader. Without Outcome it requests a turn to send the secret, without User a key.
//
// The JSON names of this type and the following ones stay, also if a field is renamed: other workers send and expect
// them, and the config topic contains them.
type lockoutCall struct {
	Outcome lockouts.Outcome `json:"what,omitempty"`   // the result of sending the secret, or resumeLogons
	User    string           `json:"who,omitempty"`    // digest of origin, SAP client and user
	Secret  string           `json:"secret,omitempty"` // digest of the secret
	Turn    string           `json:"permit,omitempty"` // random ID of the turn, which the worker chooses
	Member  string           `json:"member,omitempty"` // member ID of the worker that requests the turn
	// SessionEnded requests a turn even if the secret was accepted recently.
	SessionEnded bool `json:"sessionEnded,omitempty"`
}

// lockoutAnswer is the leader's answer to a lockoutCall. The zero answer means that the worker may send the secret
// without a turn, because a service has accepted it within acceptedTTL. It also confirms a reported outcome.
type lockoutAnswer struct {
	RejectedAt time.Time `json:"Refused"`   // when the secret was rejected: it must not be sent; zero means never
	Wait       bool      `json:"Wait"`      // the worker must call again later
	Granted    bool      `json:"Held"`      // the worker has the turn and must report the outcome
	Forgotten  int       `json:"Forgotten"` // rejections that a resume has deleted
}

// lockout is a user's annotation. Invariants: at most one worker has the turn to send one of the user's secrets. A
// rejection stays until an operator resumes logons. A turn is written, with the failure that it may cost, before it is
// granted.
type lockout struct {
	Rejected   []rejection `json:"refused,omitempty"`    // the oldest first, at most maxRejected
	Accepted   string      `json:"accepted,omitempty"`   // digest of the last accepted secret; "" means unknown
	AcceptedAt int64       `json:"acceptedAt,omitempty"` // in Unix milliseconds
	Attempt    *attempt    `json:"trial,omitempty"`      // nil if no secret has a turn or failures
}

// rejection is a secret that the service has rejected.
type rejection struct {
	Secret string `json:"secret"` // digest of the secret
	At     int64  `json:"at"`     // in Unix milliseconds
}

// attempt is a secret that a worker has the turn to send, or that has failed without a clear rejection.
type attempt struct {
	Secret   string `json:"secret"`           // digest of the secret
	Turn     string `json:"permit,omitempty"` // Turn and Member identify the worker with the turn
	Member   string `json:"member,omitempty"`
	Failures int    `json:"spent"` // how often the service may have rejected the secret at the end of the turn
	// SessionEnded makes all workers wait for the turn, also those that have used the secret recently.
	SessionEnded bool `json:"sessionEnded,omitempty"`
}

// requestTurn decides whether a worker may send a secret now, must wait, or must not because it was rejected. It grants
// turns to members only. If changed is true, the annotation must be written before the answer is sent.
func (l *lockout) requestTurn(call lockoutCall, now time.Time,
	members map[string]bool) (answer lockoutAnswer, changed bool) {
	if i := l.indexOf(call.Secret); i >= 0 {
		return lockoutAnswer{RejectedAt: time.UnixMilli(l.Rejected[i].At)}, false
	}
	current := l.Attempt
	failures := 0
	if current != nil && current.Secret == call.Secret {
		failures = current.Failures
	}
	isTaken := current != nil && members[current.Member]
	switch {
	case !members[call.Member], isTaken && current.Turn != call.Turn:
		return lockoutAnswer{Wait: true}, false
	case isTaken: // the response was lost
		return lockoutAnswer{Granted: true}, false
	case failures == 0 && !call.SessionEnded && l.Accepted == call.Secret &&
		now.Sub(time.UnixMilli(l.AcceptedAt)).Abs() < acceptedTTL: // Abs: another leader's clock may be ahead
		return lockoutAnswer{}, false
	case failures >= maxFailures:
		l.reject(call.Secret, now)
		return lockoutAnswer{RejectedAt: now}, true
	}
	if call.SessionEnded && l.Accepted == call.Secret {
		l.Accepted = ""
		l.AcceptedAt = 0
	}
	l.Attempt = &attempt{Secret: call.Secret, Turn: call.Turn, Member: call.Member, Failures: failures + 1,
		SessionEnded: call.SessionEnded}
	return lockoutAnswer{Granted: true}, true
}

// recordOutcome records the result of an attempt and ends the turn. It accepts a rejection from any worker, and other
// outcomes only from the worker with the turn.
func (l *lockout) recordOutcome(call lockoutCall, now time.Time) (changed bool) {
	current := l.Attempt
	isOwn := current != nil && current.Secret == call.Secret && call.Turn != "" && current.Turn == call.Turn
	switch {
	case call.Outcome == lockouts.Rejected && l.indexOf(call.Secret) < 0:
		l.reject(call.Secret, now)
	case call.Outcome == lockouts.Accepted && isOwn:
		l.Attempt = nil
		l.Accepted = call.Secret
		l.AcceptedAt = now.UnixMilli()
	case call.Outcome == lockouts.Inconclusive && isOwn:
		next := attempt{Secret: current.Secret, Failures: current.Failures - 1}
		l.Attempt = &next
		if next.Failures <= 0 {
			l.Attempt = nil
		}
	default:
		return false
	}
	return true
}

func (l *lockout) reject(secret string, now time.Time) {
	if l.Attempt != nil && l.Attempt.Secret == secret {
		l.Attempt = nil
	}
	if l.Accepted == secret {
		l.Accepted = ""
		l.AcceptedAt = 0
	}
	l.Rejected = append(l.Rejected, rejection{secret, now.UnixMilli()})
	l.Rejected = l.Rejected[max(0, len(l.Rejected)-maxRejected):]
}

func (l *lockout) indexOf(secret string) int {
	return slices.IndexFunc(l.Rejected, func(r rejection) bool { return r.Secret == secret })
}

// AttemptArbiter answers the calls of the [Lockouts] of all workers while this worker leads. Each turn is written
// before it is granted, so two leaders never grant turns for one secret. Lost members have no turn.
type AttemptArbiter struct {
	state     configtopic.ClusterState
	memberIDs func() map[string]bool
	lock      guard.CtxMutex // held for a call until its changes are written
}

// NewAttemptArbiter returns a worker's arbiter. memberIDs returns nil if it does not lead or has not caught up
// ([Log.Lead]).
func NewAttemptArbiter(state configtopic.ClusterState, memberIDs func() map[string]bool) *AttemptArbiter {
	return &AttemptArbiter{state: state, memberIDs: memberIDs, lock: guard.NewCtxMutex()}
}

// HandleCall answers a [LockoutsCall]; body is its JSON. Calls are processed one at a time, each until its changes are
// written. The error is [ErrNotLeader] if this worker does not lead.
func (a *AttemptArbiter) HandleCall(ctx context.Context, _ string, body []byte) (answer any, err error) {
	var call lockoutCall
	if err := json.Unmarshal(body, &call); err != nil {
		return nil, fmt.Errorf("a call about a logon: %w", err)
	}
	if err := a.lock.Lock(ctx); err != nil {
		return nil, err
	}
	defer a.lock.Unlock()
	members := a.memberIDs()
	var settings lockoutSettings
	err = a.read(lockoutKey, &settings)
	switch {
	case members == nil:
		return nil, ErrNotLeader
	case call.Outcome == resumeLogons: // before err: it replaces a damaged annotation
		return a.resume(ctx, settings)
	case err != nil:
		return nil, err
	case call.User == "":
		if len(settings.Key) > 0 {
			return lockoutAnswer{Wait: true}, nil
		}
		settings.Key = make([]byte, sha256.Size)
		rand.Read(settings.Key)
		return lockoutAnswer{Wait: true}, a.write(ctx, nil, lockoutKey, settings)
	case len(call.User) != digestLength:
		return nil, fmt.Errorf("a call about a logon: expected a digest of %d characters, found %d", digestLength,
			len(call.User))
	}
	return a.decide(ctx, call, members)
}

// decide answers a call about a user, and writes the annotation of the user if it changes.
func (a *AttemptArbiter) decide(ctx context.Context, call lockoutCall,
	members map[string]bool) (answer lockoutAnswer, err error) {
	var state lockout
	if err := a.read(call.User, &state); err != nil {
		return answer, err
	}
	changed := false
	if call.Outcome == "" {
		answer, changed = state.requestTurn(call, time.Now(), members)
	} else {
		changed = state.recordOutcome(call, time.Now())
	}
	if changed {
		err = a.write(ctx, nil, call.User, &state)
	}
	return answer, err
}

// read reads an annotation, unless there is none. An unknown format is an error: if the annotation were
// ignored, rejected secrets would be sent again.
func (a *AttemptArbiter) read(name string, into any) error {
	raw := a.state.Annotations(lockoutPrefix + name)[""]
	if raw == nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("the annotation %s%s in the config topic, which resuming logons replaces, has an unknown "+
			"format: %w", lockoutPrefix, name, err)
	}
	return nil
}

// lockoutSettings is the annotation that all users share.
type lockoutSettings struct {
	Key     []byte `json:"key"`               // of the digests
	Resumed int64  `json:"resumed,omitempty"` // the last resume in Unix milliseconds; zero means never
}

// resume deletes the annotations of all users and then records the time, at which workers clear their caches.
func (a *AttemptArbiter) resume(ctx context.Context, settings lockoutSettings) (answer lockoutAnswer, err error) {
	var records []configtopic.Record
	for name, raw := range a.state.Annotations(lockoutPrefix) {
		if len(name) != digestLength {
			continue
		}
		var state lockout
		_ = json.Unmarshal(raw, &state) // a damaged one is deleted, too
		answer.Forgotten += len(state.Rejected)
		records = append(records, configtopic.Record{Key: lockoutPrefix + name})
	}
	// the clock of an earlier leader may be ahead
	settings.Resumed = max(time.Now().UnixMilli(), settings.Resumed+1)
	return answer, a.write(ctx, records, lockoutKey, settings)
}

// write writes an annotation after other records, in one transaction.
func (a *AttemptArbiter) write(ctx context.Context, records []configtopic.Record, name string, value any) error {
	r, err := configtopic.AnnotationRecord(lockoutPrefix+name, value)
	if err == nil {
		_, err = a.state.Write(ctx, append(records, r)...)
	}
	return err
}
