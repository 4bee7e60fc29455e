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

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// ErrUnknownTopic is the error for a topic that the broker does not have.
var ErrUnknownTopic = errors.New("unknown topic")

// ErrStop ends a read without an error if the callback returns it.
var ErrStop = errors.New("stop reading")

// Positions holds offsets of the next record by partition.
type Positions map[int32]int64

// setAt sets the value of a partition, and creates the topic's map if it is missing.
func setAt[P ~map[int32]V, V any](m map[string]P, topic string, partition int32, value V) {
	if m[topic] == nil {
		m[topic] = P{}
	}
	m[topic][partition] = value
}

// Reader reads a range of offsets of a topic without a group, also if the end is at control or aborted records.
type Reader struct {
	config Config
	client *kgo.Client
	dialer *security.Dialer
	admin  *kadm.Client
}

// NewReader opens a reader. The caller must close it.
func NewReader(c Config) (*Reader, error) {
	client := c.Consumer.withDefaults(c.ClientConfig)
	kafkaClient, dialer, err := newClient(c.ConsumerOpts(client.metadataMinAge(50 * time.Millisecond)))
	if err != nil {
		return nil, err
	}
	return &Reader{config: c, client: kafkaClient, dialer: dialer, admin: kadm.NewClient(kafkaClient)}, nil
}

func (r *Reader) Close() { r.client.Close() }

// Clients are an administrator and a reader of the same cluster.
type Clients struct {
	Admin  *Admin
	Reader *Reader
}

// OpenClients opens both clients. newAdmin is [NewAdmin] or [NewConsumerAdmin]. The caller must close them.
func OpenClients(newAdmin func(Config) (*Admin, error), c Config) (*Clients, error) {
	admin, err := newAdmin(c)
	if err != nil {
		return nil, err
	}
	reader, err := NewReader(c)
	if err != nil {
		admin.Close()
		return nil, err
	}
	return &Clients{Admin: admin, Reader: reader}, nil
}

// Close closes the clients. Nil has no clients.
func (c *Clients) Close() {
	if c != nil {
		c.Reader.Close()
		c.Admin.Close()
	}
}

// ReadOptions selects what [Reader.Read] reads. The zero value means from the log start to the last stable offsets.
type ReadOptions struct {
	From Positions // From are the start offsets; default and minimum is the log start offset.
	// To are the end offsets (exclusive); nil means the present ends. Otherwise missing partitions are not read.
	To          Positions
	Resumed     bool // Resumed makes it an error if a partition ends before From, which is from an earlier read.
	Follow      bool // Follow continues with new records until the context ends, but not with new partitions.
	Uncommitted bool // Uncommitted includes records of open and aborted transactions.
	// Expected retries an unknown topic for 30 s, like KafkaBasedLog: brokers learn of a new topic late.
	Expected bool
	Parallel bool // Parallel reads partitions concurrently; callbacks are still serialized. Not with [ErrStop].
}

const parallelPartitions = 4

