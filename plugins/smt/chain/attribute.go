package chain

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// what is a kind of value that InsertField inserts, in the order in which it does.
type what uint8

const (
	theTopic what = iota
	thePartition
	theOffset
	theTimestamp
	theStatic
)

// tags are the tags of inserted numbers in maps.
var tags = [...]byte{thePartition: connectdata.TagInt32, theOffset: connectdata.TagInt64, theTimestamp: connectdata.TagInt64}

// attributeOf returns a number of the row, negative if the row has none.
func attributeOf(w what, row *wit.Row) int64 {
	switch w {
	case thePartition:
		return int64(row.Partition)
	case theOffset:
		return row.Offset
	}
	return row.Timestamp
}

// appendAttribute appends the value of an attribute; n is negative for a null.
func appendAttribute(dst []byte, optional bool, n int64) []byte {
	if optional && n < 0 {
		return append(dst, 0)
	}
	if optional {
		dst = append(dst, 2)
	}
	return connectdata.AppendNumber(dst, n)
}
