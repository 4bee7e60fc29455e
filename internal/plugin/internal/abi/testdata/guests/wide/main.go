// Wide is a guest with a function of 16 core parameters, the maximum. It reads them by hand, at the offsets that the
// canonical ABI specifies, and returns them as a text.
package main

import (
	"fmt"
	"unsafe"
)

func main() {}

var allocated [][]byte

//go:wasmexport cabi_realloc
func realloc(old, oldSize, align, size uint32) uint32 {
	b := make([]byte, size+8)
	allocated = append(allocated, b)
	return (addressOf(&b[0]) + 7) &^ 7 // aligned to 8
}

func addressOf[T any](p *T) uint32 { return uint32(uintptr(unsafe.Pointer(p))) }

func at[T any](ptr uint32) T { return *(*T)(unsafe.Pointer(uintptr(ptr))) }

func view(ptr, size uint32) string { return unsafe.String((*byte)(unsafe.Pointer(uintptr(ptr))), size) }

func text(ptr uint32) string { return view(at[uint32](ptr), at[uint32](ptr+4)) }

var (
	answer [13]uint32
	result string
	posted int
)

// wide(bytes list<u8>, text string, small u8, number u32, long s64, flag bool, some option<string>, none option<s64>,
// texts list<string>, real f64) -> result<string, fault>
//
//go:wasmexport culvert:connect/test@0.3.0#wide
func wide(bytes, bytesLen, t, tLen, small, number uint32, long int64, flag, some, someText, someLen, none uint32,
	_ int64, texts, textsLen uint32, real float64) uint32 {
	result = fmt.Sprintf("%s|%s|%d|%d|%d|%d|%d %s|%d|%d %s %s|%g", view(bytes, bytesLen), view(t, tLen), small, number,
		long, flag, some, view(someText, someLen), none, textsLen, text(texts), text(texts+8), real)
	answer = [13]uint32{0, addressOf(unsafe.StringData(result)), uint32(len(result))}
	return addressOf(&answer)
}

//go:wasmexport cabi_post_culvert:connect/test@0.3.0#wide
func post(p uint32) {
	if p != addressOf(&answer) {
		panic("post-return of something else")
	}
	posted++
}

//go:wasmexport culvert:connect/test@0.3.0#posted
func count() uint32 { return uint32(posted) }
