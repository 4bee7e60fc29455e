package kafka

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/kafka/kafkatest"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Topics of Kafka Connect's own are made compacted on brokers that compact; one that is there and would let its entries
// expire is refused with the setting that names it, as is one with more replicas than there are brokers.
func TestInternalTopicsAreCompacted(t *testing.T) {
	cluster := kafkatest.Cluster(t, kfake.NumBrokers(1))
	a, ctx := openTestAdmin(t, strings.Join(cluster.ListenAddrs(), ",")), kafkatest.Context(t)
	if embedded, err := a.Embedded(ctx); err != nil || embedded {
		t.Fatalf("embedded: %v, %v", embedded, err)
	}
	made := Internal{Name: "connect-offsets", Setting: "offset.storage.topic", Partitions: 7,
		Configs: map[string]string{
			"segment.bytes": "1048576"}}
	for range 2 {
		require.NoError(t, a.EnsureInternal(ctx, made))
	}
	info := cluster.TopicInfo(made.Name)
	ends, err := a.EndOffsets(ctx, false, made.Name)
	if err != nil || len(ends[made.Name]) != 7 || *info.Configs["cleanup.policy"] != "compact" ||
		*info.Configs["segment.bytes"] != "1048576" {
		t.Errorf("found %v with %v, %v", ends, info.Configs, err)
	}
	for name, policy := range map[string]string{"by-hand": "compact", "deleted": "delete", "both": "compact,delete"} {
		if _, err := a.EnsureTopics(ctx,
			Topic{Name: name, Configs: map[string]string{"cleanup.policy": policy}}); err != nil {
			t.Fatal(err)
		}
		err := a.EnsureInternal(ctx, Internal{Name: name, Setting: "offset.storage.topic"})
		if name == "by-hand" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "offset.storage.topic: topic "+name+
			" must have cleanup.policy=compact") {
			t.Errorf("%s: found %v", policy, err)
		}
	}
	err = a.EnsureInternal(ctx, Internal{Name: "wide", Setting: "config.storage.topic", Replication: 3})
	if err == nil || !strings.Contains(err.Error(), "config.storage.topic: ") || cluster.TopicInfo("wide") != nil {
		t.Errorf("more replicas than brokers: found %v", err)
	}
}
