package record

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Attribute identifies what InsertField inserts, in the order of insertion.
type Attribute uint8

const (
	TopicAttribute Attribute = iota
	PartitionAttribute
	OffsetAttribute
	TimestampAttribute
	StaticAttribute
)

// AttributeTags holds the tags of the attributes that are numbers, for values without schema.
var AttributeTags = [...]byte{PartitionAttribute: connectdata.TagInt32, OffsetAttribute: connectdata.TagInt64,
	TimestampAttribute: connectdata.TagInt64}

// AttributeOf returns an attribute of the row, negative if the row has none.
func AttributeOf(attribute Attribute, row *wit.Row) int64 {
	switch attribute {
	case PartitionAttribute:
		return int64(row.Partition)
	case OffsetAttribute:
		return row.Offset
	}
	return row.Timestamp
}

// AppendAttribute appends the value of an attribute. A negative one is null if the field is optional.
func AppendAttribute(dst []byte, optional bool, value int64) []byte {
	if optional && value < 0 {
		return append(dst, 0) // the branch of null
	}
	if optional {
		dst = append(dst, 2) // the branch of a value
	}
	return connectdata.AppendNumber(dst, value)
}
