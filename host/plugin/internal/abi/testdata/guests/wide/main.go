// Wide is a guest with a function of more than 16 core parameters, which no function of the contract has: they travel
// through one pointer. It reads them by hand, at the places that the canonical ABI says, and gives back what it read as a text.
package main

import (
	"fmt"
	"unsafe"
)

func main() {}

var kept [][]byte

//go:wasmexport cabi_realloc
func realloc(old, oldSize, align, size uint32) uint32 {
	b := make([]byte, size+8)
	kept = append(kept, b)
	return (uint32(uintptr(unsafe.Pointer(&b[0]))) + 7) &^ 7
}

func at[T any](ptr uint32) T { return *(*T)(unsafe.Pointer(uintptr(ptr))) }

func text(ptr uint32) string {
	return unsafe.String((*byte)(unsafe.Pointer(uintptr(at[uint32](ptr)))), at[uint32](ptr+4))
}

var (
	answer [13]uint32
	said   string
	posted int
)

// wide(bytes list<u8>, text string, small u8, number u32, long s64, flag bool, some option<string>, none option<s64>,
// texts list<string>, real f64, pairs list<pair>) -> result<string, fault>
//
//go:wasmexport culvert:connect/test@0.2.0#wide
func wide(p uint32) uint32 {
	list := at[uint32](p + 56)
	said = fmt.Sprintf("%s|%s|%d|%d|%d|%d|%d %s|%d|%d %s %s|%g|%d %s=%s", text(p), text(p+8), at[uint8](p+16), at[uint32](p+20), at[int64](p+24),
		at[uint8](p+32), at[uint8](p+36), text(p+40), at[uint8](p+48), at[uint32](p+68), text(at[uint32](p+64)), text(at[uint32](p+64)+8),
		at[float64](p+72), at[uint32](p+84), text(at[uint32](p+80)), text(at[uint32](p+80)+8))
	_ = list
	answer = [13]uint32{0, uint32(uintptr(unsafe.Pointer(unsafe.StringData(said)))), uint32(len(said))}
	return uint32(uintptr(unsafe.Pointer(&answer)))
}

//go:wasmexport cabi_post_culvert:connect/test@0.2.0#wide
func post(p uint32) {
	if p != uint32(uintptr(unsafe.Pointer(&answer))) {
		panic("post-return of something else")
	}
	posted++
}

//go:wasmexport culvert:connect/test@0.2.0#posted
func count() uint32 { return uint32(posted) }
