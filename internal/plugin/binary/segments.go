package binary

import (
	"cmp"
	"slices"

	"github.com/culvert-project/culvert/internal/base/wasm"
)

// Normalize returns the form of a module that is metered: the start function is an export, which the host calls, and
// data segments are joined, since each costs time at every new instance.
func Normalize(module []byte) []byte { return joinSegments(exportStart(module)) }

// maxGap is the maximum number of zeros that are written to join two segments.
const maxGap = 256

// maxSegments bounds the segments to join: each may grow by maxGap.
const maxSegments = 100_000

// joinSegments joins data segments. Go's linker leaves out zeros and so writes some ten thousand segments; the engine
// needs 200 bytes for each and time at every new instance (4 ms become 1). Memory begins as zeros, so its content is
// the same. Unusual modules are not changed.
func joinSegments(module []byte) []byte {
	out := module
	_ = wasm.Try(func() {
		for section := range wasm.Sections(module) {
			switch section.ID {
			case wasm.DataCount:
				// Instructions that use the count refer to segments.
				return
			case wasm.Data:
				if joined := joinSection(section.Content(module)); joined != nil {
					out = append(make([]byte, 0, len(module)+len(joined)), module[:section.At]...)
					out = append(wasm.AppendSection(out, wasm.Data, joined), module[section.To:]...)
				}
				return
			}
		}
	})
	return out
}

var zeros [maxGap]byte

// Instructions of a constant address, and how an active segment of memory 0 begins.
const (
	opI32Const    = 0x41
	opEnd         = 0x0b
	activeSegment = 0
)

type segment struct {
	at   uint32 // the address in memory
	data []byte
}

func (s *segment) end() uint64 { return uint64(s.at) + uint64(len(s.data)) }

// joinSection returns the content of a data section with fewer segments, or nil to keep it.
func joinSection(reader wasm.Reader) []byte {
	size := reader.End - reader.At
	n := reader.Count()
	if n > maxSegments {
		return nil // the meter rejects the module
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
	runs := groupRuns(segments)
	if len(runs) == 0 || len(runs) == len(segments) {
		return nil
	}
	out := wasm.AppendU32(make([]byte, 0, 2*size), uint32(len(runs)))
	for _, run := range runs {
		// Write the run as one segment.
		first := run[0]
		last := run[len(run)-1]
		out = wasm.AppendSigned(append(out, activeSegment, opI32Const), int64(int32(first.at)))
		out = wasm.AppendU32(append(out, opEnd), uint32(last.end()-uint64(first.at)))
		pos := uint64(first.at)
		for i := range run {
			out = append(out, zeros[:uint64(run[i].at)-pos]...)
			out = append(out, run[i].data...)
			pos = run[i].end()
		}
	}
	return out
}

// groupRuns groups segments, sorted by address, into runs with small gaps. It returns nil if any two overlap: then
// their order matters.
func groupRuns(segments []segment) (runs [][]segment) {
	from := 0
	for i := range segments {
		if i == 0 {
			continue
		}
		previousEnd := segments[i-1].end()
		if uint64(segments[i].at) < previousEnd {
			return nil
		}
		if uint64(segments[i].at)-previousEnd > maxGap {
			runs = append(runs, segments[from:i])
			from = i
		}
	}
	return append(runs, segments[from:])
}

// readSegment reads an active segment of memory 0 at a constant address; ok is false for other segments.
func readSegment(reader *wasm.Reader) (s segment, ok bool) {
	if reader.Byte() != activeSegment || reader.Byte() != opI32Const {
		return s, false
	}
	address := reader.Signed(32)
	if reader.Byte() != opEnd {
		return s, false
	}
	return segment{at: uint32(address), data: reader.Bytes(reader.Count())}, true
}
