package paging

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Cursor is a property that grows with each change of a row. The first load of a set reads all its rows, each later one
// those whose property is at least the highest value seen, less a look-back. Rows that came before and are the same are
// recognised and left out.
type Cursor struct {
	Property *edm.Property
	// Lookback is in seconds for dates and times, else in the numbers' own unit.
	Lookback int64
	// Loose: what Of reads may be below what the service compares.
	Loose bool
	// Of reads the property of a row of an output, as Atom writes it; false: it is null.
	Of func(out *decode.Output, row int) (text string, ok bool)
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

// maxMarks bounds what a position remembers of rows, in bytes of known and of fresh: an offset has 64 KiB.
const maxMarks = 24 << 10

// mark is a row as a later load recognises it.
type mark struct{ value, hash string }

func packMarks(marks []mark) string {
	texts := make([]string, len(marks))
	for i, m := range marks {
		texts[i] = string(uri.AppendEscaped(nil, m.value)) + " " + m.hash
	}
	return strings.Join(texts, ",")
}

func unpackMarks(s string) []mark {
	var marks []mark
	for text := range strings.SplitSeq(s, ",") {
		if value, hash, ok := strings.Cut(text, " "); ok {
			marks = append(marks, mark{uri.Unescape(value), hash})
		}
	}
	return marks
}

// lower is a value less the look-back.
func (c *Cursor) lower(text string) string {
	if c.Lookback == 0 {
		return text
	}
	switch t := c.Property.Type.Primitive; t {
	case edm.DateTime, edm.DateTimeOffset:
		at, err := time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(text, "Z"))
		if err != nil {
			return text
		}
		at = at.Add(-time.Duration(c.Lookback) * time.Second)
		if at.Year() < 1 {
			return "0001-01-01T00:00:00" + zone(t)
		}
		return at.Format("2006-01-02T15:04:05.999") + zone(t)
	case edm.Decimal:
		n, ok := new(big.Rat).SetString(text)
		if !ok {
			return text
		}
		_, fraction, _ := strings.Cut(text, ".")
		return n.Sub(n, new(big.Rat).SetInt64(c.Lookback)).FloatString(len(fraction))
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n-c.Lookback > n {
			return text
		}
		return strconv.FormatInt(n-c.Lookback, 10)
	}
}

func zone(t edm.Primitive) string {
	if t == edm.DateTimeOffset {
		return "Z"
	}
	return ""
}

// atLeast tells whether a value is not below another.
func (c *Cursor) atLeast(a, b string) bool {
	order, ok := value.Compare(c.Property.Type.Primitive, a, b)
	return ok && order >= 0
}

// noteHighest takes note of the values of rows that came in answer to checkHigh. Whatever rows a service brings, none
// has a value above the highest one. Services that put null first give none, and the highest value of the first page
// takes its place; asking for rows that are not null is no way out, since many services do not know the literal.
func (pg *Page) noteHighest() {
	for i := range pg.Out.Rows {
		text, ok := pg.Cursor.Of(&pg.Out, i)
		if !ok && i == 0 && pg.content.rows == len(pg.Out.Rows) {
			sdk.Log(wit.LevelWarn, pg.What()+": the service gives a row without "+pg.Cursor.Property.Name+
				" for the one with the highest value: the next load begins at the highest value of this one's first "+
				"page, or reads all rows where that has none")
		}
		if ok && (pg.cursor.high == "" || pg.Cursor.atLeast(text, pg.cursor.high)) {
			pg.cursor.high = text
		}
	}
}

// base is the value from which the next load asks for rows, but for the look-back. A row that came on an earlier page
// may have changed since, while a higher value came on a later one: so it is the highest value of when the load began,
// which is at least that of its first page; "" where neither is known.
func (pg *Page) base() string {
	if at := &pg.At; at.seen > 0 && (at.cursor.base != "" || at.cursor.lowless) {
		return at.cursor.base
	}
	return pg.cursor.high
}

// below tells whether a value is one that a load from another on did not ask for. Databases compare texts as they like.
func (c *Cursor) below(text, from string) bool {
	t := c.Property.Type.Primitive
	if from == "" || c.Loose || t == edm.String {
		return false
	}
	order, ok := value.Compare(t, text, from)
	return ok && order < 0
}

// above is the condition on the rows of a load, "" for all.
func (c *Cursor) above(at *Position) string {
	if c == nil || at.cursor.from == "" {
		return ""
	}
	return c.Property.Name + " ge " + string(uri.AppendLiteral(nil, uri.Literal{Type: c.Property.Type.Primitive,
		Text: at.cursor.from}))
}

// cursorPage is what a page knows of the rows of loads before, and of its own.
type cursorPage struct {
	known map[string]bool
	high  string
	marks []mark
	// unasked is a row's value below what the load asked for.
	unasked string
}

