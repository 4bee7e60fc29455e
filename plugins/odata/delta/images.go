package delta

import (
	"encoding/binary"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// image is what a row of an ODP queue contains: the state of an entity after or before a change, or a deleted entity.
// ODQ_CHANGEMODE is D for deleted entities; ODQ_ENTITYCNTR is negative for the state before a change.
type image byte

const (
	// imageAfter is also the image of a row without change mode.
	imageAfter image = iota
	imageBefore
	imageDeleted
)

// trackedSpans returns the spans of a row's change mode, keys and entity counter.
func (pg *Page) trackedSpans(row int) []decode.Span {
	n := len(pg.Feed.RowSchema.Tracked)
	return pg.Out.Tracked[row*n+pg.Feed.FirstTracked : (row+1)*n]
}

// exempt returns a function that reports whether a row need not match the filter: deleted entities, which may consist
// of keys only, and dropped before images. If rows have no change mode, these are rows that lack properties.
func (pg *Page) exempt() func(row int) bool {
	if pg.Feed.FirstTracked < 0 {
		return pg.isPartial
	}
	return func(row int) bool {
		rowImage := pg.imageOf(pg.trackedSpans(row))
		isDropped := rowImage == imageBefore && pg.Feed.Tracking.DropBefore
		return rowImage == imageDeleted || isDropped
	}
}

func (pg *Page) imageOf(tracked []decode.Span) image {
	set := pg.set()
	if mode, ok := set.textOf(set.ModeColumn, pg.spanBytes(tracked[0])); ok && mode == "D" {
		return imageDeleted
	}
	if set.CounterColumn >= 0 && set.isNegative(set.CounterColumn, pg.spanBytes(tracked[len(tracked)-1])) {
		return imageBefore
	}
	return imageAfter
}

func (pg *Page) spanBytes(s decode.Span) []byte { return pg.Out.Data[s.Start : s.Start+s.Size] }

// stripBranch returns a column's encoded value (wit/encoding.md) without the branch of an optional: 0 for null, else 1.
func (s Set) stripBranch(column int, b []byte) (value []byte, isNull bool) {
	if !s.RowSchema.Columns[column].Optional {
		return b, false
	}
	if len(b) == 0 || b[0] == 0 {
		return nil, true
	}
	return b[1:], false
}

// textOf returns a column's text. ok is false for null and for other types.
func (s Set) textOf(column int, b []byte) (text string, ok bool) {
	b, isNull := s.stripBranch(column, b)
	n, size := binary.Varint(b)
	if isNull || size <= 0 || int(n) != len(b)-size {
		return "", false
	}
	return string(b[size:]), true
}

// isNegative reports whether a column's number is negative. It is false for null.
func (s Set) isNegative(column int, b []byte) bool {
	schemaColumn := &s.RowSchema.Columns[column]
	b, isNull := s.stripBranch(column, b)
	n, size := binary.Varint(b)
	switch {
	case isNull || len(b) == 0:
		return false
	case schemaColumn.Type == edm.Double || schemaColumn.Mapping == decode.Float64Mapping:
		return len(b) == 8 && b[7] >= 0x80 // the sign bit, little-endian
	case schemaColumn.Type == edm.String:
		return size > 0 && len(b) > size && b[size] == '-'
	case schemaColumn.Type == edm.Decimal && schemaColumn.Mapping == decode.DefaultMapping:
		return size > 0 && len(b) > size && b[size] >= 0x80 // the sign bit, big-endian
	}
	return size > 0 && n < 0
}

// addDeletedImage adds a deleted entity: as a row if the queue is additive, else as in changes of other services.
func (pg *Page) addDeletedImage(row *wit.Row, tracked []decode.Span) {
	rows := pg.rows
	set := pg.set()
	deletedAt := pg.Response.ReceivedAt
	if ms, ok := odataerror.Date(feedreader.HeaderValue(pg.headers, "Date")); ok {
		deletedAt = ms
	}
	if set.Tracking.Additive {
		deleted := pg.withDeletionTime(*row, deletedAt)
		pg.Out.Data = set.AddHeaders(&deleted, pg.Out.Data, feedreader.ChangeDeleted)
		rows.merged = append(rows.merged, deleted)
		return
	}
	keyParts := make([][]byte, len(set.RowSchema.Keys))
	for k, column := range set.RowSchema.Keys {
		keyParts[k], _ = set.stripBranch(column, pg.spanBytes(tracked[1+k]))
	}
	pg.Out.Data, rows.merged = pg.DeletedRows(pg.Out.Data, rows.merged, row.RowIndex, keyParts,
		feedreader.ChangeDeleted, deletedAt)
}

// withDeletionTime returns the row with the deletion time in the last column, unchanged if the set has no such column.
func (pg *Page) withDeletionTime(row wit.Row, deletedAt int64) wit.Row {
	set := pg.set()
	value := row.Value
	if set.DeletedAtColumn != set.RowSchema.ValueColumns-1 ||
		set.RowSchema.Columns[set.DeletedAtColumn].Kind != decode.Synthetic {
		return row
	}
	start := len(pg.Out.Data)
	pg.Out.Data = append(pg.Out.Data, pg.Out.Data[value.Start:value.Start+value.Size-1]...)
	pg.Out.Data = append(pg.Out.Data, 2) // branch 1 as a varint, in place of the last byte, the branch of null
	pg.Out.Data = connectdata.AppendNumber(pg.Out.Data, deletedAt)
	row.Value.Start = uint32(start)
	row.Value.Size = uint32(len(pg.Out.Data) - start)
	return row
}

// changeOf returns the change of an entity that is not deleted. Nil tracked means that the service sends no mode.
func (pg *Page) changeOf(tracked []decode.Span) feedreader.Change {
	switch {
	case pg.deadLetter:
		return feedreader.ChangeUnknown
	case !pg.readsChanges():
		return feedreader.ChangeRead
	case tracked == nil:
		return feedreader.ChangeChanged
	}
	if mode, ok := pg.set().textOf(pg.Feed.ModeColumn, pg.spanBytes(tracked[0])); ok && mode == "C" {
		return feedreader.ChangeCreated
	}
	return feedreader.ChangeChanged
}
