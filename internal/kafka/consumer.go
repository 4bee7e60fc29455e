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
	c := &Consumer{
		config:   config,
		options:  options,
		metadata: metadataState{limit: MaxCommitMetadata},
		session: NewSession(options.Group, config.Consumer.Instance, config.Consumer.SessionTimeout,
			config.Consumer.MaxPollInterval),
		ready: make(chan struct{}),
	}
	topics, err := options.topicOpts()
	if err != nil {
		return nil, err
	}
	// With latest, the partitions of the topics are counted before the consumer joins, see joinGroup.
	joinsLater := config.Consumer.Reset == "latest"
	if joinsLater {
		topics = nil
	}
	if c.memory, err = newFetchMemory(config.Memory, config.Consumer); err != nil {
		return nil, err
	}
	consumer := c.config.Consumer
	var balancers []kgo.GroupBalancer
	for _, name := range consumer.Assignors {
		balancers = append(balancers, assignors[name].balancer())
	}
	if len(balancers) == 0 {
		// An eager assignor as an alternative would stop all tasks in every rebalance.
		balancers = append(balancers, kgo.CooperativeStickyBalancer())
	}
	if c.options.exclusive {
		balancers[0] = exclusiveBalancer{balancers[0]}
	}
	for i, b := range balancers {
		balancers[i] = memberBalancer{b, c}
	}
	// Consumer, not the client, commits offsets and resets those out of range.
	opts := []kgo.Opt{
		kgo.ConsumerGroup(c.options.Group),
		kgo.DisableAutoCommit(),
		kgo.Balancers(balancers...),
		kgo.SessionTimeout(consumer.SessionTimeout),
		kgo.HeartbeatInterval(consumer.HeartbeatInterval),
		kgo.RebalanceTimeout(consumer.MaxPollInterval),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // see handleOutOfRange
		kgo.KeepControlRecords(),
		kgo.OnPartitionsAssigned(c.onAssigned),
		kgo.OnPartitionsRevoked(c.onRevoked),
		kgo.OnPartitionsLost(c.onLost),
		kgo.AdjustFetchOffsetsFn(c.checkStart),
		kgo.WithHooks(c.session, c.memory, newFetchPace(consumer.FetchMaxWait)),
		kgo.WithDecompressor(c.memory),
	}
	if consumer.Instance != "" {
		opts = append(opts, kgo.InstanceID(consumer.Instance))
	}
	client, dialer, err := newClient(config.ConsumerOpts(append(topics, opts...)...))
	if err != nil {
		c.memory.close()
		return nil, err
	}
	c.client = client
	c.dialer = dialer
	c.ctx, c.cancel = context.WithCancel(context.Background())
	dialer.OnDenied(c.fail)
	c.memory.discard = c.discardFetched
	close(c.ready) // the callbacks may use c.client from now on
	subscribe, err := c.subscription(joinsLater)
	if err != nil {
		c.Close()
		return nil, err
	}
	if joinsLater {
		c.subscribe = subscribe
	} else {
		subscribe()
	}
	return c, nil
}

// subscription returns a function that subscribes to the topics that are not in the client's options.
func (c *Consumer) subscription(joinsLater bool) (subscribe func(), err error) {
	switch {
	case c.options.Regex != "" && (joinsLater || !c.options.isGoCompatible()):
		expression, err := pattern.Compile(c.options.Regex)
		if err != nil {
			return nil, err
		}
		return func() { go c.runRegex(expression) }, nil
	case joinsLater:
		return func() { c.client.AddConsumeTopics(c.options.Topics...) }, nil
	}
	return func() {}, nil
}

