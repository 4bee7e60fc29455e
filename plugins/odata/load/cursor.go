package load

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// Cursor is a property that grows with each change of a row. The first load of a set reads all its rows, each later one
// those whose property is at least the highest value seen, less a look-back. Rows that came before and are the same are
// recognised and left out.
type Cursor struct {
	// Name of the property. Sortable: the service sorts by it.
	Name     string
	Sortable bool
	// Compare orders two of its values, false where they can't be compared.
	Compare func(a, b string) (order int, ok bool)
	// Lower is a value less the look-back, Condition the one for rows whose value is at least the given one.
	Lower     func(text string) string
	Condition func(from string) string
	// Loose: values of rows may be below what the service compares, so that none shows that it ignores the condition.
	Loose bool
}

// cursorPosition is the part of a position that is about the cursor.
type cursorPosition struct {
	// from is the least value that the load asks for, "" for all rows. high is the highest one that came. base is the
	// highest one that there was when the load began, as far as is known: what changed since then has no lower one.
	from, high, base string
	// lowless: that is not known, and rows have been read: the next load asks for all rows.
	lowless bool
	// known are the rows that loads before ended with, fresh those of this load that the next one meets again.
	known, fresh string
}

// maxKnown bounds what a position remembers of rows, in bytes of known and of fresh: an offset has 64 KiB.
const maxKnown = 24 << 10

// mark is a row as a later load recognises it.
type mark struct{ value, hash string }

func packRows(marks []mark) string {
	texts := make([]string, len(marks))
	for i, m := range marks {
		texts[i] = string(uri.AppendEscaped(nil, m.value)) + " " + m.hash
	}
	return strings.Join(texts, ",")
}

func unpackRows(s string) []mark {
	var marks []mark
	for text := range strings.SplitSeq(s, ",") {
		if value, hash, ok := strings.Cut(text, " "); ok {
			marks = append(marks, mark{uri.Unescape(value), hash})
		}
	}
	return marks
}

// atLeast reports whether a value is not below another.
func (c *Cursor) atLeast(a, b string) bool {
	order, ok := c.Compare(a, b)
	return ok && order >= 0
}

// below reports whether a value is one that a load from another on did not ask for.
func (c *Cursor) below(text, from string) bool {
	if from == "" || c.Loose {
		return false
	}
	order, ok := c.Compare(text, from)
	return ok && order < 0
}

// above is the condition on the rows of a load, "" for all.
func (c *Cursor) above(at *Position) string {
	if c == nil || at.cursor.from == "" {
		return ""
	}
	return c.Condition(at.cursor.from)
}

// following is where the load after a complete one begins.
func (c *Cursor) following(done *cursorPosition) *cursorPosition {
	if done.high == "" {
		return &cursorPosition{}
	}
	next := &cursorPosition{high: done.high, known: done.known}
	if !done.lowless {
		next.from = c.Lower(cmp.Or(done.base, done.high)) // other versions stored no base
	}
	return next
}

// cursorPage is what a page knows of the rows of loads before, and of its own.
type cursorPage struct {
	known map[string]bool
	high  string
	marks []mark
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
		for _, d := range []wit.Datum{rows[i].Key, rows[i].Value} {
			h.add(out.Data[d.Start : d.Start+d.Size])
		}
		hash := base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(h)))
		if base := p.base(at); base != "" && c.atLeast(text, c.Lower(base)) {
			if p.marks = append(p.marks, mark{text, hash}); len(p.marks) > 4*maxKnown/markBytes {
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
	return &wit.Fault{Kind: wit.FaultData, Setting: &setting, Message: s.What() + ": a row came whose " +
		s.Cursor.Name + " is " + p.unasked + ", and rows from " + at.cursor.from +
		" on were asked for: the service takes $filter and does not heed it, or its next links don't"}
}

// markBytes is about what a mark takes.
const markBytes = 32

// prune forgets rows that the next load does not ask for, and where they are too many those with the least values.
func (p *cursorPage) prune(c *Cursor, at *Position) {
	least := c.Lower(p.base(at))
	p.marks = slices.DeleteFunc(p.marks, func(m mark) bool { return !c.atLeast(m.value, least) })
	if !full(p.marks) {
		return
	}
	slices.SortStableFunc(p.marks, func(a, b mark) int {
		order, _ := c.Compare(b.value, a.value)
		return order
	})
	kept := 0
	for size := 0; kept < len(p.marks) && size <= maxKnown; kept++ {
		size += p.marks[kept].size()
	}
	p.marks = p.marks[:kept]
}

func (m mark) size() int { return len(m.value) + len(m.hash) + 2 }

// full reports whether marks take more than is kept of them. Those that were pruned still do: rows that are left out
// have the least values, and are within the look-back for as long as all others are.
func full(marks []mark) bool {
	size := 0
	for _, m := range marks {
		size += m.size()
	}
	return size > maxKnown
}

// end puts what the page knows of the cursor into the position after it.
func (p *cursorPage) end(t *turn) {
	c, at, next := t.set.Cursor, t.at, t.next
	if c == nil || next.reload > at.reload { // the load begins again
		return
	}
	if p.nulls {
		t.warn("the service gives a row without " + c.Name + " for the one with the highest value: the next load " +
			"begins at the highest value of this one's first page, or reads all rows where that has none")
	}
	isDone := next.facts.has(done)
	if at.ask.kind != "" && !isDone { // no row of it was handed on
		cursor := *at.cursor
		cursor.high, next.cursor = p.high, &cursor
		return
	}
	if p.high != "" {
		p.prune(c, at)
	}
	cursor := cursorPosition{from: at.cursor.from, high: p.high, base: p.base(at), known: at.cursor.known,
		fresh: packRows(p.marks), lowless: at.cursor.lowless}
	if next.cursor = &cursor; next.seen > 0 && cursor.base == "" {
		cursor.lowless = true
	}
	if !isDone {
		return
	}
	if full(p.marks) && !full(unpackRows(at.cursor.known)) {
		t.warn("more rows are within the look-back of the cursor than the " + number(len(p.marks)) +
			" that can be remembered; others may come again with each load: " + t.set.Setting("cursor.lookback") +
			" bounds them")
	}
	cursor.from = ""
	if cursor.known, cursor.fresh = cursor.fresh, ""; cursor.known == "" {
		cursor.known = at.cursor.known // nothing came
	}
}
