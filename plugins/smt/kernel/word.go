package kernel

import "unsafe"

// Room is the number of bytes that may be read after a value and written after a result.
const Room = 64

// Slack is the number of bytes that may be written after a copy by words.
const Slack = 15

// rowBytes is the size of a wit.Row.
const rowBytes = 80

// Load reads eight bytes at p+i.
func Load(p unsafe.Pointer, i int) uint64 { return *(*uint64)(unsafe.Add(p, i)) }

// Byte reads one byte at p+i.
func Byte(p unsafe.Pointer, i int) byte { return *(*byte)(unsafe.Add(p, i)) }

// Store writes eight bytes at p+i.
func Store(p unsafe.Pointer, i int, v uint64) { *(*uint64)(unsafe.Add(p, i)) = v }

// Put writes one byte at p+i.
func Put(p unsafe.Pointer, i int, c byte) { *(*byte)(unsafe.Add(p, i)) = c }

// Copy copies n bytes from q+j to p+i.
func Copy(p unsafe.Pointer, i int, q unsafe.Pointer, j int, size int) {
	copy(unsafe.Slice((*byte)(unsafe.Add(p, i)), size), unsafe.Slice((*byte)(unsafe.Add(q, j)), size))
}
