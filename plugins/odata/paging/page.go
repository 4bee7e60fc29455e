package paging

import (
	"cmp"
	"slices"
	"strings"

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
	emittedRows    int      // rows emitted, or dropped because the previous load by cursor delivered them
	startsWithLast bool     // whether the first row is the last one read, as requested
	// mayAdvanceKey means that a row after an empty page comes after the last key, or cannot be compared with it.
	mayAdvanceKey bool
	// startsWithNewErrors means that the page starts with undecodable rows, not all of which were reported earlier.
	startsWithNewErrors bool
	unreadCheck
	hasWitness  bool       // the page has the witness, see [previousAttempts]
	filterError *wit.Error // a row contradicts a condition that may be ignored, so no row is emitted
	// mismatch is the reason why the page is not the one requested. If set, no row is emitted.
	mismatch string
}

// unreadCheck has the results of [Page.checkUnread], which compares rows that are not emitted with the rows read.
type unreadCheck struct {
	hasKnownRow     bool   // a row is one of the last rows read
	hasLastRow      bool   // a row is the last row read
	tailIndex       int    // the lowest index, in the last rows read, of the rows found so far
	advancesLastKey bool   // a row is after the last key
	hasUnreadRow    bool   // a row was certainly not read
	unreadKey       string // the packed key of the first such row, empty if keys are not sortable
	unreadHash      uint64 // the hash of that row
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
	if position.probe.kind != "" { // its rows are compared with each other only
		pg.order.sorted = true
		pg.order.folded = true
		pg.order.isActive = set.Keys.isSortable()
		pg.order.mustDescend = position.probe.kind == probeBefore || position.probe.kind == probeLastRows
	}
	pg.tailIndex = len(pg.repeats.tail.hashes)
	if position.probe.kind == probeBefore {
		pg.tailIndex-- // the last key is excluded
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
// if the page answers a probe, contradicts a condition, or is not the one requested.
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
		pg.checkRows(rows, out.Data)
		if isFirst && pg.position.probe.kind == "" {
			rows = pg.checkOverlap(rows, out.Data)
		}
		pg.lastDecoded = out.Rows[n-1].RowIndex
		if pg.position.probe.kind == probeHighestCursor {
			pg.observeHighest(out, isFirst)
		}
	}
	if witness := unpackHashes(pg.position.previous.witnessHash); len(witness) > 0 && !pg.hasWitness {
		pg.hasWitness = slices.ContainsFunc(rows, func(row wit.Row) bool {
			return rowHash(&row, out.Data) == witness[0]
		})
	}
	mustCheckUnread := pg.mismatch != "" || slices.Contains(readRowProbes, pg.position.probe.kind)
	if mustCheckUnread {
		for i := range rows {
			pg.checkUnread(&rows[i], out.Data)
		}
	}
	emittedRows := len(rows)
	isEmitted := !mustCheckUnread && pg.position.probe.kind == ""
	if isEmitted && pg.set.Cursor != nil {
		rows = pg.filterSeen(out, rows)
	}
	if !isEmitted || pg.filterError != nil {
		// The host waits for the errors that it requested.
		out.Errors = slices.DeleteFunc(out.Errors, func(rowError wit.RowError) bool {
			return !slices.Contains(out.Skipped, rowError.RowIndex)
		})
		return nil, false
	}
	pg.emittedRows += emittedRows
	return rows, true
}

// observeHighest records the highest value of the cursor property. Services that sort null first return no value; then
// the highest value of the first page is used, since many services cannot filter null.
func (pg *Page) observeHighest(out *Rows, isFirst bool) {
	for i := range out.Rows {
		cursorValue, ok := out.Cursor(i)
		pg.cursor.nullIsHighest = pg.cursor.nullIsHighest || (!ok && i == 0 && isFirst)
		if ok && (pg.cursor.high == "" || pg.set.Cursor.isAtLeast(cursorValue, pg.cursor.high)) {
			pg.cursor.high = cursorValue
		}
	}
}

// IsUnchecked reports whether rows need not meet the condition of a setting: the service is known to apply it, or the
// page answers a probe.
func (pg *Page) IsUnchecked(setting string) bool {
	return pg.position.probe.kind != "" || strings.Contains(","+pg.position.known.appliedConditions, ","+setting+",")
}

// Contradict records the error about the first row that contradicts the condition of a setting.
func (pg *Page) Contradict(failure *wit.Error) { pg.filterError = cmp.Or(pg.filterError, failure) }

