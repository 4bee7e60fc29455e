package kafka

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// limitMetadata limits the metadata that a broker stores with an offset, like offset.metadata.max.bytes. It rejects the
// whole request, which is what matters here; Kafka rejects the partition.
func limitMetadata(b *embedded.Broker, limitBytes int) {
	kafkatest.RejectIf(b.Cluster, kmsg.OffsetCommit, kerr.OffsetMetadataTooLarge, func(r kmsg.Request) bool {
		for _, topic := range r.(*kmsg.OffsetCommitRequest).Topics {
			for _, p := range topic.Partitions {
				if p.Metadata != nil && len(*p.Metadata) > limitBytes {
					return true
				}
			}
		}
		return false
	})
}

// The first commit detects what a broker accepts as metadata, and no commit drops required metadata.
func TestRejectedMetadataIsDetected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit   int // of the broker, in bytes
		longest int // text that the consumer accepts, in bytes; 0 means that the broker's limit is too low
	}{
		{limit: 4096, longest: MaxCommitText},
		{limit: MaxCommitMetadata + len(metadataPrefix), longest: MaxCommitText},
		{limit: MaxCommitMetadata + len(metadataPrefix) - 1, longest: MaxCommitMetadata/2 - metadataIdentity},
		{limit: 1000, longest: 875 - metadataIdentity},
		{limit: minCommitMetadata + len(metadataPrefix), longest: minCommitMetadata - metadataIdentity},
		{limit: minCommitMetadata + len(metadataPrefix) - 1},
		{limit: 100},
		{limit: 0},
	} {
		b := openTestBroker(t, t.TempDir())
		kafkatest.Put(t, b.Addr(), "orders", "1", "2")
		limitMetadata(b, c.limit)
		metadata := "sent=7"
		reported := MaxCommitText
		stored := CommitMetadata{Text: "none"}
		o := ConsumerOptions{Group: "connect-test", Topics: []string{"orders"}, Rebalances: Rebalances{
			Metadata:      func(string, int32, int64) (string, bool) { return metadata, true },
			MetadataLimit: func(bytes int) { reported = bytes },
			Committed:     func(_ string, _ int32, _ int64, m CommitMetadata) { stored = m }}}
		s := openTestConsumer(t, b.Addr(), o)
		settled := Offsets{}
		pollValues(t, s, 2, settled)
		err := s.Commit(kafkatest.Context(t), settled)
		if c.longest == 0 {
			assert.True(t, errors.Is(err, ErrCommitMetadata) && strings.Contains(err.Error(), metadataSetting),
				"%d bytes: expected a fault that names %s, found %v", c.limit, metadataSetting, err)
		} else if err != nil || reported != c.longest {
			t.Errorf("%d bytes: expected the reported limit %d, found %d, %v", c.limit, c.longest, reported, err)
		}
		if c.longest > 0 {
			// If the metadata is too long, the offset is not stored either.
			metadata = strings.Repeat("x", c.longest+1)
			settled["orders"][0] = kgo.EpochOffset{Epoch: -1, Offset: 1}
			err := s.Commit(kafkatest.Context(t), settled)
			assert.True(t, errors.Is(err, ErrCommitMetadata) && strings.Contains(err.Error(), "orders, partition 0"),
				"%d bytes: expected a fault that names the partition, found %v", c.limit, err)
			for _, metadata = range []string{strings.Repeat("y", c.longest), "sent=7"} {
				assert.NoError(t, s.Commit(kafkatest.Context(t), settled), c.limit, "bytes")
			}
		}
		s.Close()

		reopened := openTestConsumer(t, b.Addr(), o)
		want := CommitMetadata{Text: "sent=7", Verified: true, WrittenFor: 1, End: 2}
		records := 1
		if c.longest == 0 { // nothing was committed: everything is read again
			want = CommitMetadata{}
			records = 2
		}
		pollValues(t, reopened, records, Offsets{})
		want.TopicID = stored.TopicID
		assert.True(t, stored == want, "%d bytes: expected the metadata %+v, found %+v", c.limit, want, stored)
	}
}

