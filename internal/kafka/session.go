package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// Session detects that a member may have been removed from its group: the client of a process that was paused for
// longer than its session notices only with its next heartbeat. It is a hook of the client and safe for concurrent use.
type Session struct {
	group     string
	instance  *string
	timeout   time.Duration // session.timeout.ms
	rebalance time.Duration // rebalance.timeout.ms
	now       func() bootTime

	requests guard.CtxMutex // requests serializes our own heartbeats. probing is set while one is in progress.
	probing  atomic.Bool

	mu sync.Mutex
	// confirmedAt is the start of the last answered request. Nil means no answer since the membership has ended.
	confirmedAt *bootTime
	stableAt    bootTime // stableAt is the start of the last request that was answered outside a rebalance.
	syncedAt    bootTime // syncedAt is the start of the last answered SyncGroup.
}

// bootTime is a time on two clocks: Go's, which stops while Linux sleeps (clock_gettime(2)), and one that does not.
type bootTime struct {
	monotonic time.Time
	boot      time.Duration
}

var now = func() bootTime { return bootTime{time.Now(), bootClock()} }

// since returns the longer of the durations on the two clocks.
func (b bootTime) since(earlier bootTime) time.Duration {
	return max(b.monotonic.Sub(earlier.monotonic), b.boot-earlier.boot)
}

func (b bootTime) minus(d time.Duration) bootTime { return bootTime{b.monotonic.Add(-d), b.boot - d} }

// NewSession creates the session of a member. instance is its group.instance.id, "" for no ID.
func NewSession(group, instance string, timeout, rebalance time.Duration) *Session {
	s := &Session{group: group, timeout: timeout, rebalance: rebalance, now: now, requests: guard.NewCtxMutex()}
	if instance != "" {
		s.instance = &instance
	}
	return s
}

// OnBrokerE2E observes the client's heartbeats. The hook does not see error codes: after a timeout [Session.Confirm]
// is needed. Nor does it see rebalances: a client keeps sending heartbeats while it revokes partitions.
func (s *Session) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if e2e.Err() != nil {
		return
	}
	switch startedAt := s.now().minus(e2e.DurationE2E()); {
	case key == int16(kmsg.SyncGroup):
		s.mu.Lock()
		defer s.mu.Unlock()
		s.syncedAt = startedAt
		s.stableAt = startedAt
	case key == int16(kmsg.Heartbeat) && !s.probing.Load() && s.IsValid():
		s.recordResponse(startedAt)
	}
}

// Joined records that the client has joined: the session counts from the last SyncGroup.
func (s *Session) Joined() {
	s.mu.Lock()
	startedAt := s.syncedAt
	s.mu.Unlock()
	s.recordResponse(startedAt)
}

// Ended records that the membership has ended: the session is not valid until [Session.Joined] or a heartbeat.
func (s *Session) Ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirmedAt = nil
}

func (s *Session) recordResponse(startedAt bootTime) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.confirmedAt == nil || startedAt.since(*s.confirmedAt) > 0 {
		s.confirmedAt = &startedAt
	}
}

// IsValid reports whether the coordinator cannot have removed the member.
func (s *Session) IsValid() bool { return s.Remaining(s.timeout) > 0 && s.IsStable(s.rebalance) }

// IsStable reports whether a response within this time was outside a rebalance. The coordinator removes a member that
// it has awaited longer than rebalance.timeout.ms: a JoinGroup may be lost while heartbeats are answered.
func (s *Session) IsStable(within time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().since(s.stableAt) < within
}

// Remaining returns the time until the last response is older than limit; zero or less if it is.
func (s *Session) Remaining(limit time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.confirmedAt == nil {
		return 0
	}
	return limit - s.now().since(*s.confirmedAt)
}

// Confirm returns nil if the member belongs to its group, by a response that is at most maxAge old or by a shared
// heartbeat. While the client joins, the coordinator may respond ILLEGAL_GENERATION to a valid member.
func (s *Session) Confirm(ctx context.Context, client *kgo.Client, maxAge time.Duration) error {
	calledAt := s.now()
	if err := s.requests.Lock(ctx); err != nil {
		return err
	}
	// The heartbeat of another caller counts, if it began after this call.
	if s.Remaining(max(maxAge, s.now().since(calledAt))) > 0 && s.IsStable(s.rebalance) {
		s.requests.Unlock()
		return nil
	}
	result := make(chan error, 1)
	go func() {
		err := guard.Do(nil, "a heartbeat of group "+s.group, func() error { return s.heartbeat(ctx, client) })
		s.requests.Unlock()
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// heartbeat sends a heartbeat of our own and waits for the response. The caller holds requests.
func (s *Session) heartbeat(ctx context.Context, client *kgo.Client) error {
	startedAt := s.now()
	request := kmsg.NewPtrHeartbeatRequest()
	request.Group = s.group
	request.InstanceID = s.instance
	request.MemberID, request.Generation = client.GroupMetadata()
	s.probing.Store(true)
	response, err := request.RequestWith(ctx, client)
	s.probing.Store(false)
	if err == nil {
		err = kerr.ErrorForCode(response.ErrorCode)
	}
	switch {
	case err == nil:
		s.mu.Lock()
		s.stableAt = startedAt
		s.mu.Unlock()
		s.recordResponse(startedAt)
		return nil
	case errors.Is(err, kerr.RebalanceInProgress):
		// It is still a member: its partitions stay until it has rejoined or timed out.
		s.recordResponse(startedAt)
		if s.IsStable(s.rebalance) {
			return nil
		}
	}
	return fmt.Errorf("heartbeat of group %s: %w", s.group, err)
}

// IsRejoinable reports whether rejoining resolves an error of JoinGroup, SyncGroup or Heartbeat, as Kafka's consumer
// does (KIP-62): no broker was reachable, or the coordinator forgot the member.
func IsRejoinable(err error) bool { return security.IsTransient(err) || isUnknownMember(err) }

func isUnknownMember(err error) bool {
	return errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) ||
		errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.MemberIDRequired)
}
