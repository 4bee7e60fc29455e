package load

import (
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// Page is an answer that is being read: its rows are shown to it piece by piece, and at the end it says where to go on.
// It is used again for the next one.
type Page struct {
	set *Set
	at  *Position
	// The auditors, and what is known of rows of loads before.
	order   *order
	repeats *repeats
	content *content
	cursor  *cursorPage
	// first is the key of the first row.
	first []byte
	// lastAt is the number of the last row that could be read; faulty are the marks of the rows after it that could
	// not, known is how many of those on the page came before.
	lastAt uint32
	faulty []uint64
	known  int
	// handed is the number of rows that were handed on. above: behind an empty page a row came after the last key.
	handed int
	above  bool
	// verdict is why the page is not what was asked for; from then on no row of it is handed on.
	verdict string
}

// NewPage makes a page that nothing was shown to yet.
func NewPage() *Page {
	return &Page{order: &order{}, repeats: &repeats{}, content: &content{}, cursor: &cursorPage{}}
}

// Begin readies it for the rows of an answer at a position.
func (pg *Page) Begin(s *Set, at *Position) {
	pg.set, pg.at = s, at
	pg.order.begin(s.Keys, at.memory, at.seen)
	pg.repeats.begin(s, at)
	pg.content.reset()
	pg.cursor.begin(s.Cursor, at.cursor)
	pg.first = pg.first[:0]
	pg.lastAt, pg.faulty, pg.known, pg.handed, pg.above, pg.verdict = 0, pg.faulty[:0], 0, 0, false, ""
	if at.ask.kind != "" {
		pg.order.bytes, pg.order.folds, pg.order.watching = true, true, s.Keys != nil
	}
}

// End lets go of what the page was about; its memory waits for the next one.
func (pg *Page) End() { pg.set, pg.at = nil, nil }

// Position is where the page stands.
func (pg *Page) Position() *Position { return pg.at }

// Look takes note of rows, and returns those of them to hand on; keep is false where the page is only asked a question,
// or found not to be what was asked for, and nothing that came with the rows counts.
func (pg *Page) Look(out *Rows) (rows []wit.Row, keep bool) {
	rows = out.Rows
	pg.lookAtFaults(out)
	if n := len(rows); n > 0 {
		first := pg.content.rows == 0
		if first {
			pg.first = append(pg.first, keyOf(&rows[0], out.Data)...)
		}
		again := pg.observe(rows, out.Data)
		if w, skipping := pg.at.walk.(bySkip); skipping && first {
			rows = pg.overlap(w, rows, out.Data, again)
		}
		pg.lastAt = out.Rows[n-1].RowIndex
		if pg.at.ask.kind == askHighest {
			pg.cursor.highest(pg.set, out, pg.content.rows == n)
		}
	}
	if pg.verdict != "" || pg.at.ask.kind != "" {
		return nil, false
	}
	pg.handed += len(rows)
	return pg.cursor.recognise(pg.set, pg.at, out, rows), true
}

// observe shows rows to the auditors. It returns how many of them, at the start, are the last ones of the page before.
// Each row of a load comes by here.
func (pg *Page) observe(rows []wit.Row, data []byte) (again int) {
	again = pg.repeats.leading(rows, data)
	pg.content.add(rows[:again], data)
	fresh := rows[again:]
	_, keyed := pg.at.walk.(byKey)
	for n := 0; n < len(fresh); {
		if n += pg.order.ascend(pg.content, fresh[n:], data); n == len(fresh) {
			break
		}
		some := fresh[n:]
		if pg.order.rows == 0 && pg.order.watching {
			some = some[:1] // the first one, after which most are as ascend takes them
		}
		var before []string
		if pg.order.rows == 0 && pg.order.watching && pg.at.ask.kind == "" && pg.at.seen > 0 {
			before = pg.set.unpack(pg.at.memory.key)
		}
		pg.order.observe(some, data, before)
		pg.content.add(some, data)
		n += len(some)
	}
	if keyed && pg.at.ask.kind == "" && !pg.order.watching && len(fresh) > 0 && pg.verdict == "" {
		pg.verdict = "the service ignores the filter by key, or $orderby: row " + strconv.Itoa(pg.order.rows-1) +
			" of the page isn't after the one before"
	}
	if pg.at.isBehindEmpty() {
		m := pg.at.memory
		for i := range fresh {
			plain, folded, known := pg.set.Keys.CompareTexts(pg.set.texts(keyOf(&fresh[i], data)), pg.set.unpack(m.key))
			pg.above = pg.above || !known || m.sorted && plain > 0 || m.folded && folded > 0
		}
	}
	if !keyed && pg.at.ask.kind == "" {
		pg.repeats.observe(fresh, data, pg.order, pg.at.memory)
		pg.repeats.recall(rows, data)
	}
	return again
}

// overlap looks at the first rows of a page that was asked for by number: whether they show that $skip is heeded. Where
// the page begins with the last row that came, that is left out.
func (pg *Page) overlap(w bySkip, rows []wit.Row, data []byte, again int) []wit.Row {
	leads := pg.repeats.tail.endsWith(markOf(&rows[0], data))
	switch {
	case w.overlaps && !leads:
		pg.verdict = "its rows come in another order when they are asked for again"
	case w.overlaps:
		return rows[1:]
	case w.unannounced && (leads || pg.repeats.cameBefore(&rows[0], data)):
		pg.verdict = "the service ignores $skip"
	}
	return rows
}

// maxFaults is how many rows a position knows again that could not be read: rows after these become dead letters a
// second time.
const maxFaults = 64

// lookAtFaults takes note of rows that could not be read, and leaves out those that came before.
func (pg *Page) lookAtFaults(out *Rows) {
	if len(out.Rows) > 0 {
		pg.faulty = pg.faulty[:0]
	}
	if len(out.Faults) == 0 {
		return
	}
	before := unpackMarks(pg.at.faults)
	end := uint32(len(before)) // where the last of them comes again, if none came in between
	if pg.overlaps() {
		end++
	}
	fresh := out.Faults[:0]
	for i := range out.Faults {
		f := &out.Faults[i]
		document := out.Data[f.RawStart : f.RawStart+f.RawSize]
		pg.content.faults.add(document)
		pg.content.faulty++
		mark := hashOf(document).mark()
		if n := len(out.Rows); (n == 0 || f.RowIndex > out.Rows[n-1].RowIndex) && len(pg.faulty) < maxFaults {
			pg.faulty = append(pg.faulty, mark)
		}
		if f.RowIndex < end && slices.Contains(before, mark) {
			if pg.known++; !slices.Contains(out.LeftOut, f.RowIndex) { // the host waits for the fault of such a row
				continue
			}
		}
		fresh = append(fresh, *f)
	}
	out.Faults = fresh
}

// overlaps reports whether the page begins with the last row that came.
func (pg *Page) overlaps() bool {
	w, _ := pg.at.walk.(bySkip)
	return w.overlaps
}

// unread reports whether none of the page's rows could be read, but for the one that came before.
func (pg *Page) unread() bool {
	return pg.content.rows == 0 || pg.content.rows == 1 && pg.overlaps()
}

// repeated is how many of the page's rows are those of the page before.
func (pg *Page) repeated() int {
	if n := pg.repeats.tail.repeated(); n > 0 || !pg.overlaps() || pg.content.rows == 0 {
		return n
	}
	return 1
}
