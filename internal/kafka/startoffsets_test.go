package kafka

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// openLatestConsumer opens a sink's consumer with auto.offset.reset=latest that discovers new partitions quickly.
func openLatestConsumer(t *testing.T, addr string, o ConsumerOptions) *Consumer {
	t.Helper()
	config := testConfig(addr)
	config.Consumer.Reset = "latest"
	config.Consumer.MetadataMaxAge = 200 * time.Millisecond
	config.Consumer.HeartbeatInterval = 100 * time.Millisecond
	o.Group = "connect-test"
	return openConsumer(t, config, o)
}

// awaitPartitions polls until a consumer has this number of partitions with committed starts. It expects no record.
func awaitPartitions(t *testing.T, s *Consumer, partitions int) {
	t.Helper()
	for ctx := kafkatest.Context(t); ; {
		// The commits of the start offsets come before the records.
		a, err := kadm.NewClient(s.client).FetchOffsets(ctx, s.options.Group)
		if err == nil && len(ownedPartitions(s, "orders")) == partitions && len(a["orders"]) == partitions {
			return
		}
		require.Equal(t, 0, len(pollBriefly(ctx, t, s)), "record")
	}
}

// pollBriefly polls for a moment and returns the records, if any. Only the given errors are allowed, and no response in
// time.
func pollBriefly(ctx context.Context, t *testing.T, s *Consumer, allowed ...error) []*kgo.Record {
	t.Helper()
	pollCtx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	records, err := s.Poll(pollCtx)
	for _, allowedErr := range append(allowed, context.DeadlineExceeded) {
		if errors.Is(err, allowedErr) {
			err = nil
		}
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		t.Fatal(ownedPartitions(s, "orders"), err)
	}
	return records
}

// startTopic is a topic orders, possibly still missing, on a broker of its own.
type startTopic struct {
	t      *testing.T
	broker *embedded.Broker
	admin  *kadm.Client
}

func newStartTopic(t *testing.T, partitions int32) *startTopic {
	t.Helper()
	b := openTestBroker(t, t.TempDir())
	admin := kadm.NewClient(kafkatest.Client(t, kgo.SeedBrokers(b.Addr())))
	if partitions > 0 {
		makeTopics(t, b.Addr(), Topic{Name: "orders", Partitions: partitions})
	}
	return &startTopic{t: t, broker: b, admin: admin}
}

