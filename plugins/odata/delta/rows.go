package delta

import (
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// pageRows collects the rows of one page.
type pageRows struct {
	merged      []wit.Row       // rows and deleted entities of the last chunk, in the order of the page
	rowErrors   []wit.RowError  // of the last chunk
	changedKeys map[string]bool // the keys of emitted rows; only for pages of changes without ODP
	deletedKeys map[string]bool // the keys of deleted entities on this page
	firstKey    []byte          // first key of the page, empty for a page of changes
	lastKey     []byte          // last key of the page, empty for a page of changes
	rowIndex    uint32          // of the last row in a result; entities that are read again get it
	rereads     *rereads
	markers     *feedreader.SnapshotMarkers
}

func newPageRows() *pageRows {
	return &pageRows{rereads: &rereads{}, markers: &feedreader.SnapshotMarkers{}, changedKeys: map[string]bool{},
		deletedKeys: map[string]bool{}}
}

// addRows adds a decoded part of the page to the result: its rows and deleted entities, in the order of the page.
func (pg *Page) addRows(result *wit.DecodeResult) error {
	rows := pg.rows
	tombstones := pg.Out.Tombstones
	rows.merged = rows.merged[:0]
	rows.rowErrors = append(rows.rowErrors[:0], pg.Out.RowErrors...)
	if len(tombstones)+len(pg.Out.Links)+len(pg.Out.Partial) > 0 && pg.Feed.Key.Nodes == nil {
		return &wit.Error{Kind: wit.ErrorUnsupported,
			Message: pg.Label() + ": found deleted entities, or parts of entities, of a type without key"}
	}
	for i := range pg.Out.Links {
		pg.addLink(result, &pg.Out.Links[i])
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
	result.Rows = rows.merged
	result.Data = pg.Out.Data
	result.Errors = rows.rowErrors
	if len(result.Rows) > 0 {
		result.Rows, result.Data = rows.markers.Add(result.Rows, result.Data)
		// Pages of changes have no other markers, so Add has buffered no row of them.
		if changes, ok := pg.phase.(*readingChanges); ok && changes.endMarkerPending > 0 {
			result.Data = feedreader.AddEndedMarker(&result.Rows[0], result.Data, changes.endMarkerPending)
			changes.endMarkerPending = 0
		}
		rows.merged = result.Rows
		pg.Out.Data = result.Data
	}
	pg.AddSchemas(result)
	if n := len(rows.merged); n > 0 {
		rows.rowIndex = rows.merged[n-1].RowIndex
	}
	return nil
}

// addRow adds the row with this index in the decoder's output. If it was deleted earlier on the page, the entity is
// read again, because the service does not say which is newer (RATIONALE.md P22), and so is one that lacks properties.
func (pg *Page) addRow(result *wit.DecodeResult, row *wit.Row, index int) {
	key := feedreader.KeyOf(row, pg.Out.Data)
	// In a load the first and the last key of a page show whether the number in a next link is a key or counts rows, in
	// a request for a hidden row whether the service selects it.
	if !pg.readsChanges() {
		if len(pg.rows.firstKey) == 0 {
			pg.rows.firstKey = append(pg.rows.firstKey, key...)
		}
		pg.rows.lastKey = append(pg.rows.lastKey[:0], key...)
	}
	if pg.Feed.FirstTracked >= 0 { // a row of an ODP queue
		tracked := pg.trackedSpans(index)
		change := pg.changeOf(tracked)
		switch pg.imageOf(tracked) {
		case imageDeleted:
			pg.addDeletedImage(row, tracked)
			return
		case imageBefore:
			if pg.Feed.Tracking.DropBefore {
				return
			}
			change = feedreader.ChangeBefore
		}
		pg.emit(row, change)
		return
	}
	if pg.readsChanges() {
		if pg.isPartial(index) || pg.rows.deletedKeys[string(key)] {
			pg.requestReread(result, pg.Feed.Keys.EncodedParts(key), 0) // no time: the deletion came before the row
			return
		}
		pg.rows.changedKeys[string(key)] = true
	}
	pg.emit(row, pg.changeOf(nil))
}

// isPartial reports whether the row with this index in the decoder's output lacks properties.
func (pg *Page) isPartial(index int) bool {
	_, isListed := slices.BinarySearch(pg.Out.Partial, pg.Out.Rows[index].RowIndex)
	return isListed
}

// emit adds a row with headers to the result of the page.
func (pg *Page) emit(row *wit.Row, change feedreader.Change) {
	pg.Out.Data = pg.Feed.AddHeaders(row, pg.Out.Data, change)
	pg.rows.merged = append(pg.rows.merged, *row)
}

// addTombstone adds a deleted entity. If it may also have occurred as a row, on this page or an earlier one of the same
// changes, it is read again (RATIONALE.md P22).
func (pg *Page) addTombstone(result *wit.DecodeResult, tombstone *decode.Tombstone) {
	rows := pg.rows
	keyParts, err := pg.tombstoneKey(tombstone)
	if err != nil {
		pg.addRowError(tombstone.RowIndex, "the deleted entry "+strconv.Quote(feedreader.Clip(tombstone.Ref))+": "+
			err.Error())
		return
	}
	deletedAt := tombstone.When
	if !tombstone.Timed {
		deletedAt = pg.Response.ReceivedAt
	}
	pg.FitKeys(keyParts)
	key := string(pg.Feed.JoinKey(keyParts))
	rows.deletedKeys[key] = true
	changes, ok := pg.phase.(*readingChanges)
	if rows.changedKeys[key] || (ok && changes.continued) {
		pg.requestReread(result, keyParts, deletedAt)
		return
	}
	change := feedreader.ChangeDeleted
	if tombstone.Reason == "changed" {
		change = feedreader.ChangeLeft
	}
	pg.Out.Data, rows.merged = pg.DeletedRows(pg.Out.Data, rows.merged, tombstone.RowIndex, keyParts, change, deletedAt)
}

// addRowError adds an error in place of a change that cannot be read.
func (pg *Page) addRowError(rowIndex uint32, message string) {
	pg.rows.rowErrors = append(pg.rows.rowErrors, wit.RowError{RowIndex: rowIndex, ErrorClass: decode.ErrorClass,
		Error: wit.Error{Kind: wit.ErrorData, Message: pg.Label() + ": " + message}})
}

// tombstoneKey returns the encoded parts of the key of a deleted entity.
func (pg *Page) tombstoneKey(tombstone *decode.Tombstone) ([][]byte, error) {
	if tombstone.Ref != "" {
		return pg.Feed.Keys.ParseAddress(tombstone.Ref)
	}
	var keys []uri.Key
	for _, key := range tombstone.Keys {
		keys = append(keys, uri.Key{Name: key.Name, Literal: uri.Literal{Text: key.Text}})
	}
	return pg.Feed.Keys.Encode(keys)
}

// addLink reads an entity again if a link of it was added or deleted to entities that are read with it.
func (pg *Page) addLink(result *wit.DecodeResult, link *decode.ChangedLink) {
	if pg.Feed.RowQuery.View.Expansion(link.Relationship) == nil {
		return
	}
	keyParts, err := pg.Feed.Keys.ParseAddress(link.Source)
	if err != nil {
		pg.addRowError(link.RowIndex, "the changed link of "+strconv.Quote(feedreader.Clip(link.Source))+": "+
			err.Error())
		return
	}
	pg.FitKeys(keyParts)
	pg.requestReread(result, keyParts, 0)
}

// flushMarkers adds the last row of the page, which markers buffer. It is the snapshot's last row unless more pages
// follow.
func (pg *Page) flushMarkers(result *wit.DecodeResult, next phase) {
	_, loads := next.(*loading)
	_, readsSnapshot := next.(*readingSnapshot)
	isLast := !loads && !readsSnapshot
	result.Rows, result.Data = pg.rows.markers.Flush(result.Rows, result.Data, isLast, next.shared().verdict)
	pg.AddSchemas(result)
}
