package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/guard"
)

// ErrTurnTaken is the error of [TakeTurn] where another client has the turn.
var ErrTurnTaken = errors.New("another client has the turn")

// ErrTurnLost ends the context of a turn whose client was out of its group.
var ErrTurnLost = errors.New("the membership in the group has ended, and another client may have the turn")

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
type Turn struct {
	client  *kgo.Client
	session *session
	group   string
	// taken is closed when the turn is this client's.
	taken chan struct{}
	// life ends when it is not any more, or was refused.
	life context.Context
	end  context.CancelCauseFunc
}

// TakeTurn joins a group for the turn that it has for a topic which exists. It waits until a client that was killed is
// given up; where another one still has the turn then, the error is [ErrTurnTaken].
func TakeTurn(ctx context.Context, c Config, group, topic string) (*Turn, error) {
	t := &Turn{session: newSession(turnSession), group: group, taken: make(chan struct{})}
	t.life, t.end = context.WithCancelCause(ctx)
	lost := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		if len(partitions) > 0 {
			t.end(ErrTurnLost)
		}
	}
	client, dialer, err := newClient(c.ConsumerOpts(
		kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.DisableAutoCommit(),
		kgo.Balancers(firstPartitions{kgo.CooperativeStickyBalancer()}),
		kgo.SessionTimeout(turnSession), kgo.HeartbeatInterval(turnHeartbeat), kgo.WithHooks(t.session),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			if len(partitions) > 0 {
				close(t.taken) // once: it is lost before it can come again, and then the client ends
			}
		}),
		kgo.OnPartitionsRevoked(lost), kgo.OnPartitionsLost(lost)))
	if err != nil {
		t.end(err)
		return nil, err
	}
	client.PauseFetchTopics(topic)
	dialer.onDenied(t.end)
	t.client = client
	go func() {
		if err := guard.Do(c.Logger, "the turn of group "+group, t.watch); err != nil {
			t.end(err)
		}
	}()
	if err := t.wait(c.Logger); err != nil {
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
			return fmt.Errorf("group %s: %w", t.group, ErrTurnTaken)
		case <-quiet.C:
			if log != nil {
				log.Warn("another client has the turn, or was killed a moment ago: it is waited for", "group", t.group,
					"seconds", int((turnWithin - turnQuiet).Seconds()))
			}
		}
	}
}

// watch returns what keeps the client from being a member, nil at the turn's end. Nothing is fetched.
func (t *Turn) watch() (failure error) {
	for failure == nil && t.life.Err() == nil {
		t.client.PollFetches(t.life).EachError(func(_ string, _ int32, err error) {
			if t.life.Err() == nil && failure == nil && !joinsAnew(err) {
				failure = Lacking(err, "READ", "Group "+t.group)
			}
		})
	}
	return failure
}

// Context ends with that which the turn was taken under, or with [ErrTurnLost] as its cause.
func (t *Turn) Context() context.Context { return t.life }

// Alive returns nil where no other client can have the turn, see [Consumer.Alive].
func (t *Turn) Alive(ctx context.Context) error {
	if err := context.Cause(t.life); err != nil {
		return err
	}
	return t.session.confirm(ctx, t.client, t.group, nil)
}

// Lasts tells whether that is so by the time that the session has left.
func (t *Turn) Lasts() bool { return t.life.Err() == nil && t.session.lasts() }

// Close gives the turn to whoever waits for it.
func (t *Turn) Close() {
	t.client.CloseAllowingRebalance()
	t.end(ErrTurnLost)
}

// firstPartitions gives the first partition of each topic to one member, which keeps it for as long as it is one, and
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
