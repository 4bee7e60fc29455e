// Package wasm reads and writes the numbers, names and sections that WebAssembly modules are made of
// (https://webassembly.github.io/spec/core/binary/). It knows no instructions.
package wasm

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// Malformed is what a [Reader] panics with where bytes are not what they should be. [Try] makes an error of it.
type Malformed struct {
	// At is the byte of the module.
	At   int
	Text string
}

func (m *Malformed) Error() string { return fmt.Sprintf("malformed at byte %d: %s", m.At, m.Text) }

// Try calls a function that reads, and returns the [*Malformed] that it panicked with, if it did.
func Try(read func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Malformed:
			err = r
		default:
			panic(r)
		}
	}()
	read()
	return nil
}

// Reader reads a module from At on, up to End. What it cannot read ends the reading by a panic with a [*Malformed]:
// checks of errors after each number would cost more than the reading.
type Reader struct {
	Data    []byte
	At, End int
}

// NewReader reads data from its beginning.
func NewReader(data []byte) Reader { return Reader{Data: data, End: len(data)} }

// Malformed ends the reading.
func (r *Reader) Malformed(format string, args ...any) {
	panic(&Malformed{r.At, fmt.Sprintf(format, args...)})
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if r.At >= r.End {
		r.Malformed("cut off")
	}
	r.At++
	return r.Data[r.At-1]
}

// U32 reads unsigned LEB128 of up to five bytes; forms longer than needed are fine: LLVM pads numbers.
func (r *Reader) U32() uint32 {
	if r.At < r.End && r.Data[r.At] < 0x80 {
		r.At++
		return uint32(r.Data[r.At-1])
	}
	var n uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.Byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if n > 1<<32-1 {
				r.Malformed("a number beyond 32 bits")
			}
			return uint32(n)
		}
	}
	r.Malformed("a number of more than five bytes")
	return 0
}

// Signed reads signed LEB128 of up to five bytes whose number fits so many bits: 32 of constants, 33 of a block's type.
func (r *Reader) Signed(bits int) int64 {
	var n int64
	for shift := 0; shift < 35; shift += 7 {
		b := r.Byte()
		n |= int64(b&0x7f) << shift
		if b < 0x80 {
			if b&0x40 != 0 {
				n |= -1 << (shift + 7)
			}
			if n>>(bits-1) != 0 && n>>(bits-1) != -1 {
				r.Malformed("a number beyond %d bits", bits)
			}
			return n
		}
	}
	r.Malformed("a number of more than five bytes")
	return 0
}

// Skip passes over LEB128 of at most so many bytes.
func (r *Reader) Skip(most int) {
	for range most {
		if r.Byte() < 0x80 {
			return
		}
	}
	r.Malformed("a number of more than %d bytes", most)
}

// Bytes reads so many bytes, which stay those of the module.
func (r *Reader) Bytes(n int) []byte {
	if n < 0 || n > r.End-r.At {
		r.Malformed("cut off: %d bytes are wanted, %d are left", n, r.End-r.At)
	}
	r.At += n
	return r.Data[r.At-n : r.At : r.At]
}

// Count reads the length of a vector, whose elements have at least one byte each.
func (r *Reader) Count() int {
	n := r.U32()
	if uint64(n) > uint64(r.End-r.At) {
		r.Malformed("%d elements in %d bytes", n, r.End-r.At)
	}
	return int(n)
}

// Index reads an index that must lie below count.
func (r *Reader) Index(count int, what string) uint32 {
	n := r.U32()
	if uint64(n) >= uint64(count) {
		r.Malformed("%s %d: there are %d", what, n, count)
	}
	return n
}

// Name reads a name, UTF-8 or not.
func (r *Reader) Name() string { return string(r.Bytes(r.Count())) }

// HeaderBytes is how many bytes stand in front of a module's first section: the magic number and the version.
const HeaderBytes = 8

// Section is where a section lies in a module.
type Section struct {
	ID byte
	// At is its header, From its content, To its end.
	At, From, To int
}

// Content reads what the section holds.
func (s Section) Content(module []byte) Reader { return Reader{Data: module, At: s.From, End: s.To} }

// Sections are those of a module in their order. A section that is cut off ends the reading as [Reader] has it.
func Sections(module []byte) iter.Seq[Section] {
	return func(yield func(Section) bool) {
		r := NewReader(module)
		for r.At = min(HeaderBytes, len(module)); r.At < r.End; {
			s := Section{At: r.At}
			s.ID = r.Byte()
			size := int(r.U32())
			if s.From, s.To = r.At, r.At+size; s.To > r.End {
				r.Malformed("section %d at byte %d claims %d bytes, %d are left", s.ID, s.At, size, r.End-s.From)
			}
			if !yield(s) {
				return
			}
			r.At = s.To
		}
	}
}

// Ids of sections.
const (
	Custom = iota
	Types
	Imports
	Functions
	Tables
	Memories
	Globals
	Exports
	Start
	Elements
	Code
	Data
	DataCount
	Tags
)

// AppendU32 appends unsigned LEB128.
func AppendU32(dst []byte, n uint32) []byte { return binary.AppendUvarint(dst, uint64(n)) }

// AppendSigned appends signed LEB128.
func AppendSigned(dst []byte, n int64) []byte {
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return append(dst, b)
		}
		dst = append(dst, b|0x80)
	}
}

// AppendSized appends content after its length, as sections, names and bodies have it.
func AppendSized(dst, content []byte) []byte {
	return append(AppendU32(dst, uint32(len(content))), content...)
}

// AppendSection appends a section.
func AppendSection(dst []byte, id byte, content []byte) []byte {
	return AppendSized(append(dst, id), content)
}