// Metadata applies only to what it was written for. Another offset, or another topic of the same name, is detected, and
// so is an offset after the end of the log. Metadata of other programs count as none, our own in an unknown format
// never do.
func TestMetadataIdentifiesTopicAndOffset(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "orders", "1", "2", "3", "4")
	newAdmin := func() *kadm.Client { return kadm.NewClient(kafkatest.Client(t, kgo.SeedBrokers(b.Addr()))) }
	admin := newAdmin()
	var stored CommitMetadata
	o := ConsumerOptions{Group: "connect-test", Topics: []string{"orders"}, Rebalances: Rebalances{
		Metadata:  func(string, int32, int64) (string, bool) { return "settled=1", true },
		Committed: func(_ string, _ int32, _ int64, m CommitMetadata) { stored = m }}}
	readRecords := func(records int) {
		t.Helper()
		s := openTestConsumer(t, b.Addr(), o)
		pollValues(t, s, records, Offsets{})
		s.Close()
	}
	commit := func(at int64, metadata string) {
		t.Helper()
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: "orders", At: at, LeaderEpoch: -1, Metadata: metadata})
		require.NoError(t, admin.CommitAllOffsets(kafkatest.Context(t), "connect-test", offsets))
	}
	s := openTestConsumer(t, b.Addr(), o)
	settled := Offsets{}
	pollValues(t, s, 4, settled)
	settled["orders"][0] = kgo.EpochOffset{Epoch: -1, Offset: 2}
	require.NoError(t, s.Commit(kafkatest.Context(t), settled))
	s.Close()
	readRecords(2)
	id := stored.TopicID
	assert.Equal(t, CommitMetadata{Text: "settled=1", Verified: true, WrittenFor: 2, End: 4, TopicID: id}, stored)

	committed, err := admin.FetchOffsets(kafkatest.Context(t), "connect-test")
	require.NoError(t, err)
	found, _ := committed.Lookup("orders", 0)
	identity, _, _ := strings.Cut(found.Metadata, " ")
	anonymous, _, _ := strings.Cut(identity, ":")
	other := encodeMetadata(1, kadm.TopicID{1}, "settled=1")
	const otherOffset, otherTopic = "they were written for the offset 2",
		"they were written for another topic of this name: the topic was created again or copied"
	for metadata, want := range map[string]CommitMetadata{
		found.Metadata:         {Text: "settled=1", Mismatch: otherOffset, WrittenFor: 2, End: 4},
		identity:               {Mismatch: otherOffset, WrittenFor: 2, End: 4},
		anonymous + ": sent=0": {Text: "sent=0", Mismatch: otherOffset, WrittenFor: 2, End: 4},
		other:                  {Text: "settled=1", Mismatch: otherTopic, OtherTopic: true, WrittenFor: 1, End: 4},
		"culvert@1: settled=1": {Text: "settled=1", WrittenFor: 1, End: 4},
		"culvert@1:":           {WrittenFor: 1},
		"of another client's":  {WrittenFor: 1},
	} {
		commit(1, metadata)
		readRecords(3)
		want.TopicID = id
		assert.Equal(t, want, stored, metadata)
	}
	for _, unknown := range []string{"culvert:settled=1", "culvert:", "culvert", "culvert2@1: settled=1",
		"culvert@x:y settled=1", "culvert@-5: settled=1", "culvert@1 settled=1"} {
		commit(1, unknown)
		readRecords(3)
		assert.Error(t, stored.Unreadable, "expected culvert@OFFSET:TOPIC-ID and lists, found "+strconv.Quote(unknown))
		stored.Unreadable = nil
		assert.Equal(t, CommitMetadata{WrittenFor: 1, TopicID: id}, stored, unknown)
	}
	// The topic is created again with as many records, and the group's offsets are restored.
	deleted, err := admin.DeleteTopics(kafkatest.Context(t), "orders")
	require.NoError(t, cmp.Or(err, deleted.Error()))
	kafkatest.Put(t, b.Addr(), "orders", "5", "6", "7")
	admin = newAdmin() // the other client knows the ID of the former topic
	commit(2, found.Metadata)
	readRecords(1)
	assert.True(t, stored.TopicID != "" && stored.TopicID != id,
		"expected another ID than %q, found %q", id, stored.TopicID)
	assert.Equal(t, CommitMetadata{Text: "settled=1", Mismatch: otherTopic, OtherTopic: true, WrittenFor: 2, End: 3,
		TopicID: stored.TopicID}, stored)
}

