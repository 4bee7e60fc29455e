package load

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// cursorPage is what a page knows of the rows of loads before, and of its own.
type cursorPage struct {
	known map[string]bool
	high  string
	marks []knownRow
	// unasked is a row's value below what the load asked for.
	unasked string
	// nulls: the row with the highest value, as the service has it, has none.
	nulls bool
}

// begin readies it for a page.
func (p *cursorPage) begin(c *Cursor, at *cursorPosition) {
	*p = cursorPage{}
	if c == nil {
		return
	}
	known := unpackRows(at.known)
	*p = cursorPage{known: make(map[string]bool, len(known)), high: at.high, marks: unpackRows(at.fresh)}
	for _, m := range known {
		p.known[m.hash] = true
	}
}

// highest takes note of the values of rows that came in answer to askHighest. Whatever rows a service brings, none has
// a value above the highest one. Services that put null first give none, and the highest value of the first page takes
// its place; asking for rows that are not null is no way out, since many services do not know the literal.
func (p *cursorPage) highest(s *Set, out *Rows, first bool) {
	for i := range out.Rows {
		text, ok := out.Cursor(i)
		p.nulls = p.nulls || !ok && i == 0 && first
		if ok && (p.high == "" || s.Cursor.atLeast(text, p.high)) {
			p.high = text
		}
	}
}

// base is the value from which the next load asks for rows, but for the look-back. A row that came on an earlier page
// may have changed since, while a higher value came on a later one: so it is the highest value of when the load began,
// which is at least that of its first page; "" where neither is known.
func (p *cursorPage) base(at *Position) string {
	if at.seen > 0 && (at.cursor.base != "" || at.cursor.lowless) {
		return at.cursor.base
	}
	return p.high
}

// recognise takes note of rows' cursors and leaves out rows that came in a load before. rows are the last ones of out.
func (p *cursorPage) recognise(s *Set, at *Position, out *Rows, rows []wit.Row) []wit.Row {
	c := s.Cursor
	if c == nil {
		return rows
	}
	first := len(out.Rows) - len(rows)
	kept := rows[:0:0]
	for i := range rows {
		text, ok := out.Cursor(first + i)
		if !ok {
			kept = append(kept, rows[i])
			continue
		}
		if c.below(text, at.cursor.from) {
			p.unasked = text
			return nil
		}
		if p.high == "" || c.atLeast(text, p.high) {
			p.high = text
		}
		h := noHash
		for _, d := range []wit.ValueSlice{rows[i].Key, rows[i].Value} {
			h.add(out.Data[d.Start : d.Start+d.Size])
		}
		hash := base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(h)))
		if base := p.base(at); base != "" && c.atLeast(text, c.Lower(base)) {
			if p.marks = append(p.marks, knownRow{text, hash}); len(p.marks) > 4*maxKnown/markBytes {
				p.prune(c, at)
			}
		}
		if !p.known[hash] {
			kept = append(kept, rows[i])
		}
	}
	return kept
}

// ignored is the fault of a service that takes the cursor's condition and ignores it: each load would bring all rows.
func (p *cursorPage) ignored(s *Set, at *Position) error {
	setting := s.Setting("cursor.property")
	return &wit.Error{Kind: wit.ErrorData, Setting: &setting, Message: s.What() + ": a row came whose " +
		s.Cursor.Name + " is " + p.unasked + ", and rows from " + at.cursor.from +
		" on were asked for: the service takes $filter and does not heed it, or its next links don't"}
}

// markBytes is about what a mark takes.
const markBytes = 32

// prune forgets rows that the next load does not ask for, and where they are too many those with the least values.
func (p *cursorPage) prune(c *Cursor, at *Position) {
	least := c.Lower(p.base(at))
	p.marks = slices.DeleteFunc(p.marks, func(m knownRow) bool { return !c.atLeast(m.value, least) })
	if full(p.marks) {
		p.keep(c, maxKnown)
	}
}

// keep retains the marks of the rows with the highest values: as many as fit into most bytes, and one more.
func (p *cursorPage) keep(c *Cursor, most int) {
	slices.SortStableFunc(p.marks, func(a, b knownRow) int {
		order, _ := c.Compare(b.value, a.value)
		return order
	})
	kept := 0
	for size := 0; kept < len(p.marks) && size <= most; kept++ {
		size += p.marks[kept].size()
	}
	p.marks = p.marks[:kept]
}

// spareBytes is what an offset needs besides, one mark of a row too many included.
const spareBytes = 1 << 10

// full reports whether marks take more than is kept of them, as also those do that prune cut, by one mark. Those that
// end cut further, since the offset has no room for more, may not.
func full(marks []knownRow) bool {
	size := 0
	for _, m := range marks {
		size += m.size()
	}
	return size > maxKnown
}

// end puts what the page at a position knows of the cursor into the one after it.
func (p *cursorPage) end(s *Set, at, next *Position) (warnings []string) {
	c := s.Cursor
	if c == nil || next.reload > at.reload { // the load begins again
		return nil
	}
	if p.nulls {
		warnings = append(warnings, "the service gives a row without "+c.Name+" for the one with the highest value: "+
			"the next load begins at the highest value of this one's first page, or reads all rows where that has none")
	}
	isDone := next.facts.has(done)
	if at.ask.kind != "" && !isDone { // no row of it was handed on
		cursor := *at.cursor
		cursor.high, next.cursor = p.high, &cursor
		return warnings
	}
	if p.high != "" {
		p.prune(c, at)
	}
	cursor := cursorPosition{from: at.cursor.from, high: p.high, base: p.base(at), known: at.cursor.known,
		fresh: packRows(p.marks), lowless: at.cursor.lowless, cut: at.cursor.cut}
	if next.cursor = &cursor; next.seen > 0 && cursor.base == "" {
		cursor.lowless = true
	}
	if over := wit.OffsetBytes(next.Fields()) + spareBytes - wit.MaxOffsetBytes; over > 0 {
		p.keep(c, len(cursor.fresh)-over)
		cursor.fresh, cursor.cut = packRows(p.marks), true
	}
	if (cursor.cut || isDone && full(p.marks)) && !at.cursor.cut && !full(unpackRows(at.cursor.known)) {
		warnings = append(warnings, "more rows are within the look-back of the cursor than the "+
			strconv.Itoa(len(p.marks))+" that can be remembered; others may come again with each load: "+
			s.Setting("cursor.lookback")+" bounds them")
	}
	if !isDone {
		return warnings
	}
	cursor.from = ""
	if cursor.known, cursor.fresh = cursor.fresh, ""; cursor.known == "" {
		cursor.known = at.cursor.known // nothing came
	}
	return warnings
}
