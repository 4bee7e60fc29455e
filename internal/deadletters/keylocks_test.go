package deadletters

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/run/task"
)

// Records wait while their key is locked. A dead letter without a key locks the topic.
func TestRecordsWaitForLockedKeys(t *testing.T) {
	keyed := newDeadLetter(3, "a", 0, task.RowSubset{})
	unkeyed := newDeadLetter(3, "a", 0, task.RowSubset{})
	unkeyed.Record.Key = nil
	for name, test := range map[string]struct {
		letter   *Letter
		record   kgo.Record
		isLocked bool
	}{
		"its key":           {letter: keyed, record: kgo.Record{Topic: "t", Key: []byte("k")}, isLocked: true},
		"another key":       {letter: keyed, record: kgo.Record{Topic: "t", Key: []byte("l")}},
		"another partition": {letter: keyed, record: kgo.Record{Topic: "t", Partition: 1, Key: []byte("k")}},
		"another topic":     {letter: keyed, record: kgo.Record{Topic: "u", Key: []byte("k")}},
		"a letter without a key": {
			letter:   unkeyed,
			record:   kgo.Record{Topic: "t", Partition: 1, Key: []byte("l")},
			isLocked: true,
		},
		"a letter without a key, of another topic": {letter: unkeyed, record: kgo.Record{Topic: "u"}},
		"a record that has no key":                 {letter: keyed, record: kgo.Record{Topic: "t"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var locks KeyLocks
				unlock := locks.lock([]*Letter{test.letter})
				done := make(chan error, 1)
				go func() { done <- locks.Wait(t.Context(), []*kgo.Record{{Topic: "none"}, &test.record}) }()
				synctest.Wait()
				assert.Equal(t, test.isLocked, len(done) == 0, "waits")
				canceled, cancel := context.WithCancel(t.Context())
				cancel()
				assert.Equal(t, test.isLocked, locks.Wait(canceled, []*kgo.Record{&test.record}) != nil,
					"ends with its context")
				unlock()
				require.NoError(t, <-done)
			})
		})
	}
}

// A newer record of the key supersedes a dead letter during a replay. Any newer record supersedes dead letters without
// a key. Records that are themselves dead letters to send supersede none.
func TestReplaySkipsSupersededDeadLetters(t *testing.T) {
	t.Parallel()
	ctx := kafkatest.Context(t)
	kafkaConfig := kafka.Defaults()
	kafkaConfig.Bootstrap = kafkatest.Cluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "t", "u")).ListenAddrs()
	client := kafkatest.Client(t, kgo.SeedBrokers(kafkaConfig.Bootstrap...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	produce := func(topic string, partition int32, key string) {
		r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key)}
		require.NoError(t, client.ProduceSync(ctx, r).FirstErr())
	}
	open := map[originalID]bool{}
	produceOpen := func(topic string, partition int32, key string) {
		r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Timestamp: time.UnixMilli(8)}
		require.NoError(t, client.ProduceSync(ctx, r).FirstErr())
		open[newRecordID(r.Topic, r.Partition, r.Offset, r.Timestamp, r.Key, r.Value).original()] = true
	}
	produce("t", 0, "k")
	keyed := newDeadLetter(0, "a", 0, task.RowSubset{})
	unkeyed := newDeadLetter(0, "a", 0, task.RowSubset{})
	unkeyed.Topic = "u"
	unkeyed.Record.Key = nil
	newer := newSinkNewerRecords(kafkaConfig, nil, func(original originalID) bool { return open[original] })
	defer func() { newer.clients.Close() }()
	newer.watch(keyed, "t", keyed.Record.Key, nil)
	newer.watch(unkeyed, "u", nil, nil)
	expectSuperseded := func(wantKeyed, wantUnkeyed bool) {
		t.Helper()
		require.NoError(t, newer.read(ctx))
		assert.Equal(t, wantKeyed, newer.isSuperseded(keyed), "the letter with a key is superseded")
		assert.Equal(t, wantUnkeyed, newer.isSuperseded(unkeyed), "the letter without a key is superseded")
	}
	expectSuperseded(false, false)
	produce("t", 0, "l")
	produce("t", 1, "k")
	expectSuperseded(false, false)
	produceOpen("t", 0, "k")
	produceOpen("u", 0, "k")
	produceOpen("u", 1, "l")
	expectSuperseded(false, false)
	produce("t", 0, "k")
	expectSuperseded(true, false)
	produce("u", 1, "l")
	expectSuperseded(true, true)
}
