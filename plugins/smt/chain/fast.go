package chain

import (
	"math/bits"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// This file is a room of its own: the loops for rows that are alike, with everything written down in one function each,
// because in stock Go's Wasm code a call costs as much as skipping a field. They do what Engine.row would have done, or
// stop at a row that they cannot do and leave it to that. Loads are not checked by the compiler here: every position is
// compared with the end of the datum first. Words are read low byte first, as on all machines that this runs on
// ([littleEndian]).

// slack is how many bytes more than it needs a row has room for, so that short copies can write whole words.
const slack = 64

var littleEndian = func() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 1
}()

// codes of fields for the loop: how to skip, and the branch.
const (
	codeNumber uint8 = iota
	codeBlock
	codeBoolean
	code4
	code8
	codeOther
	// codeOptional is added for a field with a branch.
	codeOptional = 8
)

// fastProgram is what the loop needs of a program.
type fastProgram struct {
	codes []uint8
	full  []uint8
	// extra is how much longer than the input a result can be; no field of the input goes out twice.
	extra int
	// usable: nothing in the program needs the slow way for every row.
	usable bool
}

func (p *program) compileFast() {
	f := &p.fast
	f.usable = littleEndian && !p.optional && p.failure == nil && len(p.checks) == 0
	for i := range p.skips {
		s := &p.skips[i]
		code := [...]uint8{skipNumber: codeNumber, skipBlock: codeBlock, skipBoolean: codeBoolean, skip4: code4,
			skip8: code8, skipOther: codeOther}[s.how]
		if s.optional && s.how != skipOther {
			code += codeOptional
		}
		f.codes, f.full = append(f.codes, code), append(f.full, s.full)
	}
	f.extra = p.extra()
}

// extra is how many bytes the parts can add to the input's.
func (p *program) extra() (n int) {
	for i := range p.parts {
		n += len(p.parts[i].bytes)
		longest := 0
		for _, b := range p.parts[i].choice {
			longest = max(longest, len(b))
		}
		n += longest
		if p.parts[i].from == attribute {
			n += 11
		}
	}
	return n
}

// pass handles rows of one route without steps: only the topic changes. It returns the first row that it did not do.
func (e *Engine) pass(r *route, topic, to uint32, rows []wit.Row, n int) int {
	at := len(e.rows)
	out := e.rows[:cap(e.rows)]
	for ; n < len(rows) && at < len(out); n++ {
		in := &rows[n]
		if in.Topic != topic {
			break
		}
		o := &out[at]
		at++
		o.Origin, o.Topic, o.Partition, o.Offset, o.Timestamp = uint32(n), to, in.Partition, in.Offset, in.Timestamp
		o.Key.Form, o.Key.Schema, o.Key.Start, o.Key.Size = wit.Unchanged, in.Key.Schema, 0, 0
		o.Value.Form, o.Value.Schema, o.Value.Start, o.Value.Size = wit.Unchanged, in.Value.Schema, 0, 0
		o.Headers.Form, o.Headers.Schema, o.Headers.Start, o.Headers.Size = wit.Unchanged, 0, 0, 0
	}
	e.rows = out[:at]
	return n
}

