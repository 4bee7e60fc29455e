package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/kafka/security"
)

// session knows since when a member may be out of its group without having heard of it: a process that is paused for
// longer than its session goes on as if nothing had been, until its next heartbeat is answered.
type session struct {
	timeout time.Duration
	now     func() time.Time

	// asking is held by the one who asks the coordinator.
	asking chan struct{}

	mu sync.Mutex
	// known is when a request was begun that the coordinator has answered: it counts the session from no earlier.
	known time.Time
}

func newSession(timeout time.Duration) *session {
	return &session{timeout: timeout, now: time.Now, asking: make(chan struct{}, 1)}
}

// OnBrokerE2E takes the client's own heartbeats. Whether the coordinator takes the member for one does not stand in
// what is known here: after a session that is over, an answer says nothing, and [session.confirm] is needed. Within
// one, the client hears of it at once.
func (s *session) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if key == int16(kmsg.Heartbeat) && e2e.Err() == nil && s.lasts() {
		s.answered(s.now().Add(-e2e.DurationE2E()))
	}
}

// answered notes that a request was answered that was begun at that time.
func (s *session) answered(begun time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if begun.After(s.known) {
		s.known = begun
	}
}

// lasts tells whether the coordinator cannot have given the member up for its silence. A machine that sleeps stops one
// of its two clocks: both are asked.
func (s *session) lasts() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	return !s.known.IsZero() && now.Sub(s.known) < s.timeout && now.Round(0).Sub(s.known.Round(0)) < s.timeout
}

// confirm returns nil where the member is one of its group, by the time that its session has left or because the
// coordinator says so.
func (s *session) confirm(ctx context.Context, client *kgo.Client, group string, instance *string) error {
	select {
	case s.asking <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.asking }()
	if s.lasts() {
		return nil
	}
	begun := s.now()
	request := kmsg.NewPtrHeartbeatRequest()
	request.Group, request.InstanceID = group, instance
	request.MemberID, request.Generation = client.GroupMetadata()
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("heartbeat of group %s: %w", group, err)
	}
	switch err := kerr.ErrorForCode(answer.ErrorCode); err {
	case nil, kerr.RebalanceInProgress: // until it has joined again, or has been waited for, nobody gets its partitions
		s.answered(begun)
		return nil
	default:
		return fmt.Errorf("heartbeat of group %s: %w", group, err)
	}
}

// joinsAnew tells whether a group's session ended for a reason that passes when the client joins again: nobody could be
// reached, or the coordinator does not know the member or its generation any more, as after a broker that came back.
// Kafka's own consumer joins again for the same errors of JoinGroup, SyncGroup and Heartbeat (AbstractCoordinator,
// KIP-62); all others are fatal to it.
func joinsAnew(err error) bool {
	var session *kgo.ErrGroupSession
	return errors.As(err, &session) && (security.Passes(err) || forgotten(err))
}

// forgotten tells whether a group's coordinator answers that the member or its generation is not of the group now.
func forgotten(err error) bool {
	return errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) ||
		errors.Is(err, kerr.RebalanceInProgress) ||
		errors.Is(err, kerr.MemberIDRequired)
}