// checkRows runs the checks on decoded rows. It is called for each row of a load, so it must be fast.
func (pg *Page) checkRows(rows []wit.Row, data []byte) {
	overlap := 0 // rows of the previous page, moved here by inserted rows
	for tail := &pg.repeats.tail; overlap < len(rows) && tail.isMatching; {
		tail.match(rowHash(&rows[overlap], data))
		if tail.isMatching || tail.isComplete {
			overlap++
		}
	}
	pg.digest.add(rows[:overlap], data)
	newRows := rows[overlap:]
	// The page's first row must come after the last key. A page that overlaps may start with that key.
	var previousKey []byte
	isFirst := len(newRows) > 0 && pg.order.rows == 0 && pg.order.isActive
	if isFirst && pg.position.probe.kind == "" && pg.position.rowsRead > 0 {
		last := pg.set.Keys.unpack(pg.position.checks.key)
		pg.startsWithLast = pg.position.usesKeyset() && pg.position.pager.overlaps &&
			pg.set.equalKeys(last, keyOf(&newRows[0], data))
		if !pg.startsWithLast {
			previousKey = last
		}
	}
	pg.order.observe(newRows, data, previousKey)
	pg.digest.add(newRows, data)
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

// advancesKey reports whether a row comes after the last key of ascending rows. ok is false if that is unknown.
func (pg *Page) advancesKey(row *wit.Row, data []byte) (advances, ok bool) {
	checks := pg.position.checks
	last := pg.set.Keys.unpack(checks.key)
	if last == nil || !checks.ascending() {
		return false, false
	}
	byBytes, folded, ok := pg.set.Keys.compare(keyOf(row, data), last)
	return (checks.sorted && byBytes > 0) || (checks.folded && folded > 0), ok
}

// checkUnread finds out whether a row was certainly not read before this page. Rows that descend from the last
// key must be the last rows read: any other row among them is unread.
func (pg *Page) checkUnread(row *wit.Row, data []byte) {
	position := pg.position
	tail := pg.repeats.tail.hashes
	h := rowHash(row, data)
	index := len(tail) - 1
	for index >= 0 && tail[index] != h {
		index--
	}
	isGap := pg.order.mustDescend && pg.tailIndex > 0 && pg.order.ascends() && !position.seen.shifted
	advances, _ := pg.advancesKey(row, data)
	switch {
	case advances:
		pg.advancesLastKey = true
	case index >= 0:
		pg.hasKnownRow = true
		pg.hasLastRow = pg.hasLastRow || index == len(tail)-1
		pg.tailIndex = min(pg.tailIndex, index)
		return
	case len(tail) >= position.rowsSeen(), isGap: // all rows down to this one are among the last rows
	case position.seen.used[byKey] || !pg.repeats.isUnread(row, data): // rows read by key are not sampled
		return
	}
	if !pg.hasUnreadRow {
		pg.hasUnreadRow = true
		pg.unreadHash = h
		if key := pg.set.sortedKey(keyOf(row, data)); key != nil {
			pg.unreadKey = pg.set.Keys.pack(key)
		}
	}
}

// checkOverlap returns the rows without the first one if that was read before, as requested. It sets mismatch if the
// service does not apply $skip.
func (pg *Page) checkOverlap(rows []wit.Row, data []byte) []wit.Row {
	requested := pg.position.pager
	isBySkip := requested.kind == bySkip
	isLast := isBySkip && pg.repeats.tail.endsWith(rowHash(&rows[0], data))
	pg.startsWithLast = pg.startsWithLast || (requested.overlaps && isLast)
	switch {
	case pg.startsWithLast:
		return rows[1:]
	case isBySkip && requested.overlaps:
		pg.mismatch = "its rows have another order when they are requested again"
	case isBySkip && pg.position.totalCount < 0 && pg.set.Keys != nil &&
		(isLast || pg.repeats.seenBefore(&rows[0], data)):
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
	end := uint32(len(reportedHashes)) // reported rows come first, or follow a last decoded row
	if pg.position.pager.overlaps {
		end++
	}
	remaining := out.Errors[:0]
	for i := range out.Errors {
		rowError := &out.Errors[i]
		document := out.Data[rowError.RawStart : rowError.RawStart+rowError.RawSize]
		pg.digest.errorDigest.add(document)
		pg.digest.errorCount++
		h := hashOf(document).bits48()
		if n := len(out.Rows); (n == 0 || rowError.RowIndex > out.Rows[n-1].RowIndex) &&
			len(pg.errorHashes) < maxErrorHashes {
			pg.errorHashes = append(pg.errorHashes, h)
		}
		if rowError.RowIndex < end && slices.Contains(reportedHashes, h) {
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
