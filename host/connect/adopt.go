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

	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/wit"
)

// StoredOffset is an offset that some connector has stored in the form of Kafka Connect, whatever its fields are
// called.
type StoredOffset struct {
	Partition, Offset []wit.OffsetEntry
}

// ReadTopicOffsets reads what a topic of offsets holds of a connector, in the order of the partitions' texts. Records
// of other connectors are passed over, and those that are nobody's are logged; one of this connector that cannot be
// read is an error, unless a newer one has overtaken it.
func ReadTopicOffsets(ctx context.Context, brokers kafka.Config, topic, connector string,
	log *slog.Logger) ([]StoredOffset,
	error) {
	reader, err := kafka.NewReader(brokers)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	found := map[string]storedEntry{}
	_, err = reader.Read(ctx, topic, kafka.ReadOptions{}, func(r *kgo.Record) error {
		name, partition, err := offset.ParseKey(r.Key)
		switch {
		case err != nil:
			log.Warn("a record in the topic of offsets is skipped", "topic", r.Topic, "partition", r.Partition,
				"offset", r.Offset, "error", err)
			return nil
		case name != connector:
			return nil
		}
		id := offset.Identity(partition)
		if before, some := found[id]; some && before.at.Partition != r.Partition &&
			r.Timestamp.Before(before.at.Timestamp) {
			return nil // the same fields in another order, which lie in another partition of the topic
		}
		e := newStoredEntry(partition, r.Value)
		e.at = &kgo.Record{Partition: r.Partition, Timestamp: r.Timestamp}
		if e.fault != nil {
			e.fault = fmt.Errorf("topic %s, partition %d, offset %d: %w", r.Topic, r.Partition, r.Offset, e.fault)
		}
		found[id] = e
		return nil
	})
	if err != nil {
		return nil, err
	}
	return inOrder(found)
}

// ReadStandaloneOffsets is [ReadTopicOffsets] for the file of a standalone worker (offset.storage.file.filename). A
// file does not say which of two entries is newer: two of this connector for the same partition are an error.
func ReadStandaloneOffsets(path, connector string, log *slog.Logger) ([]StoredOffset, error) {
	entries, err := offset.ReadStandalone(path)
	if err != nil {
		return nil, err
	}
	found := map[string]storedEntry{}
	for _, entry := range entries {
		name, partition, err := offset.ParseKey(entry.Key)
		switch {
		case err != nil:
			log.Warn("an entry in the file of offsets is skipped", "file", path, "byte", entry.ByteOffset, "error", err)
			continue
		case name != connector:
			continue
		}
		id := offset.Identity(partition)
		e := newStoredEntry(partition, entry.Value)
		if before, twice := found[id]; twice {
			e.fault = fmt.Errorf("expected one entry for a partition, found %s and %s", offset.AppendJSON(nil,
				before.Partition), offset.AppendJSON(nil, partition))
		}
		if e.fault != nil {
			e.fault = fmt.Errorf("%s: byte %d: %w", path, entry.ByteOffset, e.fault)
		}
		found[id] = e
	}
	return inOrder(found)
}

// storedEntry is what was read of a partition.
type storedEntry struct {
	StoredOffset             // without an offset where it was deleted
	fault        error       // why it cannot be used
	at           *kgo.Record // where and when it was stored, in a topic
}

func newStoredEntry(partition []wit.OffsetEntry, value []byte) (e storedEntry) {
	e.Partition = partition
	if value == nil {
		return e
	}
	var err error
	if e.Offset, err = offset.ParseJSON(value); err != nil {
		e.fault = fmt.Errorf("the offset of %s: %w", offset.AppendJSON(nil, partition), err)
	}
	return e
}

// inOrder are the entries with an offset, in the order of the partitions' texts.
func inOrder(found map[string]storedEntry) (all []StoredOffset, err error) {
	for _, e := range found {
		err = errors.Join(err, e.fault)
		if e.Offset != nil {
			all = append(all, e.StoredOffset)
		}
	}
	slices.SortFunc(all, func(a, b StoredOffset) int {
		return bytes.Compare(offset.AppendJSON(nil, a.Partition), offset.AppendJSON(nil, b.Partition))
	})
	return all, err
}

// String is the offset as Kafka Connect writes it.
func (s StoredOffset) String() string {
	return fmt.Sprintf("%s → %s", offset.AppendJSON(nil, s.Partition), offset.AppendJSON(nil, s.Offset))
}

// URLFields are the names of the offset's fields that hold a URL, or its path.
func (s StoredOffset) URLFields() (names []string) {
	for _, f := range s.Offset {
		if t := f.Value.String; t != nil && (strings.Contains(*t, "://") || strings.HasPrefix(*t, "/")) {
			names = append(names, f.Name)
		}
	}
	return names
}

// RESTBody is the offset as a body for REST: the value of one of its fields under another name, and the partition's
// fields under those that names has for theirs.
func (s StoredOffset) RESTBody(field, name string, names map[string]string) (text []byte, err error) {
	value, ok := wit.Lookup(s.Offset, field)
	if !ok || value.String == nil {
		return nil, fmt.Errorf("%v: expected a text in the field %s", s, field)
	}
	partition := slices.Clone(s.Partition)
	for i := range partition {
		if to, ok := names[partition[i].Name]; ok {
			partition[i].Name = to
		}
	}
	text = append(text, `{"partition":`...)
	text = offset.AppendJSON(text, partition)
	text = append(text, `,"offset":`...)
	text = offset.AppendJSON(text, []wit.OffsetEntry{wit.StringEntry(name, *value.String)})
	return append(text, '}'), nil
}