// beginCursor readies the page.
func (pg *Page) beginCursor() {
	pg.cursor = cursorPage{}
	if pg.Cursor == nil {
		return
	}
	known := unpackMarks(pg.At.cursor.known)
	pg.cursor = cursorPage{known: make(map[string]bool, len(known)), high: pg.At.cursor.high,
		marks: unpackMarks(pg.At.cursor.fresh)}
	for _, m := range known {
		pg.cursor.known[m.hash] = true
	}
}

// recognise takes note of rows' cursors and leaves out rows that came in a load before. Origins stay as they are.
func (pg *Page) recognise(rows []wit.Row) []wit.Row {
	c := pg.Cursor
	if c == nil {
		return rows
	}
	first := len(pg.Out.Rows) - len(rows)
	kept := rows[:0:0]
	for i := range rows {
		text, ok := c.Of(&pg.Out, first+i)
		if !ok {
			kept = append(kept, rows[i])
			continue
		}
		if c.below(text, pg.At.cursor.from) {
			pg.cursor.unasked = text
			return nil
		}
		if pg.cursor.high == "" || c.atLeast(text, pg.cursor.high) {
			pg.cursor.high = text
		}
		h := noHash
		for _, d := range []wit.Datum{rows[i].Key, rows[i].Value} {
			h.add(pg.Out.Data[d.Start : d.Start+d.Size])
		}
		hash := base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(h)))
		if base := pg.base(); base != "" && c.atLeast(text, c.lower(base)) {
			pg.cursor.marks = append(pg.cursor.marks, mark{text, hash})
			if len(pg.cursor.marks) > 4*maxMarks/markBytes {
				pg.prune()
			}
		}
		if !pg.cursor.known[hash] {
			kept = append(kept, rows[i])
		}
	}
	return kept
}

// markBytes is about what a mark takes.
const markBytes = 32

// prune forgets rows that the next load does not ask for, and where they are too many those with the least values.
func (pg *Page) prune() {
	c, at := pg.Cursor, &pg.cursor
	least := c.lower(pg.base())
	at.marks = slices.DeleteFunc(at.marks, func(m mark) bool { return !c.atLeast(m.value, least) })
	if !full(at.marks) {
		return
	}
	slices.SortStableFunc(at.marks, func(a, b mark) int {
		order, _ := value.Compare(c.Property.Type.Primitive, b.value, a.value)
		return order
	})
	kept := 0
	for size := 0; kept < len(at.marks) && size <= maxMarks; kept++ {
		size += at.marks[kept].size()
	}
	at.marks = at.marks[:kept]
}

func (m mark) size() int { return len(m.value) + len(m.hash) + 2 }

// full tells whether marks take more than is kept of them. Those that were pruned still do: rows that are left out have
// the least values, and are within the look-back for as long as all others are.
func full(marks []mark) bool {
	size := 0
	for _, m := range marks {
		size += m.size()
	}
	return size > maxMarks
}

// forgets warns at the end of a load that the next one may bring rows again which can't be remembered. A load after one
// of which that was said says nothing.
func (pg *Page) forgets() {
	if full(pg.cursor.marks) && !full(unpackMarks(pg.At.cursor.known)) {
		sdk.Log(wit.LevelWarn, pg.What()+": more rows are within the look-back of the cursor than the "+
			strconv.Itoa(len(pg.cursor.marks))+" that can be remembered; others may come again with each load: "+
			"sap.odata#"+pg.Number+".cursor.lookback bounds them")
	}
}

// note puts what the page knows of the cursor into the position behind it.
func (pg *Page) note(next *Position) {
	if pg.Cursor == nil {
		return
	}
	at := pg.At.cursor
	if next.pass > pg.At.pass {
		next.cursor = cursorPosition{from: at.from, high: at.high, known: at.known} // the load begins anew
		return
	}
	if pg.At.check != "" && !next.done {
		next.cursor.high = pg.cursor.high // no row of it was handed on
		return
	}
	if pg.cursor.high != "" {
		pg.prune()
	}
	next.cursor = cursorPosition{from: at.from, high: pg.cursor.high, base: pg.base(), known: at.known,
		fresh: packMarks(pg.cursor.marks), lowless: at.lowless}
	if next.seen > 0 && next.cursor.base == "" {
		next.cursor.lowless = true
	}
	if !next.done {
		return
	}
	pg.forgets()
	next.cursor.from = ""
	if next.cursor.known, next.cursor.fresh = next.cursor.fresh, ""; next.cursor.known == "" {
		next.cursor.known = at.known // nothing came
	}
}

// FirstBehind is where a load begins behind a complete one: with all rows, or where there is a cursor with those from
// it on.
func (f *Set) FirstBehind(done *Position, now int64) *Position {
	carried := Position{proven: done.proven, fell: done.fell}
	if f.Cursor != nil && done.cursor.high != "" {
		base := cmp.Or(done.cursor.base, done.cursor.high) // other versions stored no base
		carried.cursor = cursorPosition{high: done.cursor.high, known: done.cursor.known}
		if !done.cursor.lowless {
			carried.cursor.from = f.Cursor.lower(base)
		}
	}
	at := f.startOf(&carried, false, false)
	at.began = int(now)
	return at
}
