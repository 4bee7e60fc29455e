package object

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Attribute identifies a value that InsertField inserts. The order is that of insertion.
type Attribute uint8

const (
	Topic Attribute = iota
	Partition
	Offset
	Timestamp
	Static
)

// AttributeTags holds the tags of inserted numbers in maps.
var AttributeTags = [...]byte{Partition: connectdata.TagInt32, Offset: connectdata.TagInt64,
	Timestamp: connectdata.TagInt64}

// AttributeOf returns an attribute of the row, negative if the row has none.
func AttributeOf(attribute Attribute, row *wit.Row) int64 {
	switch attribute {
	case Partition:
		return int64(row.Partition)
	case Offset:
		return row.Offset
	}
	return row.Timestamp
}

// AppendAttribute appends the value of an attribute, null if n is negative.
func AppendAttribute(dst []byte, optional bool, n int64) []byte {
	if optional && n < 0 {
		return append(dst, 0)
	}
	if optional {
		dst = append(dst, 2)
	}
	return connectdata.AppendNumber(dst, n)
}
