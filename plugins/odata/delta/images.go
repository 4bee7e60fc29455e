package delta

import (
	"encoding/binary"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Rows of ODP say what they are: ODQ_CHANGEMODE is C, U or D, ODQ_ENTITYCNTR is negative for the state before a change.

// image is what a row of ODP is.
type image byte

const (
	imageAfter image = iota
	imageBefore
	imageDeleted
)

// watched are the watched columns of a row that say what happened to it.
func (pg *Page) watched(row int) []decode.Span {
	n := len(pg.Feed.Layout.Tracked)
	return pg.Out.Tracked[row*n+pg.Feed.Watch : (row+1)*n]
}

// takeImage takes a row of ODP.
func (pg *Page) takeImage(row *wit.Row, watched []decode.Span) {
	c, f, change := pg.rows, pg.Feed, pg.changeOf(watched)
	switch pg.imageOf(watched) {
	case imageDeleted:
		pg.takeDeleted(row, watched)
		return
	case imageBefore:
		if f.Tracking.DropBefore {
			return
		}
		change = feed.ChangeBefore
	}
	pg.Out.Data = f.Tell(row, pg.Out.Data, change)
	c.merged = append(c.merged, *row)
}

// exempt says which rows need not meet a filter: deleted ones, of which the keys alone may have come, and states
// before a change that are left out.
func (pg *Page) exempt() func(row int) bool {
	if pg.Feed.Watch < 0 {
		return nil
	}
	return func(row int) bool {
		is := pg.imageOf(pg.watched(row))
		return is == imageDeleted || is == imageBefore && pg.Feed.Tracking.DropBefore
	}
}

// imageOf is what the row with these watched columns is.
func (pg *Page) imageOf(watched []decode.Span) image {
	f := pg.set()
	if text, ok := f.textOf(f.Mode, pg.bytes(watched[0])); ok && text == "D" {
		return imageDeleted
	}
	if f.Counter >= 0 && f.negative(f.Counter, pg.bytes(watched[len(watched)-1])) {
		return imageBefore
	}
	return imageAfter
}

func (pg *Page) bytes(s decode.Span) []byte { return pg.Out.Data[s.Start : s.Start+s.Size] }

// bare is a column's value without its branch number; null: there is none.
func (f Set) bare(column int, b []byte) (value []byte, null bool) {
	if !f.Layout.Columns[column].Optional {
		return b, false
	}
	if len(b) == 0 || b[0] == 0 {
		return nil, true
	}
	return b[1:], false
}

func (f Set) textOf(column int, b []byte) (string, bool) {
	b, null := f.bare(column, b)
	n, size := binary.Varint(b)
	if null || size <= 0 || int(n) != len(b)-size {
		return "", false
	}
	return string(b[size:]), true
}

// negative reports whether a column's number is below 0.
func (f Set) negative(column int, b []byte) bool {
	c := &f.Layout.Columns[column]
	b, null := f.bare(column, b)
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

// takeDeleted takes a row of ODP that was deleted.
func (pg *Page) takeDeleted(row *wit.Row, watched []decode.Span) {
	c, f := pg.rows, pg.set()
	when := pg.Answer.ReceivedAt
	if ms, ok := fault.Date(feed.HeaderValue(pg.headers, "Date")); ok {
		when = ms
	}
	if f.Tracking.Additive {
		gone := pg.marked(*row, when)
		pg.Out.Data = f.Tell(&gone, pg.Out.Data, feed.ChangeDeleted)
		c.merged = append(c.merged, gone)
		return
	}
	raws := make([][]byte, len(f.Layout.Keys))
	for k, column := range f.Layout.Keys {
		raws[k], _ = f.bare(column, pg.bytes(watched[1+k]))
	}
	pg.Out.Data, c.merged = pg.DeletedRows(pg.Out.Data, c.merged, row.RowIndex, raws, when)
}

// marked is a row with the time at which it was deleted, which stands at its end.
func (pg *Page) marked(row wit.Row, when int64) wit.Row {
	f, v := pg.set(), row.Value
	if f.Deleted != f.Layout.ValueColumns-1 || f.Layout.Columns[f.Deleted].Kind != decode.Synthetic {
		return row
	}
	start := len(pg.Out.Data)
	pg.Out.Data = append(pg.Out.Data, pg.Out.Data[v.Start:v.Start+v.Size-1]...)
	pg.Out.Data = connectdata.AppendNumber(append(pg.Out.Data, 2), when)
	row.Value.Start, row.Value.Size = uint32(start), uint32(len(pg.Out.Data)-start)
	return row
}

// changeOf is what happened to an entity that is not deleted; watched is what the service says of it, nil where it says
// nothing.
func (pg *Page) changeOf(watched []decode.Span) feed.Change {
	_, changes := pg.at.(*changing)
	switch {
	case pg.document:
		return feed.ChangeUnknown
	case !changes:
		return feed.ChangeRead
	case watched == nil:
		return feed.ChangeChanged
	}
	if text, ok := pg.set().textOf(pg.Feed.Mode, pg.bytes(watched[0])); ok && text == "C" {
		return feed.ChangeCreated
	}
	return feed.ChangeChanged
}
