//go:build wasip1

// Command guest is a decoder alone, as a Wasm module for the benchmark: the host writes pieces into a buffer of it.
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
	decoder [2][]decode.Decoder
	current decode.Decoder
	out     decode.Output
)

//go:wasmexport room
func room(size uint32) uint32 {
	if len(buffer) < int(size) {
		buffer = make([]byte, size)
	}
	return uint32(uintptr(unsafe.Pointer(&buffer[0])))
}

// page starts a page: its shape, and whether it is Atom. As in a plugin, a garbage collection that has begun can end
// here.
//
//go:wasmexport page
func page(shape, atom uint32) {
	runtime.Gosched()
	if decoder[0] == nil {
		for _, l := range bench.Schemas() {
			decoder[0] = append(decoder[0], decode.NewJSON(l))
			decoder[1] = append(decoder[1], decode.NewAtom(l))
		}
	}
	current = decoder[atom][shape]
	current.Reset()
}

// piece decodes what is in the buffer. It returns the number of rows made, -1 after an error of the page.
//
//go:wasmexport piece
func piece(size, last uint32) int32 {
	out.Reset()
	if err := current.Write(buffer[:size], last != 0, &out); err != nil {
		return -1
	}
	return int32(len(out.Rows))
}

// data and dataSize are the arena of the last piece; rows are the rows made.
//
//go:wasmexport data
func data() uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(out.Data)))) }

//go:wasmexport dataSize
func dataSize() uint32 { return uint32(len(out.Data)) }

//go:wasmexport rows
func rows() uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(out.Rows)))) }

// allocated is how many objects were allocated so far.
//
//go:wasmexport allocated
func allocated() uint64 { return mallocs() }
