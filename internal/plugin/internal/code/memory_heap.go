package code

// heapMemory is guest memory on Go's heap, of at most maximum bytes.
type heapMemory struct {
	data    []byte
	maximum uint64
}

func (h *heapMemory) Reallocate(size uint64) []byte {
	if size > h.maximum {
		return nil
	}
	h.data = append(h.data, make([]byte, size-uint64(len(h.data)))...)
	return h.data
}

func (h *heapMemory) Free() { h.data = nil }
