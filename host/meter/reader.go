package meter

import (
	"encoding/binary"
	"fmt"
)

// failure carries an error up to [Rewrite].
type failure struct{ err error }

// reader reads a module. What it cannot read ends the rewriting by a panic with a [failure].
type reader struct {
	data []byte
	// at is the next byte; nothing from end on may be read.
	at, end int
}

func (r *reader) malformed(format string, args ...any) {
	panic(failure{fmt.Errorf("malformed at byte %d: %s", r.at, fmt.Sprintf(format, args...))})
}

func (r *reader) refuse(feature string) { panic(failure{&Refusal{feature, r.at, -1}}) }

func (r *reader) byte() byte {
	if r.at >= r.end {
		r.malformed("cut off")
	}
	r.at++
	return r.data[r.at-1]
}

// u32 reads unsigned LEB128 of up to five bytes; forms longer than needed are fine.
func (r *reader) u32() uint32 {
	if r.at < r.end && r.data[r.at] < 0x80 {
		r.at++
		return uint32(r.data[r.at-1])
	}
	var n uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if n > 1<<32-1 {
				r.malformed("a number beyond 32 bits")
			}
			return uint32(n)
		}
	}
	r.malformed("a number of more than five bytes")
	return 0
}

// s33 reads the signed LEB128 of a block's type.
func (r *reader) s33() int64 {
	var n int64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		n |= int64(b&0x7f) << shift
		if b < 0x80 {
			if b&0x40 != 0 {
				n |= -1 << (shift + 7)
			}
			if n < -1<<32 || n >= 1<<32 {
				r.malformed("a number beyond 33 bits")
			}
			return n
		}
	}
	r.malformed("a number of more than five bytes")
	return 0
}

// skip passes over a LEB128 of at most so many bytes, which is copied as it is.
func (r *reader) skip(most int) {
	for range most {
		if r.byte() < 0x80 {
			return
		}
	}
	r.malformed("a number of more than %d bytes", most)
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > r.end-r.at {
		r.malformed("cut off: %d bytes are wanted, %d are left", n, r.end-r.at)
	}
	r.at += n
	return r.data[r.at-n : r.at : r.at]
}

// count reads the length of a vector, whose elements have at least one byte each.
func (r *reader) count() int {
	n := r.u32()
	if uint64(n) > uint64(r.end-r.at) {
		r.malformed("%d elements in %d bytes", n, r.end-r.at)
	}
	return int(n)
}

func (r *reader) name() string { return string(r.bytes(r.count())) }

// index reads an index that must lie below count.
func (r *reader) index(count int, what string) uint32 {
	n := r.u32()
	if uint64(n) >= uint64(count) {
		r.malformed("%s %d: there are %d", what, n, count)
	}
	return n
}

func uleb(dst []byte, n uint32) []byte { return binary.AppendUvarint(dst, uint64(n)) }

func sleb(dst []byte, n int64) []byte {
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return append(dst, b)
		}
		dst = append(dst, b|0x80)
	}
}

// sized appends content with its length before it.
func sized(dst, content []byte) []byte { return append(uleb(dst, uint32(len(content))), content...) }
