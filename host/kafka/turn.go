package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/guard"
)

// ErrTurnTaken is the error of [TakeTurn] where another client has the turn.
var ErrTurnTaken = errors.New("another client has the turn")

// errTurnLost ends the context of a turn whose client was out of its group.
var errTurnLost = errors.New("the membership in the group has ended, and another client may have the turn")

// A client that was killed has its turn for turnSession longer; turnWithin is how long a turn is waited for, which is
// longer than that and than the first rebalance of an empty group (group.initial.rebalance.delay.ms, 3 seconds by
// default).
const (
	turnSession   = 10 * time.Second
	turnHeartbeat = 3 * time.Second
	turnWithin    = 15 * time.Second
	turnQuiet     = 5 * time.Second // then it is said that it is waited for
)

// Turn is the right to do what no two clients may do at once: a group gives it to one of its members, for as long as
// that is one. It owns the goroutines of its client until Close.
//
// Invariants: a turn that is lost stays lost, though the client joins the group again. The end of the context that was
// given to [TakeTurn] does not lose it: the client has it until Close.
type Turn struct {
	client  *kgo.Client
	session *Session
	group   string
	// taken is closed when the turn is this client's.
	taken chan struct{}
	// lost ends when another client may have the turn, or the group refuses this one. life ends with lost, and with the
	// context that was given to TakeTurn.
	lost, life context.Context
	// lose ends both.
	lose context.CancelCauseFunc
}

// TakeTurn joins a group for its turn. The topic has to exist, and to be the same for all clients of the group.
// TakeTurn waits until a client that was killed is given up; where another one still has the turn then, the error is
// [ErrTurnTaken].
func TakeTurn(ctx context.Context, c Config, group, topic string) (*Turn, error) {
	t := &Turn{session: NewSession(group, "", turnSession, turnSession), group: group, taken: make(chan struct{})}
	lost, endLost := context.WithCancelCause(context.WithoutCancel(ctx))
	life, endLife := context.WithCancelCause(ctx)
	t.lost, t.life, t.lose = lost, life, func(cause error) {
		endLost(cause)
		endLife(cause)
	}
	taken := sync.OnceFunc(func() { close(t.taken) }) // a client that lost it joins again until it is closed
	gone := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		if len(partitions) > 0 {
			t.lose(errTurnLost)
		}
	}
	client, dialer, err := newClient(c.ConsumerOpts(
		kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.DisableAutoCommit(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd()), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.Balancers(firstPartitions{kgo.CooperativeStickyBalancer()}),
		kgo.SessionTimeout(turnSession), kgo.RebalanceTimeout(turnSession), kgo.HeartbeatInterval(turnHeartbeat),
		kgo.WithHooks(t.session),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			if len(partitions) > 0 {
				taken()
			}
		}),
		kgo.OnPartitionsRevoked(gone), kgo.OnPartitionsLost(gone)))
	if err != nil {
		t.lose(err)
		return nil, err
	}
	client.PauseFetchTopics(topic)
	dialer.OnDenied(t.lose)
	t.client = client
	go func() {
		if err := guard.Do(c.Logger, "the turn of group "+group, t.watch); err != nil {
			t.lose(err)
		}
	}()
	if err := t.wait(c.log()); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Turn) wait(log *slog.Logger) error {
	limit, quiet := time.NewTimer(turnWithin), time.NewTimer(turnQuiet)
	defer limit.Stop()
	defer quiet.Stop()
	for {
		select {
		case <-t.taken:
			return nil
		case <-t.life.Done():
			return context.Cause(t.life)
		case <-limit.C:
			if member, _ := t.client.GroupMetadata(); member == "" {
				return fmt.Errorf("group %s: expected to join it within %v, found no coordinator that lets it", t.group,
					turnWithin)
			}
			return fmt.Errorf("group %s: %w", t.group, ErrTurnTaken)
		case <-quiet.C:
			log.Warn("the turn is waited for: another client has it, or was killed a moment ago", "group", t.group,
				"seconds", int((turnWithin - turnQuiet).Seconds()))
		}
	}
}

// watch returns what keeps the client from being a member, nil at the turn's end. Nothing is fetched.
func (t *Turn) watch() (failure error) {
	for failure == nil && t.lost.Err() == nil {
		t.client.PollFetches(t.lost).EachError(func(_ string, _ int32, err error) {
			if t.lost.Err() == nil && failure == nil && !joinsAnew(err) {
				failure = Lacking(err, "READ", "Group "+t.group)
			}
		})
	}
	return failure
}

// Context ends with that which the turn was taken under, or with [errTurnLost] as its cause.
func (t *Turn) Context() context.Context { return t.life }

// Alive returns nil where no other client can have the turn, see [Consumer.Alive].
func (t *Turn) Alive(ctx context.Context) error {
	if err := context.Cause(t.lost); err != nil {
		return err
	}
	return t.session.Confirm(ctx, t.client, turnSession)
}

// Lasts tells whether that is so by the time that the session has left.
func (t *Turn) Lasts() bool { return t.lost.Err() == nil && t.session.Lasts() }

// Close gives the turn to whoever waits for it.
func (t *Turn) Close() {
	t.client.CloseAllowingRebalance()
	t.lose(errTurnLost)
}

// firstPartitions gives the first partition of the topic to one member, which keeps it for as long as it is one, and
// no other partition to anybody.
type firstPartitions struct{ kgo.GroupBalancer }

// MemberBalancer implements [kgo.GroupBalancer].
func (f firstPartitions) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer,
	map[string]struct{}, error) {
	b, err := kgo.NewConsumerBalancer(f, members)
	return b, b.MemberTopics(), err
}

// Balance implements [kgo.ConsumerBalancerBalance].
func (f firstPartitions) Balance(b *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	first := map[string]int32{}
	for topic, partitions := range topics {
		first[topic] = min(1, partitions)
	}
	return f.GroupBalancer.(kgo.ConsumerBalancerBalance).Balance(b, first)
}