// runRegex subscribes to the matching topics, and to new ones when metadata expire, until the consumer closes.
func (c *Consumer) runRegex(expression pattern.Pattern) {
	err := guard.Do(nil, "topics of a regular expression", func() error {
		expression = expression.WithTimeout(regexTimeout)
		topics := map[string]bool{}
		wait := time.Second
		for c.ctx.Err() == nil {
			request := kmsg.NewPtrMetadataRequest()
			if response, err := request.RequestWith(c.ctx, c.client); err == nil {
				wait = time.Second
				if response.ThrottleMillis == 0 && c.config.Consumer.MetadataMaxAge > 0 {
					wait = c.config.Consumer.MetadataMaxAge
				}
				if err := c.addMatching(expression, topics, response); err != nil {
					return err
				}
			}
			if pause.For(c.ctx, wait) != nil {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		c.fail(err)
	}
}

// topicOpts returns the options that subscribe to the topics, none if runRegex subscribes.
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
		return nil, nil // see runRegex
	}
	return nil, errors.New("expected either topics or topics.regex")
}

// plainRegex matches expressions that mean the same in Java and Go for topic names, which are ASCII.
var plainRegex = regexp.MustCompile(`^(?:[A-Za-z0-9_.|*+-]|\?|\((?:\?:)?|\)|\\[.dw-]|\[\^?[A-Za-z0-9_.-]+\])*$`)

func (o ConsumerOptions) isGoCompatible() bool {
	_, err := regexp.Compile(o.Regex)
	hasFlags := strings.Contains(strings.ReplaceAll(o.Regex, "(?:", ""), "(?") // or a look-around
	return err == nil && !hasFlags && plainRegex.MatchString(o.Regex)
}

const regexTimeout = time.Second

// addMatching subscribes to the matching topics of metadata that are not in topics, and adds them to topics.
func (c *Consumer) addMatching(expression pattern.Pattern, topics map[string]bool,
	metadata *kmsg.MetadataResponse) error {
	var added []string
	for _, t := range metadata.Topics {
		if t.Topic == nil || t.IsInternal || topics[*t.Topic] || t.ErrorCode != 0 {
			continue
		}
		matches, err := expression.Matches(*t.Topic)
		if err != nil {
			return fmt.Errorf("topics.regex: matching the expression %q against the topic %q timed out: %w",
				c.options.Regex, *t.Topic, err)
		}
		if matches {
			topics[*t.Topic] = true
			added = append(added, *t.Topic)
			c.recordPartitions(*t.Topic, len(t.Partitions))
		}
	}
	c.client.AddConsumeTopics(added...)
	return nil
}

// Poll waits for records and returns at most max.poll.records, in order within a partition. The slice is valid until
// the next Poll, its records longer.
//
// Transaction markers are included (Attrs.IsControl) and must be settled like records without rows: if a marker's
// offset were committed as the next one, nobody could tell later whether expired records were missed.
func (c *Consumer) Poll(ctx context.Context) ([]*kgo.Record, error) {
	pollCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	if c.subscribe != nil {
		if err := c.joinGroup(pollCtx); err != nil {
			return nil, cmp.Or(c.pollError(), ctx.Err(), err)
		}
	}
	c.resize(c.client)
	fetches := c.fetch(pollCtx)
	if err := c.pollError(); err != nil {
		return nil, err
	}
	clear(c.records)
	c.records = c.records[:0]
	fetches.EachRecord(func(r *kgo.Record) { c.records = append(c.records, r) })
	fetches.EachError(func(topic string, partition int32, err error) {
		if errors.Is(err, kgo.ErrMaxDecompress) { // the client reports it only once
			c.fail(fmt.Errorf("consume %s, partition %d: %w", topic, partition,
				c.config.Consumer.explainTooLarge(err, 0)))
		}
	})
	c.memory.afterPoll(c.client, c.records)
	if len(c.records) > 0 {
		return c.records, nil // other errors of this fetch are transient or repeated by the next one
	}
	if err := c.pollError(); err != nil {
		return nil, err
	}
	var failure error
	hasWaited := false
	fetches.EachError(func(topic string, partition int32, err error) {
		if errors.Is(err, errAwaitTurn) {
			if !hasWaited {
				c.awaitTurn(pollCtx, topic, partition)
			}
			hasWaited = true
			return
		}
		failure = cmp.Or(failure, c.handleFetchError(pollCtx, topic, partition, err))
	})
	return nil, cmp.Or(failure, ctx.Err())
}

// handleFetchError handles an error of a fetch. It returns an error if the task must end. No topic means the group.
func (c *Consumer) handleFetchError(ctx context.Context, topic string, partition int32, err error) error {
	var dataLoss *kgo.ErrDataLoss
	switch {
	case errors.Is(err, errFetchedEnough):
		return nil // the next fetch requests it again
	case errors.Is(err, kerr.OffsetOutOfRange):
		return c.handleOutOfRange(ctx, topic, partition)
	case errors.As(err, &dataLoss):
		c.config.log().Warn("kafka: the broker has lost records", "group", c.options.Group, "topic", topic,
			"partition", partition, "error", err)
		return nil
	case errors.As(err, new(*kgo.ErrGroupSession)) && IsRejoinable(err):
		if !c.dialer.Outages().Recent() { // else the outage was logged
			c.config.log().Warn("kafka: the group membership has ended; the consumer rejoins", "group", c.options.Group,
				"error", err)
		}
		return nil
	case errors.Is(err, kerr.UnknownTopicID):
		return fmt.Errorf("consume %s, partition %d: the topic was deleted and may have been created again: restart "+
			"the task to read the new one: %w", topic, partition, err)
	case topic == "":
		return WithMissingRight(err, "READ", "Group "+c.options.Group)
	}
	next, _ := c.position(topic, partition)
	return fmt.Errorf("consume %s, partition %d: %w", topic, partition,
		WithMissingRight(c.config.Consumer.explainTooLarge(err, next), "READ", "Topic "+topic))
}

// Commit commits next offsets and waits for the response. It skips partitions that are not owned any more, which other
// members may have after [ErrRebalanced]. It may be called concurrently with Poll.
func (c *Consumer) Commit(ctx context.Context, offsets Offsets) error {
	owned := Offsets{}
	for topic, partitions := range offsets {
		for partition, offset := range partitions {
			if c.membership.owns(topic, partition) {
				setAt(owned, topic, partition, offset)
			}
		}
	}
	return c.commit(ctx, owned)
}

// commit is [Consumer.Commit] for partitions that the consumer is known to own.
func (c *Consumer) commit(ctx context.Context, offsets Offsets) error {
	if len(offsets) == 0 {
		return nil
	}
	failure := c.commitWithMetadata(ctx, offsets)
	switch {
	case failure == nil:
		return nil
	case isUnknownMember(failure), errors.Is(failure, kerr.FencedInstanceID):
		return fmt.Errorf("commit offsets of group %s: %w: %w", c.options.Group, ErrRebalanced, failure)
	}
	resource := "Group " + c.options.Group
	if errors.Is(failure, kerr.TopicAuthorizationFailed) {
		resource = "Topic that is read"
	}
	return fmt.Errorf("commit offsets of group %s: %w", c.options.Group, WithMissingRight(failure, "READ", resource))
}

// Close leaves the group, unless the member is static. It does not commit.
func (c *Consumer) Close() {
	c.client.CloseAllowingRebalance()
	c.cancel()
	c.memory.close()
}

// onAssigned is called by the client with new partitions before it fetches them. It blocks the client's group session
// while it reads offsets and metadata, and while it commits starts, each for at most max.poll.interval.ms.
func (c *Consumer) onAssigned(ctx context.Context, client *kgo.Client, partitions map[string][]int32) {
	<-c.ready
	if c.options.Assigned != nil && len(partitions) > 0 {
		c.options.Assigned(partitions) // before they count as owned: commits of an earlier assignment must be skipped
	}
	member, _ := client.GroupMetadata()
	c.membership.assign(member, partitions)
	c.resize(client)
	if c.options.Committed != nil && len(partitions) > 0 {
		c.retryWhileUnreachable(ctx, func(ctx context.Context) error { return c.readMetadata(ctx, client, partitions) })
	}
	if reset := c.config.Consumer.Reset; !c.options.exclusive && (reset == "earliest" || reset == "latest") {
		if unstarted, starts := c.takePendingStarts(partitions); len(unstarted) > 0 {
			c.retryWhileUnreachable(ctx, func(ctx context.Context) error {
				return c.commitStarts(ctx, client, unstarted, starts)
			})
		}
	}
}

// retryWhileUnreachable repeats a request while brokers are unreachable; other errors end the next Poll.
func (c *Consumer) retryWhileUnreachable(ctx context.Context, request func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Consumer.MaxPollInterval)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	err := request(ctx)
	for err != nil && security.IsTransient(err) && pause.For(ctx, time.Second) == nil {
		err = request(ctx)
	}
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() == nil && c.failure == nil {
		c.failure = WithMissingRight(err, "READ", "Group "+c.options.Group)
	}
}