// structures handles rows of one route whose values are structures of one schema, for a route with steps on values
// only. It returns the first row that it did not do.
func (e *Engine) structures(p *program, schema, topic, to uint32, rows []wit.Row, n int, data []byte) int {
	f := &p.fast
	at, out := len(e.rows), e.rows[:cap(e.rows)]
	dst := e.data
	base := unsafe.Pointer(unsafe.SliceData(data))
	ends := unsafe.Pointer(unsafe.SliceData(e.ends))
	codes := f.codes
loop:
	for ; n < len(rows) && at < len(out) && len(dst) < maxData; n++ {
		in := &rows[n]
		if in.Topic != topic || in.Value.Form != wit.Structured || in.Value.Schema != schema ||
			uint64(in.Value.Start)+uint64(in.Value.Size) > uint64(len(data)) {
			break
		}
		from := len(dst)
		if !p.same {
			i, end := uintptr(in.Value.Start), uintptr(in.Value.Start)+uintptr(in.Value.Size)
			for m, code := range codes {
				*(*uint32)(unsafe.Add(ends, m*4)) = uint32(i)
				if code >= codeOptional {
					if i >= end {
						break loop
					}
					branch := *(*byte)(unsafe.Add(base, i))
					if branch&^2 != 0 {
						break loop
					}
					i++
					if branch != f.full[m] {
						continue
					}
					code -= codeOptional
				}
				switch code {
				case codeBlock:
					if i+2 > end {
						if i >= end || *(*byte)(unsafe.Add(base, i)) != 0 {
							break loop
						}
						i++
						continue
					}
					size := uintptr(*(*byte)(unsafe.Add(base, i)))
					i++
					if size >= 0x80 {
						next := uintptr(*(*byte)(unsafe.Add(base, i)))
						if next >= 0x80 {
							break loop // 8 KiB and more
						}
						size = size&0x7f | next<<7
						i++
					}
					if size&1 != 0 || size>>1 > end-i {
						break loop
					}
					i += size >> 1
				case codeNumber:
					if i+8 <= end {
						stop := ^*(*uint64)(unsafe.Add(base, i)) & 0x8080808080808080
						if stop == 0 {
							break loop // 9 bytes and more
						}
						i += uintptr(bits.TrailingZeros64(stop))/8 + 1
						continue
					}
					for {
						if i >= end {
							break loop
						}
						i++
						if *(*byte)(unsafe.Add(base, i-1)) < 0x80 {
							break
						}
					}
				case codeBoolean:
					if i >= end || *(*byte)(unsafe.Add(base, i)) > 1 {
						break loop
					}
					i++
				case code4:
					i += 4
				case code8:
					i += 8
				default:
					size, err := datum.Skip(p.skips[m].nodes, p.skips[m].node, data[i:end])
					if err != nil {
						break loop
					}
					i += uintptr(size)
				}
				if i > end {
					break loop
				}
			}
			if i != end {
				break
			}
			*(*uint32)(unsafe.Add(ends, len(codes)*4)) = uint32(i)
			if need := int(in.Value.Size) + f.extra + slack; cap(dst)-from < need {
				dst = grow(dst, need)
			}
			dst = e.emit(p, dst, base, in)
		}
		o := &out[at]
		at++
		o.Origin, o.Topic, o.Partition, o.Offset, o.Timestamp = uint32(n), to, in.Partition, in.Offset, in.Timestamp
		o.Key.Form, o.Key.Schema, o.Key.Start, o.Key.Size = wit.Unchanged, in.Key.Schema, 0, 0
		o.Value.Form, o.Value.Schema, o.Value.Start, o.Value.Size = wit.Structured, p.out, uint32(from),
			uint32(len(dst)-from)
		if p.same {
			o.Value.Form, o.Value.Start, o.Value.Size = wit.Unchanged, 0, 0
		}
		o.Headers.Form, o.Headers.Schema, o.Headers.Start, o.Headers.Size = wit.Unchanged, 0, 0, 0
	}
	e.rows, e.data = out[:at], dst
	return n
}

// grow makes room, for about a call's worth at once.
func grow(dst []byte, need int) []byte {
	bigger := make([]byte, len(dst), max(2*cap(dst), len(dst)+need, 64<<10))
	copy(bigger, dst)
	return bigger
}

// emit writes a row's parts; ends say where its fields are. There is room for the result and for slack behind it.
func (e *Engine) emit(p *program, dst []byte, base unsafe.Pointer, in *wit.Row) []byte {
	at := len(dst)
	whole := dst[:cap(dst)]
	to := unsafe.Pointer(unsafe.SliceData(dst))
	ends := unsafe.Pointer(unsafe.SliceData(e.ends))
	for i := range p.parts {
		part := &p.parts[i]
		var src unsafe.Pointer
		var size int
		switch part.from {
		case input:
			first, last := *(*uint32)(unsafe.Add(ends, part.first*4)), *(*uint32)(unsafe.Add(ends, part.last*4+4))
			src, size = unsafe.Add(base, first), int(last-first)
			if part.bytes != nil && *(*byte)(src) == part.null {
				src, size = unsafe.Pointer(unsafe.SliceData(part.bytes)), len(part.bytes)
			}
			copy(whole[at:at+size], unsafe.Slice((*byte)(src), size))
		case constant:
			// padded by slack when it was compiled, so words can be read
			src, size = unsafe.Pointer(unsafe.SliceData(part.bytes)), len(part.bytes)
			if size > slack {
				copy(whole[at:at+size], part.bytes)
				break
			}
			for k := 0; k < size; k += 8 {
				*(*uint64)(unsafe.Add(to, at+k)) = *(*uint64)(unsafe.Add(src, k))
			}
		case chosen:
			made := part.choice[*(*byte)(unsafe.Add(base, *(*uint32)(unsafe.Add(ends, part.first*4))))]
			size = copy(whole[at:], made)
		default:
			size = len(part.attribute(whole[:at], in)) - at
		}
		at += size
	}
	return whole[:at]
}
