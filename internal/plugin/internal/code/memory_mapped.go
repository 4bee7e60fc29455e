//go:build linux || darwin

package code

import (
	"syscall"

	"github.com/tetratelabs/wazero/experimental"
)

// mappedMemory is guest memory outside of Go's heap: addresses are reserved for its maximum, and pages are provided
// when they are first used. Growing copies nothing, and the garbage collector's pace does not depend on the guests.
type mappedMemory struct{ reserved []byte }

// allocateMemory is the engine's hook. If addresses are scarce, it uses the heap.
func allocateMemory(_, maximum uint64) experimental.LinearMemory {
	if maximum == 0 {
		return &heapMemory{}
	}
	reserved, err := syscall.Mmap(-1, 0, int(maximum), syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
	if err != nil {
		return &heapMemory{maximum: maximum}
	}
	return &mappedMemory{reserved}
}

func (m *mappedMemory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.reserved)) {
		return nil
	}
	return m.reserved[:size:len(m.reserved)]
}

func (m *mappedMemory) Free() {
	if m.reserved != nil {
		_ = syscall.Munmap(m.reserved)
		m.reserved = nil
	}
}
