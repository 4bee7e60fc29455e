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

// Offsets holds the next offsets by topic and partition, with the leader epoch of the last record (-1: unknown).
type Offsets map[string]map[int32]kgo.EpochOffset

// ErrRebalanced is the error of a commit for partitions that another member has now. It reads their records again.
var ErrRebalanced = errors.New("the group has rebalanced")

// ConsumerOptions configure the consumer of a sink.
type ConsumerOptions struct {
	Group    string
	ClientID string
	Topics   []string // Exactly one of Topics and Regex is set. Regex matches whole topic names.
	Regex    string
	Rebalances

	exclusive bool // see GroupLock
}

// Rebalances holds callbacks for changes of the assignment and for the metadata of commits. Each may be nil. Assigned,
// Revoked, Lost and Committed block the client's group session until they return.
type Rebalances struct {
	Assigned func(partitions map[string][]int32) // Assigned is called with new partitions before their first record.
	// Revoked is called before partitions are revoked and returns settled offsets, which are committed. It runs
	// concurrently with Poll and may take up to max.poll.interval.ms.
	Revoked func(ctx context.Context, partitions map[string][]int32) Offsets
	// Lost is called with partitions that another member may have already; records in progress are delivered twice.
	Lost func(partitions map[string][]int32)
	// Metadata returns the text to commit with the offset next, not longer than MaxCommitText or MetadataLimit; also
	// for partitions that were just revoked. !ok skips the partition: the offset may be of an earlier assignment.
	Metadata      func(topic string, partition int32, next int64) (text string, ok bool)
	MetadataLimit func(bytes int) // MetadataLimit is called if the brokers allow less than MaxCommitMetadata.
	// Committed is called with committed offsets of new partitions (-1 for none) before their first record.
	Committed func(topic string, partition int32, next int64, metadata CommitMetadata)
}

// CommitMetadata is the text that was committed with an offset. The zero value means none.
type CommitMetadata struct {
	Text string
	// Unreadable is why metadata of this program cannot be read. Metadata of other programs count as none.
	Unreadable error
	// Mismatch is why the text belongs to another offset or topic, or "": offsets are copied, topics created again.
	Mismatch   string
	Verified   bool // Verified reports that offset and topic ID match.
	OtherTopic bool // OtherTopic reports that the topic IDs differ.
	WrittenFor int64
	Start      int64  // Start is the partition's first offset, set with Text or Mismatch.
	End        int64  // End is the partition's end offset, set with Text or Mismatch.
	TopicID    string // TopicID is the ID of the topic, "" if unknown.
}

// Consumer reads for one sink task as a group member. Only Commit commits. Heartbeats continue between polls.
type Consumer struct {
	config  Config
	options ConsumerOptions
	client  *kgo.Client
	dialer  *security.Dialer
	session *Session
	memory  *fetchMemory

	membership membership

	mu          sync.Mutex
	failure     error // see fail
	metadata    metadataState
	ctx         context.Context
	cancel      context.CancelFunc
	ready       chan struct{} // ready is closed when all fields are set: the client calls back earlier.
	subscribe   func()        // called by the first Poll; nil afterwards, or if NewConsumer has subscribed
	starts      startState
	records     []*kgo.Record // of the last poll
	undelivered kgo.Fetches   // undelivered is for the next poll.
}

// metadataState is what commits need for their metadata: the limit in bytes, whether a commit has confirmed it, and the
// IDs of topics. topics is replaced, never changed.
type metadataState struct {
	limit     int
	confirmed bool
	topics    map[string]kadm.TopicID
}

// fail makes this and all further calls of Poll return err, and ends what waits for c.ctx. The caller must not hold mu.
func (c *Consumer) fail(err error) {
	c.mu.Lock()
	c.failure = err
	c.mu.Unlock()
	c.cancel()
}

func (c *Consumer) pollError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// CheckMembership returns nil if no other member can own the partitions. After a timeout it sends a heartbeat.
func (c *Consumer) CheckMembership(ctx context.Context) error {
	if c.session.IsValid() {
		return nil
	}
	return c.session.Confirm(ctx, c.client, c.config.Consumer.SessionTimeout)
}

// IsSessionValid reports, without a request, whether no other member can own this member's partitions.
func (c *Consumer) IsSessionValid() bool { return c.session.IsValid() }

var errNothingToCommit = errors.New("nothing to commit")

// commitOnce sends one commit and returns the first error, or errNothingToCommit. It skips partitions that are not
// owned when it is sent, or for which prepare, which may set metadata, returns false.
func (c *Consumer) commitOnce(ctx context.Context, offsets Offsets,
	prepare func(topic string, p *kmsg.OffsetCommitRequestTopicPartition) bool) (failure error) {
	ctx = kgo.PreCommitFnContext(ctx, func(r *kmsg.OffsetCommitRequest) error {
		if len(r.Topics) == 0 {
			return nil // kgo itself responds for topics that were deleted and created again
		}
		topics := r.Topics[:0]
		for _, t := range r.Topics {
			owned := t.Partitions[:0]
			for _, p := range t.Partitions {
				if c.membership.owns(t.Topic, p.Partition) && (prepare == nil || prepare(t.Topic, &p)) {
					owned = append(owned, p)
				}
			}
			t.Partitions = owned
			if len(owned) > 0 {
				topics = append(topics, t)
			}
		}
		r.Topics = topics
		if len(topics) == 0 {
			return errNothingToCommit
		}
		return nil
	})
	c.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest,
		response *kmsg.OffsetCommitResponse, err error) {
		failure = err
		if err != nil {
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
