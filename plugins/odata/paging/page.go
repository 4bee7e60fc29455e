package paging

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// Page checks the rows of one response while they are decoded, and then decides about the next request ([Page.Next],
// [Page.AfterError]). It is reused for the next response.
type Page struct {
	set      *Set
	position *Position
	order    *orderCheck
	repeats  *repeatCheck
	digest   *pageDigest
	cursor   *cursorCheck
	firstKey []byte // encoded key of the first row
	results
}

// results has the findings of the checks on the page so far.
type results struct {
	lastDecoded    uint32   // index of the last decoded row
	errorHashes    []uint64 // hashes of the undecodable rows after it
	reportedErrors int      // undecodable rows that were reported before
	emittedRows    int      // rows emitted
	startsWithLast bool     // whether the first row is the last one read, as requested
	// mayAdvanceKey means that a row after an empty page comes after the last key, or cannot be compared with it.
	mayAdvanceKey bool
	hasUnreadRow  bool // whether a row that was not emitted was certainly not read
	// startsWithNewErrors means that the page starts with undecodable rows, not all of which were reported earlier.
	startsWithNewErrors bool
	hasKnownRow         bool // whether a row of a probe is one of the last rows read
	// mismatch is the reason why the page is not the one requested. If set, no row is emitted.
	mismatch string
}

// NewPage returns a page that must be started by [Page.Begin].
func NewPage() *Page {
	return &Page{order: &orderCheck{}, repeats: &repeatCheck{}, digest: &pageDigest{}, cursor: &cursorCheck{}}
}

// Begin starts reading the response to the request of a position, and resets the checks.
func (pg *Page) Begin(set *Set, position *Position) {
	pg.set = set
	pg.position = position
	pg.order.begin(set.Keys, position.checks, position.rowsRead)
	pg.repeats.begin(set, position)
	pg.digest.reset()
	pg.cursor.begin(set.Cursor, position.cursor)
	pg.firstKey = pg.firstKey[:0]
	pg.results = results{errorHashes: pg.errorHashes[:0]}
	if position.probe.kind != "" {
		pg.order.sorted = true
		pg.order.folded = true
		pg.order.isActive = set.Keys != nil
		pg.order.mustDescend = position.probe.kind == probeKeyOrder
	}
}

// End releases set and position. Only [Page.Begin] may be called afterwards.
func (pg *Page) End() {
	pg.set = nil
	pg.position = nil
}

// Position returns the position that was passed to [Page.Begin].
func (pg *Page) Position() *Position { return pg.position }

// Observe checks rows and returns the rows to emit. It removes errors from out that were reported before. emit is false
// if the page answers a probe, is speculative or is not the one requested.
func (pg *Page) Observe(out *Rows) (rows []wit.Row, emit bool) {
	rows = out.Rows
	pg.observeRowErrors(out)
	if n := len(rows); n > 0 {
		isFirst := pg.digest.rows == 0
		if isFirst {
			pg.firstKey = append(pg.firstKey, keyOf(&rows[0], out.Data)...)
			pg.startsWithNewErrors = int(rows[0].RowIndex) > pg.reportedErrors
		}
		pg.digest.addContents(rows, out.Data)
		pg.observe(rows, out.Data)
		if isFirst && pg.position.probe.kind == "" {
			rows = pg.checkOverlap(rows, out.Data)
		}
		pg.lastDecoded = out.Rows[n-1].RowIndex
		if pg.position.probe.kind == probeHighestCursor {
			pg.cursor.observeHighest(pg.set, out, pg.digest.rows == n)
		}
	}
	mustCheckUnread := pg.mismatch != "" || pg.position.requestsKnownRows()
	if mustCheckUnread && !pg.hasUnreadRow {
		pg.hasUnreadRow = slices.ContainsFunc(rows, func(row wit.Row) bool { return pg.isUnread(&row, out.Data) })
	}
	if pg.position.probe.kind == probeKeyOrder && !pg.hasKnownRow {
		pg.hasKnownRow = slices.ContainsFunc(rows, func(row wit.Row) bool {
			return slices.Contains(pg.repeats.tail.hashes, rowHash(&row, out.Data))
		})
	}
	if mustCheckUnread || pg.position.probe.kind != "" || pg.position.pager.speculative {
		// The host waits for the errors that it requested.
		out.Errors = slices.DeleteFunc(out.Errors, func(rowError wit.RowError) bool {
			return !slices.Contains(out.Skipped, rowError.RowIndex)
		})
		return nil, false
	}
	pg.emittedRows += len(rows)
	return pg.cursor.filterSeen(pg.set, pg.position, out, rows), true
}

// observe runs the checks on decoded rows. It is called for each row of a load, so it must be fast.
func (pg *Page) observe(rows []wit.Row, data []byte) {
	overlap := pg.repeats.countOverlap(rows, data) // rows of the previous page, moved here by inserted rows
	pg.digest.add(rows[:overlap], data)
	newRows := rows[overlap:]
	pg.checkOrder(newRows, data)
	if pg.position.followsEmptyPage() {
		pg.mayAdvanceKey = pg.mayAdvanceKey || slices.ContainsFunc(newRows, func(row wit.Row) bool {
			advances, ok := pg.advancesKey(&row, data)
			return advances || !ok
		})
	}
	if pg.position.probe.kind != "" {
		return
	}
	pg.repeats.rememberLast(rows, data)
	if !pg.position.usesKeyset() {
		pg.repeats.observe(newRows, data, pg.order, pg.position.checks)
	} else if !pg.order.isActive && len(newRows) > 0 && pg.mismatch == "" {
		pg.mismatch = "the service ignores the filter by key, or $orderby: row " + itoa(pg.order.rows-1) +
			" of the page isn't after the one before"
	}
}

