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

	"github.com/culvert-project/culvert/host/kafka/security"
)

// Offsets are what a sink has settled: the offset of the next record by topic and partition, with the leader's epoch
// of the last record (-1: unknown).
type Offsets map[string]map[int32]kgo.EpochOffset

// ErrRebalanced is in the error of a commit that came after the group had given the partitions to somebody else. Their
// records come again there; nothing is lost.
var ErrRebalanced = errors.New("the group has rebalanced")

// ConsumerOptions say what a sink's consumer reads.
type ConsumerOptions struct {
	// Group is connect-NAME, unless the configuration names another.
	Group string
	// ClientID is used unless the configuration has one: connector-consumer-orders-0.
	ClientID string
	// Topics to read, or Regex that the whole name of a topic must match. Exactly one of both.
	Topics []string
	Regex  string
	Rebalances

	exclusive bool // see Turn
}

// Rebalances are what a consumer calls when its partitions change; nil: nobody wants to know.
type Rebalances struct {
	// Assigned is called with new partitions before their first record.
	Assigned func(partitions map[string][]int32)
	// Revoked is called with partitions that are about to go to another member, and returns the offsets settled so far,
	// which are committed before they go. It runs at the same time as Poll and may take up to max.poll.interval.ms.
	Revoked func(ctx context.Context, partitions map[string][]int32) Offsets
	// Lost is called with partitions that another member has already: what is under way for them comes twice.
	Lost func(partitions map[string][]int32)
	// Metadata is what is stored with the offset `next` of a partition when that is committed, "" for nothing. Where
	// it is longer than MaxCommitText, or than MetadataLimit said, nothing is committed. It is asked for partitions
	// that were just revoked, too. ok false leaves the partition out, without an error: a commit waits while the group
	// rebalances, and the offset may be of an assignment that is over.
	Metadata func(topic string, partition int32, next int64) (text string, ok bool)
	// MetadataLimit is called with how long that may be where the brokers take less than MaxCommitMetadata.
	MetadataLimit func(bytes int)
	// Committed is called with the committed offsets of new partitions (-1: none) and what stands with them, after
	// Assigned and before their first record.
	Committed func(topic string, partition int32, next int64, metadata CommitMetadata)
}

// CommitMetadata is what stands with a committed offset. The zero value means nothing.
type CommitMetadata struct {
	// Text is what [Rebalances.Metadata] returned.
	Text string
	// Moved says why the text is not about the committed offset; "": it is, as far as one can tell. It may be of
	// another offset or topic where a tool has copied the group's offsets, as MirrorMaker does, or where the topic was
	// made again.
	Moved string
	// Verified: the text is about this offset of this very topic.
	Verified bool
	// WrittenFor is the offset that the text is about: the committed one, unless the metadata say another.
	WrittenFor int64
	// End is the partition's end offset. Only there with a text, or where it was moved.
	End int64
}

// Consumer reads for one task of a sink as a member of its group. Offsets are committed by Commit only. It owns the
// goroutines of its client until Close; the group's heartbeat goes on while nobody polls.
type Consumer struct {
	config  Config
	options ConsumerOptions
	client  *kgo.Client
	dialer  *security.Dialer
	// session says whether the member may have been given up.
	session *Session

	membership membership

	mu sync.Mutex
	// failure ends the next Poll.
	failure  error
	metadata metadataLimit
	// topics are the IDs of the topics that the member has had partitions of, replaced as a whole.
	topics map[string]kadm.TopicID
	// ctx ends with a failure that Poll must not wait for.
	ctx    context.Context
	cancel context.CancelFunc
	// ready is closed when all of this is there: the client joins the group while it is being made, and calls back.
	ready chan struct{}
	// subscribe is called by the first Poll, where the member joins the group with that only; nil afterwards.
	subscribe func()
	// counts are how many partitions the topics had when this member joined the group, or found them by topics.regex:
	// those with higher numbers were added since. Only kept with auto.offset.reset=latest.
	counts    map[string]int
	unstarted unstarted
	records   []*kgo.Record // of the last poll
}

// metadataLimit is how long metadata with an offset may be; asked: the brokers have taken one of that length.
type metadataLimit struct {
	bytes     int
	confirmed bool
}

// unstarted are partitions whose beginning the coordinator did not take, as the member has to join again first, and its
// answer.
type unstarted struct {
	at      Offsets
	refusal error
}

// fail ends Poll: brokers do not let the client in, and the client itself would try without end.
func (s *Consumer) fail(err error) {
	s.mu.Lock()
	s.failure = err
	s.mu.Unlock()
	s.cancel()
}

// pollError is what ends Poll.
func (s *Consumer) pollError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// Alive returns nil where the partitions of this member cannot have gone to another one without its knowing. Within its
// session it costs nothing; after one that is over, as after a pause of the process, the coordinator is asked.
func (s *Consumer) Alive(ctx context.Context) error {
	if s.session.Lasts() {
		return nil
	}
	return s.session.Confirm(ctx, s.client, s.config.Consumer.SessionTimeout)
}

// Lasts tells whether that is so by the time that the session has left.
func (s *Consumer) Lasts() bool { return s.session.Lasts() }

// errNothingToCommit is returned by commitOnce if no partition is left to commit.
var errNothingToCommit = errors.New("nothing to commit")

// commitOnce sends one commit and returns the first error of a partition, or errNothingToCommit. It leaves out
// partitions that this member does not own any more when the request is sent: a commit that waited for a rebalance is
// sent with the new generation, so the coordinator would accept it and overwrite the offsets of the new owner. If
// prepare is not nil, it may set the metadata of a partition; partitions for which it returns false are left out, too.
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
