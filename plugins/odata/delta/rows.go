package delta

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/wit"
)

func (pg *Page) addRows(portion *wit.DecodeResult) error {
	c, f := pg.rows, pg.Feed
	c.merged, c.rowErrors = c.merged[:0], append(c.rowErrors[:0], pg.Out.RowErrors...)
	tombstones := pg.Out.Tombstones
	if len(tombstones) > 0 && f.Key.Nodes == nil {
		return &wit.Error{Kind: wit.ErrorUnsupported,
			Message: pg.Label() + ": found deleted entities of a type without key"}
	}
	for i := range pg.Out.Rows {
		row := &pg.Out.Rows[i]
		for len(tombstones) > 0 && tombstones[0].RowIndex < row.RowIndex {
			pg.addTombstone(portion, &tombstones[0])
			tombstones = tombstones[1:]
		}
		pg.addRow(portion, row, i)
	}
	for i := range tombstones {
		pg.addTombstone(portion, &tombstones[i])
	}
	portion.Rows, portion.Data, portion.Errors = c.merged, pg.Out.Data, c.rowErrors
	pg.addMarkers(portion)
	pg.AddSchemas(portion)
	if n := len(c.merged); n > 0 {
		c.rowIndex = c.merged[n-1].RowIndex
	}
	return nil
}

// addMarkers adds snapshot headers to rows, and the end marker to the first row after a snapshot whose last page was
// empty.
func (pg *Page) addMarkers(portion *wit.DecodeResult) {
	if len(portion.Rows) == 0 {
		return
	}
	portion.Rows, portion.Data = pg.rows.markers.Add(portion.Rows, portion.Data)
	if at, ok := pg.phase.(*readingChanges); ok && at.endMarkerPending > 0 {
		portion.Data = feedreader.AddEndedMarker(&portion.Rows[0], portion.Data, at.endMarkerPending)
		at.endMarkerPending = 0
	}
	pg.rows.merged, pg.Out.Data = portion.Rows, portion.Data
}

// addRow adds an entry. An entity deleted earlier on the page is read again (P22).
func (pg *Page) addRow(portion *wit.DecodeResult, row *wit.Row, i int) {
	c, f := pg.rows, pg.Feed
	key := feedreader.KeyOf(row, pg.Out.Data)
	if _, loads := pg.phase.(*loading); loads {
		if len(c.firstKey) == 0 {
			c.firstKey = append(c.firstKey, key...)
		}
		c.lastKey = append(c.lastKey[:0], key...)
	}
	if f.FirstTracked >= 0 {
		pg.addImage(row, pg.watched(i))
		return
	}
	if _, changes := pg.phase.(*readingChanges); changes {
		h := hashOf(key)
		if c.deletedKeys[h] {
			if keys := f.Keys.EncodedParts(key); keys != nil {
				pg.requestReread(portion, keys, 0)
				return
			}
		}
		if c.rowKeys == nil {
			c.rowKeys = map[uint64]bool{}
		}
		c.rowKeys[h] = true
	}
	pg.Out.Data = f.AddHeaders(row, pg.Out.Data, pg.changeOf(nil))
	c.merged = append(c.merged, *row)
}

// addTombstone adds a deleted entity. One that may also have occurred as a row is read again (P22).
func (pg *Page) addTombstone(portion *wit.DecodeResult, t *decode.Tombstone) {
	c, f := pg.rows, pg.Feed
	raws, err := f.Keys.ParseAddress(t.Ref)
	if err != nil {
		c.rowErrors = append(c.rowErrors, wit.RowError{RowIndex: t.RowIndex, ErrorClass: decode.ErrorClass,
			Error: wit.Error{Kind: wit.ErrorData, Message: pg.Label() + ": the deleted entry " +
				strconv.Quote(feedreader.Clip(t.Ref)) + ": " + err.Error()}})
		return
	}
	when := t.When
	if !t.Timed {
		when = pg.Response.ReceivedAt
	}
	pg.FitKeys(raws)
	h := hashOf(f.JoinKey(raws))
	if c.deletedKeys == nil {
		c.deletedKeys = map[uint64]bool{}
	}
	c.deletedKeys[h] = true
	if at, ok := pg.phase.(*readingChanges); c.rowKeys[h] || ok && at.continued {
		pg.requestReread(portion, raws, when)
		return
	}
	pg.Out.Data, c.merged = pg.DeletedRows(pg.Out.Data, c.merged, t.RowIndex, raws, when)
}

func hashOf(key []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range key {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
