package connect

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
	core "github.com/culvert-project/culvert/internal/run/task"
)

// Records wait for locked keys. Dead letters without a key lock the topic.
func TestKeyLocks(t *testing.T) {
	keyed := newDeadLetter(3, "a", 0, core.RowSubset{})
	unkeyed := newDeadLetter(3, "a", 0, core.RowSubset{})
	unkeyed.Record.Key = nil
	for name, test := range map[string]struct {
		letter *DeadLetter
		record kgo.Record
		waits  bool
	}{
		"its key":           {letter: keyed, record: kgo.Record{Topic: "t", Key: []byte("k")}, waits: true},
		"another key":       {letter: keyed, record: kgo.Record{Topic: "t", Key: []byte("l")}},
		"another partition": {letter: keyed, record: kgo.Record{Topic: "t", Partition: 1, Key: []byte("k")}},
		"another topic":     {letter: keyed, record: kgo.Record{Topic: "u", Key: []byte("k")}},
		"a letter without a key": {
			letter: unkeyed, record: kgo.Record{Topic: "t", Partition: 1, Key: []byte("l")}, waits: true,
		},
		"such one of another topic": {letter: unkeyed, record: kgo.Record{Topic: "u"}},
		"a record that has no key":  {letter: keyed, record: kgo.Record{Topic: "t"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h keyLocks
				free := h.lock([]*DeadLetter{test.letter})
				done := make(chan error, 1)
				go func() { done <- h.wait(t.Context(), []*kgo.Record{{Topic: "none"}, &test.record}) }()
				synctest.Wait()
				assert.Equal(t, test.waits, len(done) == 0, "waits")
				stopped, stop := context.WithCancel(t.Context())
				stop()
				assert.Equal(t, test.waits, h.wait(stopped, []*kgo.Record{&test.record}) != nil,
					"ends with its context")
				free()
				require.NoError(t, <-done)
			})
		})
	}
}

// A newer record of the key supersedes a dead letter during a replay. Any newer record supersedes dead letters without
// a key.
func TestReplaySkipsSupersededDeadLetters(t *testing.T) {
	t.Parallel()
	ctx := kafkatest.Context(t)
	kafkaConfig := kafka.Defaults()
	kafkaConfig.Bootstrap = kafkatest.Cluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "t", "u")).ListenAddrs()
	client := kafkatest.Client(t, kgo.SeedBrokers(kafkaConfig.Bootstrap...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	put := func(topic string, partition int32, key string) {
		r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key)}
		require.NoError(t, client.ProduceSync(ctx, r).FirstErr())
	}
	put("t", 0, "k")
	keyed := newDeadLetter(0, "a", 0, core.RowSubset{})
	unkeyed := newDeadLetter(0, "a", 0, core.RowSubset{})
	unkeyed.Topic = "u"
	unkeyed.Record.Key = nil
	r := newRecordIndex(kafkaConfig)
	defer r.close()
	r.watchNewer(keyed)
	r.watchNewer(unkeyed)
	expect := func(older, unkeyedOlder bool) {
		t.Helper()
		require.NoError(t, r.readNewer(ctx))
		assert.Equal(t, [2]bool{older, unkeyedOlder}, [2]bool{r.isSuperseded(keyed), r.isSuperseded(unkeyed)})
	}
	expect(false, false)
	put("t", 0, "l")
	put("t", 1, "k")
	expect(false, false)
	put("t", 0, "k")
	expect(true, false)
	put("u", 1, "l")
	expect(true, true)
}
