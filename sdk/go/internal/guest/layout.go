package guest

import (
	"encoding/binary"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
)

// Offsets of fields, and sizes, of the results of frequent calls in bytes. A test compares them with package canon.
const (
	DecodeRowsOffset, DecodeDataOffset = 12, 20
	DecodeResultSize                   = 64
	ApplyRowsOffset, ApplyDataOffset   = 20, 28
	ApplyConsumedOffset                = 44
	ApplyResultSize                    = 52
)

// Sizes in memory in bytes: a string is an address and a length, a hint a row and a string.
const stringSize, hintSize = 8, 12

// String returns a copy of a string that the host passed.
func String(ptr, size uint32) string { return string(View(ptr, size)) }

// stringAt returns the string whose address and length are at the start of b. It does not copy the string.
func stringAt(b []byte) []byte {
	return View(binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]))
}

// Strings returns a copy of a list of strings that the host passed. All strings share one allocation.
func Strings(ptr, n uint32) []string {
	if n == 0 {
		return nil
	}
	list := View(ptr, n*stringSize)
	size := 0
	for offset := 0; offset < len(list); offset += stringSize {
		size += int(binary.LittleEndian.Uint32(list[offset+4:]))
	}
	joined := make([]byte, 0, size)
	for offset := 0; offset < len(list); offset += stringSize {
		joined = append(joined, stringAt(list[offset:])...)
	}
	remaining := unsafe.String(unsafe.SliceData(joined), len(joined))
	texts := make([]string, n)
	for i := range texts {
		size := binary.LittleEndian.Uint32(list[stringSize*i+4:])
		texts[i] = remaining[:size]
		remaining = remaining[size:]
	}
	return texts
}

// Headers returns a copy of a list of headers that the host passed: each is two strings, in memory and in Go.
func Headers(ptr, n uint32) []wit.Header {
	return unsafe.Slice((*wit.Header)(unsafe.Pointer(unsafe.SliceData(Strings(ptr, 2*n)))), n)
}

// Hints returns a copy of a list of hints that the host passed.
func Hints(ptr, n uint32) []wit.Hint {
	list := View(ptr, n*hintSize)
	hints := make([]wit.Hint, n)
	for i := range hints {
		b := list[hintSize*i:]
		hints[i] = wit.Hint{Row: binary.LittleEndian.Uint32(b), Text: string(stringAt(b[4:]))}
	}
	return hints
}
