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

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// NewConsumer opens a consumer that joins the group with the first Poll.
func NewConsumer(config Config, options ConsumerOptions) (*Consumer, error) {
	if config.Consumer.Group != "" {
		options.Group = config.Consumer.Group
	}
	if config.Consumer.ClientID == "" {
		config.Consumer.ClientID = options.ClientID
	}
	s := &Consumer{config: config, options: options, topics: map[string]kadm.TopicID{},
		metadata: metadataLimit{bytes: MaxCommitMetadata},
		session: NewSession(options.Group, config.Consumer.Instance, config.Consumer.SessionTimeout,
			config.Consumer.MaxPollInterval), ready: make(chan struct{})}
	topics, err := options.topicOpts()
	if err != nil {
		return nil, err
	}
	joinsLater := config.Consumer.Reset == "latest"
	if joinsLater {
		topics = nil
	}
	opts := append(topics,
		kgo.ConsumerGroup(options.Group),
		kgo.DisableAutoCommit(),
		kgo.Balancers(s.balancers()...),
		kgo.SessionTimeout(config.Consumer.SessionTimeout),
		kgo.HeartbeatInterval(config.Consumer.HeartbeatInterval),
		kgo.RebalanceTimeout(config.Consumer.MaxPollInterval),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // see outOfRange
		kgo.KeepControlRecords(),
		kgo.OnPartitionsAssigned(s.assigned),
		kgo.OnPartitionsRevoked(s.revoked),
		kgo.OnPartitionsLost(s.lost),
		kgo.AdjustFetchOffsetsFn(s.checkStart),
		kgo.WithHooks(s.session),
	)
	if config.Consumer.Instance != "" {
		opts = append(opts, kgo.InstanceID(config.Consumer.Instance))
	}
	client, dialer, err := newClient(config.ConsumerOpts(opts...))
	if err != nil {
		return nil, err
	}
	s.client, s.dialer = client, dialer
	s.ctx, s.cancel = context.WithCancel(context.Background())
	dialer.OnDenied(s.fail)
	close(s.ready)
	subscribe := func() {}
	switch {
	case options.Regex != "" && (joinsLater || !options.isGoCompatible()):
		p, err := pattern.Compile(options.Regex)
		if err != nil {
			return nil, err
		}
		subscribe = func() {
			go func() {
				if err := guard.Do(nil, "topics of a regular expression",
					func() error { return s.followRegex(p) }); err != nil {
					s.fail(err)
				}
			}()
		}
	case joinsLater:
		subscribe = func() { client.AddConsumeTopics(options.Topics...) }
	}
	if joinsLater {
		s.subscribe = subscribe
	} else {
		subscribe()
	}
	return s, nil
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
		return nil, nil // see follow
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

func (s *Consumer) followRegex(p pattern.Pattern) error {
	p, known, wait := p.WithTimeout(regexTimeout), map[string]bool{}, time.Second
	for s.ctx.Err() == nil {
		request := kmsg.NewPtrMetadataRequest()
		if answer, err := request.RequestWith(s.ctx, s.client); err == nil {
			if wait = time.Second; answer.ThrottleMillis == 0 && s.config.Consumer.MetadataMaxAge > 0 {
				wait = s.config.Consumer.MetadataMaxAge
			}
			if err := s.addMatching(p, known, answer); err != nil {
				return err
			}
		}
		if pause.For(s.ctx, wait) != nil {
			return nil
		}
	}
	return nil
}

func (s *Consumer) addMatching(p pattern.Pattern, known map[string]bool, metadata *kmsg.MetadataResponse) error {
	var added []string
	for _, t := range metadata.Topics {
		if t.Topic == nil || t.IsInternal || known[*t.Topic] || t.ErrorCode != 0 {
			continue
		}
		matches, err := p.Matches(*t.Topic)
		if err != nil {
			return fmt.Errorf("topics.regex: the expression %q does not come to an end for the topic %q: %w",
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
	fetches := s.client.PollRecords(polling, s.config.Consumer.MaxPollRecords)
	if failed := s.pollError(); failed != nil {
		return nil, failed
	}
	clear(s.records)
	s.records = s.records[:0]
	fetches.EachRecord(func(r *kgo.Record) { s.records = append(s.records, r) })
	fetches.EachError(func(topic string, partition int32, err error) {
		if errors.Is(err, kgo.ErrMaxDecompress) { // said once
			s.fail(fmt.Errorf("consume %s, partition %d: %w", topic, partition,
				s.config.Consumer.explainTooLarge(err, 0)))
		}
	})
	if len(s.records) > 0 {
		return s.records, nil // any other error that comes with them comes again or was of the moment
	}
	if failed := s.pollError(); failed != nil {
		return nil, failed
	}
	var failure error
	fetches.EachError(func(topic string, partition int32, err error) {
		lost := (*kgo.ErrDataLoss)(nil)
		switch {
		case errors.Is(err, kerr.OffsetOutOfRange):
			if err := s.handleOutOfRange(polling, topic, partition); err != nil && failure == nil {
				failure = err
			}
		case errors.As(err, &lost):
			s.config.log().Warn("kafka: the broker has lost records", "group", s.options.Group, "topic", topic,
				"partition", partition, "error", err)
		case isRejoinableSession(err):
			if !s.dialer.Outages().Recent() { // that has been said
				s.config.log().Warn("kafka: the group membership has ended; the consumer rejoins", "group",
					s.options.Group, "error", err)
			}
		case failure == nil && errors.Is(err, kerr.UnknownTopicID):
			failure = fmt.Errorf("consume %s, partition %d: the topic was deleted, and may have been made again: "+
				"restart the task to read the new one: %w", topic, partition, err)
		case failure == nil && topic == "": // of the group as a whole
			failure = WithMissingRight(err, "READ", "Group "+s.options.Group)
		case failure == nil:
			at, _ := s.position(topic, partition)
			failure = fmt.Errorf("consume %s, partition %d: %w", topic, partition,
				WithMissingRight(s.config.Consumer.explainTooLarge(err, at), "READ", "Topic "+topic))
		}
	})
	if failure == nil {
		failure = ctx.Err()
	}
	return nil, failure
}

// Commit commits offsets of owned partitions and waits for the response.
func (s *Consumer) Commit(ctx context.Context, offsets Offsets) error {
	mine := Offsets{}
	for topic, partitions := range offsets {
		for partition, at := range partitions {
			if s.membership.owns(topic, partition) {
				setAt(mine, topic, partition, at)
			}
		}
	}
	return s.commit(ctx, mine)
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
}

func (s *Consumer) assigned(ctx context.Context, client *kgo.Client, partitions map[string][]int32) {
	<-s.ready
	if s.options.Assigned != nil && len(partitions) > 0 {
		s.options.Assigned(partitions) // before they are owned, so that commits of an earlier assignment are left out
	}
	member, _ := client.GroupMetadata()
	s.membership.assign(member, partitions)
	s.resize(client)
	if s.options.Committed != nil && len(partitions) > 0 {
		s.retryWhileUnreachable(ctx, func(ctx context.Context) error { return s.readMetadata(ctx, client, partitions) })
	}
	if reset := s.config.Consumer.Reset; !s.options.exclusive && (reset == "earliest" || reset == "latest") {
		if begin, known := s.takePendingStarts(partitions); len(begin) > 0 {
			s.retryWhileUnreachable(ctx, func(ctx context.Context) error {
				return s.commitStarts(ctx, client, begin,
					known)
			})
		}
	}
}

// retryWhileUnreachable retries while brokers are unreachable; other errors end the next Poll.
func (s *Consumer) retryWhileUnreachable(ctx context.Context, ask func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Consumer.MaxPollInterval)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	err := ask(ctx)
	for err != nil && security.IsTransient(err) && pause.For(ctx, time.Second) == nil {
		err = ask(ctx)
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
			s.config.log().Warn("kafka: offsets of revoked partitions are not stored: their last records come again",
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
		s.options.Lost(partitions) // first: who commits nothing for a partition that is not owned any more can see why
	}
	s.drop(client, partitions)
}

func (s *Consumer) drop(client *kgo.Client, partitions map[string][]int32) {
	s.membership.drop(partitions)
	s.resize(client)
}

func (s *Consumer) resize(client *kgo.Client) {
	client.UpdateFetchMaxBytes(s.config.Consumer.FetchBytes, min(s.config.Consumer.FetchBytes,
		partitionBytes(s.config.Consumer, s.membership.count())))
}
