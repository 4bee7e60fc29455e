package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/kafka/security"
)

// ErrUnknownTopic is in the error of whoever asks for a topic that the broker does not have.
var ErrUnknownTopic = errors.New("unknown topic")

// ErrStop ends a read without an error when the function that takes a [Reader]'s records returns it.
var ErrStop = errors.New("stop reading")

// Positions are offsets of the next record by partition.
type Positions map[int32]int64

// setAt sets what a map holds of a partition.
func setAt[P ~map[int32]V, V any](m map[string]P, topic string, partition int32, value V) {
	if m[topic] == nil {
		m[topic] = P{}
	}
	m[topic][partition] = value
}

// Reader reads a topic from and up to given offsets, partition by partition, without a group. Unlike a consumer it
// knows where it stands after control records and aborted transactions, so that it ends where the end offset is in
// such a gap.
type Reader struct {
	config Config
	client *kgo.Client
	dialer *security.Dialer
	admin  *kadm.Client
}

// NewReader opens a client; Close ends it.
func NewReader(c Config) (*Reader, error) {
	client, dialer, err := newClient(c.ConsumerOpts(c.Consumer.over(c.ClientConfig).metadataMinAge(
		50 * time.Millisecond)))
	if err != nil {
		return nil, err
	}
	return &Reader{c, client, dialer, kadm.NewClient(client)}, nil
}

// Close ends the client.
func (r *Reader) Close() { r.client.Close() }

// ReadOptions bound a read.
type ReadOptions struct {
	// From is where to start in each partition; partitions that are missing start at the log's start, and one whose
	// log begins later starts there.
	From Positions
	// To is where to end (exclusive); nil: at the ends that the topic has when Read begins. Otherwise partitions
	// that are missing are not read.
	To Positions
	// Resumed: From is where an earlier read of the topic stood. A partition that ends before that, or is not there, is
	// an error: it has lost records, or the topic was deleted and made again.
	Resumed bool
	// Follow goes on with new records until the context ends; partitions that are added meanwhile are not read.
	Follow bool
	// Uncommitted gives records of open and aborted transactions too.
	Uncommitted bool
	// Expected: the topic is there, so brokers that do not know it are asked again for 30 s, as by Kafka Connect's
	// KafkaBasedLog: for a moment after it was made only the controller knows it.
	Expected bool
	// SideBySide reads all partitions at the same time, where their order among each other does not matter.
	SideBySide bool
}

// Read hands every record to each, in order within a partition, one partition after the other unless the options say
// otherwise. The records and their bytes may be kept. It returns where it stands, also with an error. The end of the
// context while following is no error.
func (r *Reader) Read(ctx context.Context, topic string, o ReadOptions, each func(*kgo.Record) error) (Positions,
	error) {
	from, to, err := r.bounds(ctx, topic, o)
	for tries := 0; o.Expected && errors.Is(err, ErrUnknownTopic) && tries < leaderTries; tries++ {
		if err := pause.For(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
		from, to, err = r.bounds(ctx, topic, o)
	}
	if err != nil {
		return nil, r.dialer.Explain(err)
	}
	parts := []Positions{to}
	if !o.SideBySide {
		parts = nil
		for _, partition := range slices.Sorted(maps.Keys(to)) {
			parts = append(parts, Positions{partition: to[partition]})
		}
	}
	for _, part := range parts {
		if err = r.consume(ctx, topic, from, part, o.Uncommitted, each); err != nil {
			break
		}
	}
	if err == nil && o.Follow {
		if err = r.consume(ctx, topic, from, nil, o.Uncommitted, each); ctx.Err() != nil {
			err = nil
		}
	}
	if errors.Is(err, ErrStop) {
		err = nil
	}
	return from, err
}

// Empty tells whether no record that can be read lies in any partition from one offset up to another: a consumer that
// stands there has caught up, though markers and aborted records keep its offset below the end.
func (r *Reader) Empty(ctx context.Context, topic string, from, to Positions) (bool, error) {
	empty := true
	_, err := r.Read(ctx, topic, ReadOptions{From: from, To: to}, func(*kgo.Record) error {
		empty = false
		return ErrStop
	})
	return empty && err == nil, err
}

// AwaitCommitted waits until all that was written to a topic before is committed or aborted: what [Reader.Read] cannot
// read before, although it was committed, because it lies after the records of a transaction that is open.
func (r *Reader) AwaitCommitted(ctx context.Context, topic string) error {
	written, err := offsetsOf(ctx, r.admin.ListEndOffsets, topic)
	if err != nil {
		return r.dialer.Explain(err)
	}
	for {
		ends, err := offsetsOf(ctx, r.admin.ListCommittedOffsets, topic)
		if err != nil {
			return r.dialer.Explain(err)
		}
		open := int32(-1)
		for partition, end := range written[topic] {
			if ends[topic][partition] < end {
				open = partition
			}
		}
		if open < 0 {
			return nil
		}
		if err := pause.For(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("topic %s, partition %d: a transaction is open, and what was written "+
				"after it cannot be read: %w",
				topic, open, err)
		}
	}
}

// Since is where the first record of each partition is whose timestamp is not before a time, or the partition's end.
func (r *Reader) Since(ctx context.Context, topic string, at time.Time) (Positions, error) {
	found, err := offsetsOf(ctx, func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
		return r.admin.ListOffsetsAfterMilli(ctx, at.UnixMilli(), topics...)
	}, topic)
	return found[topic], r.dialer.Explain(err)
}

