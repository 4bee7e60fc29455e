package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/cluster/clustertest"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/wit"
)

// The leader fences all current and former producers of a connector, once for each version of its tasks, however many
// workers request it, even after another worker has become the leader. It records the fencing for Kafka Connect and for
// itself.
func TestProducersAreFencedOnce(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Cluster(t, kfake.NumBrokers(1))
	ctx := kafkatest.Context(t)
	a := openFollower(t, cluster.ListenAddrs()...)
	b := openFollower(t, cluster.ListenAddrs()...)
	k := logOptionsOf(cluster.ListenAddrs(), nil).Kafka
	require.NoError(t, a.Lead(ctx))
	isLeader := func(context.Context) error { return nil }
	fencer := NewFencer(a.store, "g", isLeader)
	putTasks := func(n int) (version int64) {
		version, err := a.putTasks(ctx, "c", make([]map[string]string, n))
		require.NoError(t, err)
		return version
	}
	var mu sync.Mutex
	var ids []string // the transactional IDs that were fenced
	kafkatest.RejectIf(cluster, kmsg.InitProducerID, kerr.UnknownServerError, func(r kmsg.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if id := r.(*kmsg.InitProducerIDRequest).TransactionalID; id != nil {
			ids = append(ids, *id)
		}
		return false
	})
	// fence calls Fence several times at once, and returns the IDs that this has fenced.
	fence := func(f *Fencer, version int64, counts config.FencingCounts) []string {
		t.Helper()
		mu.Lock()
		ids = nil
		mu.Unlock()
		var calls sync.WaitGroup
		for range 5 {
			calls.Go(func() { assert.NoError(t, f.Fence(ctx, k, "c", version, counts)) })
		}
		calls.Wait()
		mu.Lock()
		defer mu.Unlock()
		return ids
	}
	first := putTasks(2)
	counts := config.FencingCounts{Tasks: 2, Producers: 2}
	assert.Equal(t, []string{"g-c-0", "g-c-0-1", "g-c-1", "g-c-1-1"}, fence(fencer, first, counts))
	zombie, err := kafka.OpenTransactions(ctx, k, "", []string{"g-c-1-1"}, nil)
	require.NoError(t, err)
	defer zombie.Close()
	output := zombie.Output()
	assert.Equal(t, nil, fence(fencer, first, counts))
	require.NoError(t, output.Write(ctx, &kgo.Record{Topic: "configs", Key: []byte("x")})) // the worker was not fenced
	second := putTasks(1)
	counts = config.FencingCounts{Tasks: 1, Producers: 1}
	assert.Equal(t, []string{"g-c-0", "g-c-0-1", "g-c-1", "g-c-1-1"}, fence(fencer, second, counts))
	err = output.Write(ctx, &kgo.Record{Topic: "configs", Key: []byte("x")})
	assert.Equal(t, "g-c-1-1", kafka.FencedTransactionalID(err))
	stored := a.store.Fencing("c")
	assert.Equal(t, config.FencingCounts{Tasks: 1, Producers: 1, At: stored.At}, stored)
	assert.Equal(t, `{"producer-count":1,"task-count":1}`, string(a.store.Annotations("culvert-fencing-")["c"]))
	// Producers are always fenced before offsets are changed.
	assert.Equal(t, 5, len(fence(fencer, 0, counts)))
	// Another leader knows the fencing.
	require.NoError(t, b.Lead(ctx))
	assert.Equal(t, nil, fence(NewFencer(b.store, "g", isLeader), second, counts))
	err = fencer.Fence(ctx, k, "c", 0, counts)
	assert.True(t, err != nil, "expected the former leader to be unable to record the fencing")
	b.Resign()
	err = NewFencer(b.store, "g", isLeader).Fence(ctx, k, "d", 0, counts)
	assert.ErrorIs(t, err, ErrNotLeader, "an error because only a leader fences")
	stale := NewFencer(b.store, "g", func(context.Context) error { return ErrNotLeader })
	mu.Lock()
	ids = nil
	mu.Unlock()
	if err := stale.Fence(ctx, k, "d", 0, counts); !errors.Is(err, ErrNotLeader) || len(ids) > 0 {
		t.Errorf("expected a former leader to fence nothing, found %v and %v", ids, err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	assert.Error(t, fencer.Fence(canceled, k, "c", 0, counts), "canceled")
}

// Fencing that takes too long may be retried. The error names the producer that it waited for.
func TestFencingTimeoutIsRetriable(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *clustertest.Network) {
		kafkatest.RejectIf(n.Cluster, kmsg.InitProducerID, kerr.ConcurrentTransactions, func(r kmsg.Request) bool {
			return *r.(*kmsg.InitProducerIDRequest).TransactionalID == "g-c-1"
		})
		err := kafka.Fence(t.Context(), n.Config("a"), []string{"g-c-0", "g-c-1", "g-c-2"})
		assert.Error(t, err, "g-c-1: expected the previous producer's transaction to end within 30s")
		f, ok := errors.AsType[*wit.Error](err)
		assert.True(t, ok && f.Kind == wit.ErrorTransient, "expected a transient error, found %v", err)
	})
}