func (pg *Page) checkOrder(rows []wit.Row, data []byte) {
	for count := 0; count < len(rows); {
		if count += pg.order.observeAscending(pg.digest, rows[count:], data); count == len(rows) {
			break
		}
		batch := rows[count:]
		var previousKey []string
		if pg.order.rows == 0 && pg.order.isActive {
			batch = batch[:1] // after it, observeAscending can continue
			previousKey = pg.keyBefore(&batch[0], data)
		}
		pg.order.observe(batch, data, previousKey)
		pg.digest.add(batch, data)
		count += len(batch)
	}
}

// keyBefore returns the key after which the page's first row must come, or nil. A page that overlaps may start with
// that key, which is recorded.
func (pg *Page) keyBefore(first *wit.Row, data []byte) []string {
	if pg.position.probe.kind != "" || pg.position.rowsRead == 0 {
		return nil
	}
	last := pg.set.unpackKey(pg.position.checks.key)
	pg.startsWithLast = pg.position.usesKeyset() && pg.position.pager.overlaps &&
		slices.Equal(last, pg.set.sortTexts(keyOf(first, data)))
	if pg.startsWithLast {
		return nil
	}
	return last
}

// advancesKey reports whether a row comes after the last key of ascending rows. ok is false if that is unknown.
func (pg *Page) advancesKey(row *wit.Row, data []byte) (advances, ok bool) {
	checks := pg.position.checks
	last := pg.set.unpackKey(checks.key)
	if last == nil || !checks.ascending() {
		return false, false
	}
	byBytes, folded, ok := pg.set.Keys.CompareTexts(pg.set.sortTexts(keyOf(row, data)), last)
	return (checks.sorted && byBytes > 0) || (checks.folded && folded > 0), ok
}

// isUnread reports whether a row was certainly not read before this page.
func (pg *Page) isUnread(row *wit.Row, data []byte) bool {
	advances, _ := pg.advancesKey(row, data)
	// The last rows of the set may have been read before an imported offset, or skipped.
	checksOrder := pg.position.probe.kind == probeKeyOrder && !pg.position.requestsLastRows()
	isSampled := (checksOrder && !pg.position.capabilities.has(keysWorked)) || !pg.position.usesKeyset()
	return advances || (isSampled && pg.repeats.isUnread(row, data))
}

// checkOverlap returns the rows without the first one if that was read before, as requested. It sets mismatch if the
// service does not apply $skip.
func (pg *Page) checkOverlap(rows []wit.Row, data []byte) []wit.Row {
	pager := pg.position.pager
	isBySkip := pager.kind == skipWorked
	isLast := isBySkip && pg.repeats.tail.endsWith(rowHash(&rows[0], data))
	pg.startsWithLast = pg.startsWithLast || (pager.overlaps && isLast)
	switch {
	case pg.startsWithLast:
		return rows[1:]
	case isBySkip && pager.overlaps:
		pg.mismatch = "its rows have another order when they are requested again"
	case isBySkip && pager.speculative && pg.set.Keys != nil && (isLast || pg.repeats.seenBefore(&rows[0], data)):
		pg.mismatch = "the service ignores $skip"
	}
	return rows
}

const maxErrorHashes = 64 // later undecodable rows are reported again

// observeRowErrors adds the undecodable rows to the digest, stores the hashes of those after the last decoded row, and
// removes errors from out that a previous page has reported.
func (pg *Page) observeRowErrors(out *Rows) {
	if len(out.Rows) > 0 {
		pg.errorHashes = pg.errorHashes[:0]
	}
	if len(out.Errors) == 0 {
		return
	}
	reportedHashes := unpackHashes(pg.position.undecoded.hashes)
	end := uint32(len(reportedHashes))
	if pg.position.pager.overlaps {
		end++
	}
	remaining := out.Errors[:0]
	for i := range out.Errors {
		rowError := &out.Errors[i]
		document := out.Data[rowError.RawStart : rowError.RawStart+rowError.RawSize]
		pg.digest.errorDigest.add(document)
		pg.digest.errorCount++
		hash := hashOf(document).bits48()
		if n := len(out.Rows); (n == 0 || rowError.RowIndex > out.Rows[n-1].RowIndex) &&
			len(pg.errorHashes) < maxErrorHashes {
			pg.errorHashes = append(pg.errorHashes, hash)
		}
		if rowError.RowIndex < end && slices.Contains(reportedHashes, hash) {
			pg.reportedErrors++
			if !slices.Contains(out.Skipped, rowError.RowIndex) { // the host waits for errors that it requested
				continue
			}
		}
		remaining = append(remaining, *rowError)
	}
	out.Errors = remaining
}

func (pg *Page) nothingDecoded() bool {
	return pg.digest.rows == 0 || (pg.digest.rows == 1 && pg.startsWithLast)
}

// overlapRows returns the number of the page's first rows that were read before.
func (pg *Page) overlapRows() int {
	if n := pg.repeats.tail.overlap(); n > 0 || !pg.startsWithLast {
		return n
	}
	return 1
}
