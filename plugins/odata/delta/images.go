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

// ODQ_CHANGEMODE of ODP is C, U or D; ODQ_ENTITYCNTR is negative for the state before a change.

type image byte

const (
	imageAfter image = iota
	imageBefore
	imageDeleted
)

func (pg *Page) watched(row int) []decode.Span {
	n := len(pg.Feed.RowSchema.Tracked)
	return pg.Out.Tracked[row*n+pg.Feed.FirstTracked : (row+1)*n]
}

func (pg *Page) addImage(row *wit.Row, watched []decode.Span) {
	c, f, change := pg.rows, pg.Feed, pg.changeOf(watched)
	switch pg.imageOf(watched) {
	case imageDeleted:
		pg.addDeletedImage(row, watched)
		return
	case imageBefore:
		if f.Tracking.DropBefore {
			return
		}
		change = feedreader.ChangeBefore
	}
	pg.Out.Data = f.AddHeaders(row, pg.Out.Data, change)
	c.merged = append(c.merged, *row)
}

// exempt reports rows that need not match a filter: deleted ones, which may consist of keys only, and dropped before
// images.
func (pg *Page) exempt() func(row int) bool {
	if pg.Feed.FirstTracked < 0 {
		return nil
	}
	return func(row int) bool {
		is := pg.imageOf(pg.watched(row))
		return is == imageDeleted || is == imageBefore && pg.Feed.Tracking.DropBefore
	}
}

func (pg *Page) imageOf(watched []decode.Span) image {
	f := pg.set()
	if text, ok := f.textOf(f.ModeColumn, pg.bytes(watched[0])); ok && text == "D" {
		return imageDeleted
	}
	if f.CounterColumn >= 0 && f.negative(f.CounterColumn, pg.bytes(watched[len(watched)-1])) {
		return imageBefore
	}
	return imageAfter
}

func (pg *Page) bytes(s decode.Span) []byte { return pg.Out.Data[s.Start : s.Start+s.Size] }

// stripBranch returns a column's value without the branch of an optional.
func (f Set) stripBranch(column int, b []byte) (value []byte, null bool) {
	if !f.RowSchema.Columns[column].Optional {
		return b, false
	}
	if len(b) == 0 || b[0] == 0 {
		return nil, true
	}
	return b[1:], false
}

func (f Set) textOf(column int, b []byte) (string, bool) {
	b, null := f.stripBranch(column, b)
	n, size := binary.Varint(b)
	if null || size <= 0 || int(n) != len(b)-size {
		return "", false
	}
	return string(b[size:]), true
}

func (f Set) negative(column int, b []byte) bool {
	c := &f.RowSchema.Columns[column]
	b, null := f.stripBranch(column, b)
	n, size := binary.Varint(b)
	switch {
	case null || len(b) == 0:
		return false
	case c.Type == edm.Double || c.Mapping == decode.Float64Mapping:
		return len(b) == 8 && b[7] >= 0x80
	case c.Type == edm.String:
		return size > 0 && len(b) > size && b[size] == '-'
	case c.Type == edm.Decimal && c.Mapping == decode.DefaultMapping:
		return size > 0 && len(b) > size && b[size] >= 0x80
	}
	return size > 0 && n < 0
}

func (pg *Page) addDeletedImage(row *wit.Row, watched []decode.Span) {
	c, f := pg.rows, pg.set()
	when := pg.Response.ReceivedAt
	if ms, ok := odataerror.Date(feedreader.HeaderValue(pg.headers, "Date")); ok {
		when = ms
	}
	if f.Tracking.Additive {
		deleted := pg.withDeletionTime(*row, when)
		pg.Out.Data = f.AddHeaders(&deleted, pg.Out.Data, feedreader.ChangeDeleted)
		c.merged = append(c.merged, deleted)
		return
	}
	raws := make([][]byte, len(f.RowSchema.Keys))
	for k, column := range f.RowSchema.Keys {
		raws[k], _ = f.stripBranch(column, pg.bytes(watched[1+k]))
	}
	pg.Out.Data, c.merged = pg.DeletedRows(pg.Out.Data, c.merged, row.RowIndex, raws, when)
}

// withDeletionTime sets the deletion time, which is the last column.
func (pg *Page) withDeletionTime(row wit.Row, when int64) wit.Row {
	f, v := pg.set(), row.Value
	if f.DeletedAtColumn != f.RowSchema.ValueColumns-1 || f.RowSchema.Columns[f.DeletedAtColumn].Kind != decode.Synthetic {
		return row
	}
	start := len(pg.Out.Data)
	pg.Out.Data = append(pg.Out.Data, pg.Out.Data[v.Start:v.Start+v.Size-1]...)
	pg.Out.Data = connectdata.AppendNumber(append(pg.Out.Data, 2), when)
	row.Value.Start, row.Value.Size = uint32(start), uint32(len(pg.Out.Data)-start)
	return row
}

// changeOf returns the change of an entity that is not deleted. watched is nil if the service does not send a change
// mode.
func (pg *Page) changeOf(watched []decode.Span) feedreader.Change {
	_, changes := pg.phase.(*readingChanges)
	switch {
	case pg.deadLetter:
		return feedreader.ChangeUnknown
	case !changes:
		return feedreader.ChangeRead
	case watched == nil:
		return feedreader.ChangeChanged
	}
	if text, ok := pg.set().textOf(pg.Feed.ModeColumn, pg.bytes(watched[0])); ok && text == "C" {
		return feedreader.ChangeCreated
	}
	return feedreader.ChangeChanged
}
