package kafka

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/kafka/embedded"
	"github.com/culvert-project/culvert/host/kafka/kafkatest"
)

// limitNotes has a broker store at most so many bytes with an offset, as offset.metadata.max.bytes has it. It refuses
// the whole request, which is what matters here: Kafka refuses the partition.
func limitNotes(b *embedded.Broker, limit int) {
	kafkatest.RefuseWhere(b.Cluster, kmsg.OffsetCommit, kerr.OffsetMetadataTooLarge, func(r kmsg.Request) bool {
		for _, topic := range r.(*kmsg.OffsetCommitRequest).Topics {
			for _, p := range topic.Partitions {
				if p.Metadata != nil && len(*p.Metadata) > limit {
					return true
				}
			}
		}
		return false
	})
}

// What a broker takes with an offset is found out by the first commit, and no commit goes without what is to stand
// there.
func TestNotesThatBrokersDoNotTake(t *testing.T) {
	for _, c := range []struct {
		limit, longest int // 0: too little
	}{{4096, MaxCommitMetadata}, {1000, 875}, {leastMetadata + len(metadataMark), leastMetadata}, {100, 0}, {0, 0}} {
		b := openTestBroker(t, t.TempDir())
		kafkatest.Put(t, b.Addr(), "orders", "1", "2")
		limitNotes(b, c.limit)
		metadata, heard, stored := "sent=7", MaxCommitMetadata, "none"
		o := ConsumerOptions{Group: "connect-test", Topics: []string{"orders"}, Rebalances: Rebalances{
			Metadata:      func(string, int32, int64) (string, bool) { return metadata, true },
			MetadataLimit: func(bytes int) { heard = bytes },
			Committed:     func(_ string, _ int32, _ int64, text string) { stored = text }}}
		s := openTestConsumer(t, b.Addr(), o)
		settled := Offsets{}
		pollValues(t, s, 2, settled)
		err := s.Commit(kafkatest.Context(t), settled)
		if c.longest == 0 {
			if !errors.Is(err, ErrCommitMetadata) || !strings.Contains(err.Error(), metadataSetting) {
				t.Errorf("%d bytes: expected a fault that names %s, found %v", c.limit, metadataSetting, err)
			}
		} else if err != nil || heard != c.longest {
			t.Errorf("%d bytes: expected to hear of %d bytes, found %d, %v", c.limit, c.longest, heard, err)
		}
		if c.longest > 0 {
			// What is longer is not stored, and neither is the offset.
			metadata = strings.Repeat("x", c.longest+1)
			settled["orders"][0] = kgo.EpochOffset{Epoch: -1, Offset: 1}
			if err := s.Commit(kafkatest.Context(t), settled); !errors.Is(err,
				ErrCommitMetadata) || !strings.Contains(err.Error(), "orders, partition 0") {
				t.Errorf("%d bytes: expected a fault that names the partition, found %v", c.limit, err)
			}
			for _, metadata = range []string{strings.Repeat("y", c.longest), "sent=7"} {
				if err := s.Commit(kafkatest.Context(t), settled); err != nil {
					t.Errorf("%d bytes: %v", c.limit, err)
				}
			}
		}
		s.Close()

		again := openTestConsumer(t, b.Addr(), o)
		wanted, records := "sent=7", 1
		if c.longest == 0 { // nothing was committed: all comes again
			wanted, records = "", 2
		}
		pollValues(t, again, records, Offsets{})
		if stored != wanted {
			t.Errorf("%d bytes: expected the metadata %q, found %q", c.limit, wanted, stored)
		}
	}
}

// What waits for a rebalance may be of an assignment that is over: it is left out, without an error, and what stands at
// the group stays.
func TestCommitLeavesOut(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	kafkatest.Put(t, b.Addr(), "orders", "1", "2")
	old, gone, stored := false, false, int64(-2)
	var s *Consumer
	o := ConsumerOptions{Group: "connect-test", Topics: []string{"orders"}, Rebalances: Rebalances{
		Metadata: func(string, int32, int64) (string, bool) {
			if gone {
				t.Error("expected no question about a partition that went away")
			}
			return "sent=7", !old
		},
		Committed: func(_ string, _ int32, next int64, _ string) { stored = next }}}
	s = openTestConsumer(t, b.Addr(), o)
	settled := Offsets{}
	pollValues(t, s, 2, settled)
	require.NoError(t, s.Commit(kafkatest.Context(t), settled))
	settled["orders"][0] = kgo.EpochOffset{Epoch: -1, Offset: 1}
	old = true
	assert.NoError(t, s.Commit(kafkatest.Context(t), settled))
	old, gone = false, true
	s.drop(s.client, map[string][]int32{"orders": {0}})
	if err := s.commit(kafkatest.Context(t), settled); err != nil { // as one that waited
		t.Error(err)
	}
	s.Close()
	again := openTestConsumer(t, b.Addr(), o)
	gone = false
	kafkatest.Put(t, b.Addr(), "orders", "3")
	pollValues(t, again, 1, Offsets{})
	if again.Close(); stored != 2 {
		t.Errorf("expected the offset 2 to stay, found %d", stored)
	}
}
