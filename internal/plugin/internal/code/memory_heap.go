package code

type onHeap struct {
	data  []byte
	most uint64
}

// Reallocate makes the memory longer, keeping its content.
func (h *onHeap) Reallocate(size uint64) []byte {
	if size > h.most {
		return nil
	}
	h.data = append(h.data, make([]byte, size-uint64(len(h.data)))...)
	return h.data
}

// Free lets go of the memory.
func (h *onHeap) Free() { h.data = nil }
