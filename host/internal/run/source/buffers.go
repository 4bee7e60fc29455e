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
	// more holds a token for each chunk beyond those that feeds have of their own.
	more chan struct{}

	mu   sync.Mutex
	out  int // chunks under way
	free []buffer
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
	// moreChunks are shared by all feeds.
	moreChunks = 32
)

// NewBuffers makes those of a worker.
func NewBuffers() *Buffers { return &Buffers{more: make(chan struct{}, moreChunks)} }

// equip gives a chunk memory, used before where there is some.
func (b *Buffers) equip(c *chunk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out++
	if last := len(b.free) - 1; last >= 0 {
		f := b.free[last]
		b.free[last] = buffer{}
		b.free = b.free[:last]
		c.batch.Rows, c.batch.Data, c.origins, c.out = f.rows, f.data, f.origins, f.out
	}
}

// strip takes a chunk's memory back, for others where that is safe. When no chunk is under way, nothing is kept.
func (b *Buffers) strip(c *chunk, safe bool) {
	c.slim()
	f := buffer{c.batch.Rows[:0], c.batch.Data[:0], c.origins[:0], c.out[:0]}
	c.batch.Rows, c.batch.Data, c.origins, c.out = nil, nil, nil, nil
	c.batch.Reset() // schemas, too, are held for as long as rows name them
	c.produced = nil
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out--
	switch {
	case b.out == 0:
		b.free = nil
	case safe && len(b.free) < moreChunks:
		b.free = append(b.free, f)
	}
}

// take finds a chunk for rows of a page: the feed's own, or a chunk that all feeds share.
func (f *feed) take(ctx context.Context, of *origin) (c *chunk, err error) {
	select {
	case c = <-f.pipe.free:
	default:
		select {
		case c = <-f.pipe.free:
		case f.task.o.Buffers.more <- struct{}{}:
			c = newChunk(f.task.o.Registry)
			c.shared = true
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	f.task.o.Buffers.equip(c)
	c.reset(f.wit().Topic, of)
	return c, nil
}

// give takes a chunk back that take found. Of a feed that has failed, records may still be on their way: nobody else
// gets the memory that they lie in.
func (f *feed) give(c *chunk) {
	f.task.o.Metrics.Batches.AddActive(-c.held)
	c.held = 0
	f.task.o.Buffers.strip(c, f.pipe.failed.Err() == nil)
	if c.shared {
		<-f.task.o.Buffers.more
		return
	}
	f.pipe.free <- c
}
