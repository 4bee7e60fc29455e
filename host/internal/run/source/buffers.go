package source

import (
	"context"
	"sync"

	"github.com/culvert-project/culvert/wit"
)

// Buffers is the memory of the chunks of all feeds of a worker: what a chunk needs while it is under way, and gives
// back when it is settled. A feed has [ownChunks] of its own, which is enough to go on; more only while others leave
// some. Safe for use by several goroutines.
type Buffers struct {
	// sharedTokens holds a token for each chunk beyond those that feeds have of their own.
	sharedTokens chan struct{}

	mu    sync.Mutex
	inUse int // chunks under way
	free  []buffer
}

// buffer is the memory of a chunk.
type buffer struct {
	rows    []wit.Row
	data    []byte
	origins []uint32
	out     []byte
}

const (
	// ownChunks are one for each place where a chunk may wait for another: reading, after it, converting, and what
	// that is split into.
	ownChunks = 4
	// sharedChunks are shared by all feeds.
	sharedChunks = 32
)

// NewBuffers makes those of a worker.
func NewBuffers() *Buffers { return &Buffers{sharedTokens: make(chan struct{}, sharedChunks)} }

// attach gives a chunk memory, used before where there is some.
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

// detach takes a chunk's memory back, for others where that is safe. When no chunk is under way, nothing is kept.
func (b *Buffers) detach(c *chunk, reusable bool) {
	c.freeLarge()
	f := buffer{c.batch.Rows[:0], c.batch.Data[:0], c.origins[:0], c.out[:0]}
	c.batch.Rows, c.batch.Data, c.origins, c.out = nil, nil, nil, nil
	c.batch.Reset() // schemas, too, are held for as long as rows name them
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

// take finds a chunk for rows of a page: the feed's own, or a chunk that all feeds share.
func (f *feed) acquireChunk(ctx context.Context, of *origin) (c *chunk, err error) {
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
	c.reset(f.spec().Topic, of)
	return c, nil
}

// releaseChunk takes a chunk back that take found. Of a feed that has failed, records may still be on their way: nobody else
// gets the memory that they lie in.
func (f *feed) releaseChunk(c *chunk) {
	f.task.o.Tally.Batches.Hold(-c.inFlight)
	c.inFlight = 0
	f.task.o.Buffers.detach(c, f.pipeline.ctx.Err() == nil)
	if c.shared {
		<-f.task.o.Buffers.sharedTokens
		return
	}
	f.pipeline.free <- c
}