// Read calls visit with every record, in order within a partition, by default one partition after the other. Records
// may be kept. It returns the reached offsets, also with an error. A canceled context while following is no error.
func (r *Reader) Read(ctx context.Context, topic string, options ReadOptions,
	visit func(*kgo.Record) error) (Positions, error) {
	from, to, err := r.bounds(ctx, topic, options)
	for tries := 0; options.Expected && errors.Is(err, ErrUnknownTopic) && tries < leaderTries; tries++ {
		if err := pause.For(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
		from, to, err = r.bounds(ctx, topic, options)
	}
	if err != nil {
		return nil, r.dialer.Explain(err)
	}
	err = r.readAll(ctx, topic, from, to, options, visit)
	switch {
	case errors.Is(err, ErrStop):
		return from, nil
	case err == nil && options.Follow:
		err = r.follow(ctx, topic, from, options.Uncommitted, visit)
	}
	return from, err
}

// readAll reads all partitions up to their end offsets, and sets from to the reached offsets.
func (r *Reader) readAll(ctx context.Context, topic string, from, to Positions, options ReadOptions,
	visit func(*kgo.Record) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	partitions := make(chan int32, len(to))
	for _, partition := range slices.Sorted(maps.Keys(to)) {
		partitions <- partition
	}
	close(partitions)
	count := 1
	if options.Parallel {
		count = min(parallelPartitions, len(to))
	}
	var mu sync.Mutex // guards failure, from, and calls of visit
	var failure error
	deliver := func(record *kgo.Record) error {
		mu.Lock()
		defer mu.Unlock()
		return visit(record)
	}
	var readers sync.WaitGroup
	for range count {
		readers.Go(func() {
			err := guard.Do(r.config.Logger, "reading a topic", func() error {
				for partition := range partitions {
					mu.Lock()
					position := Positions{partition: from[partition]}
					mu.Unlock()
					err := r.readPartition(ctx, topic, partition, position, to[partition], options.Uncommitted, deliver)
					mu.Lock()
					from[partition] = position[partition]
					mu.Unlock()
					if errors.Is(err, ErrStop) {
						return err
					}
					if err != nil {
						return fmt.Errorf("read %s, partition %d at offset %d: %w", topic, partition,
							position[partition], WithMissingRight(r.dialer.Explain(err), "READ", "Topic "+topic))
					}
				}
				return nil
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil && failure == nil { // later errors of other readers follow from the cancellation
				failure = err
				cancel()
			}
		})
	}
	readers.Wait()
	return failure
}

// TopicID returns the [Range.TopicID] of a topic.
func (r *Reader) TopicID(ctx context.Context, topic string) (string, error) {
	ids, err := topicIDs(ctx, r.client, []string{topic})
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return "", nil
	}
	return formatTopicID(ids[topic]), r.dialer.Explain(err)
}

// IsEmpty reports whether a range has no readable record: markers and aborted records count in a consumer's lag.
func (r *Reader) IsEmpty(ctx context.Context, topic string, from, to Positions) (bool, error) {
	empty := true
	_, err := r.Read(ctx, topic, ReadOptions{From: from, To: to}, func(*kgo.Record) error {
		empty = false
		return ErrStop
	})
	return empty && err == nil, err
}

// AwaitCommitted waits until all transactions that are open in a topic have ended: records after them cannot be read.
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
		openPartition := int32(-1)
		for partition, end := range written[topic] {
			if ends[topic][partition] < end {
				openPartition = partition
			}
		}
		if openPartition < 0 {
			return nil
		}
		if err := pause.For(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("topic %s, partition %d: a transaction is open, and records after it cannot be read "+
				"yet: %w", topic, openPartition, err)
		}
	}
}

// NearestTopic returns the broker's topic with the most similar name, "" if none is similar.
func (r *Reader) NearestTopic(ctx context.Context, name string) string {
	topics, _ := r.admin.ListTopics(ctx) // with an error there are no names
	return setting.NearestName(name, slices.DeleteFunc(topics.Names(), func(topic string) bool {
		return topics[topic].Err != nil // the client also lists missing topics that were requested before
	}))
}

// OffsetsForTime returns, by partition, the offset of the first record at or after a time, or the end offset.
func (r *Reader) OffsetsForTime(ctx context.Context, topic string, start time.Time) (Positions, error) {
	positions, err := offsetsOf(ctx, func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
		return r.admin.ListOffsetsAfterMilli(ctx, start.UnixMilli(), topics...)
	}, topic)
	return positions[topic], r.dialer.Explain(err)
}

// bounds returns the offsets of the first record to read of each partition, and of the first record not to read.
func (r *Reader) bounds(ctx context.Context, topic string, options ReadOptions) (from, to Positions, err error) {
	starts, err := offsetsOf(ctx, r.admin.ListStartOffsets, topic)
	if err != nil {
		return nil, nil, err
	}
	listEnds := r.admin.ListCommittedOffsets
	if options.Uncommitted {
		listEnds = r.admin.ListEndOffsets
	}
	ends, err := offsetsOf(ctx, listEnds, topic)
	if err != nil {
		return nil, nil, err
	}
	if options.Resumed {
		// The high watermark is requested only for partitions that seem to have shrunk: the last stable offset, which
		// ends may hold, can be before options.From while a transaction is open.
		var logEnds map[string]Positions
		for _, partition := range slices.Sorted(maps.Keys(options.From)) {
			if end, ok := ends[topic][partition]; ok && options.From[partition] <= end {
				continue
			}
			if logEnds == nil {
				var err error
				if logEnds, err = offsetsOf(ctx, r.admin.ListEndOffsets, topic); err != nil {
					return nil, nil, err
				}
			}
			if end := logEnds[topic][partition]; options.From[partition] > end {
				return nil, nil, fmt.Errorf("topic %s, partition %d ends at offset %d, but was read up to %d before: "+
					"%w", topic, partition, end, options.From[partition], ErrTruncated)
			}
		}
	}
	from = Positions{}
	to = Positions{}
	for partition, end := range ends[topic] {
		if options.To != nil {
			bound, ok := options.To[partition]
			if !ok {
				continue
			}
			end = min(end, bound)
		}
		from[partition] = max(starts[topic][partition], options.From[partition])
		to[partition] = end
	}
	for partition := range options.To {
		if _, ok := to[partition]; !ok {
			return nil, nil, fmt.Errorf("topic %s has no partition %d", topic, partition)
		}
	}
	return from, to, nil
}

