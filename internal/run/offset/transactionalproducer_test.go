package offset

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/run/runtest"
)

func fakeCluster(t *testing.T) (*kfake.Cluster, kafka.Config) {
	t.Helper()
	cluster := kafkatest.Cluster(t, kfake.NumBrokers(1))
	k := kafka.Defaults()
	k.Bootstrap = cluster.ListenAddrs()
	return cluster, k
}

// openWriter opens a writer with its own store, as on another worker.
func openWriter(t *testing.T, k kafka.Config, onWrite func(time.Time, error)) *Writer {
	t.Helper()
	c := DefaultConfig()
	c.FlushInterval = time.Hour
	c.Partitions = 3
	c.Replication = 1
	w, err := openTestStore(t, k, c).OpenTransactionalWriter(testContext(t), "orders", "g-orders-0", onWrite)
	require.NoError(t, err)
	return w
}

var partitionB = partition("/a", "B")

// checkZombieWrites pauses a worker, possibly during a transaction, while its task continues elsewhere. Its late writes
// fail and change nothing.
func checkZombieWrites(t *testing.T, k kafka.Config, inTransaction bool) {
	ctx := testContext(t)
	zombie := openWriter(t, k, nil)
	var failures []error
	zombie.OnFailure(func(err error) { failures = append(failures, err) })
	zombie.Acknowledged(partitionB, position(1))
	require.NoError(t, zombie.Flush(ctx))
	zombie.Acknowledged(partitionB, position(2))
	if inTransaction {
		o := zombie.producer.transactions.Output()
		require.NoError(t, o.Begin(ctx))
		batch := o.NewBatch()
		sent := make(chan error, 1)
		r := batch.Add()
		r.Topic = DefaultConfig().Topic
		r.Key = zombie.store.key("orders", partitionB)
		r.Value = []byte(`{"record":99}`)
		o.Produce(ctx, batch, kafka.Offset{}, func(_ int, err error) { sent <- err })
		require.NoError(t, <-sent)
		zombie.producer.output = o
	}
	// The worker is paused here.

	owner := openWriter(t, k, nil)
	require.NoError(t, owner.store.RefreshCommitted(ctx))
	expectOffset(t, owner.store, "orders", partitionB, `{"record":1}`)
	owner.Acknowledged(partitionB, position(3))
	require.NoError(t, owner.Flush(ctx))

	for range 2 {
		if err := zombie.Flush(ctx); kafka.FencedTransactionalID(err) != "g-orders-0" {
			t.Errorf("expected the ID to belong to another producer, found %v", err)
		}
	}
	clear(zombie.pending)
	runtest.Fails(t, zombie.Close(ctx), "g-orders-0", "offsets of connector orders", "topic connect-offsets")
	assert.True(t, len(failures) == 3 && kafka.FencedTransactionalID(failures[0]) != "",
		"expected a call for each failure, found %v", failures)
	expectOffset(t, zombie.store, "orders", partitionB, `{"record":3}`)
	owner.Acknowledged(partitionB, position(4))
	require.NoError(t, owner.Close(ctx))
	expectOffset(t, openTestStore(t, k, DefaultConfig()), "orders", partitionB, `{"record":4}`)
	key := `["orders",{"entityset":"B","service":"/a"}] `
	assert.Equal(t, []string{key + `{"record":1}`, key + `{"record":3}`, key + `{"record":4}`},
		readRaw(t, k, DefaultConfig().Topic))
}

// A worker that was paused stores nothing after its task continued elsewhere.
func TestZombieStoresNothing(t *testing.T) {
	t.Parallel()
	for _, inTransaction := range []bool{false, true} {
		_, k := fakeCluster(t)
		checkZombieWrites(t, k, inTransaction)
		_, k = openTestBroker(t, t.TempDir())
		checkZombieWrites(t, k, inTransaction)
	}
}

