package source

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/run/tracing"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/record"
)

// A chunk is closed when it has this many rows or bytes: enough for a call of a transform to be worth its crossing.
const (
	enoughRows  = 500
	enoughBytes = 256 << 10
)

const (
	// maxChunkOutput is how many bytes of converted rows are collected before they go on to the producer. A chunk has
	// at most one record more, and a feed [chunks] of them.
	maxChunkOutput = 4 << 20
	// maxChunkRecords is the same for records of no bytes, each of which takes some 250.
	maxChunkRecords = 10_000
	// recordOverhead and headerOverhead are what a producer counts for a record besides its bytes: a batch of one
	// record, its lengths, those of a header.
	recordOverhead, headerOverhead = 100, 10
	// watchRows is how many rows are converted between two looks at the context.
	watchRows = 16
)

// chunk is a piece of a page on its way from stage to stage. It belongs to the stage that holds it and is used again.
type chunk struct {
	batch record.Batch
	// origins are the numbers of the rows in their page, kept because transforms give rows new ones.
	origins []uint32
	// shared: it belongs to the chunks that all feeds share, not to the feed's own.
	shared bool
	// held is how many rows it counts for that are under way.
	held int
	of   *origin
	// upTo is what is stored when this chunk and all before it are acknowledged, zero for nothing.
	upTo kafka.Offset
	// begins: it is the first of a page, or of what it was gone on with; ends: how the page ends with it.
	begins bool
	ends   ending
	// barrier is closed when upTo is stored, nil where nobody waits.
	barrier chan struct{}

	// err is why a stage could not handle it.
	err      error
	out      []byte
	produced Batch
	// letters are dead letters of the chunk's rows; posted is how many of the records are such.
	letters []outgoing
	posted  int
	// sending is the span from its hand-over to the producer to its acknowledgement.
	sending *tracing.Span
	// settled has one entry for each use. A producer answers there and nowhere else: when a feed has failed, it may do
	// so after the chunk was given back.
	settled chan settlement
}

// origin is the page that rows came from. Its chunks share it, and nobody changes it once there is one.
type origin struct {
	// what is the page's request, for messages.
	what string
	// refused is the dead letter that the rows are of, nil of those that came from the service.
	refused *task.DeadLetter
	// span is the page's, nil while nothing is traced; carries is the header of its records by which they say so, with
	// Key "" for none.
	span    *tracing.Span
	carries kgo.RecordHeader
}

// ending is how a page ends with a chunk.
type ending int

const (
	// pageContinues: it does not.
	pageContinues ending = iota
	// pageComplete: it is at its end, or is gone on with from upTo.
	pageComplete
	// pageAborted: it comes again from its start.
	pageAborted
)

// settlement is what became of a chunk's records.
type settlement struct {
	records int // that were acknowledged
	err     error
}

func newChunk(registry *record.Registry) *chunk {
	c := &chunk{settled: make(chan settlement, 1)}
	c.batch.Registry = registry
	return c
}

// done takes the producer's answer.
func (c *chunk) done(n int, err error) { c.settled <- settlement{n, err} }

func (c *chunk) reset(topic string, of *origin) {
	c.batch.Reset()
	c.batch.Topics = append(c.batch.Topics, topic)
	c.of, c.origins = of, c.origins[:0]
	c.upTo, c.barrier = kafka.Offset{}, nil
	c.begins, c.ends = false, pageContinues
	c.err, c.out, c.produced = nil, c.out[:0], nil
	c.letters, c.posted, c.sending = nil, 0, nil
	c.slim()
}

// slim lets go of memory of giant rows.
func (c *chunk) slim() {
	if cap(c.out) > 8*enoughBytes {
		c.out = nil
	}
	c.spare()
}

// spare frees row buffers that have grown far beyond a usual chunk: nobody needs them after the converters.
func (c *chunk) spare() {
	if cap(c.batch.Data) > 8*enoughBytes {
		c.batch.Data = nil
	}
	if cap(c.batch.Rows) > 64*enoughRows {
		c.batch.Rows = nil
	}
}

func (c *chunk) enough() bool {
	return len(c.batch.Rows) >= enoughRows || len(c.batch.Data) >= enoughBytes
}

// cut takes away the rows from one on.
func (c *chunk) cut(from int) {
	c.batch.Rows = c.batch.Rows[:from]
	c.origins = c.origins[:min(from, len(c.origins))]
}

// truncate is cut for the first row with this number or a higher one.
func (c *chunk) truncate(origin uint32) {
	for i := range c.batch.Rows {
		if c.batch.Rows[i].RowIndex >= origin {
			c.cut(i)
			return
		}
	}
}
