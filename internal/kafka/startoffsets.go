package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// With auto.offset.reset=earliest or latest, a consumer commits the start of partitions without a committed offset
// before it reads them. Otherwise `latest` would skip records at each restart, and a partition would stall once its
// first record expires.
//
// A partition that is added while the group reads a topic is read from its beginning, also with `latest`; Kafka's
// consumer would skip records written before it sees the partition (KAFKA-12478, KIP-1282). A partition counts as
// added only if the topic had fewer when this member joined: a missing offset alone proves nothing. A topic that a
// regular expression matches later begins at its end, as in Kafka.

// topicRetryDelays: a broker that just started may not know a topic yet.
var topicRetryDelays = [...]time.Duration{time.Second, 5 * time.Second}

func (s *Consumer) joinGroup(ctx context.Context) error {
	if s.options.Regex == "" { // else add counts them
		request := kmsg.NewPtrMetadataRequest()
		for _, topic := range s.options.Topics {
			one := kmsg.NewMetadataRequestTopic()
			one.Topic = kmsg.StringPtr(topic)
			request.Topics = append(request.Topics, one)
		}
		for tries := 0; ; {
			response, err := request.RequestWith(ctx, s.client)
			switch {
			case err != nil && security.IsTransient(err) && pause.For(ctx, time.Second) == nil:
				continue
			case err != nil:
				return fmt.Errorf("count the partitions of the topics of group %s: %w", s.options.Group, err)
			}
			missing := false
			for _, t := range response.Topics {
				switch {
				case t.Topic == nil:
				case t.ErrorCode == 0:
					s.recordPartitions(*t.Topic, len(t.Partitions))
				case t.ErrorCode == kerr.UnknownTopicOrPartition.Code && tries == len(topicRetryDelays):
					s.recordPartitions(*t.Topic, 0)
				case t.ErrorCode == kerr.UnknownTopicOrPartition.Code:
					missing = true
				}
			}
			if !missing || pause.For(ctx, topicRetryDelays[tries]) != nil {
				break
			}
			tries++
		}
	}
	s.subscribe()
	s.subscribe = nil
	return nil
}

func (s *Consumer) recordPartitions(topic string, partitions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.partitionCounts == nil {
		s.partitionCounts = map[string]int{}
	}
	if _, known := s.partitionCounts[topic]; !known {
		s.partitionCounts[topic] = partitions
	}
}

func (s *Consumer) isAdded(topic string, partition int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	count, known := s.partitionCounts[topic]
	return known && int(partition) >= count
}

func (s *Consumer) takePendingStarts(partitions map[string][]int32) (all map[string][]int32, known Offsets) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, known = map[string][]int32{}, Offsets{}
	for topic, list := range partitions {
		all[topic] = slices.Clone(list)
	}
	for topic, list := range s.pendingStarts.offsets {
		known[topic] = maps.Clone(list)
		for p := range list {
			if s.membership.owns(topic, p) && !slices.Contains(all[topic], p) {
				all[topic] = append(all[topic], p)
			}
		}
	}
	s.pendingStarts.offsets, s.pendingStarts.err = nil, nil
	return all, known
}

// checkStart stops the client from reading partitions whose start could not be committed in the previous generation.
// It returns the coordinator's error as if the client's own offset request had failed: the client rejoins, and
// fetches the offsets of partitions that it keeps.
func (s *Consumer) checkStart(_ context.Context, offsets map[string]map[int32]kgo.Offset) (
	map[string]map[int32]kgo.Offset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return offsets, s.pendingStarts.err
}

// commitStarts commits the start of partitions without an offset, by auto.offset.reset. known has starts that could
// not be committed before and is updated; otherwise `latest` would skip records written since.
func (s *Consumer) commitStarts(ctx context.Context, client *kgo.Client, partitions map[string][]int32,
	known Offsets) error {
	stored, err := s.storedOffsets(ctx, client, slices.Collect(maps.Keys(partitions)))
	if err != nil {
		return fmt.Errorf("read the offsets of group %s: %w", s.options.Group, err)
	}
	begin := Offsets{}
	for topic, list := range partitions {
		for _, partition := range list {
			if at, found := stored.Lookup(topic, partition); found && at.At >= 0 {
				continue
			}
			setAt(begin, topic, partition, kgo.EpochOffset{Epoch: -1})
		}
	}
	if len(begin) == 0 {
		return nil
	}
	admin, latest, topics := kadm.NewClient(client), s.config.Consumer.Reset == "latest",
		slices.Collect(maps.Keys(begin))
	starts, err := offsetsOf(ctx, limitTo(begin, admin.ListStartOffsets), topics...)
	if err != nil {
		return err
	}
	ends := starts
	if latest {
		list := admin.ListCommittedOffsets // what an open transaction holds comes when it is committed
		if s.config.Consumer.ReadUncommitted {
			list = admin.ListEndOffsets
		}
		if ends, err = offsetsOf(ctx, limitTo(begin, list), topics...); err != nil {
			return err
		}
	}
	for topic, list := range begin {
		for partition := range list {
			start := ends[topic][partition]
			if latest && s.isAdded(topic, partition) {
				start = starts[topic][partition]
				s.config.log().Info("kafka: a partition was added to the topic after this consumer had joined "+
					"its group: it is read from its beginning, also with auto.offset.reset=latest",
					"group", s.options.Group, "topic", topic, "partition", partition, "offset", start)
			}
			// unless those records expired, or the topic was made again
			if before, some := known[topic][partition]; some {
				start = min(max(before.Offset, starts[topic][partition]), ends[topic][partition])
			}
			list[partition] = kgo.EpochOffset{Epoch: -1, Offset: start}
			setAt(known, topic, partition, list[partition])
		}
	}
	err = ignoreNothingToCommit(s.commitOnce(ctx, begin, nil))
	if isUnknownMember(err) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pendingStarts.offsets, s.pendingStarts.err = begin, err
		return nil
	}
	if err != nil {
		return fmt.Errorf("commit where group %s begins: %w", s.options.Group, err)
	}
	return nil
}

// limitTo limits an offset listing to some partitions. Kafka's administrator asks for all, and a partition of another
// member without a leader must not fail the others.
func limitTo(partitions Offsets, list func(context.Context, ...string) (kadm.ListedOffsets,
	error)) func(context.Context,
	...string) (kadm.ListedOffsets, error) {
	return func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
		all, err := list(ctx, topics...)
		some, complete := kadm.ListedOffsets{}, true
		for topic, list := range partitions {
			some[topic] = map[int32]kadm.ListedOffset{}
			for partition := range list {
				one, found := all.Lookup(topic, partition)
				if !found {
					one, found = all.Lookup(topic, -1) // the topic as a whole
				}
				if !found && err == nil { // it was assigned, so it is there
					one, found = kadm.ListedOffset{Topic: topic, Partition: partition, Err: kerr.LeaderNotAvailable},
						true
				}
				if complete = complete && found; found {
					some[topic][partition] = one
				}
			}
		}
		if complete { // what failed is of others
			err = nil
		}
		return some, err
	}
}
