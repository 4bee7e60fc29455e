package sink

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/run/tracing"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// batch is what one call of encode gets.
type batch struct {
	rows record.Batch
	// items are the records that the rows came of, one for each row, and origins what the plugin learns of them.
	items   []*item
	origins record.Origins
	// outcome is of the records that cannot be written, as far as that is known before rows are encoded.
	outcome outcome
	// span is the trace of the batch, nil while nothing is traced.
	span *tracing.Span
	// err is why there are no more batches.
	err error
	// caughtUp: nothing came, look for the end.
	caughtUp bool
}

// originate notes of which record the next row came, and which part of it that is.
func (b *batch) originate(i *item, part uint32) {
	o, r := &b.origins, i.record
	topic := slices.Index(o.Topics, r.Topic)
	if topic < 0 {
		topic = len(o.Topics)
		o.Topics = append(o.Topics, r.Topic)
	}
	o.IDs = append(o.IDs, wit.RecordID{Topic: uint32(topic), Partition: r.Partition, Offset: r.Offset, Part: part})
}

// timestampOf is a record's in milliseconds since 1970, -1: none.
func timestampOf(r *kgo.Record) int64 {
	if r.Timestamp.IsZero() {
		return -1
	}
	return r.Timestamp.UnixMilli()
}

// bytes are those of the rows, with what they cost besides, about.
func (b *batch) bytes() int { return len(b.rows.Data) + 300*len(b.rows.Rows) }

// maxMadeBytes is how many bytes the requests and memos of a batch's deliveries that have not ended may have together,
// beyond those of its rows. One call's result is bounded, but a batch takes as many calls as it is halved into.
const maxMadeBytes = 256 << 20

// writing is one batch being written. Its rows are encoded, and each of its deliveries made, by goroutines of their
// own: what these find out comes back to [dispatch], of which they know nothing.
type writing struct {
	task  *Task
	batch *batch
	// number is the batch's among those of the task, in the order in which they were read.
	number int
	// tries counts for each row what it cost so far; a row belongs to one lane.
	tries []tries
	// rows are those that are to be encoded, first or once more, because nothing of the batch was sent.
	rows []uint32
	// state is dispatch's; encoded is what was made of the batch, while it waits for its place in the queue.
	state   writingState
	encoded *encoded
	// adopt: the batch is to be encoded by another version of the plugin. sent: a delivery of it has begun, or will
	// not.
	adopt, sent bool
	// left is how many of its deliveries have not ended.
	left int
	// bytes are those of its rows and of what was made of them at first; held are those of its deliveries that have not
	// ended, see [bytesOf]: [writing.jobs] adds to it, dispatch takes away.
	bytes int
	held  atomic.Int64
	began time.Time
}

// writingState is where a batch is: it waits to be encoded, is encoded, waits for its place in the queue, or has it.
type writingState int

const (
	isWaiting writingState = iota
	isEncoding
	isEncoded
	isQueued
)

// encoded is what was made of a batch.
type encoded struct {
	jobs []job
	// hashed is what the lanes were made by, mixed: not all of them by the same.
	hashed hashed
	mixed  bool
}

type tries struct {
	// portion is with which others of the batch the row was encoded first.
	portion         int
	again, attempts int
	// since is when the first of the attempts failed.
	since time.Time
	// hint is that by which the row was encoded last.
	hint string
	// doubt: a request with the row may have arrived, nil where it is known whether one did.
	doubt *inDoubt
}

// job is a delivery that is to be made: its rows as positions in the batch.
type job struct {
	wit.Delivery
	of   *writing
	rows []uint32
	// opened is what encoded it: settle must be of the same.
	opened *openedVersion
	// hashed is what its lane can be compared with.
	hashed hashed
	// awaits is what [ledger.holds] must tell before it is sent: that what its lane has settled before is stored. note
	// is the same of the announcement of one that must not be sent twice, 0 where it is not announced.
	awaits, note int
	// noCheck: it is none, but a row in doubt of which there is no check.
	noCheck *inDoubt
}

// bytesOf are the bytes of what a plugin has made for deliveries.
func bytesOf(jobs []job) (n int64) {
	for i := range jobs {
		n += int64(len(jobs[i].State)) + transport.RequestBytes(&jobs[i].Request)
	}
	return n
}

// reads tells whether a delivery changes nothing.
func (j *job) reads() bool { return j.Request.Method == "GET" || j.Request.Method == "HEAD" }

func (w *writing) items(j *job) []*item {
	items := make([]*item, len(j.rows))
	for n, row := range j.rows {
		items[n] = w.batch.items[row]
	}
	return items
}

// outcome is what comes of reading, encoding or delivering rows, besides what is delivered next.
type outcome struct {
	// due are records whose dead letters are to be sent together: of each of them all rows are settled but those that
	// cannot be written. Of a record that several rows came of there is one letter, and it names these.
	due []*item
	// bad is the first record, in the order in which they were read, that cannot be written where none may be skipped;
	// nil: there is none.
	bad *badRecord
	// doubt is the fault of a record that a run before has left in doubt, and that nobody can check; nil: there is
	// none. The task fails when all others of its kind are found.
	doubt error
}

// doubtful takes such a fault: of several, that of the first record.
func (o *outcome) doubtful(err error) {
	if err != nil && goesFirst(err, o.doubt) {
		o.doubt = err
	}
}

// badRecord ends a task once everything that was read before it is settled. Nothing of it, and of what was read after
// it, is begun.
type badRecord struct {
	of  *writing
	row uint32
	err error
}

// before tells whether a row was read before the record.
func (b *badRecord) before(w *writing, row uint32) bool {
	if w.number != b.of.number {
		return w.number < b.of.number
	}
	return row < b.row && w.batch.items[row] != w.batch.items[b.row]
}
