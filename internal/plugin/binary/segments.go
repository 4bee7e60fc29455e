package binary

import (
	"cmp"
	"slices"

	"github.com/culvert-project/culvert/internal/base/wasm"
)

// Shaped is a module as it is metered: its start function is an export, which the host calls itself, and its data
// segments are joined, since each costs time at every new instance.
func Normalize(module []byte) []byte { return joinSegments(exportStart(module)) }

// maxGap is how many zeros may be written to join two data segments.
const maxGap = 256

// maxSegments is the most segments that are joined: each may grow by maxGap.
const maxSegments = 100_000

// joinSegments makes few long data segments of many short ones. Go's linker leaves zeros out and so writes some ten
// thousand segments for a guest; the engine pays for each of them at every new instance (4 ms become 1) and keeps 200
// bytes for it. What lies in memory after the start is the same, since memory begins as zeros. Modules that are not
// plainly of this kind stay as they are.
func joinSegments(module []byte) []byte {
	out := module
	_ = wasm.Try(func() {
		for s := range wasm.Sections(module) {
			switch s.ID {
			case wasm.DataCount:
				// A count of segments stands there for instructions that name them.
				return
			case wasm.Data:
				if joined := joinSection(s.Content(module)); joined != nil {
					out = append(make([]byte, 0, len(module)+len(joined)), module[:s.At]...)
					out = append(wasm.AppendSection(out, wasm.Data, joined), module[s.To:]...)
				}
				return
			}
		}
	})
	return out
}

// zeros fill gaps.
var zeros [maxGap]byte

// segment is bytes at an address.
type segment struct {
	at   uint32
	data []byte
}

func (s *segment) end() uint64 { return uint64(s.at) + uint64(len(s.data)) }

// joinSection returns the content of a data section with fewer segments, nil where it should stay as it is.
func joinSection(reader wasm.Reader) []byte {
	size := reader.End - reader.At
	n := reader.Count()
	if n > maxSegments {
		return nil // the meter refuses it
	}
	segments := make([]segment, 0, n)
	for range n {
		s, ok := readSegment(&reader)
		if !ok {
			return nil
		}
		segments = append(segments, s)
	}
	if reader.At != reader.End || len(segments) == 0 {
		return nil
	}
	slices.SortStableFunc(segments, func(a, b segment) int { return cmp.Compare(a.at, b.at) })
	runs := closeRuns(segments)
	if len(runs) == 0 || len(runs) == len(segments) {
		return nil
	}
	out := wasm.AppendU32(make([]byte, 0, 2*size), uint32(len(runs)))
	for _, run := range runs {
		out = appendRun(out, run)
	}
	return out
}

// runsOf cuts segments in the order of their addresses into runs that lie close together. None where any two overlap:
// then their order counts.
func closeRuns(segments []segment) (runs [][]segment) {
	from := 0
	for i := range segments {
		if i == 0 {
			continue
		}
		before := segments[i-1].end()
		if uint64(segments[i].at) < before {
			return nil
		}
		if uint64(segments[i].at)-before > maxGap {
			runs = append(runs, segments[from:i])
			from = i
		}
	}
	return append(runs, segments[from:])
}

// appendRun writes a run as one segment.
func appendRun(dst []byte, run []segment) []byte {
	first, last := run[0], run[len(run)-1]
	dst = wasm.AppendSigned(append(dst, 0, 0x41), int64(int32(first.at)))
	dst = wasm.AppendU32(append(dst, 0x0b), uint32(last.end()-uint64(first.at)))
	at := uint64(first.at)
	for i := range run {
		dst = append(dst, zeros[:uint64(run[i].at)-at]...)
		dst = append(dst, run[i].data...)
		at = run[i].end()
	}
	return dst
}

// readSegment reads an active segment of memory 0 at a constant address; ok is false for another one. Its bytes are the
// section's.
func readSegment(reader *wasm.Reader) (s segment, ok bool) {
	if reader.Byte() != 0 || reader.Byte() != 0x41 {
		return s, false
	}
	at := reader.Signed(32)
	if reader.Byte() != 0x0b {
		return s, false
	}
	return segment{uint32(at), reader.Bytes(reader.Count())}, true
}