// A write continues after its context ends, and later writes follow it.
func TestSlowTransaction(t *testing.T) {
	t.Parallel()
	cluster, k := fakeCluster(t)
	var writes atomic.Int32
	w := openWriter(t, k, func(time.Time, error) { writes.Add(1) })
	var isAway atomic.Bool
	isAway.Store(true)
	kafkatest.RejectIf(cluster, kmsg.EndTxn, kerr.CoordinatorLoadInProgress,
		func(kmsg.Request) bool { return isAway.Load() })
	w.Acknowledged(partitionB, position(1))
	for range 2 { // the second one waits for the first
		shortCtx, cancel := context.WithTimeout(testContext(t), 100*time.Millisecond)
		assert.ErrorIs(t, w.Flush(shortCtx), context.DeadlineExceeded, "the context's error")
		cancel()
	}
	assert.Len(t, 0, readRaw(t, k, DefaultConfig().Topic), "stored offsets")
	w.Acknowledged(partitionB, position(2))
	isAway.Store(false)
	require.NoError(t, w.Close(testContext(t)))
	assert.Equal(t, int32(3), writes.Load())
	key := `["orders",{"entityset":"B","service":"/a"}] `
	assert.Equal(t, []string{key + `{"record":1}`, key + `{"record":2}`}, readRaw(t, k, DefaultConfig().Topic))
}

// The next write by the same producer contains a rejected write.
func TestRejectedWriteIsRepeated(t *testing.T) {
	t.Parallel()
	for _, rejection := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.InvalidRecord} {
		cluster, k := fakeCluster(t)
		w := openWriter(t, k, nil)
		w.OnFailure(func(err error) { t.Errorf("expected the writer to write again, found %v", err) })
		var isRejecting atomic.Bool
		kafkatest.RejectIf(cluster, kmsg.Produce, rejection, func(kmsg.Request) bool { return isRejecting.Load() })
		for n := range 3 {
			isRejecting.Store(true)
			w.Acknowledged(partitionB, position(int64(n)))
			assert.ErrorIs(t, w.Flush(testContext(t)), rejection)
			isRejecting.Store(false)
			require.NoError(t, w.Flush(testContext(t)))
		}
		require.NoError(t, w.Close(testContext(t)))
		assert.Equal(t, 3, len(readRaw(t, k, DefaultConfig().Topic)))
		expectOffset(t, openTestStore(t, k, DefaultConfig()), "orders", partitionB, `{"record":2}`)
	}
}

// Without permission the writer fails, and the error contains both names. Without brokers, close does not wait.
func TestWriterWithoutPermissionOrBrokers(t *testing.T) {
	t.Parallel()
	cluster, k := fakeCluster(t)
	w := openWriter(t, k, nil)
	kafkatest.Reject(cluster, kmsg.InitProducerID, kafkatest.Unlimited, kerr.TransactionalIDAuthorizationFailed)
	_, err := w.store.OpenTransactionalWriter(testContext(t), "orders", "g-orders-1", nil)
	runtest.Fails(t, err, "connector orders", "transactional id g-orders-1", "DESCRIBE and WRITE", "TransactionalId")
	cluster.Close()
	w.Acknowledged(partitionB, position(1))
	shortCtx, cancel := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, w.Close(shortCtx), context.DeadlineExceeded, "the context's error")
}

// Offsets of many partitions are one transaction and are copied to the worker's topic.
func TestTransactionOfManyPartitions(t *testing.T) {
	t.Parallel()
	_, k := fakeCluster(t)
	worker := openWriter(t, k, nil).store
	config := worker.config
	config.Topic = "own"
	store, err := OpenForConnector(testContext(t), k, config, "orders", worker, nil)
	require.NoError(t, err)
	t.Cleanup(store.Close)
	w, err := store.OpenTransactionalWriter(testContext(t), "orders", "g-orders-0", nil)
	require.NoError(t, err)
	for n := range int64(100) {
		w.Acknowledged(partition("/a", string(rune('a'+n%26))), position(n))
	}
	require.NoError(t, w.Close(testContext(t)))
	for _, s := range []*Store{store, worker} {
		expectOffset(t, s, "orders", partition("/a", "a"), `{"record":78}`)
		expectOffset(t, s, "orders", partition("/a", "z"), `{"record":77}`)
	}
	lines := readRaw(t, k, "own")
	slices.Sort(lines)
	assert.Equal(t, 26, len(slices.Compact(lines)))
}
