package kafka

import (
	"context"
	"errors"
	"fmt"
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
	turnTimeout   = 15 * time.Second
)

// Turn is the right to do what no two clients may do at once: a group gives it to one of its members, for as long as
// that is one. It is a consumer that reads nothing.
//
// Invariants: a turn that is lost stays lost, though the client joins the group again. The end of the context that was
// given to [TakeTurn] does not lose it: the client has it until Close.
type Turn struct {
	*Consumer
	// lostCtx ends when another client may have the turn, or the group refuses this one. life ends with lost, and with
	// the context that was given to TakeTurn.
	lostCtx, turnCtx context.Context
	// lose ends both.
	lose context.CancelCauseFunc
}

// TakeTurn joins a group for its turn. The topic has to exist, and to be the same for all clients of the group.
// TakeTurn waits until a client that was killed is given up; where another one still has the turn then, the error is
// [ErrTurnTaken].
func TakeTurn(ctx context.Context, c Config, group, topic string) (*Turn, error) {
	lost, endLost := context.WithCancelCause(context.WithoutCancel(ctx))
	turnCtx, cancelTurn := context.WithCancelCause(ctx)
	t := &Turn{lostCtx: lost, turnCtx: turnCtx, lose: func(cause error) {
		endLost(cause)
		cancelTurn(cause)
	}}
	taken, setTaken := context.WithCancel(context.Background())
	defer setTaken()
	of := &c.Consumer
	of.Group, of.Instance, of.Reset, of.Assignors = "", "", "latest", nil
	of.SessionTimeout, of.MaxPollInterval, of.HeartbeatInterval = turnSession, turnSession, turnHeartbeat
	var err error
	t.Consumer, err = NewConsumer(c, ConsumerOptions{Group: group, Topics: []string{topic}, exclusive: true,
		Rebalances: Rebalances{
			Assigned: func(map[string][]int32) { setTaken() }, // a client that lost it joins again until it is closed
			Revoked: func(context.Context, map[string][]int32) Offsets {
				t.lose(errTurnLost)
				return nil
			},
			Lost: func(map[string][]int32) { t.lose(errTurnLost) }}})
	if err != nil {
		t.lose(err)
		return nil, err
	}
	t.client.PauseFetchTopics(topic)
	go func() {
		err := guard.Do(c.Logger, "the turn of group "+group, func() error {
			for t.lostCtx.Err() == nil {
				if _, err := t.Poll(t.lostCtx); err != nil {
					return err
				}
			}
			return nil
		})
		t.lose(err)
	}()
	select {
	case <-taken.Done():
		return t, nil
	case <-turnCtx.Done():
		err = context.Cause(turnCtx)
	case <-time.After(turnTimeout):
		member, _ := t.client.GroupMetadata()
		if err = fmt.Errorf("group %s: %w", group, ErrTurnTaken); member == "" {
			err = fmt.Errorf("group %s: expected to join it within %v, found no coordinator that lets it", group,
				turnTimeout)
		}
	}
	t.Close()
	return nil, err
}

// Context ends with that which the turn was taken under, or with [errTurnLost] as its cause.
func (t *Turn) Context() context.Context { return t.turnCtx }

// Alive returns nil where no other client can have the turn, see [Consumer.Alive].
func (t *Turn) Alive(ctx context.Context) error {
	if err := context.Cause(t.lostCtx); err != nil {
		return err
	}
	return t.Consumer.Alive(ctx)
}

// Lasts tells whether that is so by the time that the session has left.
func (t *Turn) Lasts() bool { return t.lostCtx.Err() == nil && t.Consumer.Lasts() }

// Close gives the turn to whoever waits for it.
func (t *Turn) Close() {
	t.Consumer.Close()
	t.lose(errTurnLost)
}

// exclusiveBalancer gives the first partition of the topic to one member, which keeps it for as long as it is one, and
// no other partition to anybody.
type exclusiveBalancer struct{ kgo.GroupBalancer }

// MemberBalancer implements [kgo.GroupBalancer].
func (f exclusiveBalancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer,
	map[string]struct{}, error) {
	b, err := kgo.NewConsumerBalancer(f, members)
	return b, b.MemberTopics(), err
}

// Balance implements [kgo.ConsumerBalancerBalance].
func (f exclusiveBalancer) Balance(b *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	first := map[string]int32{}
	for topic, partitions := range topics {
		first[topic] = min(1, partitions)
	}
	return f.GroupBalancer.(kgo.ConsumerBalancerBalance).Balance(b, first)
}
