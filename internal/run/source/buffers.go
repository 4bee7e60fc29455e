package source

import (
	"context"
	"sync"

	"github.com/culvert-project/culvert/wit"
)

// Buffers owns the memory of all chunks of a worker while they are in flight. Each feed has [ownChunks] of its own,
// which is enough to make progress, and more as long as other feeds leave some. It is safe for concurrent use.
type Buffers struct {
	sharedTokens chan struct{}

	mu    sync.Mutex
	inUse int // chunks
	free  []buffer
}

type buffer struct {
	rows    []wit.Row
	data    []byte
	origins []uint32
	out     []byte
}

const (
	// ownChunks is one for each place where a chunk may wait for another: reading, decoded, converting, and a part of
	// that.
	ownChunks    = 4
	sharedChunks = 32
)

// NewBuffers returns the buffers of a worker.
func NewBuffers() *Buffers { return &Buffers{sharedTokens: make(chan struct{}, sharedChunks)} }

func (b *Buffers) attach(c *chunk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inUse++
	if last := len(b.free) - 1; last >= 0 {
		f := b.free[last]
		b.free[last] = buffer{}
		b.free = b.free[:last]
		c.batch.Rows, c.batch.Data, c.origins, c.out = f.rows, f.data, f.origins, f.out
	}
}

func (b *Buffers) detach(c *chunk, reusable bool) {
	c.freeLarge()
	f := buffer{c.batch.Rows[:0], c.batch.Data[:0], c.origins[:0], c.out[:0]}
	c.batch.Rows, c.batch.Data, c.origins, c.out = nil, nil, nil, nil
	c.batch.Reset() // rows keep their schemas in memory
	c.produced = nil
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inUse--
	switch {
	case b.inUse == 0:
		b.free = nil
	case reusable && len(b.free) < sharedChunks:
		b.free = append(b.free, f)
	}
}

func (f *feed) acquireChunk(ctx context.Context, source *origin) (c *chunk, err error) {
	select {
	case c = <-f.pipeline.free:
	default:
		select {
		case c = <-f.pipeline.free:
		case f.task.o.Buffers.sharedTokens <- struct{}{}:
			c = newChunk(f.task.o.Registry)
			c.shared = true
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	f.task.o.Buffers.attach(c)
	c.reset(f.spec().Topic, source)
	return c, nil
}

// releaseChunk does not reuse the memory of a failed feed: its records may still be in flight.
func (f *feed) releaseChunk(c *chunk) {
	f.task.o.Metrics.Batches.AddActive(-c.inFlight)
	c.inFlight = 0
	f.task.o.Buffers.detach(c, f.pipeline.ctx.Err() == nil)
	if c.shared {
		<-f.task.o.Buffers.sharedTokens
		return
	}
	f.pipeline.free <- c
}