// bounds works out where each partition is to be read from and to.
func (r *Reader) bounds(ctx context.Context, topic string, o ReadOptions) (from, to Positions, err error) {
	starts, err := offsetsOf(ctx, r.admin.ListStartOffsets, topic)
	if err != nil {
		return nil, nil, err
	}
	what := r.admin.ListCommittedOffsets
	if o.Uncommitted {
		what = r.admin.ListEndOffsets
	}
	ends, err := offsetsOf(ctx, what, topic)
	if err != nil {
		return nil, nil, err
	}
	if o.Resumed {
		if err := r.shrunk(ctx, topic, o.From, ends[topic]); err != nil {
			return nil, nil, err
		}
	}
	from, to = Positions{}, Positions{}
	for partition, end := range ends[topic] {
		if o.To != nil {
			bound, asked := o.To[partition]
			if !asked {
				continue
			}
			end = min(end, bound)
		}
		from[partition], to[partition] = max(starts[topic][partition], o.From[partition]), end
	}
	for partition := range o.To {
		if _, ok := to[partition]; !ok {
			return nil, nil, fmt.Errorf("topic %s has no partition %d", topic, partition)
		}
	}
	return from, to, nil
}

// ErrShrunk is in the error of a read that is resumed, of a topic that ends before what was read of it.
var ErrShrunk = errors.New("it has lost records, or was deleted and made again")

// shrunk is the error of partitions that end before what was read of them. ends may be those of finished transactions.
func (r *Reader) shrunk(ctx context.Context, topic string, from, ends Positions) error {
	var logs map[string]Positions
	for _, partition := range slices.Sorted(maps.Keys(from)) {
		if end, there := ends[partition]; there && from[partition] <= end {
			continue
		}
		if logs == nil {
			var err error
			if logs, err = offsetsOf(ctx, r.admin.ListEndOffsets, topic); err != nil {
				return err
			}
		}
		if end := logs[topic][partition]; from[partition] > end {
			return fmt.Errorf("topic %s, partition %d ends at offset %d, and was read up to %d before: %w", topic,
				partition, end, from[partition], ErrShrunk)
		}
	}
	return nil
}

// offsetsOf asks for offsets of topics until their leaders answer: brokers that take over from others, or have a topic
// that was made a moment ago, may not lead it for longer than the client itself tries.
func offsetsOf(ctx context.Context, ask func(context.Context, ...string) (kadm.ListedOffsets, error),
	topics ...string) (map[string]Positions, error) {
	for failures := 0; ; failures++ {
		found, err := listed(ask(ctx, topics...))
		if err == nil {
			return found, nil
		}
		if !leaderMoves(err) || failures == leaderTries {
			return nil, err
		}
		if err := pause.For(ctx, leaderPause); err != nil {
			return nil, err
		}
	}
}

