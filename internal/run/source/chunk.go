package source

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/run/tracing"
)

// The read stage sends a chunk when it has this many rows or bytes: enough to amortize a call of a transform.
const (
	targetRows  = 500
	targetBytes = 256 << 10
)

const (
	// maxChunkOutput bounds the converted rows, in bytes, that are collected for the producer. A chunk exceeds it by
	// one record at most, and a feed has at most [chunks] of them.
	maxChunkOutput  = 4 << 20
	maxChunkRecords = 10_000
	recordOverhead  = 100 // bytes of a record besides key, value and headers, an upper estimate
	headerOverhead  = 10  // likewise of a header besides name and value
	// contextCheckRows is how many rows are converted between two checks of the context.
	contextCheckRows = 16
)

// chunk is a part of a page on its way through the stages. It belongs to one stage at a time, and is reused.
type chunk struct {
	batch    record.Batch
	origins  []uint32 // the row indexes in the page, kept because transforms assign new ones
	shared   bool     // whether the chunk uses one of the worker's shared tokens
	inFlight int      // how many of its rows are counted as in flight
	origin   *origin
	// offsetAfter is stored when this chunk and all before it are acknowledged. Zero means that nothing is stored.
	offsetAfter kafka.Offset
	// loadBeginning is stored before the records are sent. Zero means that nothing is stored.
	loadBeginning kafka.Offset
	firstOfPage   bool // also for the first chunk after an interruption of the page
	pageEnd       pageEnd
	barrier       chan struct{} // if not nil, closed when offsetAfter is stored

	err             error            // why a stage failed
	converted       []byte           // the keys, values and headers of the converted records
	produced        Batch            // the records for the producer
	deadLetters     []outgoingLetter // not in produced yet
	deadLetterCount int              // how many of the produced records are dead letters
	sending         *tracing.Span    // lasts from the producer to the acknowledgement
	// settled receives one value for each use: a producer may answer after a failure of the feed, when the chunk was
	// released already.
	settled chan settlement
}

// origin is the source of the rows of a page, shared by its chunks. It is not modified.
type origin struct {
	request     string
	replayed    *task.DeadLetter                                // the dead letter of the rows; nil if from the service
	delivered   func(position string)                           // see [Replay]; may be nil
	converted   func(position, topic string, key, value []byte) // see [Replay]; may be nil
	span        *tracing.Span
	traceHeader kgo.RecordHeader // added to each record unless its Key is empty
}

type pageEnd int

const (
	pageContinues pageEnd = iota
	// pageComplete also ends a page that will continue from offsetAfter.
	pageComplete
	pageAborted
)

type settlement struct {
	records int // acknowledged
	err     error
}

func newChunk(registry *record.Registry) *chunk {
	c := &chunk{settled: make(chan settlement, 1)}
	c.batch.Registry = registry
	return c
}

func (c *chunk) done(n int, err error) { c.settled <- settlement{n, err} }

func (c *chunk) reset(topic string, origin *origin) {
	c.batch.Reset()
	c.batch.Topics = append(c.batch.Topics, topic)
	c.origin = origin
	c.origins = c.origins[:0]
	c.offsetAfter = kafka.Offset{}
	c.loadBeginning = kafka.Offset{}
	c.barrier = nil
	c.firstOfPage = false
	c.pageEnd = pageContinues
	c.err = nil
	c.converted = c.converted[:0]
	c.produced = nil
	c.deadLetters = nil
	c.deadLetterCount = 0
	c.sending = nil
	c.freeLarge()
}

// freeLarge drops memory that is much larger than a usual chunk needs.
func (c *chunk) freeLarge() {
	if cap(c.converted) > 8*targetBytes {
		c.converted = nil
	}
	c.freeLargeRows()
}

func (c *chunk) freeLargeRows() {
	if cap(c.batch.Data) > 8*targetBytes {
		c.batch.Data = nil
	}
	if cap(c.batch.Rows) > 64*targetRows {
		c.batch.Rows = nil
	}
}

func (c *chunk) isFull() bool {
	return len(c.batch.Rows) >= targetRows || len(c.batch.Data) >= targetBytes
}

// truncate keeps the first count rows of the batch.
func (c *chunk) truncate(count int) {
	c.batch.Rows = c.batch.Rows[:count]
	c.origins = c.origins[:min(count, len(c.origins))]
}
