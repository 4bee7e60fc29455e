package kafka

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A lost lock stays lost, even if its client joins the group again and is assigned the partition again.
func TestLostLockStaysLost(t *testing.T) {
	t.Parallel()
	b := newBeginning(t, 1)
	turn, err := AcquireGroupLock(kafkatest.Context(t), testConfig(b.b.Addr()), "turns", "orders")
	require.NoError(t, err)
	t.Cleanup(turn.Close)
	if err := turn.CheckMembership(kafkatest.Context(t)); err != nil || !turn.IsSessionValid() {
		t.Fatalf("expected the lock to be held, found %v", err)
	}
	again := make(chan struct{})
	b.b.Cluster.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) { // once
		b.b.Cluster.ControlKey(int16(kmsg.SyncGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
			b.b.Cluster.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
				close(again) // the partition is assigned
				return nil, nil, false
			})
			return nil, nil, false
		})
		return kafkatest.Response(r, kerr.UnknownMemberID), nil, true
	})
	<-turn.Context().Done()
	if err := context.Cause(turn.Context()); !errors.Is(err, errLockLost) {
		t.Errorf("expected %v, found %v", errLockLost, err)
	}
	<-again
	if err := turn.CheckMembership(kafkatest.Context(t)); !errors.Is(err, errLockLost) || turn.IsSessionValid() {
		t.Errorf("expected the lock to stay lost, found %v", err)
	}
}

// A holder whose context ends keeps the lock until it releases it, so it can complete its work.
func TestLockOutlivesItsContext(t *testing.T) {
	t.Parallel()
	b := newBeginning(t, 1)
	config := testConfig(b.b.Addr())
	config.Consumer.Reset = "none" // it applies to records, and a lock reads none
	ctx, stop := context.WithCancel(kafkatest.Context(t))
	defer stop()
	turn, err := AcquireGroupLock(ctx, config, "turns", "orders")
	require.NoError(t, err)
	t.Cleanup(turn.Close)
	stop()
	<-turn.Context().Done()
	beats := atomic.Int32{}
	kept := make(chan struct{})
	b.b.Cluster.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.b.Cluster.KeepControl()
		if beats.Add(1) == 2 {
			close(kept)
		}
		return nil, nil, false
	})
	<-kept
	if err := turn.CheckMembership(kafkatest.Context(t)); err != nil || !turn.IsSessionValid() {
		t.Errorf("expected the lock to be held, found %v", err)
	}
}
