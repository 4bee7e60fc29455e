package kafka

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

func openTestAdmin(t *testing.T, addr string) *Admin {
	t.Helper()
	a, err := NewAdmin(testConfig(addr))
	require.NoError(t, err)
	t.Cleanup(a.Close)
	return a
}

func TestEnsureTopics(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	a := openTestAdmin(t, b.Addr())
	ctx := kafkatest.Context(t)
	created, err := a.EnsureTopics(ctx, Topic{Name: "orders"}, Topic{Name: "wide", Partitions: 3})
	require.True(t, err == nil && fmt.Sprint(created) == "[orders wide]",
		"expected to create orders and wide, created %v, %v", created, err)
	created, err = a.EnsureTopics(ctx, Topic{Name: "orders", Partitions: 9}, Topic{Name: "new"})
	require.True(t, err == nil && fmt.Sprint(created) == "[new]",
		"expected to create only new, created %v, %v", created, err)
	ends, err := a.EndOffsets(ctx, false, "orders", "wide")
	assert.True(t, err == nil && len(ends["orders"]) == 1 && len(ends["wide"]) == 3,
		"expected end offsets of 1 partition of orders and 3 of wide, found %v, %v", ends, err)
	topics, err := a.Topics(ctx)
	assert.True(t, err == nil && slices.Equal(topics, []string{"new", "orders", "wide"}),
		"expected the topics new, orders and wide, found %v, %v", topics, err)
	if _, err := a.EnsureTopics(ctx, Topic{Name: "too/odd"}); err == nil || !strings.Contains(err.Error(), "too/odd") {
		t.Errorf("an invalid name: expected an error that names it, got %v", err)
	}
	_, err = a.EnsureTopics(ctx, Topic{Name: "many", Replication: 5})
	assert.True(t, err != nil && strings.Contains(err.Error(), "many"),
		"more replicas than brokers: expected an error that names the topic, got %v", err)
}

// A broker that is about to stop, or has just started, cannot place a topic yet. Creation is retried.
func TestEnsureTopicsWaitsForBrokers(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	a := openTestAdmin(t, b.Addr())
	ctx := kafkatest.Context(t)
	// The function is called once: it handles the request and does not call KeepControl.
	b.Cluster.ControlKey(int16(kmsg.CreateTopics), func(r kmsg.Request) (kmsg.Response, error, bool) {
		request := r.(*kmsg.CreateTopicsRequest)
		response := request.ResponseKind().(*kmsg.CreateTopicsResponse)
		topic := kmsg.NewCreateTopicsResponseTopic()
		topic.Topic = request.Topics[0].Topic
		topic.ErrorCode = kerr.InvalidReplicationFactor.Code
		topic.ErrorMessage = kmsg.StringPtr("Unable to replicate the partition 1 time(s): All brokers are currently " +
			"fenced, or have all their log directories cordoned.")
		response.Topics = append(response.Topics, topic)
		return response, nil, true
	})
	if created, err := a.EnsureTopics(ctx, Topic{Name: "orders"}); err != nil || fmt.Sprint(created) != "[orders]" {
		t.Errorf("expected the topic orders to be created after a retry, created %v, %v", created, err)
	}
}

// On the embedded broker compaction would lose data: the topic must neither be compacted nor expire.
func TestEnsureInternalOnEmbeddedBroker(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	a := openTestAdmin(t, b.Addr())
	ctx := kafkatest.Context(t)
	if embedded, err := a.Embedded(ctx); err != nil || !embedded {
		t.Fatalf("expected an embedded broker, got %v, %v", embedded, err)
	}
	topic := InternalTopic{Name: "connect-offsets", Setting: "offset.storage.topic", Partitions: 25}
	for range 2 {
		require.NoError(t, a.EnsureInternalTopic(ctx, topic))
	}
	ends, err := a.EndOffsets(ctx, false, topic.Name)
	assert.True(t, err == nil && len(ends[topic.Name]) == 1, "expected one partition, found %v, %v", ends, err)
	info := b.Cluster.TopicInfo(topic.Name)
	p := info.Configs["cleanup.policy"]
	assert.True(t, p != nil && *p == "delete", "expected the cleanup.policy delete, found %v", p)
	r := info.Configs["retention.ms"]
	assert.True(t, r != nil && *r == "-1", "expected the retention.ms -1, found %v", r)
}

