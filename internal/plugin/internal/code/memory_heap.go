package code

type heapMemory struct {
	data    []byte
	maximum uint64
}

// Reallocate extends the memory.
func (h *heapMemory) Reallocate(size uint64) []byte {
	if size > h.maximum {
		return nil
	}
	h.data = append(h.data, make([]byte, size-uint64(len(h.data)))...)
	return h.data
}

// Free releases the memory.
func (h *heapMemory) Free() { h.data = nil }
