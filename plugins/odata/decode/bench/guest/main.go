//go:build wasip1

// Command guest is a Wasm module with nothing but the decoders, for the benchmark. The host writes pieces of pages into
// its buffer.
package main

import (
	"runtime"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/decode/bench"
)

func main() {}

var (
	buffer  []byte
	decoder [][]decode.Decoder // by format and shape
	current decode.Decoder     // of the page that page started
	out     decode.Output      // of the last piece
)

// room returns the address of a buffer with at least this size.
//
//go:wasmexport room
func room(size uint32) uint32 {
	if len(buffer) < int(size) {
		buffer = make([]byte, size)
	}
	return uint32(uintptr(unsafe.Pointer(&buffer[0])))
}

// page starts a page of a shape, by its index in [bench.Shapes], in a format, by its number. As in a plugin, a garbage
// collection that has begun can end here.
//
//go:wasmexport page
func page(shape, format uint32) {
	runtime.Gosched()
	if decoder == nil {
		for _, f := range bench.Formats {
			var decoders []decode.Decoder
			for _, s := range f.Shapes(0) {
				decoders = append(decoders, f.NewDecoder(s.Schema))
			}
			decoder = append(decoder, decoders)
		}
	}
	current = decoder[format][shape]
	current.Reset()
}

// piece decodes the first bytes of the buffer; last is 1 at the end of the page. It returns the number of new rows, -1
// after an error of the page.
//
//go:wasmexport piece
func piece(size, last uint32) int32 {
	out.Reset()
	if err := current.Write(buffer[:size], last != 0, &out); err != nil {
		return -1
	}
	return int32(len(out.Rows))
}

// data returns the address of the last piece's arena, dataSize its size, and rows the address of its rows.
//
//go:wasmexport data
func data() uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(out.Data)))) }

//go:wasmexport dataSize
func dataSize() uint32 { return uint32(len(out.Data)) }

//go:wasmexport rows
func rows() uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(out.Rows)))) }

// allocated returns the number of objects that the guest has allocated so far.
//
//go:wasmexport allocated
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Mallocs
}
