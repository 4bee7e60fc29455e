package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/wit"
)

// NewConsumer opens the consumer of one sink task. It joins its group with the first Poll.
func NewConsumer(config Config, options ConsumerOptions) (*Consumer, error) {
	options.Group = cmp.Or(config.Consumer.Group, options.Group)
	config.Consumer.ClientID = cmp.Or(config.Consumer.ClientID, options.ClientID)
	s := &Consumer{config: config, options: options, metadata: metadataState{limit: MaxCommitMetadata},
		session: NewSession(options.Group, config.Consumer.Instance, config.Consumer.SessionTimeout,
			config.Consumer.MaxPollInterval), ready: make(chan struct{})}
	topics, err := options.topicOpts()
	if err != nil {
		return nil, err
	}
	// With latest, the partitions of the topics are counted before the consumer joins, see joinGroup.
	joinsLater := config.Consumer.Reset == "latest"
	if joinsLater {
		topics = nil
	}
	if s.memory, err = newFetchMemory(config.Memory, config.Consumer); err != nil {
		return nil, err
	}
	client, dialer, err := newClient(config.ConsumerOpts(append(topics, s.groupOpts()...)...))
	if err != nil {
		s.memory.close()
		return nil, err
	}
	s.client, s.dialer = client, dialer
	s.ctx, s.cancel = context.WithCancel(context.Background())
	dialer.OnDenied(s.fail)
	s.memory.discard = s.discardFetched
	close(s.ready)
	subscribe, err := s.subscription(joinsLater)
	if err != nil {
		s.Close()
		return nil, err
	}
	if joinsLater {
		s.subscribe = subscribe
	} else {
		subscribe()
	}
	return s, nil
}

// groupOpts returns the options of a member. Consumer, not the client, commits offsets and resets those out of range.
func (s *Consumer) groupOpts() []kgo.Opt {
	consumer := s.config.Consumer
	opts := []kgo.Opt{
		kgo.ConsumerGroup(s.options.Group),
		kgo.DisableAutoCommit(),
		kgo.Balancers(s.balancers()...),
		kgo.SessionTimeout(consumer.SessionTimeout),
		kgo.HeartbeatInterval(consumer.HeartbeatInterval),
		kgo.RebalanceTimeout(consumer.MaxPollInterval),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // see handleOutOfRange
		kgo.KeepControlRecords(),
		kgo.OnPartitionsAssigned(s.assigned),
		kgo.OnPartitionsRevoked(s.revoked),
		kgo.OnPartitionsLost(s.lost),
		kgo.AdjustFetchOffsetsFn(s.checkStart),
		kgo.WithHooks(s.session, s.memory, newFetchPace(consumer.FetchMaxWait)),
		kgo.WithDecompressor(s.memory),
	}
	if consumer.Instance != "" {
		opts = append(opts, kgo.InstanceID(consumer.Instance))
	}
	return opts
}

// subscription returns the function that subscribes to topics which are not in the client's options: all topics if the
// consumer joins later, and those of an expression that only Java's syntax has.
func (s *Consumer) subscription(joinsLater bool) (subscribe func(), err error) {
	switch {
	case s.options.Regex != "" && (joinsLater || !s.options.isGoCompatible()):
		expression, err := pattern.Compile(s.options.Regex)
		if err != nil {
			return nil, err
		}
		return func() { go s.runRegex(expression) }, nil
	case joinsLater:
		return func() { s.client.AddConsumeTopics(s.options.Topics...) }, nil
	}
	return func() {}, nil
}

func (s *Consumer) runRegex(expression pattern.Pattern) {
	err := guard.Do(nil, "topics of a regular expression", func() error { return s.followRegex(expression) })
	if err != nil {
		s.fail(err)
	}
}

func (o ConsumerOptions) topicOpts() ([]kgo.Opt, error) {
	switch {
	case len(o.Topics) > 0 && o.Regex == "":
		return []kgo.Opt{kgo.ConsumeTopics(o.Topics...)}, nil
	case o.Regex != "" && len(o.Topics) == 0:
		if _, err := pattern.Compile(o.Regex); err != nil {
			return nil, fmt.Errorf("topics.regex: %w", err)
		}
		if o.isGoCompatible() {
			return []kgo.Opt{kgo.ConsumeTopics("^(?:" + o.Regex + ")$"), kgo.ConsumeRegex()}, nil
		}
		return nil, nil // see followRegex
	}
	return nil, errors.New("expected either topics or topics.regex")
}

