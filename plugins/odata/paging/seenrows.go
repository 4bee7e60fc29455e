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
	nullIsHighest bool            // the service returned null as the highest value
}

func (cc *cursorCheck) begin(cursor *Cursor, state *cursorState) {
	*cc = cursorCheck{}
	if cursor == nil {
		return
	}
	delivered := unpackRows(state.previousRows)
	cc.seen = make(map[string]bool, len(delivered))
	cc.high = state.high
	cc.rows = unpackRows(state.currentRows)
	for _, row := range delivered {
		cc.seen[row.hash] = true
	}
}

// base returns the value from which the next load looks back: the highest value at the start of this load, if known.
func (cc *cursorCheck) base(position *Position) string {
	if position.rowsRead > 0 && (position.cursor.base != "" || position.cursor.baseUnknown) {
		return position.cursor.base
	}
	return cc.high
}

// filterSeen records the rows' cursor values and returns the rows that no earlier load delivered.
func (pg *Page) filterSeen(out *Rows, rows []wit.Row) []wit.Row {
	cc := pg.cursor
	cursor := pg.set.Cursor
	position := pg.position
	setting := pg.set.Setting("cursor.property")
	isUnchecked := pg.IsUnchecked(setting)
	first := len(out.Rows) - len(rows) // rows are the last ones of out.Rows
	remaining := rows[:0:0]            // a copy, since out.Rows keeps all rows
	for i := range rows {
		cursorValue, ok := out.Cursor(first + i)
		if !ok {
			remaining = append(remaining, rows[i])
			continue
		}
		if !isUnchecked && cursor.isBelow(cursorValue, position.cursor.from) {
			pg.Contradict(&wit.Error{Kind: wit.ErrorData, Setting: &setting, Message: pg.set.Label() +
				": found a row whose " + cursor.Name + " is " + cursorValue + ", and rows from " +
				position.cursor.from + " on were requested: the service accepts $filter but ignores it, or its " +
				"next links do"})
			return nil
		}
		if cc.high == "" || cursor.isAtLeast(cursorValue, cc.high) {
			cc.high = cursorValue
		}
		h := emptyHash
		for _, slice := range []wit.ValueSlice{rows[i].Key, rows[i].Value} {
			h.add(out.Data[slice.Start : slice.Start+slice.Size])
		}
		encoded := base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(h)))
		if base := cc.base(position); base != "" && cursor.isAtLeast(cursorValue, cursor.SubtractLookback(base)) {
			cc.rows = append(cc.rows, seenRow{value: cursorValue, hash: encoded})
			if len(cc.rows) > 4*maxSeenBytes/seenRowBytes { // seldom, since prune sorts
				cc.prune(cursor, position)
			}
		}
		if !cc.seen[encoded] {
			remaining = append(remaining, rows[i])
		}
	}
	return remaining
}

const seenRowBytes = 32 // approximate size of a packed row

// prune drops rows that are no longer within the look-back, and those with low values if the others exceed the limit.
func (cc *cursorCheck) prune(cursor *Cursor, position *Position) {
	least := cursor.SubtractLookback(cc.base(position))
	cc.rows = slices.DeleteFunc(cc.rows, func(row seenRow) bool { return !cursor.isAtLeast(row.value, least) })
	if exceedsLimit(cc.rows) {
		cc.truncate(cursor, maxSeenBytes)
	}
}

// truncate drops rows with low values until the others, except one, fit into a number of bytes.
func (cc *cursorCheck) truncate(cursor *Cursor, maxBytes int) {
	slices.SortStableFunc(cc.rows, func(a, b seenRow) int {
		order, _ := cursor.Compare(b.value, a.value)
		return order
	})
	count := 0
	for size := 0; count < len(cc.rows) && size <= maxBytes; count++ {
		size += cc.rows[count].size()
	}
	cc.rows = cc.rows[:count]
}

const spareBytes = 1 << 10 // of an offset, for fields that the host adds

func exceedsLimit(rows []seenRow) bool {
	size := 0
	for _, row := range rows {
		size += row.size()
	}
	return size > maxSeenBytes
}

// save stores the state in the next position, and returns warnings for the log.
func (cc *cursorCheck) save(set *Set, position, next *Position) (warnings []string) {
	cursor := set.Cursor
	if cursor == nil || next.snapshot.number > position.snapshot.number { // the load restarts
		return nil
	}
	if cc.nullIsHighest {
		warnings = append(warnings, "the service returns a row without "+cursor.Name+" as the one with the "+
			"highest value: the next load starts at the highest value of this one's first page, or reads all rows if "+
			"that has none")
	}
	isDone := next.isDone
	if position.probe.kind != "" && !isDone { // its rows are not emitted
		state := *position.cursor
		state.high = cc.high
		next.cursor = &state
		return warnings
	}
	if cc.high != "" {
		cc.prune(cursor, position)
	}
	state := cursorState{from: position.cursor.from, high: cc.high, base: cc.base(position),
		previousRows: position.cursor.previousRows, currentRows: packRows(cc.rows),
		baseUnknown: position.cursor.baseUnknown, truncated: position.cursor.truncated}
	next.cursor = &state
	if next.rowsRead > 0 && state.base == "" {
		state.baseUnknown = true
	}
	if excess := wit.OffsetBytes(next.Fields()) + spareBytes - wit.MaxOffsetBytes; excess > 0 {
		cc.truncate(cursor, len(state.currentRows)-excess)
		state.currentRows = packRows(cc.rows)
		state.truncated = true
	}
	if (state.truncated || (isDone && exceedsLimit(cc.rows))) && !position.cursor.truncated &&
		!exceedsLimit(unpackRows(position.cursor.previousRows)) {
		warnings = append(warnings, "more rows are within the look-back of the cursor than the "+
			strconv.Itoa(len(cc.rows))+" that can be remembered; others may be delivered again by each load: "+
			set.Setting("cursor.lookback")+" limits them")
	}
	if !isDone {
		return warnings
	}
	state.from = ""
	if state.currentRows != "" { // else the load had no rows within the look-back
		state.previousRows = state.currentRows
		state.currentRows = ""
	}
	return warnings
}
