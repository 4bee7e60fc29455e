package connect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/wit"
)

// StoredOffset is the offset of one source partition in Kafka Connect's format.
type StoredOffset struct {
	Partition []wit.OffsetEntry
	Offset    []wit.OffsetEntry
}

// ReadTopicOffsets returns a connector's offsets in an offsets topic, sorted by partition. Records that are not offsets
// are logged and skipped. An offset that cannot be read is an error, unless a newer record replaces it.
func ReadTopicOffsets(ctx context.Context, brokers kafka.Config, topic, connector string,
	log *slog.Logger) ([]StoredOffset, error) {
	reader, err := kafka.NewReader(brokers)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	byPartition := map[string]storedEntry{}
	_, err = reader.Read(ctx, topic, kafka.ReadOptions{}, func(r *kgo.Record) error {
		name, partition, err := offset.ParseKey(r.Key)
		switch {
		case err != nil:
			log.Warn("a record in the offsets topic is skipped", "topic", r.Topic, "partition", r.Partition,
				"offset", r.Offset, "error", err)
			return nil
		case name != connector:
			return nil
		}
		id := offset.Identity(partition)
		if earlier, ok := byPartition[id]; ok && earlier.record.Partition != r.Partition &&
			r.Timestamp.Before(earlier.record.Timestamp) {
			return nil // the same fields in another order are stored in another partition of the topic
		}
		entry := newStoredEntry(partition, r.Value)
		entry.record = &kgo.Record{Partition: r.Partition, Timestamp: r.Timestamp}
		if entry.err != nil {
			entry.err = fmt.Errorf("topic %s, partition %d, offset %d: %w", r.Topic, r.Partition, r.Offset, entry.err)
		}
		byPartition[id] = entry
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sortedOffsets(byPartition)
}

// ReadStandaloneOffsets is [ReadTopicOffsets] for the file of a standalone worker (offset.storage.file.filename). Two
// entries for one source partition are an error, because the file does not specify which is newer.
func ReadStandaloneOffsets(path, connector string, log *slog.Logger) ([]StoredOffset, error) {
	entries, err := offset.ReadStandalone(path)
	if err != nil {
		return nil, err
	}
	byPartition := map[string]storedEntry{}
	for _, line := range entries {
		name, partition, err := offset.ParseKey(line.Key)
		switch {
		case err != nil:
			log.Warn("an entry in the offsets file is skipped", "file", path, "byte", line.ByteOffset, "error", err)
			continue
		case name != connector:
			continue
		}
		id := offset.Identity(partition)
		entry := newStoredEntry(partition, line.Value)
		if earlier, ok := byPartition[id]; ok {
			entry.err = fmt.Errorf("expected one entry for a partition, found %s and %s", offset.AppendJSON(nil,
				earlier.Partition), offset.AppendJSON(nil, partition))
		}
		if entry.err != nil {
			entry.err = fmt.Errorf("%s: byte %d: %w", path, line.ByteOffset, entry.err)
		}
		byPartition[id] = entry
	}
	return sortedOffsets(byPartition)
}

type storedEntry struct {
	StoredOffset // Offset is nil if it was deleted
	err          error
	record       *kgo.Record // nil for an entry of a file
}

func newStoredEntry(partition []wit.OffsetEntry, value []byte) (entry storedEntry) {
	entry.Partition = partition
	if value == nil {
		return entry
	}
	var err error
	if entry.Offset, err = offset.ParseJSON(value); err != nil {
		entry.err = fmt.Errorf("the offset of %s: %w", offset.AppendJSON(nil, partition), err)
	}
	return entry
}

func sortedOffsets(byPartition map[string]storedEntry) (offsets []StoredOffset, err error) {
	for _, entry := range byPartition {
		err = errors.Join(err, entry.err)
		if entry.Offset != nil {
			offsets = append(offsets, entry.StoredOffset)
		}
	}
	slices.SortFunc(offsets, func(a, b StoredOffset) int {
		return bytes.Compare(offset.AppendJSON(nil, a.Partition), offset.AppendJSON(nil, b.Partition))
	})
	return offsets, err
}

// String formats the offset as Kafka Connect writes it.
func (s StoredOffset) String() string {
	return fmt.Sprintf("%s → %s", offset.AppendJSON(nil, s.Partition), offset.AppendJSON(nil, s.Offset))
}

// URLFields returns the names of the offset's fields that contain a URL or a path.
func (s StoredOffset) URLFields() (names []string) {
	for _, field := range s.Offset {
		if t := field.Value.String; t != nil && (strings.Contains(*t, "://") || strings.HasPrefix(*t, "/")) {
			names = append(names, field.Name)
		}
	}
	return names
}

// RESTBody returns a body for the REST API. The offset has the value of one field under the given name. names has the
// new names of partition fields by their old ones; other fields keep theirs.
func (s StoredOffset) RESTBody(field, name string, names map[string]string) (body []byte, err error) {
	value, ok := wit.Lookup(s.Offset, field)
	if !ok || value.String == nil {
		return nil, fmt.Errorf("%v: expected a string in the field %s", s, field)
	}
	partition := slices.Clone(s.Partition)
	for i := range partition {
		if newName, ok := names[partition[i].Name]; ok {
			partition[i].Name = newName
		}
	}
	body = append(body, `{"partition":`...)
	body = offset.AppendJSON(body, partition)
	body = append(body, `,"offset":`...)
	body = offset.AppendJSON(body, []wit.OffsetEntry{wit.StringEntry(name, *value.String)})
	return append(body, '}'), nil
}
