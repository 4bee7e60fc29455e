package guest

import (
	"encoding/binary"

	"github.com/culvert-project/culvert/wit"
)

// Offsets of fields in the results of frequent calls, and the sizes of these results, in bytes. A test compares them
// with package canon. A row result with the case written is all zeros.
const (
	DecodeRowsOffset, DecodeDataOffset = 12, 20
	DecodeResultSize                   = 64
	ApplyRowsOffset, ApplyDataOffset   = 20, 28
	ApplyConsumedOffset                = 44
	ApplyResultSize                    = 52
	ResponseResultsOffset              = 4
	ResponseResultSize                 = 52
)

// headerSize is the size of a header in memory: address and length of its name and of its value.
const headerSize = 16

// headers reads a list of headers. view returns the memory at an address. All strings are copied into one.
func headers(list []byte, view func(ptr, size uint32) []byte) []wit.Header {
	if len(list) == 0 {
		return nil
	}
	texts := 2 * len(list) / headerSize
	at := func(n int) []byte {
		return view(binary.LittleEndian.Uint32(list[8*n:]), binary.LittleEndian.Uint32(list[8*n+4:]))
	}
	size := 0
	for n := range texts {
		size += int(binary.LittleEndian.Uint32(list[8*n+4:]))
	}
	together := make([]byte, 0, size)
	for n := range texts {
		together = append(together, at(n)...)
	}
	rest := string(together)
	next := func(n int) (text string) {
		size := binary.LittleEndian.Uint32(list[8*n+4:])
		text, rest = rest[:size], rest[size:]
		return text
	}
	all := make([]wit.Header, texts/2)
	for i := range all {
		all[i].Name = next(2 * i)
		all[i].Value = next(2*i + 1)
	}
	return all
}