// ErrTruncated is the error of a resumed read whose topic ends before its start.
var ErrTruncated = errors.New("it has lost records, or was deleted and created again")

// offsetsOf returns listed offsets by topic. It repeats the request while leaders change, for up to 30 s.
func offsetsOf(ctx context.Context, list listOffsets, topics ...string) (map[string]Positions, error) {
	for failures := 0; ; failures++ {
		positions, err := toPositions(list(ctx, topics...))
		if err == nil {
			return positions, nil
		}
		if !isLeaderChange(err) || failures == leaderTries {
			return nil, err
		}
		if err := pause.For(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// toPositions returns listed offsets by topic, or the errors of the listing and of all its partitions.
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
				WithMissingRight(o.Err, "DESCRIBE", "Topic "+o.Topic)))
		default:
			setAt(result, o.Topic, o.Partition, o.Offset)
		}
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// readPartition calls visit with the records of a partition from its position up to end, and moves the position.
func (r *Reader) readPartition(ctx context.Context, topic string, partition int32, positions Positions, end int64,
	uncommitted bool, visit func(*kgo.Record) error) error {
	if positions[partition] >= end {
		return nil
	}
	var leader partitionLeader
	var stalls stallDetector
	failures := 0
	for positions[partition] < end {
		if leader.topic == nil {
			var err error
			if leader, err = r.leader(ctx, topic, partition); err != nil {
				return err
			}
		}
		result, err := r.fetch(ctx, leader, partition, positions[partition], end, uncommitted)
		switch {
		case err == nil:
			failures = 0
		case errors.Is(err, kerr.OffsetOutOfRange): // records may have expired in the meantime
			starts, err := offsetsOf(ctx, r.admin.ListStartOffsets, topic)
			if err != nil {
				return err
			}
			if start := starts[topic][partition]; start > positions[partition] {
				positions[partition] = start
				continue
			}
			return kerr.OffsetOutOfRange
		case isLeaderChange(err) && failures < leaderTries:
			failures++
			leader = partitionLeader{} // it is looked up again
			if err := pause.For(ctx, 100*time.Millisecond); err != nil {
				return err
			}
			continue
		default:
			return err
		}
		for _, record := range result.records {
			if record.Offset >= end {
				break
			}
			if err := visit(record); err != nil {
				if errors.Is(err, ErrStop) {
					positions[partition] = record.Offset + 1
				}
				return err
			}
			positions[partition] = record.Offset + 1
		}
		if positions[partition], err = stalls.advance(positions[partition], end, result); err != nil {
			return err
		}
	}
	return nil
}

// stallDetector counts successive responses that do not advance the read of a partition.
type stallDetector struct {
	empty int // responses without a batch, although the broker could read up to the end
	stale int // responses whose batches end before the requested offset
}

// advance returns the offset after a response: end if the rest was compacted away, an error if old batches repeat.
func (s *stallDetector) advance(offset, end int64, result fetchResult) (next int64, err error) {
	const maxEmpty, maxStale = 2, 3 // a throttling broker may return one empty response
	next = max(offset, min(result.next, end))
	if next > offset || len(result.records) > 0 || !result.hasBatches {
		s.stale = 0
	} else {
		s.stale++
		if s.stale == maxStale {
			return next, errors.New("the broker returns batches that end before the requested offset")
		}
	}
	if result.hasBatches || result.readable < end {
		s.empty = 0
		return next, nil
	}
	s.empty++
	if s.empty == maxEmpty {
		return end, nil
	}
	return next, nil
}

// leaderTries is how often a leader is looked up, every 100 ms: starting brokers need some seconds.
const leaderTries = 300

var errNoResponse = errors.New("the leader does not respond")

// isLeaderChange reports whether a new leader may succeed, as for missing responses: metadata name killed brokers.
func isLeaderChange(err error) bool {
	switch {
	case kerr.IsRetriable(err):
		return true
	case errors.As(err, new(*security.Denied)), errors.Is(err, kgo.ErrClientClosed):
		return false
	}
	return errors.Is(err, errNoResponse) || errors.As(err, new(*kadm.ShardErrors))
}

// partitionLeader is the broker that leads a partition, and the topic's metadata. The zero value means unknown.
type partitionLeader struct {
	topic *kadm.TopicDetail
	node  int32
}

