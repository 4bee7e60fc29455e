package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/guard"
)

// ErrLocked is the error of [AcquireGroupLock] if another client has the turn.
var ErrLocked = errors.New("another client has the turn")

var errTurnLost = errors.New("the membership in the group has ended, and another client may have the turn")

// A killed client keeps its turn for turnSession. turnTimeout is longer than that and than the first rebalance of an
// empty group (group.initial.rebalance.delay.ms, 3 seconds by default).
const (
	turnSession   = 10 * time.Second
	turnHeartbeat = 3 * time.Second
	turnTimeout   = 15 * time.Second
)

// GroupLock is a distributed lock: a consumer group has it assigned to one member.
//
// Invariants: a lost turn stays lost, although the client rejoins. The end of the context given to [AcquireGroupLock]
// does not lose it: the client has it until Close.
type GroupLock struct {
	*Consumer
	lostCtx, turnCtx context.Context
	lose             context.CancelCauseFunc
}

// AcquireGroupLock joins a group to acquire its turn. All clients must use the same existing topic. It waits until a
// killed client is removed; then it returns [ErrLocked].
func AcquireGroupLock(ctx context.Context, c Config, group, topic string) (*GroupLock, error) {
	lost, endLost := context.WithCancelCause(context.WithoutCancel(ctx))
	turnCtx, cancelTurn := context.WithCancelCause(ctx)
	t := &GroupLock{lostCtx: lost, turnCtx: turnCtx, lose: func(cause error) {
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
		if err = fmt.Errorf("group %s: %w", group, ErrLocked); member == "" {
			err = fmt.Errorf("group %s: expected to join it within %v, found no coordinator that lets it", group,
				turnTimeout)
		}
	}
	t.Close()
	return nil, err
}

// Context ends with the context of [AcquireGroupLock], or when the lock is lost.
func (t *GroupLock) Context() context.Context { return t.turnCtx }

// ConfirmOwnership returns nil if no other client can have the turn, see [Consumer.ConfirmOwnership].
func (t *GroupLock) ConfirmOwnership(ctx context.Context) error {
	if err := context.Cause(t.lostCtx); err != nil {
		return err
	}
	return t.Consumer.ConfirmOwnership(ctx)
}

// IsSessionValid reports whether the session has not timed out.
func (t *GroupLock) IsSessionValid() bool {
	return t.lostCtx.Err() == nil && t.Consumer.IsSessionValid()
}

// Close gives the turn to whoever waits for it.
func (t *GroupLock) Close() {
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
