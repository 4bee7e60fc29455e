package offset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Sorted is every partition of a connector that has an offset, in the order of their texts. An offset that cannot be
// read is an error, with those that can.
func (s *Store) Sorted(ctx context.Context, connector string) ([]Entry, error) {
	entries, err := s.All(ctx, connector)
	slices.SortFunc(entries, func(a, b Entry) int {
		return bytes.Compare(AppendJSON(nil, a.Partition), AppendJSON(nil, b.Partition))
	})
	return entries, err
}

// Alter writes offsets of a connector whose tasks do not run, in the order given; an Offset of nil deletes. It reads
// before what others have written, so that a key keeps the form that it has in the topic.
func (s *Store) Alter(ctx context.Context, connector string, entries ...Entry) error {
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	// Of a partition that is given twice the last one counts; records of one key that are under way together do not
	// overtake each other, but in the memory of this store only the newest is to be found.
	last := map[string]int{}
	for i, e := range entries {
		last[Identity(e.Partition)] = i
	}
	var once []Entry
	for i, e := range entries {
		if last[Identity(e.Partition)] == i {
			once = append(once, e)
		}
	}
	return s.Set(ctx, connector, once...)
}

// Reset deletes all offsets of a connector whose tasks do not run, those that cannot be read among them.
func (s *Store) Reset(ctx context.Context, connector string) error {
	entries, err := s.partitions(ctx, connector)
	if err != nil {
		return err
	}
	if s.worker != nil { // what is left there would count again
		more, err := s.worker.partitions(ctx, connector)
		if err != nil {
			return err
		}
		entries = append(entries, more...)
	}
	return s.Set(ctx, connector, entries...)
}

// partitions are those of a connector that have an offset in the topic, to be deleted.
func (s *Store) partitions(ctx context.Context, connector string) (entries []Entry, err error) {
	if err := s.learn(ctx, connector); err != nil {
		return nil, err
	}
	if err := s.Refresh(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if e.connector == connector && (e.offset != nil || e.fault != nil) {
			entries = append(entries, Entry{Partition: e.partition})
		}
	}
	return entries, nil
}

// RelativeToOrigin has texts that are absolute URLs on an origin, such as https://host:8443, become paths with their
// query: so the original connector wrote where it reads on. Other texts stay as they are, URLs of other origins among
// them, which whoever reads the offset refuses.
func RelativeToOrigin(fields []wit.OffsetEntry, origin string) []wit.OffsetEntry {
	home, err := url.Parse(origin)
	if err != nil || home.Host == "" {
		return fields
	}
	var changed []wit.OffsetEntry
	for i, f := range fields {
		if f.Value.String == nil || !strings.Contains(*f.Value.String, "://") {
			continue
		}
		u, err := url.Parse(*f.Value.String)
		if err != nil || u.User != nil || !strings.EqualFold(u.Scheme, home.Scheme) ||
			!strings.EqualFold(u.Hostname(), home.Hostname()) || portOf(u) != portOf(home) {
			continue
		}
		path := *f.Value.String // as it stands, escapes and all
		path = path[strings.Index(path, "://")+len("://"):]
		if i := strings.IndexAny(path, "/?#"); i < 0 {
			path = "/"
		} else if path = path[i:]; path[0] != '/' {
			path = "/" + path
		}
		if changed == nil {
			changed = slices.Clone(fields)
		}
		changed[i] = wit.StringEntry(f.Name, path)
	}
	if changed == nil {
		return fields
	}
	return changed
}

func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	}
	return "80"
}

// InvalidError is the error of offsets that are not of the form that Kafka Connect's REST API asks for.
type InvalidError struct{ Message string }

func (e *InvalidError) Error() string { return e.Message }

// The fields that Kafka Connect's REST API has for a position of a sink.
const (
	fieldTopic     = "kafka_topic"
	fieldPartition = "kafka_partition"
	fieldOffset    = "kafka_offset"
)

// SinkPosition is where a sink stands in a partition of a topic.
type SinkPosition struct {
	Topic     string
	Partition int32
	// Offset of the next record; -1: none is committed.
	Offset int64
}

// Entry is a position as REST shows it.
func (p SinkPosition) Entry() Entry {
	partition, at := int64(p.Partition), p.Offset
	return Entry{
		Partition: []wit.OffsetEntry{
			{Name: fieldPartition, Value: wit.Scalar{Integer: &partition}}, wit.StringEntry(fieldTopic, p.Topic),
		},
		Offset: []wit.OffsetEntry{{Name: fieldOffset, Value: wit.Scalar{Integer: &at}}},
	}
}

// ParseSinkPosition reads what REST is sent for a sink: numbers may be texts. Errors are an [InvalidError], in Kafka
// Connect's words.
func ParseSinkPosition(e Entry) (p SinkPosition, err error) {
	if e.Partition == nil {
		return p, &InvalidError{"The partition for a sink connector offset cannot be null or missing"}
	}
	topic, ok := wit.Lookup(e.Partition, fieldTopic)
	number, also := wit.Lookup(e.Partition, fieldPartition)
	if !ok || !also {
		return p, &InvalidError{"The partition for a sink connector offset must contain the keys '" + fieldTopic +
			"' and '" +
			fieldPartition + "'"}
	}
	if topic.String == nil || *topic.String == "" {
		return p, &InvalidError{"Kafka topic names must be valid strings and may not be null or empty"}
	}
	p.Topic, p.Offset = *topic.String, -1
	n, err := integer(number, "partition", 1<<31-1)
	if err != nil {
		return p, err
	}
	p.Partition = int32(n)
	if e.Offset == nil {
		return p, nil
	}
	at, ok := wit.Lookup(e.Offset, fieldOffset)
	if !ok {
		return p, &InvalidError{"The offset for a sink connector should either be null or contain the key '" +
			fieldOffset +
			"'"}
	}
	p.Offset, err = integer(at, "offset", 1<<63-1)
	return p, err
}

// errNegative is the error of a position that cannot be: Kafka Connect finds it late, and answers it as a failure.
var errNegative = errors.New("expected a number of 0 or more")

// integer is a number that may be a text; what is for messages.
func integer(s wit.Scalar, what string, most int64) (int64, error) {
	text := strings.Trim(string(appendScalar(nil, s)), `"`)

	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > most || s.Real != nil {
		return 0, &InvalidError{fmt.Sprintf("Failed to parse the following Kafka %s value in the provided offsets: "+
			"'%.100s'. %s values for sink connectors need to be "+
			"integers.", what, text, strings.ToUpper(what[:1])+what[1:])}
	}
	if n < 0 {
		return 0, fmt.Errorf("kafka_%s %d: %w", what, n, errNegative)
	}
	return n, nil
}
