package deadletters

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// A connector has one replay at a time. The error of a second one names the connector and the age of the first.
func TestConnectorHasOneReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r replayRegistry
		orders, err := r.begin("orders", replayBytes)
		require.NoError(t, err)
		time.Sleep(90 * time.Second)
		_, err = r.begin("orders", 0)
		assert.Error(t, err, "connector orders: dead letters are being replayed already, for 1m30s")
		assert.Equal(t, true, errors.Is(err, ErrInProgress))
		items, err := r.begin("items", replayBytes)
		require.NoError(t, err)
		items.end()
		orders.end()
		_, err = r.begin("orders", 0)
		require.NoError(t, err)
		assert.Equal(t, int64(0), r.bytes)
	})
}

// All replays of a worker share a bound of memory. A discard begins without memory.
func TestReplaysShareMemory(t *testing.T) {
	var r replayRegistry
	const most = maxReplayBytes / replayBytes
	var running *runningReplay
	for n := range most {
		var err error
		running, err = r.begin(string(rune('a'+n)), replayBytes)
		require.NoError(t, err)
	}
	_, err := r.begin("another", replayBytes)
	assert.Error(t, err, "connector another: dead letters are being replayed already: the replays of this worker "+
		"use the 320 MiB that they have together")
	assert.Equal(t, true, errors.Is(err, ErrInProgress))
	discard, err := r.begin("a discard", 0)
	require.NoError(t, err)
	assert.Equal(t, true, errors.Is(discard.reserve(1), ErrInProgress))
	running.end()
	require.NoError(t, discard.reserve(replayBytes))
	assert.Equal(t, true, errors.Is(discard.reserve(1), ErrInProgress))

	// A replay that is alone has more letters than fit.
	alone := replayRegistry{}
	running, err = alone.begin("orders", replayBytes)
	require.NoError(t, err)
	require.NoError(t, running.reserve((maxReplayBytes-replayBytes)/indexedLetterBytes*indexedLetterBytes))
	err = running.reserve(indexedLetterBytes)
	assert.Error(t, err, "expected dead letters that need at most 312 MiB")
	assert.Equal(t, false, errors.Is(err, ErrInProgress))
	_, err = alone.begin("another", replayBytes)
	assert.Equal(t, true, errors.Is(err, ErrInProgress))
}

// While a replay of one connector waits, letters of another one are discarded, and letters of both are listed.
func TestReplayDelaysNoOtherConnector(t *testing.T) {
	t.Parallel()
	h, client := newHarness(t, map[string]string{"c": "dlq", "d": "dlq"})
	produce(t, client, deadLetterOf("dlq", "c", 1, 0, "no"), deadLetterOf("dlq", "d", 1, 0, "no"))
	for _, name := range []string{"c", "d"} {
		h.awaitOpen(name, 1)
	}
	ctx := kafkatest.Context(t)
	lock, err := kafka.AcquireGroupLock(ctx, h.o.Kafka, config.ConsumerGroup(stateOwnerPrefix+"c"),
		h.o.Worker.Text("offset.storage.topic"))
	require.NoError(t, err)
	defer lock.Close()
	results := make(chan error, 2)
	for range 2 { // one waits for the lock, and the other is refused
		go func() {
			_, err := h.ReplayConnector(ctx, "c", Request{})
			results <- err
		}()
	}
	assert.Error(t, <-results, "connector c: dead letters are being replayed already, for ")
	result, err := h.discard("d", "0@1")
	require.NoError(t, err)
	assert.Equal(t, 1, result.Discarded)
	assert.Equal(t, 1, len(h.pages("c", Query{Show: ShowOpen})))
	lock.Close()
	require.NoError(t, <-results)
}
