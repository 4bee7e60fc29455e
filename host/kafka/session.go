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

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/kafka/security"
)

// Session knows since when a member may be out of its group without having heard of it: a process that is paused for
// longer than its session goes on as if nothing had been, until its next heartbeat is answered. It is a hook of the
// member's client. Safe for use by several goroutines.
type Session struct {
	group              string
	instance           *string
	timeout, rebalance time.Duration
	now                func() instant

	// asking is held by the one who asks the coordinator. asked is set while it waits for the answer to its heartbeat,
	// which is looked at before it counts.
	asking guard.CtxMutex
	asked  atomic.Bool

	mu sync.Mutex
	// known is when a request was begun that the coordinator has answered: it counts the session from no earlier. nil:
	// it has answered none, or the membership is known to have ended since.
	known *instant
	// stable is when a request was begun that the coordinator has answered while it waited for no member to join.
	stable instant
	// synced is when the last SyncGroup was begun that was answered, whatever the answer.
	synced instant
}

// instant is a time on two clocks: Go's, which stands still while a Linux machine sleeps (clock_gettime(2)), and one
// that does not.
type instant struct {
	at    time.Time
	awake time.Duration
}

// now is what a session reads, unless a test sets another before it makes one.
var now = func() instant { return instant{time.Now(), sleepless()} }

// since is how much later i is, on the clock that went further.
func (i instant) since(earlier instant) time.Duration {
	return max(i.at.Sub(earlier.at), i.awake-earlier.awake)
}

func (i instant) minus(d time.Duration) instant { return instant{i.at.Add(-d), i.awake - d} }

// NewSession is that of a member of a group whose coordinator gives it up after a silence of so long
// (session.timeout.ms), and where it has not joined a generation for so long (rebalance.timeout.ms). instance is the
// member's group.instance.id, "" for none.
func NewSession(group, instance string, timeout, rebalance time.Duration) *Session {
	s := &Session{group: group, timeout: timeout, rebalance: rebalance, now: now, asking: guard.NewCtxMutex()}
	if instance != "" {
		s.instance = &instance
	}
	return s
}

// OnBrokerE2E takes the client's own heartbeats. Whether the coordinator takes the member for one does not stand in
// what is known here: after a session that is over, an answer says nothing, and [Session.Confirm] is needed. Nor
// does an answer say whether the group waits for the member to join: a client goes on with heartbeats while it gives
// partitions up.
func (s *Session) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if e2e.Err() != nil {
		return
	}
	switch begun := s.now().minus(e2e.DurationE2E()); {
	case key == int16(kmsg.SyncGroup):
		s.mu.Lock()
		defer s.mu.Unlock()
		s.synced, s.stable = begun, begun
	case key == int16(kmsg.Heartbeat) && !s.asked.Load() && s.Lasts():
		s.answered(begun)
	}
}

// Joined notes that the client has joined the group: the coordinator counts the session from its last SyncGroup.
func (s *Session) Joined() {
	s.mu.Lock()
	begun := s.synced
	s.mu.Unlock()
	s.answered(begun)
}

// Ended notes that the client has heard that it is no member any more.
func (s *Session) Ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = nil
}

// answered notes that a request was answered that was begun at that time.
func (s *Session) answered(begun instant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || begun.since(*s.known) > 0 {
		s.known = &begun
	}
}

// Lasts tells whether the coordinator cannot have given the member up.
func (s *Session) Lasts() bool { return s.Left(s.timeout) > 0 && s.Stable(s.rebalance) }

// Stable tells whether the coordinator has said within so long that it waits for no member to join. It gives up a
// member that it has waited for longer than rebalance.timeout.ms: a JoinGroup may be lost, or hang, while heartbeats
// are answered.
func (s *Session) Stable(within time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().since(s.stable) < within
}

// Left is how long it is until the coordinator's last answer is as old as that, on the clock that went further; 0 or
// less: it is, or there is none.
func (s *Session) Left(old time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		return 0
	}
	return old - s.now().since(*s.known)
}

// Confirm returns nil where the member is one of its group: the coordinator's last answer is not as old as that, or it
// says so now. Those who ask at the same time share an answer. While the client joins a new generation, the coordinator
// may answer ILLEGAL_GENERATION to a member that it has: the error stands until the client has heard of it.
func (s *Session) Confirm(ctx context.Context, client *kgo.Client, old time.Duration) error {
	called := s.now()
	if err := s.asking.Lock(ctx); err != nil {
		return err
	}
	if s.Left(max(old, s.now().since(called))) > 0 && s.Stable(s.rebalance) {
		s.asking.Unlock()
		return nil
	}
	// A request is not given up while the client connects, whatever its context.
	answered := make(chan error, 1)
	go func() {
		err := guard.Do(nil, "a heartbeat of group "+s.group, func() error { return s.ask(ctx, client) })
		s.asking.Unlock()
		answered <- err
	}()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask sends a heartbeat.
func (s *Session) ask(ctx context.Context, client *kgo.Client) error {
	begun := s.now()
	request := kmsg.NewPtrHeartbeatRequest()
	request.Group, request.InstanceID = s.group, s.instance
	request.MemberID, request.Generation = client.GroupMetadata()
	s.asked.Store(true)
	answer, err := request.RequestWith(ctx, client)
	s.asked.Store(false)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	switch {
	case err == nil:
		s.mu.Lock()
		s.stable = begun
		s.mu.Unlock()
		s.answered(begun)
		return nil
	case errors.Is(err, kerr.RebalanceInProgress):
		// The member is one: until it has joined again, or has been waited for, nobody gets its partitions.
		if s.answered(begun); s.Stable(s.rebalance) {
			return nil
		}
	}
	return fmt.Errorf("heartbeat of group %s: %w", s.group, err)
}

// joinsAnew tells whether a group's session ended for a reason that passes when the client joins again.
func joinsAnew(err error) bool {
	var session *kgo.ErrGroupSession
	return errors.As(err, &session) && JoinsAgain(err)
}

// JoinsAgain tells whether an error of JoinGroup, SyncGroup or Heartbeat passes when the client joins again: nobody
// could be reached, or the coordinator does not know the member or its generation any more, as after a broker that came
// back. Kafka's own consumer joins again for the same ones (AbstractCoordinator, KIP-62); all others are fatal to it.
func JoinsAgain(err error) bool { return security.Passes(err) || forgotten(err) }

// forgotten tells whether a group's coordinator answers that the member or its generation is not of the group now.
func forgotten(err error) bool {
	return errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) ||
		errors.Is(err, kerr.RebalanceInProgress) ||
		errors.Is(err, kerr.MemberIDRequired)
}