func listed(offsets kadm.ListedOffsets, err error) (map[string]Positions, error) {
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	result := map[string]Positions{}
	offsets.Each(func(o kadm.ListedOffset) {
		switch {
		case errors.Is(o.Err, kerr.UnknownTopicOrPartition), errors.Is(o.Err, kerr.InvalidTopicException):
			err = errors.Join(err, fmt.Errorf("%w: %s", ErrUnknownTopic, o.Topic))
		case o.Err != nil:
			err = errors.Join(err, fmt.Errorf("list offsets of %s, partition %d: %w", o.Topic, o.Partition,
				Lacking(o.Err, "DESCRIBE", "Topic "+o.Topic)))
		default:
			setAt(result, o.Topic, o.Partition, o.Offset)
		}
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// consume moves at up to the offsets in to, or on and on where to is nil, by a consumer that is told of markers of
// transactions too. What it is not told of, aborted records and what compaction has left no batch of, shows in what the
// leader answers ([Reader.progress]), which is asked where no record comes.
func (r *Reader) consume(ctx context.Context, topic string, at, to Positions, uncommitted bool,
	each func(*kgo.Record) error) error {
	offsets, reading := map[int32]kgo.Offset{}, map[int32]*stalls{}
	for partition, offset := range at {
		if to == nil || offset < to[partition] {
			offsets[partition], reading[partition] = kgo.NewOffset().At(offset), &stalls{moved: time.Now()}
		}
	}
	if len(reading) == 0 {
		return nil
	}
	config := r.config
	config.Consumer.ReadUncommitted = uncommitted
	client, dialer, err := newClient(config.ConsumerOpts(kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets})))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	dialer.OnDenied(end)
	failed := func(partition int32, err error) error {
		return fmt.Errorf("read %s, partition %d at offset %d: %w", topic, partition, at[partition],
			Lacking(dialer.Explain(err), "READ", "Topic "+topic))
	}
	for len(reading) > 0 {
		polling, stop := ctx, func() {}
		if to != nil {
			polling, stop = context.WithTimeout(ctx, quietFor)
		}
		fetches := client.PollFetches(polling)
		stop()
		if ctx.Err() != nil {
			for partition := range reading {
				return failed(partition, context.Cause(ctx))
			}
		}
		for records := fetches.RecordIter(); !records.Done(); {
			record := records.Next()
			partition, next := record.Partition, record.Offset+1
			switch s := reading[partition]; {
			case s == nil || to != nil && record.Offset >= to[partition]:
				delete(reading, partition) // what comes after the end
				continue
			case to != nil && record.Offset < at[partition]:
				return failed(partition, ErrShrunk)
			default:
				s.progressed()
			}
			if !record.Attrs.IsControl() {
				if err := each(record); err != nil {
					if errors.Is(err, ErrStop) {
						at[partition] = next
						return err
					}
					return failed(partition, err)
				}
			}
			if at[partition] = next; to != nil && next >= to[partition] {
				delete(reading, partition)
			}
		}
		for _, e := range fetches.Errors() {
			if lost := (*kgo.ErrDataLoss)(nil); !errors.As(e.Err, &lost) && e.Topic != "" { // else poll is over

				return failed(e.Partition, config.Consumer.tooLarge(e.Err, at[e.Partition]))
			}
		}
		if to == nil || fetches.NumRecords() > 0 {
			continue
		}
		for partition, s := range reading {
			for moves := true; moves; {
				before := at[partition]
				got, err := r.progress(ctx, topic, partition, before, uncommitted)
				if at[partition], err = s.next(before, to[partition], got, err); err != nil {
					return failed(partition, err)
				}
				if moves = at[partition] > before; at[partition] >= to[partition] {
					delete(reading, partition)
					break
				}
			}
		}
	}
	return nil
}

// quietFor is how long no record comes before the leader is asked whether there is one.
const quietFor = 200 * time.Millisecond

// stalls counts answers in succession that bring a reader of a partition no further.
type stalls struct {
	// empties are those without any batch although the broker could read up to the end, stuck those with batches that
	// hold nothing from the reader's offset on.
	empties, stuck int
	// moved is when the reader last got further, or was answered.
	moved time.Time
}

func (s *stalls) progressed() { *s = stalls{moved: time.Now()} }

// next returns the offset to go on at, after the leader's answer to a reader at that offset. Records in it come by the
// consumer.
func (s *stalls) next(at, end int64, got fetched, err error) (next int64, failed error) {
	if err != nil {
		if leaderMoves(err) && time.Since(s.moved) < leaderTries*leaderPause {
			return at, nil
		}
		return at, err
	}
	s.moved = time.Now()
	switch {
	case got.records:
		s.progressed()
		return at, nil
	case got.next > at:
		s.progressed()
		return min(got.next, end), nil
	case got.anything:
		if s.stuck++; s.stuck == 3 {
			return at, errors.New("the broker answers with batches that hold nothing from there on")
		}
	case got.readable < end:
		s.empties = 0
	default:
		// The broker has nothing at or after the offset although the end lies after it: what was there is compacted
		// away. Twice, since a broker that throttles us also answers nothing.
		if s.empties++; s.empties == 2 {
			return end, nil
		}
	}
	return at, nil
}

// leaderTries is how often a partition's leader is looked for again, each time after a tenth of a second: brokers that
// start, or take over from others, take some seconds.
const leaderTries, leaderPause = 300, 100 * time.Millisecond

// errUnanswered is in the error of a request that a partition's leader has not answered.
var errUnanswered = errors.New("the leader does not answer")

// leaderMoves tells whether a partition's leader is to be looked for again: it says that it does not lead, or it does
// not answer although metadata name it, as they do for some seconds after a broker was killed.
func leaderMoves(err error) bool {
	unanswered, denied := (*kadm.ShardErrors)(nil), (*security.Denied)(nil)
	switch {
	case kerr.IsRetriable(err):
		return true
	case errors.As(err, &denied), errors.Is(err, kgo.ErrClientClosed):
		return false
	}
	return errors.Is(err, errUnanswered) || errors.As(err, &unanswered)
}

// fetched is what a leader has at an offset: records tells whether there are any that can be read, next is the offset
// after all that was answered, readable where reading ends at this time.
type fetched struct {
	records  bool
	next     int64
	readable int64
	anything bool
}

// progress asks the partition's leader what it has from an offset on.
func (r *Reader) progress(ctx context.Context, topic string, partition int32, offset int64, uncommitted bool) (fetched,
	error) {
	metadata, err := r.admin.Metadata(ctx, topic)
	if err != nil {
		return fetched{}, fmt.Errorf("metadata: %w", err)
	}
	detail := metadata.Topics[topic]
	led := detail.Partitions[partition]
	if err := errors.Join(detail.Err, led.Err); err != nil {
		return fetched{}, err
	}
	level := kgo.ReadCommitted()
	request := kmsg.NewPtrFetchRequest()
	request.IsolationLevel = 1
	if uncommitted {
		level, request.IsolationLevel = kgo.ReadUncommitted(), 0
	}
	const some = 64 << 10 // bytes; of a larger batch all
	request.MaxWaitMillis, request.MinBytes, request.MaxBytes, request.SessionEpoch = 10, 1, some, -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, some
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = topic, detail.ID, append(t.Partitions, p)
	request.Topics = append(request.Topics, t)
	answer, err := r.client.Broker(int(led.Leader)).Request(ctx, request)
	if err != nil {
		return fetched{}, fmt.Errorf("%w: %w", errUnanswered, err)
	}
	response := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return fetched{}, err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return fetched{}, fmt.Errorf("expected one partition in the broker's answer, found %d topics",
			len(response.Topics))
	}
	raw := &response.Topics[0].Partitions[0]
	processed, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: offset, IsolationLevel: level, Topic: topic, Partition: partition,
	}, raw, r.client.OptValue(kgo.WithDecompressor).(kgo.Decompressor), nil)
	if errors.Is(processed.Err, kerr.OffsetOutOfRange) { // the consumer looks for the log's start
		return fetched{records: true}, nil
	}
	if processed.Err != nil {
		return fetched{}, r.config.Consumer.tooLarge(processed.Err, offset)
	}
	readable := processed.LastStableOffset
	if uncommitted || readable < 0 {
		readable = processed.HighWatermark
	}
	return fetched{len(processed.Records) > 0, next, readable, len(raw.RecordBatches) > 0}, nil
}
