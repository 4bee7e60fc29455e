package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// This file commits start offsets. With auto.offset.reset=earliest or latest, a consumer commits the start of
// partitions without a committed offset before it reads them. Otherwise `latest` would skip records at each restart,
// and a partition would stall once its first record expires.
//
// A partition that is added while the group reads a topic is read from its beginning, also with `latest`; Kafka's
// consumer would skip records written before it sees the partition (KAFKA-12478, KIP-1282). A partition counts as
// added only if the topic had fewer when this member joined: a missing offset alone proves nothing. A topic that a
// regular expression matches later begins at its end, as in Kafka. So does a partition that was added while no member
// ran, but a warning names the records that are skipped.

// startState decides where partitions without a committed offset begin.
type startState struct {
	partitionCounts map[string]int       // the partitions of the topics when this member joined
	committedAtJoin kadm.OffsetResponses // committed offsets of the group when this member joined
	pending         Offsets              // starts that cannot be committed until the member rejoins
	err             error                // why pending could not be committed; nil if nothing is pending
}

// topicRetryDelays are for brokers that just started and do not know a topic yet.
var topicRetryDelays = [...]time.Duration{time.Second, 5 * time.Second}

// joinGroup counts the partitions of the topics, see isAdded, finds the topics that the group has read, and subscribes.
// For an expression addMatching counts. Only the first Poll calls it, which it blocks until brokers are reachable.
func (c *Consumer) joinGroup(ctx context.Context) error {
	if c.options.Regex == "" {
		if err := c.countPartitions(ctx); err != nil {
			return fmt.Errorf("count the partitions of the topics of group %s: %w", c.options.Group, err)
		}
	}
	committed, err := kadm.NewClient(c.client).FetchOffsets(ctx, c.options.Group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) && ctx.Err() == nil {
		c.config.log().Warn("kafka: the group's offsets could not be read before it was joined: if partitions without "+
			"a committed offset begin at their end, no warning will name the skipped records",
			"group", c.options.Group, "error", err)
	}
	c.mu.Lock()
	c.starts.committedAtJoin = committed
	c.mu.Unlock()
	c.subscribe()
	c.subscribe = nil
	return nil
}

// countPartitions counts the partitions of the topics; zero if unknown. It retries while brokers are unreachable.
func (c *Consumer) countPartitions(ctx context.Context) error {
	request := kmsg.NewPtrMetadataRequest()
	for _, name := range c.options.Topics {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		request.Topics = append(request.Topics, topic)
	}
	for tries := 0; ; {
		response, err := request.RequestWith(ctx, c.client)
		switch {
		case err != nil && security.IsTransient(err) && pause.For(ctx, time.Second) == nil:
			continue
		case err != nil:
			return err
		}
		isMissing := false
		for _, topic := range response.Topics {
			switch {
			case topic.Topic == nil:
				// This does not happen: the request has names.
			case topic.ErrorCode == 0:
				c.recordPartitions(*topic.Topic, len(topic.Partitions))
			case topic.ErrorCode == kerr.UnknownTopicOrPartition.Code && tries == len(topicRetryDelays):
				c.recordPartitions(*topic.Topic, 0)
			case topic.ErrorCode == kerr.UnknownTopicOrPartition.Code:
				isMissing = true
			}
		}
		if !isMissing || pause.For(ctx, topicRetryDelays[tries]) != nil {
			return nil
		}
		tries++
	}
}

// recordPartitions records the number of partitions of a topic. The first number stays.
func (c *Consumer) recordPartitions(topic string, partitions int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.starts.partitionCounts == nil {
		c.starts.partitionCounts = map[string]int{}
	}
	if _, ok := c.starts.partitionCounts[topic]; !ok {
		c.starts.partitionCounts[topic] = partitions
	}
}

// isAdded reports whether a partition was added after this member joined.
func (c *Consumer) isAdded(topic string, partition int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	count, ok := c.starts.partitionCounts[topic]
	return ok && int(partition) >= count
}

// hasRead reports whether the group had an offset for a partition of the topic when this member joined.
func (c *Consumer) hasRead(topic string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.starts.committedAtJoin[topic]) > 0
}

// takePendingStarts returns and clears the pending starts, and clears the error of checkStart. unstarted are the given
// partitions and the owned ones with a pending start. The caller must call commitStarts with both results.
func (c *Consumer) takePendingStarts(partitions map[string][]int32) (unstarted map[string][]int32, pending Offsets) {
	c.mu.Lock()
	defer c.mu.Unlock()
	unstarted = map[string][]int32{}
	pending = Offsets{}
	for topic, list := range partitions {
		unstarted[topic] = slices.Clone(list)
	}
	for topic, list := range c.starts.pending {
		pending[topic] = maps.Clone(list)
		for p := range list {
			if c.membership.owns(topic, p) && !slices.Contains(unstarted[topic], p) {
				unstarted[topic] = append(unstarted[topic], p)
			}
		}
	}
	c.starts.pending = nil
	c.starts.err = nil
	return unstarted, pending
}

