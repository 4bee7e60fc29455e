package kafka

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// A lost lock stays lost, even if its client joins the group again and is assigned the partition again.
func TestLostLockStaysLost(t *testing.T) {
	t.Parallel()
	topic := newStartTopic(t, 1)
	lock, err := AcquireGroupLock(kafkatest.Context(t), testConfig(topic.broker.Addr()), "turns", "orders")
	require.NoError(t, err)
	t.Cleanup(lock.Close)
	err = lock.CheckMembership(kafkatest.Context(t))
	require.True(t, err == nil && lock.IsSessionValid(), "expected the lock to be held, found %v", err)
	reassigned := make(chan struct{})
	// The broker rejects one heartbeat. The heartbeat after the next SyncGroup shows that the client has rejoined.
	topic.broker.Cluster.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
		topic.broker.Cluster.ControlKey(int16(kmsg.SyncGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
			topic.broker.Cluster.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
				close(reassigned) // the partition is assigned
				return nil, nil, false
			})
			return nil, nil, false
		})
		return kafkatest.Response(r, kerr.UnknownMemberID), nil, true
	})
	<-lock.Context().Done()
	assert.ErrorIs(t, context.Cause(lock.Context()), errLockLost)
	<-reassigned
	if err := lock.CheckMembership(kafkatest.Context(t)); !errors.Is(err, errLockLost) || lock.IsSessionValid() {
		t.Errorf("expected the lock to stay lost, found %v", err)
	}
}

// A holder whose context ends keeps the lock until it releases it, so it can complete its work.
func TestLockOutlivesItsContext(t *testing.T) {
	t.Parallel()
	topic := newStartTopic(t, 1)
	config := testConfig(topic.broker.Addr())
	config.Consumer.Reset = "none" // it applies to records, and a lock reads none
	ctx, stop := context.WithCancel(kafkatest.Context(t))
	defer stop()
	lock, err := AcquireGroupLock(ctx, config, "turns", "orders")
	require.NoError(t, err)
	t.Cleanup(lock.Close)
	stop()
	<-lock.Context().Done()
	heartbeats := atomic.Int32{}
	stayed := make(chan struct{})
	topic.broker.Cluster.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		topic.broker.Cluster.KeepControl()
		if heartbeats.Add(1) == 2 {
			close(stayed)
		}
		return nil, nil, false
	})
	<-stayed
	err = lock.CheckMembership(kafkatest.Context(t))
	assert.True(t, err == nil && lock.IsSessionValid(), "expected the lock to be held, found %v", err)
}
