package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/guard"
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
	client, dialer, err := newClient(c.ConsumerOpts(c.Consumer.withDefaults(c.ClientConfig).metadataMinAge(
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
	// SideBySide reads partitions side by side, where their order among each other does not matter; the records
	// are handed over one at a time all the same. Not with [ErrStop].
	SideBySide bool
}

// parallelPartitions is how many partitions are read side by side: enough to have one on its way while another is
// looked at.
const parallelPartitions = 4

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
	err = r.readAll(ctx, topic, from, to, o, each)
	switch {
	case errors.Is(err, ErrStop):
		return from, nil
	case err == nil && o.Follow:
		err = r.follow(ctx, topic, from, o.Uncommitted, each)
	}
	return from, err
}

// readAll moves from up to the ends. The first error ends all.
func (r *Reader) readAll(ctx context.Context, topic string, from, to Positions, o ReadOptions,
	each func(*kgo.Record) error) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	partitions := make(chan int32, len(to))
	for _, partition := range slices.Sorted(maps.Keys(to)) {
		partitions <- partition
	}
	close(partitions)
	var (
		mu      sync.Mutex
		failed  error
		readers sync.WaitGroup
	)
	one := func(record *kgo.Record) error {
		mu.Lock()
		defer mu.Unlock()
		return each(record)
	}
	some := func() error {
		for partition := range partitions {
			mu.Lock()
			at := Positions{partition: from[partition]}
			mu.Unlock()
			err := r.readPartition(ctx, topic, partition, at, to[partition], o.Uncommitted, one)
			mu.Lock()
			from[partition] = at[partition]
			mu.Unlock()
			if errors.Is(err, ErrStop) {
				return err
			}
			if err != nil {
				return fmt.Errorf("read %s, partition %d at offset %d: %w", topic, partition, at[partition],
					Lacking(r.dialer.Explain(err), "READ", "Topic "+topic))
			}
		}
		return nil
	}
	count := 1
	if o.SideBySide {
		count = min(parallelPartitions, len(to))
	}
	for range count {
		readers.Go(func() {
			err := guard.Do(r.config.Logger, "reading a topic", some)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && failed == nil { // those of the others, from now on, come of it
				failed = err
				end()
			}
		})
	}
	readers.Wait()
	return failed
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
		if err := r.checkShrunk(ctx, topic, o.From, ends[topic]); err != nil {
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

// checkShrunk is the error of partitions that end before what was read of them. ends may be those of finished
// transactions.
func (r *Reader) checkShrunk(ctx context.Context, topic string, from, ends Positions) error {
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
		found, err := toPositions(ask(ctx, topics...))
		if err == nil {
			return found, nil
		}
		if !isLeaderChange(err) || failures == leaderTries {
			return nil, err
		}
		if err := pause.For(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func toPositions(offsets kadm.ListedOffsets, err error) (map[string]Positions, error) {
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

// readPartition moves at[partition] up to end.
func (r *Reader) readPartition(ctx context.Context, topic string, partition int32, at Positions, end int64,
	uncommitted bool, each func(*kgo.Record) error) error {
	if at[partition] >= end {
		return nil
	}
	var where leadership
	var silent stalls
	failures := 0
	for at[partition] < end {
		if where.topic == nil {
			var err error
			if where, err = r.leader(ctx, topic, partition); err != nil {
				return err
			}
		}
		got, err := r.fetch(ctx, where, partition, at[partition], uncommitted)
		switch {
		case err == nil:
			failures = 0
		case errors.Is(err, kerr.OffsetOutOfRange) && failures == 0:
			// Retention moved the start of the log since it was listed.
			failures++
			starts, err := offsetsOf(ctx, r.admin.ListStartOffsets, topic)
			if err != nil {
				return err
			}
			if start := starts[topic][partition]; start > at[partition] {
				at[partition] = start
				continue
			}
			return kerr.OffsetOutOfRange
		case isLeaderChange(err) && failures < leaderTries:
			failures++
			where = leadership{}
			if err := pause.For(ctx, 100*time.Millisecond); err != nil {
				return err
			}
			continue
		default:
			return err
		}
		for _, record := range got.records {
			if record.Offset >= end {
				break
			}
			if err := each(record); err != nil {
				if errors.Is(err, ErrStop) {
					at[partition] = record.Offset + 1
				}
				return err
			}
			at[partition] = record.Offset + 1
		}
		if at[partition], err = silent.next(at[partition], end, got); err != nil {
			return err
		}
	}
	return nil
}

// stalls counts answers in succession that bring a reader of a partition no further.
type stalls struct {
	// empties are those without any batch although the broker could read up to the end, stuck those with batches that
	// hold nothing from the reader's offset on.
	empties, stuck int
}

// next returns the offset to go on at, after an answer whose records were taken up to at.
func (s *stalls) next(at, end int64, got fetched) (next int64, err error) {
	next = max(at, min(got.next, end))
	if next > at || len(got.records) > 0 || !got.hasBatches {
		s.stuck = 0
	} else if s.stuck++; s.stuck == 3 {
		return next, errors.New("the broker answers with batches that hold nothing from there on")
	}
	if got.hasBatches || got.readable < end {
		s.empties = 0
		return next, nil
	}
	// The broker has nothing at or after the offset although the end lies after it: what was there is compacted away.
	// Twice, since a broker that throttles us also answers nothing.
	if s.empties++; s.empties == 2 {
		return end, nil
	}
	return next, nil
}

// leaderTries is how often a partition's leader is looked for again, each time after a tenth of a second: brokers that
// start, or take over from others, take some seconds.
const leaderTries = 300

// errNoResponse is in the error of a request that a partition's leader has not answered.
var errNoResponse = errors.New("the leader does not answer")

// isLeaderChange tells whether a partition's leader is to be looked for again: it says that it does not lead, or it
// does not answer although metadata name it, as they do for some seconds after a broker was killed.
func isLeaderChange(err error) bool {
	unanswered, denied := (*kadm.ShardErrors)(nil), (*security.Denied)(nil)
	switch {
	case kerr.IsRetriable(err):
		return true
	case errors.As(err, &denied), errors.Is(err, kgo.ErrClientClosed):
		return false
	}
	return errors.Is(err, errNoResponse) || errors.As(err, &unanswered)
}

// leadership is where a partition is read.
type leadership struct {
	topic *kadm.TopicDetail
	node  int32
}

func (r *Reader) leader(ctx context.Context, topic string, partition int32) (leadership, error) {
	for {
		metadata, err := r.admin.Metadata(ctx, topic)
		if err != nil {
			return leadership{}, fmt.Errorf("metadata: %w", err)
		}
		detail := metadata.Topics[topic]
		if errors.Is(detail.Err, kerr.UnknownTopicOrPartition) {
			return leadership{}, fmt.Errorf("%w: %s", ErrUnknownTopic, topic)
		}
		p, known := detail.Partitions[partition]
		switch {
		case known && p.Err == nil && p.Leader >= 0:
			return leadership{&detail, p.Leader}, nil
		case detail.Err != nil && !kerr.IsRetriable(detail.Err):
			return leadership{}, detail.Err
		}
		if err := pause.For(ctx, 250*time.Millisecond); err != nil {
			return leadership{}, fmt.Errorf("no leader: %w", err)
		}
	}
}

// fetched is one answer: next is the offset after all that was read, readable where reading ends at this time.
type fetched struct {
	records    []*kgo.Record
	next       int64
	readable   int64
	hasBatches bool
}

func (r *Reader) fetch(ctx context.Context, where leadership, partition int32, offset int64, uncommitted bool) (fetched,
	error) {
	level := kgo.ReadCommitted()
	request := kmsg.NewPtrFetchRequest()
	request.IsolationLevel = 1
	if uncommitted {
		level, request.IsolationLevel = kgo.ReadUncommitted(), 0
	}
	request.MaxWaitMillis = int32(r.config.Consumer.FetchMaxWait.Milliseconds())
	request.MinBytes = 1
	request.MaxBytes = r.config.Consumer.FetchBytes
	request.SessionEpoch = -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset = partition, offset
	p.PartitionMaxBytes = partitionBytes(r.config.Consumer, 1)
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = where.topic.Topic, where.topic.ID
	t.Partitions = append(t.Partitions, p)
	request.Topics = append(request.Topics, t)

	answer, err := r.client.Broker(int(where.node)).Request(ctx, request)
	if err != nil {
		return fetched{}, fmt.Errorf("%w: %w", errNoResponse, err)
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
		Offset: offset, IsolationLevel: level, Topic: where.topic.Topic, Partition: partition,
	}, raw, r.client.OptValue(kgo.WithDecompressor).(kgo.Decompressor), nil)
	if processed.Err != nil {
		return fetched{}, r.config.Consumer.explainTooLarge(processed.Err, offset)
	}
	readable := processed.LastStableOffset
	if uncommitted || readable < 0 {
		readable = processed.HighWatermark
	}
	return fetched{processed.Records, next, readable, len(raw.RecordBatches) > 0}, nil
}

// follow goes on from the given positions with new records, as they come.
func (r *Reader) follow(ctx context.Context, topic string, at Positions, uncommitted bool,
	each func(*kgo.Record) error) error {
	offsets := map[int32]kgo.Offset{}
	for partition, offset := range at {
		offsets[partition] = kgo.NewOffset().At(offset)
	}
	config := r.config
	config.Consumer.ReadUncommitted = uncommitted
	client, dialer, err := newClient(config.ConsumerOpts(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets})))
	if err != nil {
		return err
	}
	defer client.Close()
	polling, end := context.WithCancelCause(ctx)
	defer end(nil)
	dialer.OnDenied(end)
	for {
		fetches := client.PollFetches(polling)
		if ctx.Err() != nil {
			return nil
		}
		if polling.Err() != nil {
			return fmt.Errorf("follow %s: %w", topic, context.Cause(polling))
		}
		for records := fetches.RecordIter(); !records.Done(); {
			record := records.Next()
			if err := each(record); err != nil {
				if errors.Is(err, ErrStop) {
					return nil
				}
				return err
			}
			at[record.Partition] = record.Offset + 1
		}
		for _, e := range fetches.Errors() {
			if lost := (*kgo.ErrDataLoss)(nil); !errors.As(e.Err, &lost) {
				return fmt.Errorf("follow %s, partition %d: %w", e.Topic, e.Partition,
					Lacking(config.Consumer.explainTooLarge(e.Err, at[e.Partition]), "READ", "Topic "+topic))
			}
		}
	}
}