// The first offset of a partition is known, so that a warning can name the records before the committed one.
func TestMetadataWithFirstOffset(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "orders", "1", "2", "3")
	admin := kadm.NewClient(kafkatest.Client(t, kgo.SeedBrokers(b.Addr())))
	offsets := kadm.Offsets{}
	offsets.AddOffset("orders", 0, 1, -1)
	removed, err := admin.DeleteRecords(kafkatest.Context(t), offsets)
	require.NoError(t, cmp.Or(err, removed.Error()))
	offsets.Add(kadm.Offset{Topic: "orders", At: 2, LeaderEpoch: -1, Metadata: encodeMetadata(2, kadm.TopicID{1}, "")})
	require.NoError(t, admin.CommitAllOffsets(kafkatest.Context(t), "connect-test", offsets))
	var stored CommitMetadata
	s := openTestConsumer(t, b.Addr(), ConsumerOptions{Group: "connect-test", Topics: []string{"orders"},
		Rebalances: Rebalances{Metadata: func(string, int32, int64) (string, bool) { return "", true },
			Committed: func(_ string, _ int32, _ int64, m CommitMetadata) { stored = m }}})
	pollValues(t, s, 1, Offsets{})
	s.Close()
	assert.Equal(t, true, stored.OtherTopic, "another topic")
	assert.Equal(t, 1, stored.Start, "first offset")
	assert.Equal(t, 3, stored.End, "end offset")
}

// A topic whose metadata the broker rejects has no ID in the response. That is an error, and the request is retried, so
// that metadata of another topic is not trusted.
func TestRejectedTopicMetadataIsRetried(t *testing.T) {
	t.Parallel()
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "orders", "1", "2")
	client := kafkatest.Client(t, kgo.SeedBrokers(b.Addr()))
	admin := kadm.NewClient(client)
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: "orders", At: 1, LeaderEpoch: -1, Metadata: encodeMetadata(1, kadm.TopicID{1}, "")})
	require.NoError(t, admin.CommitAllOffsets(kafkatest.Context(t), "connect-test", offsets))
	var offsetsFetched atomic.Bool // the consumer's next request of metadata is for the topic's ID
	var rejections atomic.Int32
	b.Cluster.ControlKey(int16(kmsg.OffsetFetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		offsetsFetched.Store(true)
		return nil, nil, false
	})
	kafkatest.RejectIf(b.Cluster, kmsg.Metadata, kerr.UnknownTopicOrPartition, func(r kmsg.Request) bool {
		topics := r.(*kmsg.MetadataRequest).Topics
		return offsetsFetched.Load() && len(topics) == 1 && topics[0].Topic != nil && rejections.Add(1) <= 1
	})
	var stored []CommitMetadata
	s := openTestConsumer(t, b.Addr(), ConsumerOptions{Group: "connect-test", Topics: []string{"orders"},
		Rebalances: Rebalances{Metadata: func(string, int32, int64) (string, bool) { return "", true },
			Committed: func(_ string, _ int32, _ int64, m CommitMetadata) { stored = append(stored, m) }}})
	pollValues(t, s, 1, Offsets{})
	s.Close()
	assert.True(t, rejections.Load() != 0 && len(stored) == 1 && stored[0].Mismatch != "",
		"expected metadata of another topic, found %+v after %d rejections", stored, rejections.Load())
}

// A commit that waited for a rebalance may belong to an assignment that has ended. It is skipped without an error, and
// the group's offset does not change.
func TestCommitSkipsEndedAssignment(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "orders", "1", "2")
	hasEnded := false
	isRevoked := false
	stored := int64(-2)
	var s *Consumer
	o := ConsumerOptions{Group: "connect-test", Topics: []string{"orders"}, Rebalances: Rebalances{
		Metadata: func(string, int32, int64) (string, bool) {
			assert.True(t, !isRevoked, "expected no request for a revoked partition")
			return "sent=7", !hasEnded
		},
		Committed: func(_ string, _ int32, next int64, _ CommitMetadata) { stored = next }}}
	s = openTestConsumer(t, b.Addr(), o)
	settled := Offsets{}
	pollValues(t, s, 2, settled)
	require.NoError(t, s.Commit(kafkatest.Context(t), settled))
	settled["orders"][0] = kgo.EpochOffset{Epoch: -1, Offset: 1}
	hasEnded = true
	assert.NoError(t, s.Commit(kafkatest.Context(t), settled))
	hasEnded = false
	isRevoked = true
	s.drop(s.client, map[string][]int32{"orders": {0}})
	if err := s.commit(kafkatest.Context(t), settled); err != nil { // like a commit that waited
		t.Error(err)
	}
	s.Close()
	reopened := openTestConsumer(t, b.Addr(), o)
	isRevoked = false
	kafkatest.Put(t, b.Addr(), "orders", "3")
	pollValues(t, reopened, 1, Offsets{})
	reopened.Close()
	assert.True(t, stored == 2, "expected the offset 2 to stay, found %d", stored)
}
