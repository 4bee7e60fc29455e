package delta

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/wit"
)

func (pg *Page) addRows(result *wit.DecodeResult) error {
	rows, f := pg.rows, pg.Feed
	rows.merged, rows.rowErrors = rows.merged[:0], append(rows.rowErrors[:0], pg.Out.RowErrors...)
	tombstones := pg.Out.Tombstones
	if len(tombstones) > 0 && f.Key.Nodes == nil {
		return &wit.Error{Kind: wit.ErrorUnsupported,
			Message: pg.Label() + ": found deleted entities of a type without key"}
	}
	for i := range pg.Out.Rows {
		row := &pg.Out.Rows[i]
		for len(tombstones) > 0 && tombstones[0].RowIndex < row.RowIndex {
			pg.addTombstone(result, &tombstones[0])
			tombstones = tombstones[1:]
		}
		pg.addRow(result, row, i)
	}
	for i := range tombstones {
		pg.addTombstone(result, &tombstones[i])
	}
	result.Rows, result.Data, result.Errors = rows.merged, pg.Out.Data, rows.rowErrors
	pg.addMarkers(result)
	pg.AddSchemas(result)
	if n := len(rows.merged); n > 0 {
		rows.rowIndex = rows.merged[n-1].RowIndex
	}
	return nil
}

// addMarkers adds snapshot headers to rows, and the end marker to the first row after a snapshot whose last page was
// empty.
func (pg *Page) addMarkers(result *wit.DecodeResult) {
	if len(result.Rows) == 0 {
		return
	}
	result.Rows, result.Data = pg.rows.markers.Add(result.Rows, result.Data)
	if at, ok := pg.phase.(*readingChanges); ok && at.endMarkerPending > 0 {
		result.Data = feedreader.AddEndedMarker(&result.Rows[0], result.Data, at.endMarkerPending)
		at.endMarkerPending = 0
	}
	pg.rows.merged, pg.Out.Data = result.Rows, result.Data
}

// addRow adds an entry. An entity deleted earlier on the page is read again (P22).
func (pg *Page) addRow(result *wit.DecodeResult, row *wit.Row, i int) {
	rows, feed := pg.rows, pg.Feed
	key := feedreader.KeyOf(row, pg.Out.Data)
	if _, loads := pg.phase.(*loading); loads {
		if len(rows.firstKey) == 0 {
			rows.firstKey = append(rows.firstKey, key...)
		}
		rows.lastKey = append(rows.lastKey[:0], key...)
	}
	if feed.FirstTracked >= 0 {
		pg.addImage(row, pg.watched(i))
		return
	}
	if _, changes := pg.phase.(*readingChanges); changes {
		keyHash := hashOf(key)
		if rows.deletedKeys[keyHash] {
			if keys := feed.Keys.EncodedParts(key); keys != nil {
				pg.requestReread(result, keys, 0)
				return
			}
		}
		if rows.rowKeys == nil {
			rows.rowKeys = map[uint64]bool{}
		}
		rows.rowKeys[keyHash] = true
	}
	pg.Out.Data = feed.AddHeaders(row, pg.Out.Data, pg.changeOf(nil))
	rows.merged = append(rows.merged, *row)
}

// addTombstone adds a deleted entity. One that may also have occurred as a row is read again (P22).
func (pg *Page) addTombstone(result *wit.DecodeResult, t *decode.Tombstone) {
	rows, feed := pg.rows, pg.Feed
	keyParts, err := feed.Keys.ParseAddress(t.Ref)
	if err != nil {
		rows.rowErrors = append(rows.rowErrors, wit.RowError{RowIndex: t.RowIndex, ErrorClass: decode.ErrorClass,
			Error: wit.Error{Kind: wit.ErrorData, Message: pg.Label() + ": the deleted entry " +
				strconv.Quote(feedreader.Clip(t.Ref)) + ": " + err.Error()}})
		return
	}
	deletedAt := t.When
	if !t.Timed {
		deletedAt = pg.Response.ReceivedAt
	}
	pg.FitKeys(keyParts)
	keyHash := hashOf(feed.JoinKey(keyParts))
	if rows.deletedKeys == nil {
		rows.deletedKeys = map[uint64]bool{}
	}
	rows.deletedKeys[keyHash] = true
	if at, ok := pg.phase.(*readingChanges); rows.rowKeys[keyHash] || ok && at.continued {
		pg.requestReread(result, keyParts, deletedAt)
		return
	}
	pg.Out.Data, rows.merged = pg.DeletedRows(pg.Out.Data, rows.merged, t.RowIndex, keyParts, deletedAt)
}

func hashOf(key []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range key {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
