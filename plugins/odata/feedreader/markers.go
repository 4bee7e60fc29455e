package feedreader

import (
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Headers of a snapshot, a load that replaces rows that were read before: entities delivered before its begin marker
// and not again up to its end marker were deleted in the meantime (RATIONALE.md P8).
const (
	HeaderSnapshot = "culvert.snapshot" // the number of the snapshot
	// HeaderMark is begin, end or both (begin,end); ended in the first row after a snapshot whose last response had no
	// new row.
	HeaderMark = "culvert.snapshot.mark"
	// HeaderComplete is in the last row of a snapshot in place of its end marker if nothing proves that the snapshot is
	// complete: unproven. Entities that it lacks may exist.
	HeaderComplete = "culvert.snapshot.complete"
)

// SnapshotMarkers adds the headers to rows. It buffers the last row of each page until the next page shows whether it
// is the last row of the snapshot.
type SnapshotMarkers struct {
	Snapshot int  // number of the snapshot; zero means no markers
	Started  bool // a row has the begin marker

	hasRow  bool // a row waits
	row     wit.Row
	key     []byte // of row
	value   []byte // of row
	headers []byte // of row
}

// HasBufferedRow reports whether a row waits for [SnapshotMarkers.Flush].
func (m *SnapshotMarkers) HasBufferedRow() bool { return m.hasRow }

// Add adds markers to rows. It returns the row that was buffered before and all rows except the last one, which it
// buffers.
func (m *SnapshotMarkers) Add(rows []wit.Row, data []byte) ([]wit.Row, []byte) {
	if m.Snapshot == 0 || len(rows) == 0 {
		return rows, data
	}
	marked := make([]wit.Row, 0, len(rows)+1)
	if m.hasRow {
		marked, data = m.Flush(marked, data, false, "")
	}
	last := rows[len(rows)-1]
	for _, row := range rows[:len(rows)-1] {
		data = m.addMarker(&row, data, false)
		marked = append(marked, row)
	}
	m.row = last
	m.hasRow = true
	m.key = bytesOf(m.key, data, last.Key)
	m.value = bytesOf(m.value, data, last.Value)
	m.headers = bytesOf(m.headers, data, last.Headers)
	return marked, data
}

func bytesOf(dst, data []byte, slice wit.ValueSlice) []byte {
	return append(dst[:0], data[slice.Start:slice.Start+slice.Size]...)
}

// Flush appends the buffered row, if any, and empties the buffer. isLast marks the row as the last one of a snapshot
// that ended with a verdict.
func (m *SnapshotMarkers) Flush(rows []wit.Row, data []byte, isLast bool, verdict string) ([]wit.Row, []byte) {
	if !m.hasRow {
		return rows, data
	}
	row := m.row
	row.Key.Start = uint32(len(data))
	data = append(data, m.key...)
	row.Value.Start = uint32(len(data))
	data = append(data, m.value...)
	row.Headers.Start = uint32(len(data))
	data = append(data, m.headers...)
	data = m.addMarker(&row, data, isLast && verdict != paging.Unproven)
	if isLast && verdict == paging.Unproven {
		data = addHeader(&row, data, HeaderComplete, verdict)
	}
	m.hasRow = false
	return append(rows, row), data
}

// addMarker adds the number of the snapshot, and a marker to its first and its last row.
func (m *SnapshotMarkers) addMarker(row *wit.Row, data []byte, isLast bool) []byte {
	mark := ""
	if !m.Started {
		mark = "begin"
	}
	m.Started = true
	if isLast && mark != "" {
		mark += ",end"
	} else if isLast {
		mark = "end"
	}
	return addMarkerHeaders(row, data, m.Snapshot, mark)
}

// AddEndedMarker marks the first row after a snapshot whose last page was empty.
func AddEndedMarker(row *wit.Row, data []byte, snapshot int) []byte {
	return addMarkerHeaders(row, data, snapshot, "ended")
}

func addMarkerHeaders(row *wit.Row, data []byte, snapshot int, mark string) []byte {
	data = addHeader(row, data, HeaderSnapshot, strconv.Itoa(snapshot))
	if mark != "" {
		data = addHeader(row, data, HeaderMark, mark)
	}
	return data
}

func addHeader(row *wit.Row, data []byte, name, value string) []byte {
	var headers []connectdata.Header
	if encoded := row.Headers; encoded.Encoding == wit.Raw { // encoded by AddHeaders
		headers, _ = connectdata.Headers(nil, slices.Clone(data[encoded.Start:encoded.Start+encoded.Size]))
	}
	headers = append(headers, connectdata.Header{Name: name, Encoding: wit.Raw, Value: []byte(value)})
	row.Headers = wit.ValueSlice{Encoding: wit.Raw, Start: uint32(len(data))}
	data = connectdata.AppendHeaders(data, headers)
	row.Headers.Size = uint32(len(data)) - row.Headers.Start
	return data
}
