package fencing

import (
	"log/slog"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/kafka/kafkatest"
)

func TestIDs(t *testing.T) {
	want := []string{"g-orders-0", "g-orders-0-1", "g-orders-1", "g-orders-1-1"}
	assert.Equal(t, want, Counts{2, 2}.IDs("g", "orders"))
	// Kafka Connect's own records do not say how many producers a task has: it has one.
	assert.Equal(t, []string{"g-orders-0"}, Counts{Tasks: 1}.IDs("g", "orders"))
}

// What is strange in the topic of configurations is skipped: a number there must not have millions of ids fenced.
func TestStrangeCounts(t *testing.T) {
	for _, c := range []struct {
		value, err string
		want       Counts
	}{
		{`{"task-count":3}`, "", Counts{3, 0}},
		{`{"task-count":3,"producer-count":4,"more":true}`, "", Counts{3, 4}},
		{`{"task-count":10001}`, "from 0 to 10000", Counts{}},
		{`{"task-count":-1}`, "from 0 to 10000", Counts{}},
		{`{"task-count":1,"producer-count":4000000000}`, "from 0 to 10000", Counts{}},
		{`{"task-count":"x"}`, "expected task-count", Counts{}},
		{"\x00", "expected task-count", Counts{}},
		{`null`, "", Counts{}},
	} {
		got, err := countsOf([]byte(c.value))
		assert.Equal(t, c.want, got, c.value)
		assert.Ends(t, err, c.err, c.value)
	}
	if got, err := countsOf(nil); err != nil || got != (Counts{}) {
		t.Errorf("a tombstone: found %v and %v", got, err)
	}
}

// The leader of the topic of configurations may not know yet of it when it was made a moment ago.
func TestFenceByATopicThatBrokersKnowLate(t *testing.T) {
	k := kafka.Defaults()
	k.Bootstrap = kafkatest.KnownLate(t, 10).ListenAddrs()
	f := Fencer{Worker: k, Group: "g", Log: slog.New(slog.DiscardHandler), Topic: kafka.Internal{
		Name: "connect-configs", Setting: "config.storage.topic", Partitions: 1, Replication: 1}}
	if err := f.Fence(t.Context(), k, "orders", Counts{Tasks: 1, Producers: 1}); err != nil {
		t.Error(err)
	}
}
