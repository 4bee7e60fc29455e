package paging

import (
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// Page is a response being read. It is reused for the next one.
type Page struct {
	set      *Set
	at       *Position
	order    *orderCheck
	repeats  *repeatCheck
	digest   *pageDigest
	cursor   *cursorCheck
	firstKey []byte
	// lastDecoded is the index of the last decoded row, faultHashes are hashes of the rows after it that failed,
	// knownFaults counts those on the page that were reported before.
	lastDecoded    uint32
	errorHashes    []uint64
	reportedErrors int
	emitted        int
	keyAdvanced    bool
	// mismatch says why the page is not what was requested. Once set, no row of it is emitted.
	mismatch string
}

// NewPage returns an empty page.
func NewPage() *Page {
	return &Page{order: &orderCheck{}, repeats: &repeatCheck{}, digest: &pageDigest{}, cursor: &cursorCheck{}}
}

// Begin prepares the page for a response to the request at a position.
func (pg *Page) Begin(set *Set, at *Position) {
	pg.set, pg.at = set, at
	pg.order.begin(set.Keys, at.checks, at.rowsRead)
	pg.repeats.begin(set, at)
	pg.digest.reset()
	pg.cursor.begin(set.Cursor, at.cursor)
	pg.firstKey = pg.firstKey[:0]
	pg.lastDecoded, pg.errorHashes, pg.reportedErrors, pg.emitted, pg.keyAdvanced, pg.mismatch = 0, pg.errorHashes[:0],
		0, 0,
		false, ""
	if at.question.kind != "" {
		pg.order.bytes, pg.order.folded, pg.order.watching = true, true, set.Keys != nil
	}
}

// End releases the set and the position.
func (pg *Page) End() { pg.set, pg.at = nil, nil }

// Position returns the position of the page.
func (pg *Page) Position() *Position { return pg.at }

// Observe checks rows and returns those to emit. keep is false if the page only answers a question or is not what was
// requested.
func (pg *Page) Observe(out *Rows) (rows []wit.Row, keep bool) {
	rows = out.Rows
	pg.observeRowErrors(out)
	if n := len(rows); n > 0 {
		first := pg.digest.rows == 0
		if first {
			pg.firstKey = append(pg.firstKey, keyOf(&rows[0], out.Data)...)
		}
		again := pg.observe(rows, out.Data)
		if w, skipping := pg.at.pager.(skipPager); skipping && first {
			rows = pg.overlap(w, rows, out.Data, again)
		}
		pg.lastDecoded = out.Rows[n-1].RowIndex
		if pg.at.question.kind == probeHighestCursor {
			pg.cursor.observeHighest(pg.set, out, pg.digest.rows == n)
		}
	}
	if pg.mismatch != "" || pg.at.question.kind != "" {
		return nil, false
	}
	pg.emitted += len(rows)
	return pg.cursor.filterSeen(pg.set, pg.at, out, rows), true
}

// observe runs the checks and returns the number of leading rows that repeat the previous page's end. This is hot.
func (pg *Page) observe(rows []wit.Row, data []byte) (again int) {
	again = pg.repeats.countOverlap(rows, data)
	pg.digest.add(rows[:again], data)
	fresh := rows[again:]
	_, keyed := pg.at.pager.(keysetPager)
	for n := 0; n < len(fresh); {
		if n += pg.order.observeAscending(pg.digest, fresh[n:], data); n == len(fresh) {
			break
		}
		some := fresh[n:]
		if pg.order.rows == 0 && pg.order.watching {
			some = some[:1] // after it, observeAscending can continue
		}
		var before []string
		if pg.order.rows == 0 && pg.order.watching && pg.at.question.kind == "" && pg.at.rowsRead > 0 {
			before = pg.set.unpackKey(pg.at.checks.key)
		}
		pg.order.observe(some, data, before)
		pg.digest.add(some, data)
		n += len(some)
	}
	if keyed && pg.at.question.kind == "" && !pg.order.watching && len(fresh) > 0 && pg.mismatch == "" {
		pg.mismatch = "the service ignores the filter by key, or $orderby: row " + strconv.Itoa(pg.order.rows-1) +
			" of the page isn't after the one before"
	}
	if pg.at.followsEmptyPage() {
		m := pg.at.checks
		for i := range fresh {
			plain, folded, known := pg.set.Keys.CompareTexts(pg.set.sortTexts(keyOf(&fresh[i], data)),
				pg.set.unpackKey(m.key))
			pg.keyAdvanced = pg.keyAdvanced || !known || m.sorted && plain > 0 || m.folded && folded > 0
		}
	}
	if !keyed && pg.at.question.kind == "" {
		pg.repeats.observe(fresh, data, pg.order, pg.at.checks)
		pg.repeats.rememberLast(rows, data)
	}
	return again
}

// overlap checks whether the first rows show that the service applies $skip, and drops the row that was read before.
func (pg *Page) overlap(w skipPager, rows []wit.Row, data []byte, again int) []wit.Row {
	startsWithLast := pg.repeats.tail.endsWith(keyHash(&rows[0], data))
	switch {
	case w.overlaps && !startsWithLast:
		pg.mismatch = "its rows have another order when they are requested again"
	case w.overlaps:
		return rows[1:]
	case w.speculative && (startsWithLast || pg.repeats.seenBefore(&rows[0], data)):
		pg.mismatch = "the service ignores $skip"
	}
	return rows
}

// maxErrorHashes bounds the failed rows that a position remembers: later ones are reported again.
const maxErrorHashes = 64

func (pg *Page) observeRowErrors(out *Rows) {
	if len(out.Rows) > 0 {
		pg.errorHashes = pg.errorHashes[:0]
	}
	if len(out.Errors) == 0 {
		return
	}
	before := unpackHashes(pg.at.undecodedHashes)
	end := uint32(len(before))
	if pg.overlaps() {
		end++
	}
	fresh := out.Errors[:0]
	for i := range out.Errors {
		rowError := &out.Errors[i]
		document := out.Data[rowError.RawStart : rowError.RawStart+rowError.RawSize]
		pg.digest.errorDigest.add(document)
		pg.digest.errorCount++
		mark := hashOf(document).bits48()
		if n := len(out.Rows); (n == 0 || rowError.RowIndex > out.Rows[n-1].RowIndex) &&
			len(pg.errorHashes) < maxErrorHashes {
			pg.errorHashes = append(pg.errorHashes, mark)
		}
		if rowError.RowIndex < end && slices.Contains(before, mark) {
			// the host waits for the faults of these
			if pg.reportedErrors++; !slices.Contains(out.Skipped, rowError.RowIndex) {
				continue
			}
		}
		fresh = append(fresh, *rowError)
	}
	out.Errors = fresh
}

func (pg *Page) overlaps() bool {
	w, _ := pg.at.pager.(skipPager)
	return w.overlaps
}

func (pg *Page) nothingDecoded() bool {
	return pg.digest.rows == 0 || pg.digest.rows == 1 && pg.overlaps()
}

func (pg *Page) overlapRows() int {
	if n := pg.repeats.tail.overlap(); n > 0 || !pg.overlaps() || pg.digest.rows == 0 {
		return n
	}
	return 1
}