// put writes a record to a partition.
func (s *startTopic) put(partition int32, value string) {
	s.t.Helper()
	client := kafkatest.Client(s.t, kgo.SeedBrokers(s.broker.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(s.t, client.ProduceSync(kafkatest.Context(s.t), &kgo.Record{Topic: "orders", Partition: partition,
		Value: []byte(value)}).FirstErr())
}

// grow adds partitions, up to this number.
func (s *startTopic) grow(partitions int) {
	s.t.Helper()
	responses, err := s.admin.UpdatePartitions(kafkatest.Context(s.t), partitions, "orders")
	if err == nil {
		err = responses.Error()
	}
	require.NoError(s.t, err)
}

// forEachSubscription runs a test with each way in which a sink can specify the topic orders.
func forEachSubscription(t *testing.T, test func(*testing.T, ConsumerOptions)) {
	for name, o := range map[string]ConsumerOptions{
		"topics": {Topics: []string{"orders"}},
		"regex":  {Regex: "ord.*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, o)
		})
	}
}

// With `latest` a group starts after the existing records, and skips nothing afterwards: neither records of a partition
// that it has not read yet, written while it is stopped, nor records of a new partition, written before the consumer
// sees it.
func TestLatestSkipsNothing(t *testing.T) {
	forEachSubscription(t, func(t *testing.T, o ConsumerOptions) {
		topic := newStartTopic(t, 2)
		ctx := kafkatest.Context(t)
		topic.put(0, "before")
		topic.put(1, "before")
		s := openLatestConsumer(t, topic.broker.Addr(), o)
		awaitPartitions(t, s, 2)
		topic.put(0, "1")
		settled := Offsets{}
		expectValues(t, s, settled, "1")
		topic.grow(3)
		topic.put(2, "2") // to a new partition
		expectValues(t, s, settled, "2")
		require.NoError(t, s.Commit(ctx, settled))
		s.Close()
		topic.put(1, "3")
		expectValues(t, openLatestConsumer(t, topic.broker.Addr(), o), Offsets{}, "3") // while no consumer was running
	})
}

// With `latest`, a topic that was missing when the consumer joined is read from its beginning: records that were
// written before the consumer sees it are not skipped.
func TestLatestOfMissingTopic(t *testing.T) {
	t.Parallel()
	topic := newStartTopic(t, 0)
	ctx := kafkatest.Context(t)
	config := testConfig(topic.broker.Addr())
	config.Consumer.Reset = "latest"
	var written atomic.Bool // no member joins until then
	kafkatest.RejectIf(topic.broker.Cluster, kmsg.JoinGroup, kerr.CoordinatorLoadInProgress, func(kmsg.Request) bool {
		return !written.Load()
	})
	s := openConsumer(t, config, ordersSink)
	require.NoError(t, s.joinGroup(ctx))
	makeTopics(t, topic.broker.Addr(), Topic{Name: "orders", Partitions: 2})
	topic.put(0, "1")
	topic.put(1, "2")
	written.Store(true)
	readCtx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var got []string
	for len(got) < 2 {
		records, err := s.Poll(readCtx)
		require.True(t, err == nil || errors.Is(err, kerr.CoordinatorLoadInProgress),
			"expected all records of the new topic, found %q, %v", got, err)
		for _, r := range records {
			got = append(got, string(r.Value))
		}
	}
}

// With `latest`, a topic that brokers do not know for some seconds after their start does not count as missing: it
// would be read from its beginning.
func TestLatestOfTopicKnownLate(t *testing.T) {
	t.Parallel()
	topic := newStartTopic(t, 1)
	config := testConfig(topic.broker.Addr())
	config.Consumer.Reset = "latest"
	s := openConsumer(t, config, ordersSink)
	var requests atomic.Int32
	kafkatest.RejectIf(topic.broker.Cluster, kmsg.Metadata, kerr.UnknownTopicOrPartition, func(r kmsg.Request) bool {
		topics := r.(*kmsg.MetadataRequest).Topics
		return len(topics) == 1 && topics[0].Topic != nil && *topics[0].Topic == "orders" && requests.Add(1) <= 2
	})
	require.NoError(t, s.joinGroup(kafkatest.Context(t)))
	if requests.Load() < 3 || s.isAdded("orders", 0) {
		t.Errorf("expected the topic not to count as missing: %d requests, missing %t", requests.Load(),
			s.isAdded("orders", 0))
	}
}

// With `latest`, a partition without an offset starts at its end if the topic had it when the consumer joined, even if
// the group has offsets of other partitions: it may have been quiet under an older version, or its offset was reset.
func TestLatestDoesNotRereadQuietPartition(t *testing.T) {
	forEachSubscription(t, func(t *testing.T, o ConsumerOptions) {
		topic := newStartTopic(t, 2)
		topic.put(0, "before")
		topic.put(1, "before")
		var stored kadm.Offsets
		stored.AddOffset("orders", 0, 1, -1)
		require.NoError(t, topic.admin.CommitAllOffsets(kafkatest.Context(t), "connect-test", stored))
		s := openLatestConsumer(t, topic.broker.Addr(), o)
		awaitPartitions(t, s, 2)
		topic.put(1, "after")
		expectValues(t, s, Offsets{}, "after")
	})
}

// If the offsets of the group cannot be read, a warning says that skipped records will not be named.
func TestLatestWarnsWithoutOffsets(t *testing.T) {
	topic := newStartTopic(t, 1)
	var journal logtest.Journal
	config := testConfig(topic.broker.Addr())
	config.Consumer.Reset = "latest"
	config.Logger = journal.Logger(slog.LevelWarn)
	s := openConsumer(t, config, ordersSink)
	kafkatest.Reject(topic.broker.Cluster, kmsg.OffsetFetch, kafkatest.Unlimited, kerr.UnknownServerError)
	require.NoError(t, s.joinGroup(kafkatest.Context(t)))
	if log := journal.String(); !containsAll(log, []string{"group=connect-test", "UNKNOWN_SERVER_ERROR", "skipped"}) {
		t.Errorf("expected a warning, found %q", log)
	}
}

// With `latest`, a partition that was added while no consumer ran begins at its end, and a warning names the records
// that are skipped. The first start of a group does not warn, nor one that skips nothing.
func TestLatestNamesSkippedRecords(t *testing.T) {
	forEachSubscription(t, func(t *testing.T, o ConsumerOptions) {
		topic := newStartTopic(t, 1)
		topic.put(0, "before")
		var journal logtest.Journal
		open := func(partitions int) *Consumer {
			config := testConfig(topic.broker.Addr())
			config.Consumer.Reset = "latest"
			config.Logger = journal.Logger(slog.LevelWarn)
			o.Group = "connect-test"
			s := openConsumer(t, config, o)
			awaitPartitions(t, s, partitions)
			return s
		}
		open(1).Close()
		topic.grow(2)
		open(2).Close()
		assert.NotContains(t, journal.String(), "skipped", "warning")
		topic.grow(4)
		for range 3 {
			topic.put(2, "missed")
		}
		topic.put(3, "missed")
		s := open(4)
		if log := journal.String(); !strings.Contains(log, `skipped="orders-2: 0 to 2, orders-3: 0 to 0"`) {
			t.Errorf("expected the skipped records, found %s", log)
		}
		topic.put(2, "after")
		expectValues(t, s, Offsets{}, "after") // the position is Kafka's
	})
}

// A member without partitions also notices that one was added.
func TestLatestOfMemberWithoutPartitions(t *testing.T) {
	forEachSubscription(t, func(t *testing.T, o ConsumerOptions) {
		topic := newStartTopic(t, 1)
		ctx := kafkatest.Context(t)
		topic.put(0, "before")
		busy := openLatestConsumer(t, topic.broker.Addr(), o)
		awaitPartitions(t, busy, 1)
		idle := openLatestConsumer(t, topic.broker.Addr(), o)
		for members := 0; members < 2; {
			pollBriefly(ctx, t, idle)
			groups, err := topic.admin.DescribeGroups(ctx, "connect-test")
			require.NoError(t, err)
			if g := groups["connect-test"]; g.State == "Stable" {
				members = len(g.Members)
			}
		}
		topic.grow(2)
		topic.put(1, "added")
		for { // the member that is assigned the partition commits the start offset
			stored, err := topic.admin.FetchOffsets(ctx, "connect-test")
			require.NoError(t, err)
			if offset, ok := stored.Lookup("orders", 1); ok {
				assert.Equal(t, 0, offset.At, "the added partition to begin at")
				return
			}
			for _, s := range []*Consumer{busy, idle} {
				pollBriefly(ctx, t, s)
			}
		}
	})
}

// If the leader of a partition that another member reads does not respond, the member still starts with its own
// partitions. If all assigned partitions have offsets, no request is sent.
func TestStartOffsetsIgnoreForeignPartitions(t *testing.T) {
	for _, reset := range []string{"earliest", "latest"} {
		t.Run(reset, func(t *testing.T) {
			t.Parallel()
			topic := newStartTopic(t, 3)
			ctx := kafkatest.Context(t)
			var stored kadm.Offsets
			stored.AddOffset("orders", 2, 0, -1)
			require.NoError(t, topic.admin.CommitAllOffsets(ctx, "connect-test", stored))
			var requests atomic.Int32
			topic.broker.Cluster.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
				topic.broker.Cluster.KeepControl()
				requests.Add(1)
				response := kafkatest.Response(r, nil).(*kmsg.ListOffsetsResponse)
				for _, topic := range response.Topics {
					for n := range topic.Partitions {
						p := &topic.Partitions[n]
						p.Offset = 0
						if p.Partition == 1 {
							p.ErrorCode = kerr.LeaderNotAvailable.Code
						}
					}
				}
				return response, nil, true
			})
			config := testConfig(topic.broker.Addr())
			config.Consumer.Reset = "latest" // it has not joined yet
			s := openConsumer(t, config, ordersSink)
			s.config.Consumer.Reset = reset
			err := s.commitStarts(ctx, s.client, map[string][]int32{"orders": {2}}, Offsets{})
			assert.True(t, err == nil && requests.Load() <= 0,
				"with an offset: expected no request, found %d requests, %v", requests.Load(), err)
			err = s.commitStarts(ctx, s.client, map[string][]int32{"orders": {0, 2}}, Offsets{})
			assert.NoError(t, err, "another partition has no leader")
			shortCtx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			err = s.commitStarts(shortCtx, s.client, map[string][]int32{"orders": {0, 1}}, Offsets{})
			assert.True(t, err != nil, "expected an error for an assigned partition without a leader")
		})
	}
}

