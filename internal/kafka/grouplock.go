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

// ErrLocked is the error of [AcquireGroupLock] if another client holds the lock.
var ErrLocked = errors.New("another client holds the lock")

var errLockLost = errors.New("the group membership has ended, and another client may hold the lock")

// A killed client keeps the lock for lockSessionTimeout. lockTimeout is longer than that, and than the first rebalance
// of an empty group (group.initial.rebalance.delay.ms, 3 seconds by default).
const (
	lockSessionTimeout    = 10 * time.Second
	lockHeartbeatInterval = 3 * time.Second
	lockTimeout           = 15 * time.Second
)

// GroupLock is a lock between processes, held by the member of a group that has its only assigned partition.
//
// Invariants: a lost lock stays lost, although the client rejoins. Close releases it, not the end of a context.
type GroupLock struct {
	*Consumer
	lostCtx  context.Context // ends when the lock is lost or released
	ctx      context.Context // ends with lostCtx, or earlier with the caller's context
	markLost context.CancelCauseFunc
}

// AcquireGroupLock acquires the lock by joining a group. All clients must use the same existing topic. It waits up to
// lockTimeout, so that a killed client is removed before; then it returns [ErrLocked].
func AcquireGroupLock(ctx context.Context, config Config, group, topic string) (*GroupLock, error) {
	lostCtx, markLost := context.WithCancelCause(context.WithoutCancel(ctx))
	lockCtx, cancel := context.WithCancelCause(ctx)
	l := &GroupLock{lostCtx: lostCtx, ctx: lockCtx, markLost: func(cause error) {
		markLost(cause)
		cancel(cause)
	}}
	acquired, setAcquired := context.WithCancel(context.Background())
	defer setAcquired()
	// The settings of the caller's consumers do not apply to the lock.
	consumer := &config.Consumer
	consumer.Group = ""
	consumer.Instance = ""
	consumer.Reset = "latest" // joins with the first Poll, when fetching is paused
	consumer.Assignors = nil
	consumer.SessionTimeout = lockSessionTimeout
	consumer.MaxPollInterval = lockSessionTimeout
	consumer.HeartbeatInterval = lockHeartbeatInterval
	var err error
	rebalances := Rebalances{
		Assigned: func(map[string][]int32) { setAcquired() }, // after a loss the client rejoins until Close
		Revoked: func(context.Context, map[string][]int32) Offsets {
			l.markLost(errLockLost)
			return nil
		},
		Lost: func(map[string][]int32) { l.markLost(errLockLost) },
	}
	l.Consumer, err = NewConsumer(config, ConsumerOptions{Group: group, Topics: []string{topic}, exclusive: true,
		Rebalances: rebalances})
	if err != nil {
		l.markLost(err)
		return nil, err
	}
	l.client.PauseFetchTopics(topic)
	go func() { l.markLost(guard.Do(config.Logger, "the lock of group "+group, l.poll)) }()
	select {
	case <-acquired.Done():
		return l, nil
	case <-lockCtx.Done():
		err = context.Cause(lockCtx)
	case <-time.After(lockTimeout):
		member, _ := l.client.GroupMetadata()
		err = fmt.Errorf("group %s: %w", group, ErrLocked)
		if member == "" { // the client never joined
			err = fmt.Errorf("group %s: expected to join within %v, found no coordinator that accepts it", group,
				lockTimeout)
		}
	}
	l.Close()
	return nil, err
}

// poll lets the client rebalance until the lock is lost.
func (l *GroupLock) poll() error {
	for l.lostCtx.Err() == nil {
		if _, err := l.Poll(l.lostCtx); err != nil {
			return err
		}
	}
	return nil
}

// Context ends with the context of [AcquireGroupLock], or when the lock is lost.
func (l *GroupLock) Context() context.Context { return l.ctx }

// CheckMembership returns nil if no other client can hold the lock, see [Consumer.CheckMembership].
func (l *GroupLock) CheckMembership(ctx context.Context) error {
	if err := context.Cause(l.lostCtx); err != nil {
		return err
	}
	return l.Consumer.CheckMembership(ctx)
}

// IsSessionValid reports, without a request, whether no other client can hold the lock.
func (l *GroupLock) IsSessionValid() bool {
	return l.lostCtx.Err() == nil && l.Consumer.IsSessionValid()
}

// Close releases the lock by leaving the group, and ends [GroupLock.Context].
func (l *GroupLock) Close() {
	l.Consumer.Close()
	l.markLost(errLockLost)
}

// exclusiveBalancer assigns only the first partition of the topic, to one member for as long as it stays.
type exclusiveBalancer struct{ kgo.GroupBalancer }

// MemberBalancer implements [kgo.GroupBalancer] with a balancer that calls Balance of e.
func (e exclusiveBalancer) MemberBalancer(
	members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	b, err := kgo.NewConsumerBalancer(e, members)
	return b, b.MemberTopics(), err
}

// Balance implements [kgo.ConsumerBalancerBalance]. It hides all partitions but the first.
func (e exclusiveBalancer) Balance(b *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	first := map[string]int32{}
	for topic, partitions := range topics {
		first[topic] = min(1, partitions)
	}
	return e.GroupBalancer.(kgo.ConsumerBalancerBalance).Balance(b, first)
}
