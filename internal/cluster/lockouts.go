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

	"github.com/culvert-project/culvert/internal/base/away"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/transport/lockouts"
)

const (
	turnRetryInterval   = 250 * time.Millisecond
	reportRetryInterval = time.Second
	leaderCallTimeout   = 10 * time.Second
	annotationsTTL      = 50 * time.Millisecond // how long annotations are cached
)

// Lockouts is a worker's part in the logons of its group, the [lockouts.Group] of its store. Topic and calls hold
// neither secrets nor users, but HMACs under a key that readers of the topic know. A password could be guessed from its
// HMAC, so secrets are hashed slowly first.
//
// Invariant: outcomes are reported until a leader has received them or Run ends, in any order: a rejection counts at
// any time, other outcomes only in their turn.
type Lockouts struct {
	state      configtopic.ClusterState
	callLeader func(ctx context.Context, call, answer any) error
	memberID   func() string
	log        *slog.Logger
	notify     guard.Bell   // wakes Run
	leader     away.Partner // its outages, as seen by waiting logons and Run

	mu          guard.Mutex
	annotations map[string]json.RawMessage // as of readAt
	readAt      time.Time
	pending     []outcomeReport // outcomes to report
}

type outcomeReport struct {
	secret  lockouts.Secret
	turn    string
	outcome lockouts.Outcome
}

// NewLockouts connects a store to the group, see [lockouts.Store.JoinGroup]. callLeader sends a [LockoutsCall].
func NewLockouts(store *lockouts.Store, state configtopic.ClusterState,
	callLeader func(ctx context.Context, call, answer any) error, memberID func() string, log *slog.Logger) *Lockouts {
	l := &Lockouts{state: state, callLeader: callLeader, memberID: memberID, log: log, notify: guard.NewBell()}
	store.JoinGroup(l)
	return l
}

// readAnnotation decodes an annotation, at most annotationsTTL old, unless it is missing or damaged. l.mu must be held.
func (l *Lockouts) readAnnotation(name string, into any) {
	if time.Since(l.readAt) > annotationsTTL {
		l.annotations = l.state.Annotations(lockoutPrefix)
		l.readAt = time.Now()
	}
	_ = json.Unmarshal(l.annotations[name], into)
}

func (l *lockoutSettings) digest(input string) string {
	mac := hmac.New(sha256.New, l.Key)
	mac.Write([]byte(input))
	return hex.EncodeToString(mac.Sum(nil))[:digestLength]
}

func (l *lockoutSettings) userDigest(s lockouts.Secret) string { return l.digest("who " + s.Place) }

func (l *lockoutSettings) secretDigest(s lockouts.Secret) string {
	hash := s.Hash()
	return l.digest("secret " + string(hash[:]))
}

// call sends a call about a secret to the leader. If hasKey is false, this worker has not read the key of the digests
// yet: it has only requested that the leader writes one, and the answer means nothing.
func (l *Lockouts) call(ctx context.Context, secret lockouts.Secret,
	request lockoutCall) (answer lockoutAnswer, hasKey bool, err error) {
	var settings lockoutSettings
	l.mu.Lock()
	l.readAnnotation(lockoutKey, &settings)
	l.mu.Unlock()
	hasKey = len(settings.Key) > 0
	if hasKey {
		request.User = settings.userDigest(secret)
		request.Secret = settings.secretDigest(secret)
	} else {
		request = lockoutCall{}
	}
	ctx, cancel := context.WithTimeout(ctx, leaderCallTimeout)
	defer cancel()
	err = l.callLeader(ctx, request, &answer)
	return answer, hasKey, err
}

