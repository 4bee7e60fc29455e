package guest

// arena allocates the memory that the host writes to before a call. It must be a package variable, since Go's garbage
// collector would free memory that only the host refers to. The first allocation after the end of an export reuses all
// memory, so that memory stays at the size of the largest call.
type arena struct {
	minChunk int // the size of the first chunk in bytes
	chunk    []byte
	used     int // the number of allocated bytes at the start of chunk
	// fullChunks are the used parts of chunks that the call has filled. They are freed by the reset.
	fullChunks [][]byte
	released   bool // whether the export that used the memory has ended
}

// Sizes of chunks in bytes.
const (
	// minResults fits the rare parts of a result. Rows and their data are outside the arena.
	minResults = 8 << 10
	// minArguments fits a piece of a page, 64 KiB, and the other arguments of its call.
	minArguments = 72 << 10
	// chunkAhead limits how much a chunk grows in advance: doubling it for one large row could exceed the memory.
	chunkAhead = 4 << 20
)

// results contains the results until the next call.
var results = arena{minChunk: minResults}

// alloc returns size bytes, aligned to 8. The first call after the arena was released resets it.
func (a *arena) alloc(size int) []byte {
	if a.released {
		a.reset()
	}
	a.used = (a.used + 7) &^ 7
	if a.used+size > len(a.chunk) {
		if len(a.chunk) > 0 {
			a.fullChunks = append(a.fullChunks, a.chunk[:a.used])
		}
		a.chunk = make([]byte, max(a.minChunk, min(2*len(a.chunk), chunkAhead), (size+7)&^7))
		a.used = 0
	}
	b := a.chunk[a.used : a.used+size : a.used+size]
	a.used += size
	return b
}

// reset frees all memory. After a call that filled several chunks it allocates one that fits all, and an eighth more.
func (a *arena) reset() {
	if len(a.fullChunks) > 0 {
		total := a.used
		for _, c := range a.fullChunks {
			total += len(c)
		}
		a.chunk = make([]byte, (total+total/8+7)&^7)
		a.fullChunks = nil
	}
	a.used = 0
	a.released = false
}