// A coordinator that rejects the start offsets, because the group rebalances or has forgotten the member, receives them
// again when the member has joined again: no record is read before, even of a partition that the member keeps.
func TestStartOffsetsAreCommittedAfterRebalance(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID} {
		for _, reset := range []string{"earliest", "latest"} {
			t.Run(reset+" "+code.Message, func(t *testing.T) {
				t.Parallel()
				topic := newStartTopic(t, 1)
				ctx := kafkatest.Context(t)
				topic.put(0, "before")
				rejected := make(chan struct{})
				cluster := topic.broker.Cluster
				cluster.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
					close(rejected) // only the first request is rejected
					return kafkatest.Response(r, code), nil, true
				})
				var written atomic.Bool // the member does not join again until then
				kafkatest.RejectIf(topic.broker.Cluster, kmsg.JoinGroup, kerr.CoordinatorLoadInProgress,
					func(kmsg.Request) bool {
						select {
						case <-rejected:
							return !written.Load()
						default:
							return false
						}
					})
				config := testConfig(topic.broker.Addr())
				config.Consumer.Reset = reset
				config.Consumer.HeartbeatInterval = 100 * time.Millisecond
				s := openConsumer(t, config, ordersSink)
				for hasWritten := false; ; {
					records := pollBriefly(ctx, t, s, kerr.CoordinatorLoadInProgress)
					stored, err := topic.admin.FetchOffsets(ctx, "connect-test")
					if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // before the member has joined again
						t.Fatal(err)
					}
					offset, isCommitted := stored.Lookup("orders", 0)
					if len(records) > 0 && !isCommitted {
						t.Fatalf("expected no record before the beginning is committed, found %q", records[0].Value)
					}
					if isCommitted {
						// With latest, the expected offset is the end of the topic at the time of the first lookup.
						assert.True(t, (reset != "earliest" || offset.At == 0) && (reset != "latest" || offset.At == 1),
							"expected 0 with earliest and 1 with latest, found %d", offset.At)
						return
					}
					select {
					case <-rejected:
						if !hasWritten {
							topic.put(0, "after")
						}
						hasWritten = true
						written.Store(true)
					default:
					}
				}
			})
		}
	}
}
