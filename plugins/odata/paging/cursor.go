package paging

import (
	"cmp"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
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

// maxSeenBytes bounds what a position remembers of rows, in bytes of known and of fresh. Of fresh it remembers less
// where an offset has no room for both.
const maxSeenBytes = 24 << 10

// seenRow is a row as a later load recognises it.
type seenRow struct{ value, hash string }

func packRows(marks []seenRow) string {
	texts := make([]string, len(marks))
	for i, m := range marks {
		texts[i] = string(uri.AppendEscaped(nil, m.value)) + " " + m.hash
	}
	return strings.Join(texts, ",")
}

func unpackRows(s string) []seenRow {
	var marks []seenRow
	for text := range strings.SplitSeq(s, ",") {
		if value, hash, ok := strings.Cut(text, " "); ok {
			marks = append(marks, seenRow{uri.Unescape(value), hash})
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

// condition is the condition on the rows of a load, "" for all.
func (c *Cursor) condition(at *Position) string {
	if c == nil || at.cursor.from == "" {
		return ""
	}
	return c.Condition(at.cursor.from)
}

// next is where the load after a complete one begins.
func (c *Cursor) next(done *cursorPosition) *cursorPosition {
	if done.high == "" {
		return &cursorPosition{}
	}
	next := &cursorPosition{high: done.high, previousRows: done.previousRows, truncated: done.truncated}
	if !done.baseUnknown {
		next.from = c.Lower(cmp.Or(done.base, done.high)) // other versions stored no base
	}
	return next
}

// size returns the length of the row as packRows writes it.
func (m seenRow) size() int {
	var escaped [64]byte
	return len(uri.AppendEscaped(escaped[:0], m.value)) + len(m.hash) + 2
}
