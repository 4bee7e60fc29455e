// Package wasm reads and writes numbers, names and sections of WebAssembly modules, but not instructions
// (https://webassembly.github.io/spec/core/binary/).
package wasm

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// MalformedError is the error of invalid bytes. [Reader] panics with it, [Try] returns it.
type MalformedError struct {
	At   int // the position in bytes
	Text string
}

func (m *MalformedError) Error() string { return fmt.Sprintf("malformed at byte %d: %s", m.At, m.Text) }

// Try calls read and returns the [*MalformedError] that it panics with, if any.
func Try(read func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil: // read has returned
		case *MalformedError:
			err = r
		default:
			panic(r)
		}
	}()
	read()
	return nil
}

// Reader reads Data from At to End. Errors are panics with [*MalformedError]: checks after each number would be slow.
type Reader struct {
	Data []byte
	At   int
	End  int
}

// NewReader returns a reader of all data.
func NewReader(data []byte) Reader { return Reader{Data: data, End: len(data)} }

// Malformed panics with a [*MalformedError] at the current position.
func (r *Reader) Malformed(format string, args ...any) {
	panic(&MalformedError{At: r.At, Text: fmt.Sprintf(format, args...)})
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if r.At >= r.End {
		r.Malformed("truncated")
	}
	r.At++
	return r.Data[r.At-1]
}

// U32 reads unsigned LEB128 of up to five bytes. Padding is valid: LLVM writes it.
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

// Signed reads signed LEB128 whose number fits bits: 32 of constants, 33 of a block's type.
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

// Skip skips LEB128 of at most limit bytes.
func (r *Reader) Skip(limit int) {
	for range limit {
		if r.Byte() < 0x80 {
			return
		}
	}
	r.Malformed("a number of more than %d bytes", limit)
}

// Bytes reads n bytes. The result is a part of Data.
func (r *Reader) Bytes(n int) []byte {
	if n < 0 || n > r.End-r.At {
		r.Malformed("truncated: expected %d bytes, %d remain", n, r.End-r.At)
	}
	r.At += n
	return r.Data[r.At-n : r.At : r.At]
}

// Count reads the length of a vector of elements of at least one byte.
func (r *Reader) Count() int {
	n := r.U32()
	if uint64(n) > uint64(r.End-r.At) {
		r.Malformed("%d elements in %d bytes", n, r.End-r.At)
	}
	return int(n)
}

// Index reads an index into count elements; kind names them in the error.
func (r *Reader) Index(count int, kind string) uint32 {
	n := r.U32()
	if uint64(n) >= uint64(count) {
		r.Malformed("%s %d: there are %d", kind, n, count)
	}
	return n
}

// Name reads a length and as many bytes. It does not check that they are UTF-8.
func (r *Reader) Name() string { return string(r.Bytes(r.Count())) }

// HeaderBytes is the length of the magic number and the version, which precede the sections.
const HeaderBytes = 8

// Section locates a section in a module: its header at At, its content from From to To.
type Section struct {
	ID   byte
	At   int
	From int
	To   int
}

// Content returns a reader of the section's content.
func (s Section) Content(module []byte) Reader { return Reader{Data: module, At: s.From, End: s.To} }

// Sections returns a module's sections in order. A truncated one panics like [Reader].
func Sections(module []byte) iter.Seq[Section] {
	return func(yield func(Section) bool) {
		r := NewReader(module)
		for r.At = min(HeaderBytes, len(module)); r.At < r.End; {
			s := Section{At: r.At}
			s.ID = r.Byte()
			size := int(r.U32())
			s.From = r.At
			s.To = r.At + size
			if s.To > r.End {
				r.Malformed("section %d at byte %d claims %d bytes, %d are left", s.ID, s.At, size, r.End-s.From)
			}
			if !yield(s) {
				return
			}
			r.At = s.To
		}
	}
}

// Section ids.
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
		if (n == 0 && b&0x40 == 0) || (n == -1 && b&0x40 != 0) {
			return append(dst, b)
		}
		dst = append(dst, b|0x80)
	}
}

// AppendSized appends the length of a content and the content.
func AppendSized(dst, content []byte) []byte {
	return append(AppendU32(dst, uint32(len(content))), content...)
}

// AppendSection appends a section: its id, and its content with the length.
func AppendSection(dst []byte, id byte, content []byte) []byte {
	return AppendSized(append(dst, id), content)
}
