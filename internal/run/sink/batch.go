package sink

import (
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/tracing"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// batch is a number of records as rows: the input of encode calls.
type batch struct {
	rows      record.Batch
	items     []*item // by row
	recordIDs record.RecordIDs
	outcome   outcome // the records that were rejected before encoding
	span      *tracing.Span
	err       error // ends the task after this batch
	idle      bool  // no record arrived: the task may have caught up
}

// timestampOf returns a record's timestamp in milliseconds since 1970, -1 for none.
func timestampOf(r *kgo.Record) int64 {
	if r.Timestamp.IsZero() {
		return -1
	}
	return r.Timestamp.UnixMilli()
}

const rowOverhead = 300 // bytes of a row besides its data, about

func (b *batch) bytes() int { return len(b.rows.Data) + rowOverhead*len(b.rows.Rows) }

// maxDeliveryBytes bounds a batch's unfinished deliveries, beyond the size of its rows: bisection encodes many.
const maxDeliveryBytes = 256 << 20

// activeBatch is a batch that is being written. Its methods run in goroutines that do not use the [dispatcher].
type activeBatch struct {
	task   *Task
	batch  *batch
	number int // counts the task's batches in read order
	// rowStates has one element for each row. A row belongs to one lane, so that one goroutine at a time uses it.
	rowStates   []rowState
	rows        []uint32 // to be encoded, first or again
	state       batchState
	encoded     []delivery     // the deliveries, until the batch is queued
	encodedWith *pluginContext // the context that has encoded all deliveries, nil if several have
	// sameKeysWith is the queue's context if the rows get the ordering keys of the deliveries with that, too. Nil if
	// they do not, if the queue is empty, or if it is encodedWith.
	sameKeysWith *pluginContext
	retakes      int // how often the batch was taken back to be encoded again, for any reason
	// switchVersion means that another plugin version must encode the batch, started that some of it may have been
	// sent, so that it is not taken back any more.
	switchVersion bool
	started       bool
	remaining     int // the number of unfinished deliveries
	// bytes is the memory of the rows and of the first deliveries, deliveryBytes that of the unfinished deliveries.
	bytes         int
	deliveryBytes atomic.Int64
	startedAt     time.Time
}

type batchState int

const (
	batchWaiting batchState = iota // to be encoded
	batchEncoding
	batchEncoded // waits for its place in the queue
	batchQueued
)

// rowState is the state of a row of an active batch, over all of its encodings and attempts.
type rowState struct {
	portion  int          // see [delivery.portion]
	repeated []string     // the hints of the encodings after which the plugin wanted to write the row again
	failures failureCount // after the last one the task fails, or the row is in doubt
	// rejectable counts failures whose last one rejects the row, such as locks. An outage does not use up its attempts.
	rejectable failureCount
	hint       string // of the last encoding
	inDoubt    *inDoubt
}

type failureCount struct {
	attempts int
	since    time.Time // the time of the first one
}

// delivery is a request to send, with its rows as positions in the batch.
type delivery struct {
	wit.Delivery // its Rows are positions in the encode call
	active       *activeBatch
	rows         []uint32
	items        []*item        // by row
	opened       *openedVersion // encoded it and must read its response
	context      *pluginContext
	// The sequence numbers awaitedSeq, for what its lane has settled, and announcedSeq, for its own announcement, must
	// be durable before it is sent. announcedSeq is 0 unless it is a non-repeatable delivery that was announced.
	awaitedSeq   int
	announcedSeq int
	releaseSlot  func()   // lets another delivery be sent while rows of this one wait; called at most once
	uncheckable  *inDoubt // a placeholder for a row in doubt that cannot be checked
}

func bytesOf(deliveries []delivery) (n int64) {
	for i := range deliveries {
		n += int64(len(deliveries[i].State)) + transport.RequestBytes(&deliveries[i].Request)
	}
	return n
}

func (d *delivery) isRead() bool { return d.Request.Method == "GET" || d.Request.Method == "HEAD" }

// outcome collects what reading, encoding or delivering rows has found out, until the dispatcher merges it.
type outcome struct {
	forDLQ       []*item    // records whose remaining rows are all rejected; each gets one dead letter
	firstFailure *failedRow // the first one in read order that cannot be written or skipped
	inDoubtErr   error      // of an inherited record; ends the task after the other checks
}

func (o *outcome) addInDoubt(err error) {
	if err != nil && takesPrecedence(err, o.inDoubtErr) {
		o.inDoubtErr = err
	}
}

// failedRow is a row that ends the task once everything that was read before is settled.
type failedRow struct {
	active *activeBatch
	row    uint32
	err    error
}

// readBefore reports whether a row of a batch was read before this one, as part of another record.
func (f *failedRow) readBefore(active *activeBatch, row uint32) bool {
	if active.number != f.active.number {
		return active.number < f.active.number
	}
	return row < f.row && active.batch.items[row] != active.batch.items[f.row]
}