// onRevoked is called by the client before other members get the partitions. It blocks the rebalance until the task has
// settled its records, commits their offsets, and drops the partitions.
func (c *Consumer) onRevoked(ctx context.Context, client *kgo.Client, partitions map[string][]int32) {
	<-c.ready
	if len(partitions) == 0 {
		return
	}
	if c.options.Revoked != nil {
		settled := c.options.Revoked(ctx, partitions)
		err := c.Commit(ctx, settled)
		if errors.Is(err, ErrCommitMetadata) {
			c.fail(err)
		}
		if err != nil {
			c.config.log().Warn("kafka: offsets of revoked partitions were not committed; their last records will "+
				"be delivered again", "group", c.options.Group, "error", err)
		}
	}
	c.drop(client, partitions)
}

// onLost is called with partitions that other members may own already: nothing is committed, a stale assignment ends.
func (c *Consumer) onLost(_ context.Context, client *kgo.Client, partitions map[string][]int32) {
	<-c.ready
	c.membership.clearStale()
	c.loseOwned(client, partitions)
}

// loseOwned reports the owned ones of partitions as lost and drops them. It removes the others from the map.
func (c *Consumer) loseOwned(client *kgo.Client, partitions map[string][]int32) {
	for topic, list := range partitions {
		partitions[topic] = slices.DeleteFunc(list, func(p int32) bool { return !c.membership.owns(topic, p) })
	}
	maps.DeleteFunc(partitions, func(_ string, list []int32) bool { return len(list) == 0 })
	if c.options.Lost != nil && len(partitions) > 0 {
		c.options.Lost(partitions) // before they are dropped, so that a failed commit can be explained
	}
	c.drop(client, partitions)
}