// Lookup implements [lockouts.Group].
func (l *Lockouts) Lookup(secret lockouts.Secret) (f lockouts.Finding) {
	member := l.memberID()
	l.mu.Lock()
	defer l.mu.Unlock()
	var settings lockoutSettings
	l.readAnnotation(lockoutKey, &settings)
	if len(settings.Key) == 0 {
		return f
	}
	f.Resumed = time.UnixMilli(settings.Resumed)
	var state lockout
	l.readAnnotation(settings.userDigest(secret), &state)
	turn := state.Attempt
	isTaken := turn != nil && turn.SessionEnded && turn.Member != member
	if len(state.Rejected) == 0 && !isTaken { // the digest of a secret is expensive
		return f
	}
	digest := settings.secretDigest(secret)
	if i := state.indexOf(digest); i >= 0 {
		f.Refused = time.UnixMilli(state.Rejected[i].At)
	}
	f.IsTried = isTaken && turn.Secret == digest
	return f
}

// Acquire implements [lockouts.Group]. Without a leader it waits.
func (l *Lockouts) Acquire(ctx context.Context, s lockouts.Secret, sessionEnded bool) (string, time.Time, error) {
	origin, _, _ := strings.Cut(s.Place, "\x00")
	turn := rand.Text()
	for {
		startedAt := time.Now()
		answer, _, err := l.call(ctx, s, lockoutCall{Turn: turn, Member: l.memberID(), SessionEnded: sessionEnded})
		if err == nil {
			l.leader.Back(l.log, startedAt, "the cluster's leader answers calls about logons again")
		}
		switch {
		case err == nil && answer.Granted:
			return turn, time.Time{}, nil
		case err == nil && !answer.Wait:
			return "", answer.RejectedAt, nil
		case err != nil && ctx.Err() == nil:
			l.leader.Lost(l.log, startedAt, err.Error(), "a logon waits for the cluster's leader", "origin", origin,
				"error", err)
		}
		if err := pause.For(ctx, turnRetryInterval); err != nil {
			l.Report(s, turn, lockouts.Inconclusive) // the leader may have granted it in a lost response
			return "", time.Time{}, err
		}
	}
}

// Report implements [lockouts.Group]. It does not wait: Run sends the outcome.
func (l *Lockouts) Report(secret lockouts.Secret, turn string, outcome lockouts.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(l.pending, outcomeReport{secret, turn, outcome})
	l.notify.Ring()
}

// Resume implements [lockouts.Group]. It makes the leader forget all rejections of the group, repeats failed calls
// until ctx ends, and returns the number of rejections.
func (l *Lockouts) Resume(ctx context.Context) (int, error) {
	for {
		callCtx, cancel := context.WithTimeout(ctx, leaderCallTimeout)
		var answer lockoutAnswer
		err := l.callLeader(callCtx, lockoutCall{Outcome: resumeLogons}, &answer)
		cancel()
		if err == nil || pause.For(ctx, reportRetryInterval) != nil {
			return answer.Forgotten, err
		}
	}
}

// Run reports outcomes to the leader until ctx ends. It must run as long as requests are sent to services, because
// other workers wait for this worker's turns. A report that the leader cannot process delays no other.
func (l *Lockouts) Run(ctx context.Context) {
	for ctx.Err() == nil {
		l.mu.Lock()
		pending := l.pending
		l.pending = nil
		l.mu.Unlock()
		hasFailed := false
		for _, report := range pending {
			startedAt := time.Now()
			_, hasKey, err := l.call(ctx, report.secret, lockoutCall{Outcome: report.outcome, Turn: report.turn})
			if hasKey && err == nil {
				l.leader.Back(l.log, startedAt, "the outcome of a logon was reported to the cluster's leader")
				continue
			}
			hasFailed = true
			if err != nil && ctx.Err() == nil {
				l.leader.Lost(l.log, startedAt, err.Error(),
					"the outcome of a logon could not be reported to the cluster's leader yet", "error", err)
			}
			l.mu.Lock()
			l.pending = append(l.pending, report)
			l.mu.Unlock()
		}
		if hasFailed {
			_ = pause.For(ctx, reportRetryInterval)
			continue
		}
		select {
		case <-l.notify:
		case <-ctx.Done():
		}
	}
}
