package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/kafka/security"
)

// Offsets are the next offsets by topic and partition, with the leader epoch of the last record (-1: unknown).
type Offsets map[string]map[int32]kgo.EpochOffset

// ErrRebalanced is the error of a commit for partitions that another member has now. It reads their records again.
var ErrRebalanced = errors.New("the group has rebalanced")

// ConsumerOptions configure a sink's consumer.
type ConsumerOptions struct {
	Group    string
	ClientID string
	// Topics or a Regex for whole topic names; exactly one of both.
	Topics []string
	Regex  string
	Rebalances

	exclusive bool // see Turn
}

// Rebalances are optional callbacks of a consumer.
type Rebalances struct {
	// Assigned is called with new partitions before their first record.
	Assigned func(partitions map[string][]int32)
	// Revoked is called before partitions are revoked and returns settled offsets, which are committed. It runs
	// concurrently with Poll and may take up to max.poll.interval.ms.
	Revoked func(ctx context.Context, partitions map[string][]int32) Offsets
	// Lost is called with partitions that another member may have already; records in progress are delivered twice.
	Lost func(partitions map[string][]int32)
	// Metadata returns the text to commit with the offset next, also for partitions that were just revoked. It must
	// not be longer than MaxCommitText or the MetadataLimit. ok false leaves the partition out: the offset may be of
	// an earlier assignment.
	Metadata func(topic string, partition int32, next int64) (text string, ok bool)
	// MetadataLimit is called if the brokers allow less than MaxCommitMetadata.
	MetadataLimit func(bytes int)
	// Committed is called with committed offsets of new partitions (-1: none), after Assigned and before their first
	// record.
	Committed func(topic string, partition int32, next int64, metadata CommitMetadata)
}

// CommitMetadata are the metadata of a committed offset. The zero value means none.
type CommitMetadata struct {
	Text string
	// Moved says why the text is about another offset or topic, "" if it is not: tools such as MirrorMaker copy
	// offsets, and topics are recreated.
	Moved string
	// Verified: offset and topic ID match.
	Verified   bool
	WrittenFor int64
	// End is the partition's end offset, set with Text or Moved.
	End int64
}

// Consumer reads for one sink task as a group member. It commits with Commit only. It owns the client's goroutines
// until Close; heartbeats continue between polls.
type Consumer struct {
	config  Config
	options ConsumerOptions
	client  *kgo.Client
	dialer  *security.Dialer
	session *Session

	membership membership

	mu       sync.Mutex
	failure  error
	metadata metadataLimit
	topics   map[string]kadm.TopicID
	ctx      context.Context
	cancel   context.CancelFunc
	// ready is closed when the fields are set: the client calls back earlier.
	ready     chan struct{}
	subscribe func()
	counts    map[string]int
	unstarted unstarted
	records   []*kgo.Record // of the last poll
}

type metadataLimit struct {
	bytes     int
	confirmed bool
}

// unstarted are partitions whose start could not be committed until the member rejoins, and the error.
type unstarted struct {
	at      Offsets
	refusal error
}

func (s *Consumer) fail(err error) {
	s.mu.Lock()
	s.failure = err
	s.mu.Unlock()
	s.cancel()
}

func (s *Consumer) pollError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// ConfirmOwnership returns nil if no other member can own this member's partitions. It asks the coordinator only after
// a session timeout, as after a pause of the process.
func (s *Consumer) ConfirmOwnership(ctx context.Context) error {
	if s.session.IsValid() {
		return nil
	}
	return s.session.Confirm(ctx, s.client, s.config.Consumer.SessionTimeout)
}

// IsSessionValid reports whether the session has not timed out.
func (s *Consumer) IsSessionValid() bool { return s.session.IsValid() }

var errNothingToCommit = errors.New("nothing to commit")

// commitOnce sends one commit and returns the first error of a partition, or errNothingToCommit. It skips partitions
// that are not owned when the request is sent: after a rebalance it has the new generation and would overwrite
// offsets of the new owner. prepare may set metadata and returns false to skip a partition.
func (s *Consumer) commitOnce(ctx context.Context, offsets Offsets,
	prepare func(topic string, p *kmsg.OffsetCommitRequestTopicPartition) bool) (failure error) {
	ctx = kgo.PreCommitFnContext(ctx, func(r *kmsg.OffsetCommitRequest) error {
		if len(r.Topics) == 0 {
			return nil // kgo answers by itself for topics that were deleted and created again
		}
		topics := r.Topics[:0]
		for _, t := range r.Topics {
			kept := t.Partitions[:0]
			for _, p := range t.Partitions {
				if s.membership.owns(t.Topic, p.Partition) && (prepare == nil || prepare(t.Topic, &p)) {
					kept = append(kept, p)
				}
			}
			if t.Partitions = kept; len(kept) > 0 {
				topics = append(topics, t)
			}
		}
		if r.Topics = topics; len(topics) == 0 {
			return errNothingToCommit
		}
		return nil
	})
	s.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest,
		response *kmsg.OffsetCommitResponse, err error) {
		if failure = err; err != nil {
			return
		}
		for _, t := range response.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil && failure == nil {
					failure = fmt.Errorf("%s, partition %d: %w", t.Topic, p.Partition, err)
				}
			}
		}
	})
	return failure
}
