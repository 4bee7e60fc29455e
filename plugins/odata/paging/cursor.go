package paging

import (
	"cmp"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// Cursor is a property that grows with each change of a row. The first load reads all rows, later ones those whose
// property is at least the highest value seen minus a look-back. Rows that were already delivered unchanged are
// recognized and dropped.
type Cursor struct {
	Name     string
	Sortable bool
	// Compare orders two values; ok is false if they cannot be compared.
	Compare func(a, b string) (order int, ok bool)
	// SubtractLookback subtracts the look-back from a value. Condition returns the filter for rows from a value on.
	SubtractLookback func(text string) string
	Condition        func(from string) string
	// InexactOrder reports that the service may compare values differently than Compare does, so that a lower value
	// does not prove that it ignores the filter.
	InexactOrder bool
}

// maxSeenBytes bounds previousRows and currentRows each; if an offset has no room for both, less of the latter is kept.
const maxSeenBytes = 24 << 10

type seenRow struct{ value, hash string }

func packRows(marks []seenRow) string {
	texts := make([]string, len(marks))
	for i, m := range marks {
		texts[i] = string(uri.AppendEscaped(nil, m.value)) + " " + m.hash
	}
	return strings.Join(texts, ",")
}

func unpackRows(s string) []seenRow {
	var rows []seenRow
	for text := range strings.SplitSeq(s, ",") {
		if value, hash, ok := strings.Cut(text, " "); ok {
			rows = append(rows, seenRow{uri.Unescape(value), hash})
		}
	}
	return rows
}

func (c *Cursor) atLeast(a, b string) bool {
	order, ok := c.Compare(a, b)
	return ok && order >= 0
}

func (c *Cursor) below(text, from string) bool {
	if from == "" || c.InexactOrder {
		return false
	}
	order, ok := c.Compare(text, from)
	return ok && order < 0
}

func (c *Cursor) condition(at *Position) string {
	if c == nil || at.cursor.from == "" {
		return ""
	}
	return c.Condition(at.cursor.from)
}

func (c *Cursor) nextState(done *cursorState) *cursorState {
	if done.high == "" {
		return &cursorState{}
	}
	next := &cursorState{high: done.high, previousRows: done.previousRows, truncated: done.truncated}
	if !done.baseUnknown {
		next.from = c.SubtractLookback(cmp.Or(done.base, done.high)) // earlier versions stored no base
	}
	return next
}

func (m seenRow) size() int {
	var escaped [64]byte
	return len(uri.AppendEscaped(escaped[:0], m.value)) + len(m.hash) + 2
}
