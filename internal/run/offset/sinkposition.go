package offset

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// InvalidError means that offsets do not have the form of Kafka Connect's REST API.
type InvalidError struct{ Message string }

func (e *InvalidError) Error() string { return e.Message }

const (
	fieldTopic     = "kafka_topic"
	fieldPartition = "kafka_partition"
	fieldOffset    = "kafka_offset"
)

// SinkPosition is the offset of a sink in a topic partition.
type SinkPosition struct {
	Topic     string
	Partition int32
	Offset    int64 // the offset of the next record; -1 means that no offset is committed
}

// Entry returns a committed position as REST shows it.
func (p SinkPosition) Entry() Entry {
	partition := int64(p.Partition)
	offset := p.Offset
	return Entry{
		Partition: []wit.OffsetEntry{
			{Name: fieldPartition, Value: wit.Scalar{Integer: &partition}}, wit.StringEntry(fieldTopic, p.Topic),
		},
		Offset: []wit.OffsetEntry{{Name: fieldOffset, Value: wit.Scalar{Integer: &offset}}},
	}
}

// ParseSinkPosition parses a sink's offset from REST, where numbers may be strings. An [InvalidError] has Kafka
// Connect's message.
func ParseSinkPosition(e Entry) (p SinkPosition, err error) {
	if e.Partition == nil {
		return p, &InvalidError{"The partition for a sink connector offset cannot be null or missing"}
	}
	topic, hasTopic := wit.Lookup(e.Partition, fieldTopic)
	number, hasPartition := wit.Lookup(e.Partition, fieldPartition)
	if !hasTopic || !hasPartition {
		return p, &InvalidError{"The partition for a sink connector offset must contain the keys '" + fieldTopic +
			"' and '" + fieldPartition + "'"}
	}
	if topic.String == nil || *topic.String == "" {
		return p, &InvalidError{"Kafka topic names must be valid strings and may not be null or empty"}
	}
	p.Topic = *topic.String
	n, err := parseInteger(number, "partition", math.MaxInt32)
	if err != nil {
		return p, err
	}
	p.Partition = int32(n)
	p.Offset = -1
	if e.Offset == nil {
		return p, nil
	}
	offset, ok := wit.Lookup(e.Offset, fieldOffset)
	if !ok {
		return p, &InvalidError{"The offset for a sink connector should either be null or contain the key '" +
			fieldOffset + "'"}
	}
	p.Offset, err = parseInteger(offset, "offset", math.MaxInt64)
	return p, err
}

// errNegative is not an InvalidError, because Kafka Connect's response to it has another status.
var errNegative = errors.New("expected a number of 0 or more")

func parseInteger(s wit.Scalar, field string, limit int64) (int64, error) {
	// Numbers may be strings: "5" and 5 are equal. A real is no integer, even if its digits look like one.
	digits := strings.Trim(string(appendScalar(nil, s)), `"`)
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > limit || s.Real != nil {
		return 0, &InvalidError{fmt.Sprintf("Failed to parse the following Kafka %s value in the provided offsets: "+
			"'%.100s'. %s values for sink connectors need to be integers.", field, digits,
			strings.ToUpper(field[:1])+field[1:])}
	}
	if n < 0 {
		return 0, fmt.Errorf("kafka_%s %d: %w", field, n, errNegative)
	}
	return n, nil
}
