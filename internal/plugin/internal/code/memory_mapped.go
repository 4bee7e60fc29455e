//go:build linux || darwin

package code

import (
	"syscall"

	"github.com/tetratelabs/wazero/experimental"
)

// mapped is a guest's memory outside of Go's heap: the whole of what it may ever have is reserved as addresses, and
// pages are taken from the machine when they are first touched. Growing copies nothing, closing gives everything back
// at once, and the garbage collector's pace does not follow the guests' size.
type mapped struct{ all []byte }

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
	return &mapped{all}
}

// Reallocate makes the memory longer; fresh pages are zero.
func (m *mapped) Reallocate(size uint64) []byte {
	if size > uint64(len(m.all)) {
		return nil
	}
	return m.all[:size:len(m.all)]
}

// Free gives the memory back; the engine calls it when the instance is closed.
func (m *mapped) Free() {
	if m.all != nil {
		_ = syscall.Munmap(m.all)
		m.all = nil
	}
}