// Internal topics of Kafka Connect are created as compacted on brokers that compact. An existing topic whose entries
// would expire is rejected with the setting that names it, and so is a topic with more replicas than brokers.
func TestInternalTopicsAreCompacted(t *testing.T) {
	cluster := kafkatest.Cluster(t, kfake.NumBrokers(1))
	a := openTestAdmin(t, strings.Join(cluster.ListenAddrs(), ","))
	ctx := kafkatest.Context(t)
	if embedded, err := a.Embedded(ctx); err != nil || embedded {
		t.Fatalf("expected no embedded broker, got %v, %v", embedded, err)
	}
	topic := InternalTopic{Name: "connect-offsets", Setting: "offset.storage.topic", Partitions: 7,
		Configs: map[string]string{"segment.bytes": "1048576"}}
	for range 2 {
		require.NoError(t, a.EnsureInternalTopic(ctx, topic))
	}
	info := cluster.TopicInfo(topic.Name)
	ends, err := a.EndOffsets(ctx, false, topic.Name)
	assert.True(t, err == nil && len(ends[topic.Name]) == 7 && *info.Configs["cleanup.policy"] == "compact" &&
		*info.Configs["segment.bytes"] == "1048576",
		"expected 7 compacted partitions with the topic's segment.bytes, found %v with %v, %v", ends, info.Configs, err)
	for name, policy := range map[string]string{"by-hand": "compact", "deleted": "delete", "both": "compact,delete"} {
		_, err := a.EnsureTopics(ctx, Topic{Name: name, Configs: map[string]string{"cleanup.policy": policy}})
		require.NoError(t, err)
		err = a.EnsureInternalTopic(ctx, InternalTopic{Name: name, Setting: "offset.storage.topic"})
		if name == "by-hand" {
			assert.NoError(t, err)
			continue
		}
		assert.True(t, err != nil &&
			strings.Contains(err.Error(), "offset.storage.topic: topic "+name+" must have cleanup.policy=compact"),
			"cleanup.policy %s: expected an error that requires compact, found %v", policy, err)
	}
	err = a.EnsureInternalTopic(ctx, InternalTopic{Name: "wide", Setting: "config.storage.topic", Replication: 3})
	if err == nil || !strings.Contains(err.Error(), "config.storage.topic: ") || cluster.TopicInfo("wide") != nil {
		t.Errorf("more replicas than brokers: expected an error that names the setting, and no topic, found %v", err)
	}
}

// While leaders move, brokers respond that they do not lead. Start and end offsets are requested again until the new
// leaders respond.
func TestOffsetsWaitForLeaders(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "orders", "one", "two")
	config := testConfig(b.Addr())
	ctx := kafkatest.Context(t)
	config.Extra = append(config.Extra, kgo.RequestRetries(0)) // the client's retries would hide those of the Admin
	for name, list := range map[string]func(*Admin) (Positions, error){
		"start": func(a *Admin) (Positions, error) { return a.StartOffsets(ctx, "orders") },
		"end": func(a *Admin) (Positions, error) {
			ends, err := a.EndOffsets(ctx, true, "orders")
			return ends["orders"], err
		},
		"committed": func(a *Admin) (Positions, error) {
			ends, err := a.EndOffsets(ctx, false, "orders")
			return ends["orders"], err
		},
	} {
		t.Run(name, func(t *testing.T) {
			const rejections = 3
			requests := kafkatest.Reject(b.Cluster, kmsg.ListOffsets, rejections, kerr.NotLeaderForPartition)
			a, err := NewAdmin(config)
			require.NoError(t, err)
			defer a.Close()
			found, err := list(a)
			if n := requests.Load(); err != nil || len(found) != 1 || n <= rejections {
				t.Errorf("expected the offset of a partition after %d rejections, found %v, %v after %d", rejections,
					found, err, n-1)
			}
			kafkatest.Reject(b.Cluster, kmsg.ListOffsets, 1, kerr.TopicAuthorizationFailed)
			_, err = list(a)
			assert.ErrorIs(t, err, kerr.TopicAuthorizationFailed, "a permanent rejection to be an error at once")
		})
	}
}