// plainRegex matches expressions with the same meaning in Java and Go for topic names, which are ASCII: no nested
// classes, flags or lookaround.
var plainRegex = regexp.MustCompile(`^(?:[A-Za-z0-9_.|*+-]|\?|\((?:\?:)?|\)|\\[.dw-]|\[\^?[A-Za-z0-9_.-]+\])*$`)

func (o ConsumerOptions) isGoCompatible() bool {
	_, err := regexp.Compile(o.Regex)
	flags := strings.Contains(strings.ReplaceAll(o.Regex, "(?:", ""), "(?")
	return err == nil && !flags && plainRegex.MatchString(o.Regex)
}

const regexTimeout = time.Second

func (s *Consumer) followRegex(expression pattern.Pattern) error {
	expression = expression.WithTimeout(regexTimeout)
	known, wait := map[string]bool{}, time.Second
	for s.ctx.Err() == nil {
		request := kmsg.NewPtrMetadataRequest()
		if answer, err := request.RequestWith(s.ctx, s.client); err == nil {
			if wait = time.Second; answer.ThrottleMillis == 0 && s.config.Consumer.MetadataMaxAge > 0 {
				wait = s.config.Consumer.MetadataMaxAge
			}
			if err := s.addMatching(expression, known, answer); err != nil {
				return err
			}
		}
		if pause.For(s.ctx, wait) != nil {
			return nil
		}
	}
	return nil
}

func (s *Consumer) addMatching(expression pattern.Pattern, known map[string]bool,
	metadata *kmsg.MetadataResponse) error {
	var added []string
	for _, t := range metadata.Topics {
		if t.Topic == nil || t.IsInternal || known[*t.Topic] || t.ErrorCode != 0 {
			continue
		}
		matches, err := expression.Matches(*t.Topic)
		if err != nil {
			return fmt.Errorf("topics.regex: matching the expression %q against the topic %q timed out: %w",
				s.options.Regex,
				*t.Topic, err)
		}
		if matches {
			known[*t.Topic] = true
			added = append(added, *t.Topic)
			s.recordPartitions(*t.Topic, len(t.Partitions))
		}
	}
	s.client.AddConsumeTopics(added...)
	return nil
}

func (s *Consumer) balancers() []kgo.GroupBalancer {
	var result []kgo.GroupBalancer
	for _, name := range s.config.Consumer.Assignors {
		result = append(result, assignors[name].balancer())
	}
	if len(result) == 0 {
		// Without a second one: an eager assignor would stop all tasks in every rebalance.
		result = append(result, kgo.CooperativeStickyBalancer())
	}
	if s.options.exclusive {
		result[0] = exclusiveBalancer{result[0]}
	}
	for i, b := range result {
		result[i] = memberBalancer{b, s}
	}
	return result
}

// Poll waits for records and returns at most max.poll.records, in order within a partition. The slice is valid until
// the next Poll, its records longer.
//
// Transaction markers are included (Attrs.IsControl) and must be settled like records without rows: if a marker's
// offset were committed as the next one, nobody could tell later whether expired records were missed.
func (s *Consumer) Poll(ctx context.Context) ([]*kgo.Record, error) {
	polling, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	if s.subscribe != nil {
		if err := s.joinGroup(polling); err != nil {
			return nil, cmp.Or(s.pollError(), ctx.Err(), err)
		}
	}
	s.resize(s.client)
	fetches := s.fetch(polling)
	if failed := s.pollError(); failed != nil {
		return nil, failed
	}
	clear(s.records)
	s.records = s.records[:0]
	fetches.EachRecord(func(r *kgo.Record) { s.records = append(s.records, r) })
	fetches.EachError(func(topic string, partition int32, err error) {
		if errors.Is(err, kgo.ErrMaxDecompress) { // the client reports it only once
			s.fail(fmt.Errorf("consume %s, partition %d: %w", topic, partition,
				s.config.Consumer.explainTooLarge(err, 0)))
		}
	})
	s.memory.afterPoll(s.client, s.records)
	if len(s.records) > 0 {
		return s.records, nil // other errors of this fetch are transient or repeated by the next one
	}
	if failed := s.pollError(); failed != nil {
		return nil, failed
	}
	var failure error
	hasWaited := false
	fetches.EachError(func(topic string, partition int32, err error) {
		if errors.Is(err, errAwaitTurn) {
			if !hasWaited {
				s.awaitTurn(polling, topic, partition)
			}
			hasWaited = true
			return
		}
		failure = cmp.Or(failure, s.handleFetchError(polling, topic, partition, err))
	})
	return nil, cmp.Or(failure, ctx.Err())
}