// drop ends the ownership of partitions and discards their records that no Poll has returned yet.
func (c *Consumer) drop(client *kgo.Client, partitions map[string][]int32) {
	c.membership.drop(partitions)
	c.mu.Lock()
	for _, fetch := range c.undelivered {
		for _, topic := range fetch.Topics {
			for i := range topic.Partitions {
				if slices.Contains(partitions[topic.Topic], topic.Partitions[i].Partition) {
					topic.Partitions[i].Records = nil
				}
			}
		}
	}
	c.mu.Unlock()
	c.memory.endUnused(client)
	c.resize(client)
}

// resize adapts the size of fetches to the partitions, the brokers and the expansion of recent batches.
func (c *Consumer) resize(client *kgo.Client) {
	partitions := c.membership.count()
	client.UpdateFetchMaxBytes(c.memory.limits(partitions, min(partitions, len(client.DiscoveredBrokers()))))
}

// awaitTurn waits for the turn to read a large batch, see [fetchMemory.awaitTurn], and logs a long wait once.
func (c *Consumer) awaitTurn(ctx context.Context, topic string, partition int32) {
	if c.memory.observeWait() {
		c.config.log().Warn("kafka: a batch above 4 MiB when decompressed waits for another one: a worker reads one "+
			"such batch at a time. Smaller batches of the producer avoid this; more memory does not",
			"group", c.options.Group, "topic", topic, "partition", partition, "limit", largeBatchBytes)
	}
	c.memory.awaitTurn(ctx, c.client)
}

// discardFetched discards the records that the client has fetched, so that it fetches them again: a poll does so with
// partitions that are paused. What such a poll returns nevertheless is for the next Poll.
func (c *Consumer) discardFetched(tooLarge bool) {
	partitions := c.membership.list()
	c.client.PauseFetchPartitions(partitions)
	defer c.client.ResumeFetchPartitions(partitions)
	var noWait context.Context // with nil PollRecords does not wait
	fetches := c.client.PollRecords(noWait, 1)
	c.mu.Lock()
	c.undelivered = append(c.undelivered, fetches...)
	c.mu.Unlock()
	if tooLarge {
		// The client reports this only once, maybe with records that were just discarded.
		c.fail(&wit.Error{Kind: wit.ErrorConfig, Message: fmt.Sprintf("group %s: a batch is larger than %d bytes "+
			"(%s) after decompression. Restart the task to learn which one", c.options.Group,
			c.config.Consumer.DecompressedBytes, decompressedBytesSetting)})
	}
}

// fetch returns what the client has fetched. It waits for records.
func (c *Consumer) fetch(ctx context.Context) kgo.Fetches {
	limit := c.memory.beforePoll(c.client)
	c.mu.Lock()
	fetches := c.undelivered
	c.undelivered = nil
	c.mu.Unlock()
	if len(fetches) > 0 {
		return fetches
	}
	return c.client.PollRecords(ctx, limit)
}