// A topic with unknown start offsets is left out: from offset 0 it would have deleted records. A missing topic is
// empty.
func TestRangesWithoutStarts(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "letters", "one", "two")
	a := openTestAdmin(t, b.Addr())
	ranges := a.Ranges(kafkatest.Context(t), "letters", "missing")
	assert.Equal(t, 22, len(ranges["letters"].TopicID))
	assert.Equal(t, map[string]Range{
		"letters": {From: Positions{0: 0}, To: Positions{0: 2}, TopicID: ranges["letters"].TopicID},
		"missing": {},
	}, ranges)
	kafkatest.RejectIf(b.Cluster, kmsg.ListOffsets, nil, func(r kmsg.Request) bool {
		topics := r.(*kmsg.ListOffsetsRequest).Topics
		const logStart = -2 // the timestamp that requests the first offset
		isStart := len(topics) > 0 && topics[0].Partitions[0].Timestamp == logStart
		if isStart {
			topics[0].Partitions = nil
		}
		return isStart
	})
	assert.Equal(t, map[string]Range{}, a.Ranges(kafkatest.Context(t), "letters"))
}

// The ID of a topic is not requested after its end offset: with the end of a topic and the ID of its successor, records
// of the successor would count as read.
func TestRangesBeginWithTheID(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "letters", "one", "two")
	a := openTestAdmin(t, b.Addr())
	var mu sync.Mutex
	var requests []string
	for key, name := range map[kmsg.Key]string{kmsg.ListOffsets: "offsets", kmsg.Metadata: "metadata"} {
		b.Cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
			b.Cluster.KeepControl()
			mu.Lock()
			defer mu.Unlock()
			requests = append(requests, name)
			return nil, nil, false
		})
	}
	assert.Equal(t, Positions{0: 2}, a.Ranges(kafkatest.Context(t), "letters")["letters"].To)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, "offsets", requests[len(requests)-1], requests)
}

// A partition that a broker does not know at the moment makes its topic unreadable, not empty.
func TestRangesOfAnUnknownPartition(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "letters", "one", "two")
	a := openTestAdmin(t, b.Addr())
	kafkatest.RejectIf(b.Cluster, kmsg.ListOffsets, kerr.UnknownTopicOrPartition,
		func(kmsg.Request) bool { return true })
	assert.Equal(t, map[string]Range{"missing": {}}, a.Ranges(kafkatest.Context(t), "letters", "missing"))
}

// A new Kafka cluster returns COORDINATOR_NOT_AVAILABLE until it has created the topic of group offsets.
func TestCommittedWaitsForTheCoordinator(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	a := openTestAdmin(t, b.Addr())
	ctx := kafkatest.Context(t)
	requests := kafkatest.Reject(b.Cluster, kmsg.OffsetFetch, 3, kerr.CoordinatorNotAvailable)
	committed, err := a.Committed(ctx, "connect-new")
	n := requests.Load()
	assert.True(t, err == nil && len(committed) == 0 && n >= 4,
		"expected no offsets after the coordinator rejected 3 requests, found %v, %v after %d", committed, err, n)
	kafkatest.Reject(b.Cluster, kmsg.OffsetFetch, kafkatest.Unlimited, kerr.GroupAuthorizationFailed)
	_, err = a.Committed(ctx, "connect-new")
	assert.True(t, err != nil, "expected a permanent rejection to be an error at once")
}