// checkStart stops the client from reading partitions whose start is not committed yet. It returns the coordinator's
// error as if the client's own request had failed: the client rejoins and fetches the offsets of its partitions again.
func (c *Consumer) checkStart(_ context.Context,
	offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return offsets, c.starts.err
}

// commitStarts commits the start of partitions without a committed offset, by auto.offset.reset. Starts that could not
// be committed are kept in pending, which it extends: otherwise `latest` would skip records written since.
func (c *Consumer) commitStarts(ctx context.Context, client *kgo.Client, partitions map[string][]int32,
	pending Offsets) error {
	stored, err := c.storedOffsets(ctx, client, slices.Collect(maps.Keys(partitions)))
	if err != nil {
		return fmt.Errorf("read the offsets of group %s: %w", c.options.Group, err)
	}
	starts := Offsets{}
	for topic, list := range partitions {
		for _, partition := range list {
			if committed, ok := stored.Lookup(topic, partition); !ok || committed.At < 0 {
				setAt(starts, topic, partition, kgo.EpochOffset{Epoch: -1})
			}
		}
	}
	if len(starts) == 0 {
		return nil
	}
	admin := kadm.NewClient(client)
	isLatest := c.config.Consumer.Reset == "latest"
	topics := slices.Collect(maps.Keys(starts))
	oldest, err := offsetsOf(ctx, limitTo(starts, admin.ListStartOffsets), topics...)
	if err != nil {
		return err
	}
	newest := oldest // with auto.offset.reset=earliest
	if isLatest {
		list := admin.ListCommittedOffsets // records of open transactions are still to be read
		if c.config.Consumer.ReadUncommitted {
			list = admin.ListEndOffsets
		}
		if newest, err = offsetsOf(ctx, limitTo(starts, list), topics...); err != nil {
			return err
		}
	}
	var skipped []string
	for topic, list := range starts {
		for partition := range list {
			first := oldest[topic][partition]
			start := newest[topic][partition]
			if isLatest && c.isAdded(topic, partition) {
				start = first
				c.config.log().Info("kafka: a partition was added after this consumer joined its group; it is read "+
					"from its beginning, also with auto.offset.reset=latest",
					"group", c.options.Group, "topic", topic, "partition", partition, "offset", start)
			}
			if earlier, ok := pending[topic][partition]; ok {
				// The bounds are for records that expired and topics that were created again since.
				start = min(max(earlier.Offset, first), newest[topic][partition])
			}
			list[partition] = kgo.EpochOffset{Epoch: -1, Offset: start}
			setAt(pending, topic, partition, list[partition])
			if start > first && c.hasRead(topic) {
				skipped = append(skipped, fmt.Sprintf("%s-%d: %d to %d", topic, partition, first, start-1))
			}
		}
	}
	if len(skipped) > 0 {
		slices.Sort(skipped)
		c.config.log().Warn("kafka: partitions without a committed offset begin at their end, because "+
			"auto.offset.reset is latest: these records are skipped, as in Kafka Connect. The partitions were added, "+
			"or their offsets removed, while no task was running. To write the records, stop the connector and alter "+
			"its offsets", "group", c.options.Group, "skipped", strings.Join(skipped, ", "))
	}
	err = ignoreNothingToCommit(c.commitOnce(ctx, starts, nil))
	if isUnknownMember(err) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.starts.pending = starts
		c.starts.err = err
		return nil
	}
	if err != nil {
		return fmt.Errorf("commit the start offsets of group %s: %w", c.options.Group, err)
	}
	return nil
}

type listOffsets = func(context.Context, ...string) (kadm.ListedOffsets, error)

// limitTo limits a listing to some partitions, since the partitions of other members may have no leader.
func limitTo(partitions Offsets, list listOffsets) listOffsets {
	return func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
		offsets, err := list(ctx, topics...)
		result := kadm.ListedOffsets{}
		isComplete := true
		for topic, list := range partitions {
			result[topic] = map[int32]kadm.ListedOffset{}
			for partition := range list {
				offset, ok := offsets.Lookup(topic, partition)
				if !ok {
					offset, ok = offsets.Lookup(topic, -1) // the topic as a whole
				}
				if !ok && err == nil { // it exists, since it was assigned
					offset = kadm.ListedOffset{Topic: topic, Partition: partition, Err: kerr.LeaderNotAvailable}
					ok = true
				}
				isComplete = isComplete && ok
				if ok {
					result[topic][partition] = offset
				}
			}
		}
		if isComplete { // the error is of other partitions
			err = nil
		}
		return result, err
	}
}
