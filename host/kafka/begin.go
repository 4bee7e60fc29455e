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

	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/kafka/security"
)

// With auto.offset.reset=earliest or latest, a consumer commits where a partition begins that its group has no offset
// of, before it reads the partition's first record. Without that commit, `latest` would be decided again at each start
// and pass over what came in between, and a partition would stand still when the record that it was to begin with
// expires.
//
// A partition that is added to a topic while the group reads it is read from its beginning, also with `latest`. Kafka's
// consumer would pass over the records that are written before it sees the partition (KAFKA-12478, KIP-1282). That a
// partition was added is known only from the topic having had fewer when this member joined, none where a topic that is
// named was not there: a missing offset alone proves nothing, since a quiet partition has none in groups of older
// versions, and offsets can be reset one by one. A topic that a regular expression finds later begins at its end, as it
// does in Kafka: it may be an old one that the user was not allowed to see before.

// topicRetryDelays is after how long a topic is asked for again that is said not to be there: a broker that has just
// started may not know it yet.
var topicRetryDelays = [...]time.Duration{time.Second, 5 * time.Second}

// joinGroup counts the partitions of the topics that are read by name, and then joins the group. With the other resets
// the member joins when it is made. While nobody can be reached it goes on asking.
func (s *Consumer) joinGroup(ctx context.Context) error {
	if s.options.Regex == "" { // else add counts them
		request := kmsg.NewPtrMetadataRequest()
		for _, topic := range s.options.Topics {
			one := kmsg.NewMetadataRequestTopic()
			one.Topic = kmsg.StringPtr(topic)
			request.Topics = append(request.Topics, one)
		}
		for asked := 0; ; {
			answer, err := request.RequestWith(ctx, s.client)
			switch {
			case err != nil && security.Passes(err) && pause.For(ctx, time.Second) == nil:
				continue
			case err != nil:
				return fmt.Errorf("count the partitions of the topics of group %s: %w", s.options.Group, err)
			}
			missing := false
			for _, t := range answer.Topics {
				switch {
				case t.Topic == nil:
				case t.ErrorCode == 0:
					s.recordPartitions(*t.Topic, len(t.Partitions))
				case t.ErrorCode == kerr.UnknownTopicOrPartition.Code && asked == len(topicRetryDelays):
					s.recordPartitions(*t.Topic, 0)
				case t.ErrorCode == kerr.UnknownTopicOrPartition.Code:
					missing = true
				}
			}
			if !missing || pause.For(ctx, topicRetryDelays[asked]) != nil {
				break
			}
			asked++
		}
	}
	s.subscribe()
	s.subscribe = nil
	return nil
}

// recordPartitions notes how many partitions a topic has, unless that is known from before.
func (s *Consumer) recordPartitions(topic string, partitions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = map[string]int{}
	}
	if _, known := s.counts[topic]; !known {
		s.counts[topic] = partitions
	}
}

// isAdded tells whether a partition is known to have been added to its topic after this member joined the group.
func (s *Consumer) isAdded(topic string, partition int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	count, known := s.counts[topic]
	return known && int(partition) >= count
}

// unstartedWith are new partitions, and those that are this member's since earlier and of which the coordinator did not
// take where they begin. known is where they and others were to begin.
func (s *Consumer) unstartedWith(partitions map[string][]int32) (all map[string][]int32, known Offsets) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, known = map[string][]int32{}, Offsets{}
	for topic, list := range partitions {
		all[topic] = slices.Clone(list)
	}
	for topic, list := range s.unstarted.at {
		known[topic] = maps.Clone(list)
		for p := range list {
			if s.membership.owns(topic, p) && !slices.Contains(all[topic], p) {
				all[topic] = append(all[topic], p)
			}
		}
	}
	s.unstarted.at, s.unstarted.refusal = nil, nil
	return all, known
}

// checkStart keeps the client from reading partitions of which the coordinator did not take where they begin, since the
// generation in which they were assigned was over. The client is given the coordinator's answer, as if that had come to
// its own request for their offsets: it joins again, keeps partitions or loses them as the answer says, and asks for
// the offsets of those that it keeps after the next call of assigned, which has no other part in kept partitions.
func (s *Consumer) checkStart(_ context.Context, offsets map[string]map[int32]kgo.Offset) (
	map[string]map[int32]kgo.Offset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return offsets, s.unstarted.refusal
}

// commitStarts commits where those of new partitions begin that the group has no offset of, as auto.offset.reset says:
// `earliest` or `latest`. known is where some were to begin that could not be committed, and is filled in: with
// `latest` what was written since would be passed over otherwise.
func (s *Consumer) commitStarts(ctx context.Context, client *kgo.Client, partitions map[string][]int32,
	known Offsets) error {
	stored, err := s.storedOffsets(ctx, client, slices.Collect(maps.Keys(partitions)))
	if err != nil {
		return fmt.Errorf("read the offsets of group %s: %w", s.options.Group, err)
	}
	begin := Offsets{}
	for topic, list := range partitions {
		for _, p := range list {
			// A partition that was added just now may not be among those that the administrator knows.
			if at, found := stored.Lookup(topic, p); found && at.At >= 0 {
				continue
			}
			setAt(begin, topic, p, kgo.EpochOffset{Epoch: -1})
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
		for p := range list {
			to := ends[topic][p]
			if latest && s.isAdded(topic, p) {
				to = starts[topic][p]
				s.config.log().Info("kafka: a partition was added to the topic after this consumer had joined "+
					"its group: it is read from its beginning, also with auto.offset.reset=latest",
					"group", s.options.Group, "topic", topic, "partition", p, "offset", to)
			}
			if before, some := known[topic][p]; some { // unless those records expired, or the topic was made again
				to = min(max(before.Offset, starts[topic][p]), ends[topic][p])
			}
			list[p] = kgo.EpochOffset{Epoch: -1, Offset: to}
			setAt(known, topic, p, list[p])
		}
	}
	err = ignoreNothingToCommit(s.commitOnce(ctx, begin, nil))
	if isUnknownMember(err) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unstarted.at, s.unstarted.refusal = begin, err
		return nil
	}
	if err != nil {
		return fmt.Errorf("commit where group %s begins: %w", s.options.Group, err)
	}
	return nil
}

// limitTo has ask list the offsets of some partitions of its topics. Kafka's administrator asks for all, and that one
// partition which another member reads has no leader keeps nobody from the others.
func limitTo(wanted Offsets, ask func(context.Context, ...string) (kadm.ListedOffsets, error)) func(context.Context,
	...string) (kadm.ListedOffsets, error) {
	return func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
		all, err := ask(ctx, topics...)
		some, complete := kadm.ListedOffsets{}, true
		for topic, list := range wanted {
			some[topic] = map[int32]kadm.ListedOffset{}
			for p := range list {
				one, found := all.Lookup(topic, p)
				if !found {
					one, found = all.Lookup(topic, -1) // the topic as a whole
				}
				if !found && err == nil { // it was assigned, so it is there
					one, found = kadm.ListedOffset{Topic: topic, Partition: p, Err: kerr.LeaderNotAvailable}, true
				}
				if complete = complete && found; found {
					some[topic][p] = one
				}
			}
		}
		if complete { // what failed is of others
			err = nil
		}
		return some, err
	}
}
