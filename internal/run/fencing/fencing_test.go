package fencing

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// readRecords returns the records of a topic as KEY VALUE.
func readRecords(t *testing.T, k kafka.Config, topic string) (lines []string) {
	t.Helper()
	reader, err := kafka.NewReader(k)
	require.NoError(t, err)
	defer reader.Close()
	_, err = reader.Read(t.Context(), topic, kafka.ReadOptions{}, func(r *kgo.Record) error {
		lines = append(lines, string(r.Key)+" "+string(r.Value))
		return nil
	})
	require.NoError(t, err)
	return lines
}

// Counts are read and written under the keys of Kafka Connect and Culvert's own. Invalid counts are skipped.
func TestFencerStoresCounts(t *testing.T) {
	t.Parallel()
	k := kafka.Defaults()
	k.Bootstrap = kafkatest.Cluster(t).ListenAddrs()
	var journal logtest.Journal
	f := Fencer{Worker: k, Group: "g", Log: journal.Logger(slog.LevelWarn), Topic: kafka.InternalTopic{
		Name: "connect-configs", Setting: "config.storage.topic", Partitions: 1, Replication: 1}}
	require.NoError(t, f.Fence(t.Context(), k, "other", config.FencingCounts{Tasks: 1, Producers: 4}))
	client := kafkatest.Client(t, kgo.SeedBrokers(k.Bootstrap...))
	for _, value := range []string{`{"task-count":3,"producer-count":4}`, `{"task-count":10001}`, `{"task-count":-1}`,
		"\x00", `{"task-count":"x"}`} {
		r := &kgo.Record{Topic: "connect-configs", Key: []byte("tasks-fencing-orders"), Value: []byte(value)}
		require.NoError(t, client.ProduceSync(t.Context(), r).FirstErr())
	}
	stored, err := f.storedCounts(t.Context(), "orders")
	require.NoError(t, err)
	assert.Equal(t, config.FencingCounts{Tasks: 3, Producers: 4, At: stored.At}, stored)
	assert.Equal(t, 4, strings.Count(journal.String(), "is skipped"))
	counts := config.FencingCounts{Tasks: 2, Producers: 1}
	for range 2 { // the second time there is nothing to store
		require.NoError(t, f.Fence(t.Context(), k, "orders", counts))
	}
	lines := readRecords(t, k, "connect-configs")
	assert.Equal(t, []string{`tasks-fencing-orders {"task-count":2}`,
		`culvert-fencing-orders {"producer-count":1,"task-count":2}`}, lines[len(lines)-2:])
}

// The leader of a new config topic may not know the topic yet.
func TestFenceRetriesUnknownTopic(t *testing.T) {
	k := kafka.Defaults()
	k.Bootstrap = kafkatest.ClusterWithLateTopics(t, 10).ListenAddrs()
	f := Fencer{Worker: k, Group: "g", Log: slog.New(slog.DiscardHandler), Topic: kafka.InternalTopic{
		Name: "connect-configs", Setting: "config.storage.topic", Partitions: 1, Replication: 1}}
	assert.NoError(t, f.Fence(t.Context(), k, "orders", config.FencingCounts{Tasks: 1, Producers: 1}))
}
