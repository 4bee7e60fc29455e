package feed

import (
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Headers of a load that takes the place of what a reader had (P8), so that he can tell which entities it holds and
// which were deleted meanwhile: those that came before its begin and not up to its end.
const (
	// HeaderSnapshot is the number of the load, the same in all its rows.
	HeaderSnapshot = "culvert.snapshot"
	// HeaderMark is begin in the first row, end in the last one, begin,end in the only one; ended in the first row
	// after a load whose last page was empty.
	HeaderMark = "culvert.snapshot.mark"
)

// Marks puts the headers on the rows of a page of such a load. The page's last row is held back until it is known
// whether it is the load's last one.
type Marks struct {
	// Snapshot is the number of the load, 0: it is none of those, and its rows have no marks.
	Snapshot int
	// Begun: a row of the load was handed on.
	Begun bool

	held       bool
	row        wit.Row
	key, value []byte
	headers    []byte
}

// Holds reports whether a row is held back.
func (m *Marks) Holds() bool { return m.held }

// Hold marks rows, after the one that was held back, and holds the last one back.
func (m *Marks) Hold(rows []wit.Row, data []byte) ([]wit.Row, []byte) {
	if m.Snapshot == 0 || len(rows) == 0 {
		return rows, data
	}
	marked := make([]wit.Row, 0, len(rows)+1)
	if m.held {
		marked, data = m.Release(marked, data, false)
	}
	last := rows[len(rows)-1]
	for _, row := range rows[:len(rows)-1] {
		data = m.mark(&row, data, false)
		marked = append(marked, row)
	}
	m.row, m.held = last, true
	m.key, m.value = bytesOf(m.key, data, last.Key), bytesOf(m.value, data, last.Value)
	m.headers = bytesOf(m.headers, data, last.Headers)
	return marked, data
}

func bytesOf(dst, data []byte, d wit.ValueSlice) []byte {
	return append(dst[:0], data[d.Start:d.Start+d.Size]...)
}

// Release hands on the row that was held back, if there is one. last: it is the load's last one.
func (m *Marks) Release(rows []wit.Row, data []byte, last bool) ([]wit.Row, []byte) {
	if !m.held {
		return rows, data
	}
	row := m.row
	row.Key.Start = uint32(len(data))
	data = append(data, m.key...)
	row.Value.Start = uint32(len(data))
	data = append(data, m.value...)
	row.Headers.Start = uint32(len(data))
	data = append(data, m.headers...)
	data = m.mark(&row, data, last)
	m.held = false
	return append(rows, row), data
}

func (m *Marks) mark(row *wit.Row, data []byte, last bool) []byte {
	mark := ""
	if !m.Begun {
		mark = "begin"
	}
	m.Begun = true
	if last && mark != "" {
		mark += ",end"
	} else if last {
		mark = "end"
	}
	return withMark(row, data, m.Snapshot, mark)
}

// MarkEnded says in the first row after a load that it has ended, where its last page had no row to say so.
func MarkEnded(row *wit.Row, data []byte, snapshot int) []byte {
	return withMark(row, data, snapshot, "ended")
}

// withMark puts the headers on a row, after those that it has.
func withMark(row *wit.Row, data []byte, snapshot int, mark string) []byte {
	var headers []connectdata.Header
	if of := row.Headers; of.Encoding == wit.Raw { // a block of the plugin's own, see Tell
		headers, _ = connectdata.Headers(nil, slices.Clone(data[of.Start:of.Start+of.Size]))
	}
	headers = append(headers, connectdata.Header{Name: HeaderSnapshot, Encoding: wit.Raw,
		Value: strconv.AppendInt(nil, int64(snapshot), 10)})
	if mark != "" {
		headers = append(headers, connectdata.Header{Name: HeaderMark, Encoding: wit.Raw, Value: []byte(mark)})
	}
	row.Headers = wit.ValueSlice{Encoding: wit.Raw, Start: uint32(len(data))}
	data = connectdata.AppendHeaders(data, headers)
	row.Headers.Size = uint32(len(data)) - row.Headers.Start
	return data
}
