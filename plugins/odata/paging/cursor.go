package paging

import (
	"cmp"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// Cursor is a property that grows with each change of a row. The first load reads all rows; later loads read rows whose
// value is at least the highest one seen minus a look-back, and drop rows that were delivered unchanged.
type Cursor struct {
	Name             string                                 // of the property
	Sortable         bool                                   // the service sorts by it
	Compare          func(a, b string) (order int, ok bool) // ok is false if a value is invalid
	SubtractLookback func(text string) string
	Condition        func(from string) string // returns the condition for values that are at least from
	// InexactOrder means that the service may compare differently, so a lower value does not prove an ignored filter.
	InexactOrder bool
}

// maxSeenBytes limits previousRows and currentRows each. If an offset has no room for both, currentRows is truncated.
const maxSeenBytes = 24 << 10

// seenRow is a row within the look-back: the value of its cursor property, and a hash of the row.
type seenRow struct{ value, hash string }

func packRows(rows []seenRow) string {
	texts := make([]string, len(rows))
	for i, row := range rows {
		texts[i] = string(uri.AppendEscaped(nil, row.value)) + " " + row.hash
	}
	return strings.Join(texts, ",")
}

func unpackRows(s string) []seenRow {
	var rows []seenRow
	for packed := range strings.SplitSeq(s, ",") {
		if value, encoded, ok := strings.Cut(packed, " "); ok {
			rows = append(rows, seenRow{value: uri.Unescape(value), hash: encoded})
		}
	}
	return rows
}

func (c *Cursor) isAtLeast(a, b string) bool {
	order, ok := c.Compare(a, b)
	return ok && order >= 0
}

func (c *Cursor) isBelow(text, from string) bool {
	if from == "" || c.InexactOrder {
		return false
	}
	order, ok := c.Compare(text, from)
	return ok && order < 0
}

// condition returns the condition of a load by cursor, or "" if the load reads all rows. c may be nil.
func (c *Cursor) condition(position *Position) string {
	if c == nil || position.cursor.from == "" {
		return ""
	}
	return c.Condition(position.cursor.from)
}

// nextState returns the state at the start of the load after a complete one.
func (c *Cursor) nextState(done *cursorState) *cursorState {
	if done.high == "" {
		return &cursorState{}
	}
	next := &cursorState{high: done.high, previousRows: done.previousRows, truncated: done.truncated}
	if !done.baseUnknown {
		next.from = c.SubtractLookback(cmp.Or(done.base, done.high))
	}
	return next
}

// size returns the bytes that packRows needs for a row.
func (s seenRow) size() int {
	var escaped [64]byte // mostly enough, so that nothing is allocated
	return len(uri.AppendEscaped(escaped[:0], s.value)) + len(s.hash) + len(" ,")
}
