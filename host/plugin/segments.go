package plugin

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// maxGap is how many zeros may be written to join two data segments.
const maxGap = 256

// maxSegments is the most segments that are joined: each may grow by maxGap.
const maxSegments = 100_000

// joinSegments makes few long data segments of many short ones. Go's linker leaves zeros out and so writes some ten
// thousand segments for a guest; the engine pays for each of them at every new instance (4 ms become 1) and keeps 200
// bytes for it. What lies in memory after the start is the same, since memory begins as zeros. Modules that are not
// plainly of this kind stay as they are.
func joinSegments(module []byte) []byte {
	r := reader{data: module, at: 8}
	for r.at < len(module) && r.err == nil {
		start := r.at
		id := r.byte()
		size := int(r.number())
		if r.err != nil || size < 0 || size > len(module)-r.at {
			return module
		}
		switch id {
		case 12:
			// A count of segments stands there for instructions that name them.
			return module
		case 11:
			joined := joinSection(module[r.at : r.at+size])
			if joined == nil {
				return module
			}
			out := append(make([]byte, 0, len(module)+len(joined)), module[:start]...)
			out = binary.AppendUvarint(append(out, id), uint64(len(joined)))
			return append(append(out, joined...), module[r.at+size:]...)
		}
		r.at += size
	}
	return module
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
func joinSection(content []byte) []byte {
	r := reader{data: content}
	n := r.number()
	if n > maxSegments {
		return nil // the meter refuses it
	}
	all := make([]segment, 0, min(n, uint64(len(content))))
	for ; n > 0 && r.err == nil; n-- {
		s, ok := r.segment()
		if !ok {
			return nil
		}
		all = append(all, s)
	}
	if r.err != nil || r.at != len(content) || len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b segment) int { return cmp.Compare(a.at, b.at) })
	runs := runsOf(all)
	if len(runs) == 0 || len(runs) == len(all) {
		return nil
	}
	out := binary.AppendUvarint(make([]byte, 0, 2*len(content)), uint64(len(runs)))
	for _, run := range runs {
		out = appendRun(out, run)
	}
	return out
}

// runsOf cuts segments in the order of their addresses into runs that lie close together. None where any two overlap:
// then their order counts.
func runsOf(all []segment) (runs [][]segment) {
	from := 0
	for i := range all {
		if i == 0 {
			continue
		}
		before := all[i-1].end()
		if uint64(all[i].at) < before {
			return nil
		}
		if uint64(all[i].at)-before > maxGap {
			runs = append(runs, all[from:i])
			from = i
		}
	}
	return append(runs, all[from:])
}

// appendRun writes a run as one segment.
func appendRun(dst []byte, run []segment) []byte {
	first, last := run[0], run[len(run)-1]
	dst = appendSigned(append(dst, 0, 0x41), int32(first.at))
	dst = binary.AppendUvarint(append(dst, 0x0b), last.end()-uint64(first.at))
	at := uint64(first.at)
	for i := range run {
		dst = append(dst, zeros[:uint64(run[i].at)-at]...)
		dst = append(dst, run[i].data...)
		at = run[i].end()
	}
	return dst
}

// segment reads an active segment of memory 0 at a constant address. Its bytes are the section's.
func (r *reader) segment() (s segment, ok bool) {
	if r.byte() != 0 || r.byte() != 0x41 {
		return s, false
	}
	at := r.signed()
	if r.byte() != 0x0b {
		return s, false
	}
	size := r.number()
	if r.err != nil || size > uint64(len(r.data)-r.at) {
		return s, false
	}
	s = segment{uint32(at), r.data[r.at : r.at+int(size)]}
	r.at += int(size)
	return s, true
}

// signed reads a signed LEB128 of 32 bits.
func (r *reader) signed() int32 {
	var n int64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		n |= int64(b&0x7f) << shift
		if b < 0x80 {
			if b&0x40 != 0 {
				n |= -1 << (shift + 7)
			}
			if n != int64(int32(n)) {
				r.fail("a number beyond 32 bits at byte %d", r.at) // the engine refuses it: so must what is made of it
			}
			return int32(n)
		}
	}
	r.fail("a number of more than five bytes at byte %d", r.at)
	return 0
}

func appendSigned(dst []byte, n int32) []byte {
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return append(dst, b)
		}
		dst = append(dst, b|0x80)
	}
}