// leader returns the leader of a partition. It waits until there is one.
func (r *Reader) leader(ctx context.Context, topic string, partition int32) (partitionLeader, error) {
	for {
		metadata, err := r.admin.Metadata(ctx, topic)
		if err != nil {
			return partitionLeader{}, fmt.Errorf("metadata: %w", err)
		}
		detail := metadata.Topics[topic]
		if errors.Is(detail.Err, kerr.UnknownTopicOrPartition) {
			return partitionLeader{}, fmt.Errorf("%w: %s", ErrUnknownTopic, topic)
		}
		p, ok := detail.Partitions[partition]
		switch {
		case ok && p.Err == nil && p.Leader >= 0:
			return partitionLeader{&detail, p.Leader}, nil
		case detail.Err != nil && !kerr.IsRetriable(detail.Err):
			return partitionLeader{}, detail.Err
		}
		if err := pause.For(ctx, 250*time.Millisecond); err != nil {
			return partitionLeader{}, fmt.Errorf("no leader: %w", err)
		}
	}
}

// fetchResult is a response to a fetch, without records of aborted transactions unless these were requested.
type fetchResult struct {
	records    []*kgo.Record
	next       int64 // the offset after the batches of the response
	readable   int64 // the end offset up to which the broker returns records
	hasBatches bool
}

// fetchedPerOffset is how many bytes are requested for each offset, so that a read of few records requests few bytes.
// The broker returns at least a batch.
const fetchedPerOffset = 64 << 10

// fetch requests records of a partition from offset on, once.
func (r *Reader) fetch(ctx context.Context, leader partitionLeader, partition int32, offset, end int64,
	uncommitted bool) (fetchResult, error) {
	level := kgo.ReadCommitted()
	request := kmsg.NewPtrFetchRequest()
	request.IsolationLevel = 1 // read_committed
	if uncommitted {
		level = kgo.ReadUncommitted()
		request.IsolationLevel = 0
	}
	request.MaxWaitMillis = int32(r.config.Consumer.FetchMaxWait.Milliseconds())
	request.MinBytes = 1
	request.MaxBytes = r.config.fetchBytes()
	request.SessionEpoch = -1 // without a fetch session
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition = partition
	p.FetchOffset = offset
	p.PartitionMaxBytes = int32(min(int64(r.config.Consumer.partitionLimit(1)), fetchedPerOffset*(end-offset)))
	t := kmsg.NewFetchRequestTopic()
	t.Topic = leader.topic.Topic
	t.TopicID = leader.topic.ID
	t.Partitions = append(t.Partitions, p)
	request.Topics = append(request.Topics, t)

	result, err := r.client.Broker(int(leader.node)).Request(ctx, request)
	if err != nil {
		return fetchResult{}, fmt.Errorf("%w: %w", errNoResponse, err)
	}
	response := result.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return fetchResult{}, err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return fetchResult{}, fmt.Errorf("expected one partition in the broker's response, found %d topics",
			len(response.Topics))
	}
	decompressor := &responseMemory{
		decompressor: r.client.OptValue(kgo.WithDecompressor).(kgo.Decompressor),
		remaining:    min(r.config.Memory.Part(), defaultFetchedBytes),
	}
	decoded, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: offset, IsolationLevel: level, Topic: leader.topic.Topic, Partition: partition,
	}, &response.Topics[0].Partitions[0], decompressor, nil)
	// Without records the client keeps this error although aborted batches were passed.
	isPartial := next > offset && errors.Is(decoded.Err, errFetchedEnough)
	if decoded.Err != nil && !isPartial {
		return fetchResult{}, r.config.Consumer.explainTooLarge(decoded.Err, offset)
	}
	readable := decoded.LastStableOffset
	if uncommitted || readable < 0 {
		readable = decoded.HighWatermark
	}
	hasBatches := len(response.Topics[0].Partitions[0].RecordBatches) > 0
	return fetchResult{records: decoded.Records, next: next, readable: readable, hasBatches: hasBatches}, nil
}

// follow calls visit with new records and moves positions, until ctx ends, visit fails, or access is denied.
func (r *Reader) follow(ctx context.Context, topic string, positions Positions, uncommitted bool,
	visit func(*kgo.Record) error) error {
	offsets := map[int32]kgo.Offset{}
	for partition, offset := range positions {
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
	pollCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	dialer.OnDenied(stop)
	for {
		fetches := client.PollFetches(pollCtx)
		if ctx.Err() != nil {
			return nil
		}
		if pollCtx.Err() != nil {
			return fmt.Errorf("follow %s: %w", topic, context.Cause(pollCtx))
		}
		for records := fetches.RecordIter(); !records.Done(); {
			record := records.Next()
			if err := visit(record); err != nil {
				if errors.Is(err, ErrStop) {
					return nil
				}
				return err
			}
			positions[record.Partition] = record.Offset + 1
		}
		for _, e := range fetches.Errors() {
			if !errors.As(e.Err, new(*kgo.ErrDataLoss)) {
				return fmt.Errorf("follow %s, partition %d: %w", e.Topic, e.Partition,
					WithMissingRight(config.Consumer.explainTooLarge(e.Err, positions[e.Partition]), "READ",
						"Topic "+topic))
			}
		}
	}
}
