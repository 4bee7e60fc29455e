package kernel

import "unsafe"

const (
	Room     = 64 // bytes that may be read after a value and written after a result
	Slack    = 15 // bytes that may be written after a copy by words
	rowBytes = 80 // size of a wit.Row
)

// Load reads eight bytes at p+i. Like all functions here, it does not check that they exist.
func Load(p unsafe.Pointer, i int) uint64 { return *(*uint64)(unsafe.Add(p, i)) }

// Byte reads the byte at p+i.
func Byte(p unsafe.Pointer, i int) byte { return *(*byte)(unsafe.Add(p, i)) }

// Store writes eight bytes at p+i.
func Store(p unsafe.Pointer, i int, v uint64) { *(*uint64)(unsafe.Add(p, i)) = v }

// Put writes the byte at p+i.
func Put(p unsafe.Pointer, i int, c byte) { *(*byte)(unsafe.Add(p, i)) = c }

// Copy copies size bytes from source+j to p+i.
func Copy(p unsafe.Pointer, i int, source unsafe.Pointer, j int, size int) {
	copy(unsafe.Slice((*byte)(unsafe.Add(p, i)), size), unsafe.Slice((*byte)(unsafe.Add(source, j)), size))
}
