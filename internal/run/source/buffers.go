package source

import (
	"context"
	"sync"

	"github.com/culvert-project/culvert/wit"
)

// Buffers owns the memory of all chunks of a worker while they are in flight. Each feed has [reservedChunks] of its
// own, which suffice to make progress, and may use shared ones. It is safe for concurrent use.
type Buffers struct {
	sharedTokens chan struct{}

	mu    sync.Mutex
	inUse int      // the number of chunks in flight
	free  []buffer // the memory of released chunks, to be used again
}

type buffer struct {
	rows      []wit.Row
	data      []byte
	origins   []uint32
	converted []byte
}

// reservedChunks is one for each place where a chunk may wait for another: in the read stage, in the channel decoded,
// in the transform stage, and the part that this stage sends early.
const reservedChunks = 4

// NewBuffers returns the buffers of a worker. Its feeds share this number of chunks besides the reserved ones.
func NewBuffers(shared int) *Buffers { return &Buffers{sharedTokens: make(chan struct{}, shared)} }

// attach gives a chunk the memory of a released one, if there is any.
func (b *Buffers) attach(chunk *chunk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inUse++
	if last := len(b.free) - 1; last >= 0 {
		reused := b.free[last]
		b.free[last] = buffer{}
		b.free = b.free[:last]
		chunk.batch.Rows = reused.rows
		chunk.batch.Data = reused.data
		chunk.origins = reused.origins
		chunk.converted = reused.converted
	}
}

// detach takes the memory from a chunk that is released, and keeps it for attach if it is reusable and not too large.
func (b *Buffers) detach(chunk *chunk, reusable bool) {
	chunk.freeLarge()
	released := buffer{chunk.batch.Rows[:0], chunk.batch.Data[:0], chunk.origins[:0], chunk.converted[:0]}
	chunk.batch.Rows = nil
	chunk.batch.Data = nil
	chunk.origins = nil
	chunk.converted = nil
	chunk.batch.Reset() // otherwise the schemas of its rows would stay in memory
	chunk.produced = nil
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inUse--
	switch {
	case b.inUse == 0: // the worker is idle: return its memory
		b.free = nil
	case reusable && len(b.free) < cap(b.sharedTokens):
		b.free = append(b.free, released)
	}
}

// acquireChunk blocks until a chunk is free or ctx ends. The caller sends the chunk or releases it.
func (f *feed) acquireChunk(ctx context.Context, origin *origin) (chunk *chunk, err error) {
	select {
	case chunk = <-f.pipeline.free: // rather than a shared one
	default:
		select {
		case chunk = <-f.pipeline.free:
		case f.task.o.Buffers.sharedTokens <- struct{}{}:
			chunk = newChunk(f.task.o.Registry)
			chunk.shared = true
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	f.task.o.Buffers.attach(chunk)
	chunk.reset(f.spec().Topic, origin)
	return chunk, nil
}

// releaseChunk makes a chunk free for the next acquireChunk. The memory of a failed feed is not reused, because its
// records may still be in flight.
func (f *feed) releaseChunk(chunk *chunk) {
	f.task.o.Metrics.Batches.AddActive(-chunk.inFlight)
	chunk.inFlight = 0
	f.task.o.Buffers.detach(chunk, f.pipeline.ctx.Err() == nil)
	if chunk.shared {
		<-f.task.o.Buffers.sharedTokens
		return
	}
	f.pipeline.free <- chunk
}
