package paging

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/wit"
)

// cursorCheck drops rows that the previous load by cursor delivered, and finds out whether the service filters.
type cursorCheck struct {
	seen          map[string]bool // hashes of the rows that the previous load delivered
	high          string          // the highest value so far
	rows          []seenRow       // the rows of this load within the look-back
	belowFrom     string          // a value below the requested ones: the service ignores the filter
	nullIsHighest bool            // the service returned null as the highest value
}

func (cc *cursorCheck) begin(c *Cursor, state *cursorState) {
	*cc = cursorCheck{}
	if c == nil {
		return
	}
	delivered := unpackRows(state.previousRows)
	cc.seen = make(map[string]bool, len(delivered))
	cc.high = state.high
	cc.rows = unpackRows(state.currentRows)
	for _, m := range delivered {
		cc.seen[m.hash] = true
	}
}

// observeHighest reads the response to probeHighestCursor. Services that sort null first return no value; then the
// highest value of the first page is used, since many services cannot filter null.
func (cc *cursorCheck) observeHighest(s *Set, out *Rows, first bool) {
	for i := range out.Rows {
		cursorValue, ok := out.Cursor(i)
		cc.nullIsHighest = cc.nullIsHighest || (!ok && i == 0 && first)
		if ok && (cc.high == "" || s.Cursor.atLeast(cursorValue, cc.high)) {
			cc.high = cursorValue
		}
	}
}

// base returns the value from which the next load looks back: the highest value at the start of this load, if known.
func (cc *cursorCheck) base(position *Position) string {
	if position.rowsRead > 0 && (position.cursor.base != "" || position.cursor.baseUnknown) {
		return position.cursor.base
	}
	return cc.high
}

// filterSeen records the rows' cursor values and returns the rows that no earlier load delivered. It returns nil if the
// service ignores the filter.
func (cc *cursorCheck) filterSeen(s *Set, position *Position, out *Rows, rows []wit.Row) []wit.Row {
	cursor := s.Cursor
	if cursor == nil {
		return rows
	}
	first := len(out.Rows) - len(rows)
	remaining := rows[:0:0]
	for i := range rows {
		cursorValue, ok := out.Cursor(first + i)
		if !ok {
			remaining = append(remaining, rows[i])
			continue
		}
		if cursor.below(cursorValue, position.cursor.from) {
			cc.belowFrom = cursorValue
			return nil
		}
		if cc.high == "" || cursor.atLeast(cursorValue, cc.high) {
			cc.high = cursorValue
		}
		h := emptyHash
		for _, d := range []wit.ValueSlice{rows[i].Key, rows[i].Value} {
			h.add(out.Data[d.Start : d.Start+d.Size])
		}
		hash := base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(h)))
		if base := cc.base(position); base != "" && cursor.atLeast(cursorValue, cursor.SubtractLookback(base)) {
			if cc.rows = append(cc.rows, seenRow{cursorValue, hash}); len(cc.rows) > 4*maxSeenBytes/seenRowBytes {
				cc.prune(cursor, position)
			}
		}
		if !cc.seen[hash] {
			remaining = append(remaining, rows[i])
		}
	}
	return remaining
}

func (cc *cursorCheck) filterIgnored(s *Set, position *Position) error {
	setting := s.Setting("cursor.property")
	return &wit.Error{Kind: wit.ErrorData, Setting: &setting, Message: s.Label() + ": found a row whose " +
		s.Cursor.Name + " is " + cc.belowFrom + ", and rows from " + position.cursor.from +
		" on were requested: the service accepts $filter but ignores it, or its next links do"}
}

const seenRowBytes = 32

// prune drops rows that are no longer within the look-back.
func (cc *cursorCheck) prune(c *Cursor, position *Position) {
	least := c.SubtractLookback(cc.base(position))
	cc.rows = slices.DeleteFunc(cc.rows, func(m seenRow) bool { return !c.atLeast(m.value, least) })
	if full(cc.rows) {
		cc.truncate(c, maxSeenBytes)
	}
}

// truncate drops rows with low values until the others, except one, fit into a number of bytes.
func (cc *cursorCheck) truncate(c *Cursor, most int) {
	slices.SortStableFunc(cc.rows, func(a, b seenRow) int {
		order, _ := c.Compare(b.value, a.value)
		return order
	})
	kept := 0
	for size := 0; kept < len(cc.rows) && size <= most; kept++ {
		size += cc.rows[kept].size()
	}
	cc.rows = cc.rows[:kept]
}

const spareBytes = 1 << 10

func full(rows []seenRow) bool {
	size := 0
	for _, row := range rows {
		size += row.size()
	}
	return size > maxSeenBytes
}

// save stores the state in the next position, and returns warnings for the log.
func (cc *cursorCheck) save(set *Set, position, next *Position) (warnings []string) {
	cursorProperty := set.Cursor
	if cursorProperty == nil || next.snapshot > position.snapshot { // the load restarts
		return nil
	}
	if cc.nullIsHighest {
		warnings = append(warnings, "the service returns a row without "+cursorProperty.Name+" as the one with the "+
			"highest value: the next load starts at the highest value of this one's first page, or reads all rows if "+
			"that has none")
	}
	isDone := next.capabilities.has(loadComplete)
	if position.probe.kind != "" && !isDone { // its rows are not emitted
		cursor := *position.cursor
		cursor.high = cc.high
		next.cursor = &cursor
		return warnings
	}
	if cc.high != "" {
		cc.prune(cursorProperty, position)
	}
	cursor := cursorState{from: position.cursor.from, high: cc.high, base: cc.base(position),
		previousRows: position.cursor.previousRows, currentRows: packRows(cc.rows),
		baseUnknown: position.cursor.baseUnknown, truncated: position.cursor.truncated}
	if next.cursor = &cursor; next.rowsRead > 0 && cursor.base == "" {
		cursor.baseUnknown = true
	}
	if over := wit.OffsetBytes(next.Fields()) + spareBytes - wit.MaxOffsetBytes; over > 0 {
		cc.truncate(cursorProperty, len(cursor.currentRows)-over)
		cursor.currentRows = packRows(cc.rows)
		cursor.truncated = true
	}
	if (cursor.truncated || (isDone && full(cc.rows))) && !position.cursor.truncated &&
		!full(unpackRows(position.cursor.previousRows)) {
		warnings = append(warnings, "more rows are within the look-back of the cursor than the "+
			strconv.Itoa(len(cc.rows))+" that can be remembered; others may be delivered again by each load: "+
			set.Setting("cursor.lookback")+" limits them")
	}
	if !isDone {
		return warnings
	}
	cursor.from = ""
	if cursor.previousRows, cursor.currentRows = cursor.currentRows, ""; cursor.previousRows == "" {
		cursor.previousRows = position.cursor.previousRows // no rows
	}
	return warnings
}
