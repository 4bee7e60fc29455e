package guest

// arena hands out memory for what the host writes before a call. It is rooted in a package variable: memory that only
// the host knows would be collected under it. It is reset by the first allocation after an export has ended, so that
// memory stays at what the largest call took.
type arena struct {
	// minChunk is the first chunk's size.
	minChunk int
	chunk    []byte
	used     int
	// fullChunks is what was used of chunks that this call has outgrown; they stay until the reset.
	fullChunks [][]byte
	// released is set when the export that the memory was for has ended.
	released bool
}

// minArguments is room for a piece of a page, 64 KiB, with what else its call takes.
const minArguments = 72 << 10

// chunkAhead is how much a chunk has, in bytes, for what is not asked for yet: of what one large row takes, as much
// once more would not fit into the memory of a guest.
const chunkAhead = 4 << 20

// alloc returns size bytes at a multiple of 8, at least one.
func (a *arena) alloc(size int) []byte {
	if a.released {
		a.reset()
	}
	a.used = (a.used + 7) &^ 7
	if a.used+size > len(a.chunk) {
		if len(a.chunk) > 0 {
			a.fullChunks = append(a.fullChunks, a.chunk[:a.used])
		}
		a.chunk, a.used = make([]byte, max(a.minChunk, min(2*len(a.chunk), chunkAhead), (size+7)&^7)), 0
	}
	b := a.chunk[a.used : a.used+size : a.used+size]
	a.used += size
	return b
}

// reset makes all memory free again; a call that took several chunks leaves one that would have held it all, and a call
// that takes a little more.
func (a *arena) reset() {
	if len(a.fullChunks) > 0 {
		total := a.used
		for _, c := range a.fullChunks {
			total += len(c)
		}
		a.chunk, a.fullChunks = make([]byte, (total+total/8+7)&^7), nil
	}
	a.used, a.released = 0, false
}