// handleFetchError returns an error that must end the task. The empty topic stands for the group as a whole.
func (s *Consumer) handleFetchError(ctx context.Context, topic string, partition int32, err error) error {
	lost := (*kgo.ErrDataLoss)(nil)
	switch {
	case errors.Is(err, errFetchedEnough):
		return nil // the next fetch requests it again
	case errors.Is(err, kerr.OffsetOutOfRange):
		return s.handleOutOfRange(ctx, topic, partition)
	case errors.As(err, &lost):
		s.config.log().Warn("kafka: the broker has lost records", "group", s.options.Group, "topic", topic,
			"partition", partition, "error", err)
		return nil
	case isRejoinableSession(err):
		if !s.dialer.Outages().Recent() { // else the outage was logged
			s.config.log().Warn("kafka: the group membership has ended; the consumer rejoins", "group",
				s.options.Group, "error", err)
		}
		return nil
	case errors.Is(err, kerr.UnknownTopicID):
		return fmt.Errorf("consume %s, partition %d: the topic was deleted and may have been created again: restart "+
			"the task to read the new one: %w", topic, partition, err)
	case topic == "":
		return WithMissingRight(err, "READ", "Group "+s.options.Group)
	}
	next, _ := s.position(topic, partition)
	return fmt.Errorf("consume %s, partition %d: %w", topic, partition,
		WithMissingRight(s.config.Consumer.explainTooLarge(err, next), "READ", "Topic "+topic))
}

func (s *Consumer) Commit(ctx context.Context, offsets Offsets) error {
	owned := Offsets{}
	for topic, partitions := range offsets {
		for partition, at := range partitions {
			if s.membership.owns(topic, partition) {
				setAt(owned, topic, partition, at)
			}
		}
	}
	return s.commit(ctx, owned)
}

func (s *Consumer) commit(ctx context.Context, offsets Offsets) error {
	if len(offsets) == 0 {
		return nil
	}
	failure := s.commitWithMetadata(ctx, offsets)
	switch {
	case failure == nil:
		return nil
	case isUnknownMember(failure), errors.Is(failure, kerr.FencedInstanceID):
		return fmt.Errorf("commit offsets of group %s: %w: %w", s.options.Group, ErrRebalanced, failure)
	}
	resource := "Group " + s.options.Group
	if errors.Is(failure, kerr.TopicAuthorizationFailed) {
		resource = "Topic that is read"
	}
	return fmt.Errorf("commit offsets of group %s: %w", s.options.Group, WithMissingRight(failure, "READ", resource))
}

// Close leaves the group, unless the member is static. It does not commit.
func (s *Consumer) Close() {
	s.client.CloseAllowingRebalance()
	s.cancel()
	s.memory.close()
}

func (s *Consumer) assigned(ctx context.Context, client *kgo.Client, partitions map[string][]int32) {
	<-s.ready
	if s.options.Assigned != nil && len(partitions) > 0 {
		s.options.Assigned(partitions) // before they count as owned: commits of an earlier assignment must be skipped
	}
	member, _ := client.GroupMetadata()
	s.membership.assign(member, partitions)
	s.resize(client)
	if s.options.Committed != nil && len(partitions) > 0 {
		s.retryWhileUnreachable(ctx, func(ctx context.Context) error { return s.readMetadata(ctx, client, partitions) })
	}
	if reset := s.config.Consumer.Reset; !s.options.exclusive && (reset == "earliest" || reset == "latest") {
		if unstarted, known := s.takePendingStarts(partitions); len(unstarted) > 0 {
			s.retryWhileUnreachable(ctx, func(ctx context.Context) error {
				return s.commitStarts(ctx, client, unstarted, known)
			})
		}
	}
}

