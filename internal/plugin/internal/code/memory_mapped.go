//go:build linux || darwin

package code

import (
	"syscall"

	"github.com/tetratelabs/wazero/experimental"
)

// mapped is a guest's memory outside of Go's heap: the whole of what it may ever have is reserved as addresses, and
// pages are taken from the machine when they are first touched. Growing copies nothing, closing gives everything back
// at once, and the garbage collector's pace does not follow the guests' size.
type mappedMemory struct{ reserved []byte }

// allocateMemory is the engine's hook. Where addresses are short it falls back to the heap.
func allocateMemory(_, most uint64) experimental.LinearMemory {
	if most == 0 {
		return &onHeap{}
	}
	all, err := syscall.Mmap(-1, 0, int(most), syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
	if err != nil {
		return &onHeap{most: most}
	}
	return &mappedMemory{all}
}

// Reallocate makes the memory longer; fresh pages are zero.
func (m *mappedMemory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.reserved)) {
		return nil
	}
	return m.reserved[:size:len(m.reserved)]
}

// Free gives the memory back; the engine calls it when the instance is closed.
func (m *mappedMemory) Free() {
	if m.reserved != nil {
		_ = syscall.Munmap(m.reserved)
		m.reserved = nil
	}
}
