package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataPrefix begins the metadata: `culvert@17:qkW… settled=2-4` was written for offset 17 of the topic with that ID
// (no ID before Kafka 2.8). Other metadata with programPrefix are of a version with another format.
const (
	programPrefix  = "culvert"
	metadataPrefix = programPrefix + "@"
)

// MaxCommitMetadata bounds metadata without the prefix, in bytes; by default brokers allow 4,096. If the first commit
// finds a lower limit, a sink uses less, down to minCommitMetadata. MaxCommitText is the part for the text.
const (
	MaxCommitMetadata = 3500
	minCommitMetadata = MaxCommitMetadata >> 4 // after four rejections
	metadataIdentity  = 20 + 22 + 1            // the longest offset with its colon, a topic ID, a space
	MaxCommitText     = MaxCommitMetadata - metadataIdentity
)

func encodeMetadata(offset int64, topic kadm.TopicID, text string) string {
	return metadataPrefix + strconv.FormatInt(offset, 10) + ":" + formatTopicID(topic) + " " + text
}

// formatTopicID returns the text of a topic's ID, "" for the zero ID of brokers before Kafka 2.8.
func formatTopicID(id kadm.TopicID) string {
	if id == (kadm.TopicID{}) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// decodeMetadata decodes metadata stored with the offset next of a topic; those of other programs have no text.
func decodeMetadata(next int64, topic kadm.TopicID, stored string) (metadata CommitMetadata) {
	metadata.WrittenFor = next
	metadata.TopicID = formatTopicID(topic)
	if !strings.HasPrefix(stored, programPrefix) {
		return metadata
	}
	content, ok := strings.CutPrefix(stored, metadataPrefix)
	identity, text, _ := strings.Cut(content, " ")
	offset, id, _ := strings.Cut(identity, ":")
	writtenFor, err := strconv.ParseInt(offset, 10, 64)
	if !ok || !strings.Contains(identity, ":") || err != nil || writtenFor < 0 {
		metadata.Unreadable = fmt.Errorf("expected %sOFFSET:TOPIC-ID and lists, found %.100q, a format that this "+
			"version does not know", metadataPrefix, stored)
		return metadata
	}
	metadata.WrittenFor = writtenFor
	metadata.Text = strings.TrimRight(text, " ")
	canVerify := id != "" && metadata.TopicID != ""
	metadata.OtherTopic = canVerify && id != metadata.TopicID
	switch {
	case metadata.WrittenFor != next:
		metadata.Mismatch = fmt.Sprintf("they were written for the offset %d", metadata.WrittenFor)
	case metadata.OtherTopic:
		metadata.Mismatch = "they were written for another topic of this name: the topic was created again or copied"
	default:
		metadata.Verified = canVerify
	}
	return metadata
}

const metadataSetting = "offset.metadata.max.bytes"

// ErrCommitMetadata means that the broker rejects a commit's metadata. Without them rows could be written twice.
var ErrCommitMetadata = errors.New("the metadata that prevent duplicate writes cannot be stored with the offsets of " +
	"a sink")

// commitWithMetadata commits offsets with metadata. The first commit is padded to find the brokers' limit early; if it
// is rejected, half the length is tried. The error names one of the partitions with longer metadata.
func (c *Consumer) commitWithMetadata(ctx context.Context, offsets Offsets) error {
	if c.options.Metadata == nil {
		return ignoreNothingToCommit(c.commitOnce(ctx, offsets, nil))
	}
	for {
		c.mu.Lock()
		longest := c.metadata.limit - metadataIdentity
		probing := !c.metadata.confirmed
		ids := c.metadata.topics
		c.mu.Unlock()
		var tooLong error
		err := c.commitOnce(ctx, offsets, func(topic string, partition *kmsg.OffsetCommitRequestTopicPartition) bool {
			metadata, ok := c.options.Metadata(topic, partition.Partition, partition.Offset)
			if !ok {
				return false
			}
			if len(metadata) > longest {
				tooLong = fmt.Errorf("%w: topic %s, partition %d: expected metadata of at most %d bytes, found %d "+
					"(the brokers' limit is %s)",
					ErrCommitMetadata, topic, partition.Partition, longest, len(metadata), metadataSetting)
				return false
			}
			metadata = encodeMetadata(partition.Offset, ids[topic], metadata)
			if probing { // one padded partition is enough
				maxLength := longest + metadataIdentity + len(metadataPrefix)
				metadata += strings.Repeat(" ", maxLength-len(metadata))
				probing = false
			}
			partition.Metadata = &metadata
			return true
		})
		switch {
		case errors.Is(err, errNothingToCommit): // maybe because all metadata are too long
			return tooLong
		case err != nil && !errors.Is(err, kerr.OffsetMetadataTooLarge):
			return err
		}
		// The brokers accept this length, or half of it is tried next.
		c.mu.Lock()
		c.metadata.confirmed = err == nil
		isLowest := c.metadata.limit <= minCommitMetadata
		if err != nil && !isLowest {
			c.metadata.limit /= 2
		}
		longest = c.metadata.limit - metadataIdentity
		c.mu.Unlock()
		switch {
		case err == nil:
			return tooLong
		case isLowest:
			return fmt.Errorf("%w: expected brokers that accept %d bytes of metadata, found a lower limit (%s, by "+
				"default 4096): %w", ErrCommitMetadata, minCommitMetadata+len(metadataPrefix), metadataSetting, err)
		}
		c.config.log().Info("kafka: the brokers accept less metadata with offsets; the sink sends fewer requests "+
			"ahead of unanswered ones", "group", c.options.Group, "setting", metadataSetting, "bytes", longest)
		if c.options.MetadataLimit != nil {
			c.options.MetadataLimit(longest)
		}
	}
}

func ignoreNothingToCommit(err error) error {
	if errors.Is(err, errNothingToCommit) {
		return nil
	}
	return err
}

// readMetadata reads the committed offsets and metadata of partitions, and passes them to [Rebalances.Committed].
func (c *Consumer) readMetadata(ctx context.Context, client *kgo.Client, partitions map[string][]int32) error {
	wrap := func(err error) error {
		return fmt.Errorf("read the offset metadata of group %s: %w", c.options.Group, err)
	}
	names := slices.Collect(maps.Keys(partitions))
	stored, err := c.storedOffsets(ctx, client, names)
	if err != nil {
		return wrap(err)
	}
	ids, err := topicIDs(ctx, client, names)
	if err != nil {
		return wrap(err)
	}
	c.mu.Lock()
	merged := maps.Clone(c.metadata.topics) // a commit may be reading it
	if merged == nil {
		merged = map[string]kadm.TopicID{}
	}
	maps.Copy(merged, ids)
	c.metadata.topics = merged
	c.mu.Unlock()
	// Decode the stored metadata. With a text or a mismatch, Committed also gets the log's first and end offsets.
	decoded := map[string]map[int32]CommitMetadata{}
	needEnds := Offsets{} // partitions whose first and end offsets are needed; the values are unused
	for topic, list := range partitions {
		for _, p := range list {
			offset, _ := stored.Lookup(topic, p)
			if offset.At < 0 {
				setAt(decoded, topic, p, CommitMetadata{TopicID: formatTopicID(ids[topic])})
				continue
			}
			m := decodeMetadata(offset.At, ids[topic], offset.Metadata)
			setAt(decoded, topic, p, m)
			if m.Text != "" || m.Mismatch != "" {
				setAt(needEnds, topic, p, kgo.EpochOffset{})
			}
		}
	}
	var starts, ends map[string]Positions
	if len(needEnds) > 0 {
		admin := kadm.NewClient(client)
		topics := slices.Collect(maps.Keys(needEnds))
		if ends, err = offsetsOf(ctx, limitTo(needEnds, admin.ListEndOffsets), topics...); err != nil {
			return wrap(err)
		}
		if starts, err = offsetsOf(ctx, limitTo(needEnds, admin.ListStartOffsets), topics...); err != nil {
			return wrap(err)
		}
	}
	for topic, list := range partitions {
		for _, p := range list {
			offset, _ := stored.Lookup(topic, p)
			m := decoded[topic][p]
			m.End = ends[topic][p]
			m.Start = starts[topic][p]
			c.options.Committed(topic, p, max(offset.At, -1), m)
		}
	}
	return nil
}

// topicIDs returns the IDs of topics. Topics that the brokers report with an error are left out and named in the error.
func topicIDs(ctx context.Context, client *kgo.Client, names []string) (map[string]kadm.TopicID, error) {
	request := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		request.Topics = append(request.Topics, topic)
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	ids := map[string]kadm.TopicID{}
	for _, t := range response.Topics {
		if t.Topic == nil {
			continue
		}
		if failure := kerr.ErrorForCode(t.ErrorCode); failure != nil {
			err = errors.Join(err, fmt.Errorf("ID of topic %s: %w", *t.Topic, failure))
			continue
		}
		ids[*t.Topic] = t.TopicID
	}
	return ids, err
}

func (c *Consumer) storedOffsets(ctx context.Context, client *kgo.Client,
	topics []string) (kadm.OffsetResponses, error) {
	stored, err := kadm.NewClient(client).FetchOffsetsForTopics(ctx, c.options.Group, topics...)
	if err == nil {
		err = stored.Error()
	}
	return stored, err
}