// retryWhileUnreachable repeats a request while brokers are unreachable; other errors end the next Poll.
func (s *Consumer) retryWhileUnreachable(ctx context.Context, request func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Consumer.MaxPollInterval)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	err := request(ctx)
	for err != nil && security.IsTransient(err) && pause.For(ctx, time.Second) == nil {
		err = request(ctx)
	}
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil && s.failure == nil {
		s.failure = WithMissingRight(err, "READ", "Group "+s.options.Group)
	}
}

func (s *Consumer) revoked(ctx context.Context, client *kgo.Client, partitions map[string][]int32) {
	<-s.ready
	if len(partitions) == 0 {
		return
	}
	if s.options.Revoked != nil {
		settled := s.options.Revoked(ctx, partitions)
		err := s.Commit(ctx, settled)
		if errors.Is(err, ErrCommitMetadata) {
			s.fail(err)
		}
		if err != nil {
			s.config.log().Warn("kafka: offsets of revoked partitions were not committed; their last records will "+
				"be delivered again",
				"group", s.options.Group, "error", err)
		}
	}
	s.drop(client, partitions)
}

func (s *Consumer) lost(_ context.Context, client *kgo.Client, partitions map[string][]int32) {
	<-s.ready
	s.membership.clearStale()
	s.loseOwned(client, partitions)
}

func (s *Consumer) loseOwned(client *kgo.Client, partitions map[string][]int32) {
	for topic, list := range partitions {
		partitions[topic] = slices.DeleteFunc(list, func(p int32) bool { return !s.membership.owns(topic, p) })
	}
	maps.DeleteFunc(partitions, func(_ string, list []int32) bool { return len(list) == 0 })
	if s.options.Lost != nil && len(partitions) > 0 {
		s.options.Lost(partitions) // before they are dropped, so that a failed commit can be explained
	}
	s.drop(client, partitions)
}

func (s *Consumer) drop(client *kgo.Client, partitions map[string][]int32) {
	s.membership.drop(partitions)
	s.mu.Lock()
	for _, fetch := range s.undelivered {
		for _, topic := range fetch.Topics {
			for i := range topic.Partitions {
				if slices.Contains(partitions[topic.Topic], topic.Partitions[i].Partition) {
					topic.Partitions[i].Records = nil
				}
			}
		}
	}
	s.mu.Unlock()
	s.memory.endUnused(client)
	s.resize(client)
}

// resize adapts the size of fetches to the partitions, the brokers and the expansion of recent batches.
func (s *Consumer) resize(client *kgo.Client) {
	partitions := s.membership.count()
	client.UpdateFetchMaxBytes(s.memory.limits(partitions, min(partitions, len(client.DiscoveredBrokers()))))
}

func (s *Consumer) awaitTurn(ctx context.Context, topic string, partition int32) {
	if s.memory.isLongWait() {
		s.config.log().Warn("kafka: a batch above 4 MiB when decompressed waits for another one: a worker reads one "+
			"such batch at a time. Smaller batches of the producer avoid this; more memory does not",
			"group", s.options.Group, "topic", topic, "partition", partition, "limit", largeBatchBytes)
	}
	s.memory.awaitTurn(ctx, s.client)
}

// discardFetched discards the records that the client has fetched, so that it fetches them again: a poll does so with
// partitions that are paused. What such a poll returns nevertheless is for the next Poll.
func (s *Consumer) discardFetched(tooLarge bool) {
	partitions := s.membership.list()
	s.client.PauseFetchPartitions(partitions)
	defer s.client.ResumeFetchPartitions(partitions)
	var noWait context.Context
	fetches := s.client.PollRecords(noWait, 1)
	s.mu.Lock()
	s.undelivered = append(s.undelivered, fetches...)
	s.mu.Unlock()
	if tooLarge {
		// The client reports this only once, maybe with records that were just discarded.
		s.fail(&wit.Error{Kind: wit.ErrorConfig, Message: fmt.Sprintf("group %s: a batch is larger than %d bytes "+
			"(%s) after decompression. Restart the task to learn which one", s.options.Group,
			s.config.Consumer.DecompressedBytes, decompressedBytes)})
	}
}

// fetch returns what the client has fetched. It waits for records.
func (s *Consumer) fetch(ctx context.Context) kgo.Fetches {
	limit := s.memory.beforePoll(s.client)
	s.mu.Lock()
	fetches := s.undelivered
	s.undelivered = nil
	s.mu.Unlock()
	if len(fetches) > 0 {
		return fetches
	}
	return s.client.PollRecords(ctx, limit)
}
