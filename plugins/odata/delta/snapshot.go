package delta

import (
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// A load that takes the place of a lost token says so in the headers of its rows (P8), so that a reader can tell which
// entities it holds and were deleted meanwhile: those that came before its begin and not up to its end.
const (
	// HeaderSnapshot is the number of the load, the same in all its rows.
	HeaderSnapshot = "culvert.snapshot"
	// HeaderMark is begin in the first row, end in the last one, begin,end in the only one; ended in the first row
	// behind a load whose last page was empty.
	HeaderMark = "culvert.snapshot.mark"
)

// held is a row of such a load that is kept back until it is known whether it is the last one.
type held struct {
	row                 wit.Row
	key, value, headers []byte
	some                bool
}

// reloads tells whether the page is one of such a load.
func (pg *Page) reloads() bool {
	switch pg.delta.phase {
	case phaseLoad, phaseOpen, phaseSecond:
		return pg.delta.snapshot > 0
	}
	return false
}

// hold puts headers on the portion's rows, the row that was held back before them, and holds the last one back.
func (pg *Page) hold(portion *wit.Portion) {
	c, h := &pg.changes, &pg.changes.held
	if len(portion.Rows) == 0 {
		return
	}
	rows := make([]wit.Row, 0, len(portion.Rows)+1)
	data := portion.Data
	if h.some {
		rows, data = pg.release(rows, data, false)
	}
	last := portion.Rows[len(portion.Rows)-1]
	for _, row := range portion.Rows[:len(portion.Rows)-1] {
		data = pg.label(&row, data, false)
		rows = append(rows, row)
	}
	*h = held{row: last, some: true, key: bytesOf(h.key, data, last.Key), value: bytesOf(h.value, data, last.Value),
		headers: bytesOf(h.headers, data, last.Headers)}
	portion.Rows, portion.Data, pg.Out.Data, c.merged = rows, data, data, rows
}

func bytesOf(dst, data []byte, d wit.Datum) []byte {
	return append(dst[:0], data[d.Start:d.Start+d.Size]...)
}

// release hands on the row that was held back.
func (pg *Page) release(rows []wit.Row, data []byte, last bool) ([]wit.Row, []byte) {
	h := &pg.changes.held
	row := h.row
	row.Key.Start = uint32(len(data))
	data = append(data, h.key...)
	row.Value.Start = uint32(len(data))
	data = append(data, h.value...)
	row.Headers.Start = uint32(len(data))
	data = append(data, h.headers...)
	data = pg.label(&row, data, last)
	h.some = false
	return append(rows, row), data
}

// label puts the headers on a row.
func (pg *Page) label(row *wit.Row, data []byte, last bool) []byte {
	mark := ""
	if !pg.delta.inside && !pg.changes.began {
		mark = "begin"
	}
	pg.changes.began = true
	if last && mark != "" {
		mark += ",end"
	} else if last {
		mark = "end"
	}
	return withMark(row, data, pg.delta.snapshot, mark)
}

// settle says in the first row behind such a load that it has ended, where its last page had no row to say so.
func (pg *Page) settle(portion *wit.Portion) {
	data := withMark(&portion.Rows[0], portion.Data, pg.delta.owed, "ended")
	portion.Data, pg.Out.Data, pg.delta.owed = data, data, 0
}

// withMark puts the headers on a row, behind those that it has.
func withMark(row *wit.Row, data []byte, snapshot int, mark string) []byte {
	var headers []datum.Header
	if of := row.Headers; of.Form == wit.Raw { // a block of the plugin's own, see tell
		headers, _ = datum.Headers(nil, slices.Clone(data[of.Start:of.Start+of.Size]))
	}
	headers = append(headers, datum.Header{Name: HeaderSnapshot, Form: wit.Raw,
		Value: strconv.AppendInt(nil, int64(snapshot), 10)})
	if mark != "" {
		headers = append(headers, datum.Header{Name: HeaderMark, Form: wit.Raw, Value: []byte(mark)})
	}
	row.Headers = wit.Datum{Form: wit.Raw, Start: uint32(len(data))}
	data = datum.AppendHeaders(data, headers)
	row.Headers.Size = uint32(len(data)) - row.Headers.Start
	return data
}
