package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/run/tracing"
	"github.com/culvert-project/culvert/host/kafka"
)

// maxHeld is how many bytes of records and rows are held, about, by batches that are written side by side: as many as
// one batch may have.
const maxHeld = maxBatchBytes + MaxConvertedBytes

// dispatch writes batches side by side: a delivery waits for those before it in its lane, not for its batch's. A batch
// begins as long as all that is held has few bytes, each of its deliveries when the metadata says what must be known of
// it should the worker be killed. Those of which nothing was sent are encoded again when the plugin has learned
// something, or another version takes over: lanes can be compared where they were made by the same. It belongs to one
// goroutine; deliveries, at most InFlight at a time, and the encoding of a batch are goroutines of their own, all of
// them ended when run returns.
type dispatch struct {
	task *Task
	// stopping ends the start of deliveries, working the deliveries themselves.
	stopping, working context.Context
	queue             *queue
	// events are functions that finished deliveries and encodings post; run calls them, so only its goroutine changes
	// dispatch.
	events chan func()
	// running is how many deliveries are on their way.
	running int
	// noted are lanes whose next delivery has begun and goes out next, in this order: it must not be sent twice, and is
	// announced with others, so that one commit says of all of them that they may have been sent.
	noted []*lane
	// next is the batch that came last and has not begun.
	next *batch
	// live are the batches that have begun and not ended, in the order in which they were read, and bytes what they
	// hold. The last ones may be waiting to be encoded; of one that was, encoding or encoded, the deliveries are not in
	// the queue yet.
	live     []*writing
	bytes    int
	waiting  []*writing
	encoding bool
	encoded  *encoded
	// hashed is what the lanes of the queue were made by.
	hashed hashed
	// settled is, by lane, what [ledger.holds] must tell before the next delivery of it goes out: that what its
	// deliveries have settled is stored. before is the same for all lanes, since others were made.
	settled map[uint32]int
	before  int
	// begun is how many batches have.
	begun int
	// ended: a batch has, since the last commit.
	ended bool
	// closed: no batches are to come.
	closed bool

	mu      sync.Mutex
	failure error
	// bad is the first record, in the order in which they were read, that cannot be written where none may be skipped;
	// nil: there is none.
	bad *badRecord
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

// refuse has a row that cannot be written settled with its record's dead letter where such rows are tolerated; else the
// task fails when all that was read before is settled.
func (w *writing) refuse(dead *burial, row uint32, stage task.ErrorStage, fault error) {
	err := w.task.refuse(dead, w.batch.items[row], int(w.batch.origins.IDs[row].Part), stage, fault)
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bad == nil || w.bad.before(w, row) {
		w.bad = &badRecord{w, row, err}
	}
}

// ending is the record at which the task ends, nil for none.
func (d *dispatch) ending() *badRecord {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bad
}

// encoded is a batch whose deliveries were made.
type encoded struct {
	*writing
	jobs []job
	// hashed is what their lanes were made by, mixed: not all of them by the same.
	hashed hashed
	mixed  bool
}

func newDispatch(t *Task, stopping, working context.Context) *dispatch {
	return &dispatch{task: t, stopping: stopping, working: working, queue: newQueue(), events: make(chan func(),
		t.o.InFlight+1), settled: map[uint32]int{}}
}

// run writes batches until there are no more, or stopping ends. It returns the task's fault when nothing is on its way
// any more.
func (d *dispatch) run(batches <-chan *batch) error {
	t, stop := d.task, d.stopping.Done()
	for {
		if over, err := d.step(); over {
			return err
		}
		doubt := t.doubted()
		if len(d.live) == 0 && d.ended {
			// One commit says what came of the batches before, and that the next one is about to be sent.
			if d.next == nil && !d.closed && doubt == nil {
				select {
				case b, some := <-batches:
					d.take(b, some)
					continue
				default:
				}
			}
			d.ended = false
			if err := t.commit(d.working); errors.Is(err, kafka.ErrCommitMetadata) {
				return err
			}
			continue
		}
		in := batches
		if d.next != nil || d.closed || stop == nil || d.stopped() || d.ending() != nil {
			in = nil
		}
		var late <-chan time.Time
		if doubt != nil && len(d.live) == 0 { // records that may be in doubt, too, are waited for
			timer := time.NewTimer(2*t.o.Every + doubtWithin)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case happened := <-d.events:
			happened()
		case b, some := <-in:
			d.take(b, some)
		case err := <-t.broken:
			d.fail(err)
		case <-stop:
			stop = nil
		case <-late:
			return doubt
		}
	}
}

// doubtWithin is how long further records are waited for that a run which was killed may have sent.
const doubtWithin = 5 * time.Second

func (d *dispatch) take(b *batch, some bool) { d.next, d.closed = b, !some }

// step does what can be done now. over: nothing is on its way, and nothing is to come.
func (d *dispatch) step() (over bool, err error) {
	d.start()
	if d.stopped() {
		return d.stop()
	}
	d.recall()
	if e := d.encoded; e != nil && d.fits(e) {
		if e.hashed != d.hashed { // what a lane has settled was of other keys
			for _, number := range d.settled {
				d.before = max(d.before, number)
			}
			clear(d.settled)
		}
		d.encoded, d.hashed = nil, e.hashed
		d.queue.add(e.jobs, e.mixed)
		d.start()
		d.recall()
	}
	doubt, bad := d.task.doubted(), d.ending()
	switch {
	case d.encoding || d.encoded != nil:
		return false, nil
	case len(d.waiting) > 0 && bad != nil && d.waiting[0].number > bad.of.number:
		d.finish(d.waiting[0])
		d.waiting = d.waiting[1:]
		return d.step()
	case len(d.waiting) > 0:
		return d.again(d.waiting[0])
	case d.next != nil && bad == nil:
		return d.begin(d.next)
	case len(d.live) > 0:
		return false, nil
	case bad != nil && doubt == nil:
		return true, bad.err
	}
	return d.closed || doubt != nil && (bad != nil || !d.task.ledger.examining()), doubt
}

// stop ends the batches of which nothing is on its way.
func (d *dispatch) stop() (over bool, err error) {
	if e := d.encoded; e != nil {
		d.encoded = nil
		d.finish(e.writing)
	}
	for _, w := range d.waiting {
		d.finish(w)
	}
	d.waiting = nil
	if len(d.live) > 0 {
		return false, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.bad != nil && earlier(d.bad.err, d.failure):
		return true, d.bad.err
	case d.failure != nil:
		return true, d.failure
	}
	return true, context.Cause(d.stopping)
}

// alone tells whether nothing can be on its way but what belongs to so many batches, the last of them.
func (d *dispatch) alone(last int) bool { return len(d.live) == last }

// fits tells whether deliveries can go behind those of the queue.
func (d *dispatch) fits(e *encoded) bool {
	return d.alone(len(d.waiting)+1) || !e.mixed && e.hashed == d.hashed
}

// changed tells whether batches are encoded otherwise now than those of the queue were.
func (d *dispatch) changed() bool {
	_, newest := d.task.plugin.Opened().newest()
	return newest != d.hashed || d.task.plugin.Waiting()
}

// recall takes back batches of which nothing was sent, where they are to be encoded again: those behind the last one of
// which something was.
func (d *dispatch) recall() {
	at := len(d.live) - len(d.waiting)
	if d.encoding || at == 0 || !d.changed() {
		return
	}
	_, newest := d.task.plugin.Opened().newest()
	if e := d.encoded; e != nil {
		if at--; at == 0 && e.mixed || e.hashed == newest && !d.task.plugin.Waiting() {
			return // it waits for those before it, and no longer
		}
		e.takenBack(e.jobs)
		d.encoded = nil
	}
	for at > 0 && !d.live[at-1].sent {
		at--
		d.unnote(d.live[at])
		d.live[at].takenBack(d.queue.takeBack(d.live[at]))
	}
	d.waiting = slices.Clone(d.live[at:])
}

// takenBack has the rows of deliveries encoded once more.
func (w *writing) takenBack(jobs []job) {
	w.held.Add(-bytesOf(jobs))
	w.rows = w.rows[:0]
	for i := range jobs {
		w.rows = append(w.rows, jobs[i].rows...)
	}
	slices.Sort(w.rows)
}

// again has a batch encoded that waits for that.
func (d *dispatch) again(w *writing) (over bool, err error) {
	alone := d.alone(len(d.waiting))
	switch {
	case !alone && (w.adopt || d.changed()):
		return false, nil
	case w.adopt || d.task.plugin.Waiting():
		if _, err := d.task.plugin.Adopt(d.stopping); err != nil {
			return true, d.given(err)
		}
	}
	d.waiting = d.waiting[1:]
	d.encode(w)
	return false, nil
}

// given ends all batches: a fault has come while nothing was on its way.
func (d *dispatch) given(err error) error {
	d.fail(err)
	_, err = d.stop()
	return err
}

// begin has the next batch encoded, where it need not wait.
func (d *dispatch) begin(b *batch) (over bool, err error) {
	t, alone := d.task, len(d.live) == 0
	doubt := t.doubted()
	switch {
	case b.err != nil:
		if alone {
			t.commit(d.working)
		}
		return alone, b.err
	case b.caughtUp && alone:
		d.next = nil
		return d.caughtUp()
	case b.caughtUp, doubt != nil && !alone:
		return false, nil
	case doubt != nil && !t.ledger.examining():
		return true, doubt
	case !alone && (d.changed() || d.bytes+b.bytes()+t.ledger.bytes() > maxHeld):
		return false, nil
	}
	if alone && t.plugin.Waiting() {
		if _, err := t.plugin.Adopt(d.stopping); err != nil {
			return true, err
		}
	}
	d.begun++
	w := &writing{dispatch: d, batch: b, number: d.begun, tries: make([]tries, len(b.rows.Rows)), bytes: b.bytes(),
		began: time.Now(), rows: make([]uint32, len(b.rows.Rows))}
	for i := range w.rows {
		w.rows[i] = uint32(i)
	}
	d.next, d.bytes, d.live = nil, d.bytes+w.bytes, append(d.live, w)
	t.count.batches.Add(1)
	t.o.Tally.Batches.Hold(len(b.rows.Rows))
	d.encode(w)
	return false, nil
}

// caughtUp looks whether a task that finishes is at its end.
func (d *dispatch) caughtUp() (over bool, err error) {
	t := d.task
	t.commit(d.working)
	if doubt := t.doubted(); doubt != nil {
		return true, doubt
	}
	done, err := t.o.CaughtUp(d.working)
	if err != nil {
		return true, fmt.Errorf("look for the ends of the topics: %w", err)
	}
	return done, errDone
}

// bytes are those of the rows, with what they cost besides, about.
func (b *batch) bytes() int { return len(b.rows.Data) + 300*len(b.rows.Rows) }

// encode makes the deliveries of a batch.
func (d *dispatch) encode(w *writing) {
	d.encoding, w.adopt = true, false
	go func() {
		var jobs []job
		span := w.batch.span.Child("encode", tracing.Internal)
		err := guard.Do(d.task.log, "a sink task, the stage of encoding", func() (err error) {
			jobs, err = w.deliveries()
			return err
		})
		span.Number("culvert.requests", int64(len(jobs)))
		span.End(err)
		d.events <- func() { d.made(w, jobs, err) }
	}()
}

// deliveries encodes the batch. Before the first one of a partition metadata is stored, by which is known how long
// metadata may be.
func (w *writing) deliveries() ([]job, error) {
	t := w.task
	if err := t.bury(&w.batch.burial); err != nil {
		return nil, err
	}
	if t.ledger.first(w.batch.items) {
		if err := t.commit(w.working); errors.Is(err, kafka.ErrCommitMetadata) {
			return nil, err
		}
	}
	if len(w.rows) == 0 {
		return nil, nil
	}
	var jobs []job
	portions := t.ledger.portions(w.batch.items, w.rows, t.o.InFlight)
	for n, rows := range portions {
		for _, row := range rows {
			w.tries[row].portion = n
		}
		some, err := w.encodeBy(t.plugin.Opened(), rows, w.doubted(rows), true)
		if errors.Is(err, errAdopt) { // what was refused or ignored of the portions before is settled
			w.takenBack(jobs)
			for _, rest := range portions[n:] {
				w.rows = append(w.rows, rest...)
			}
			slices.Sort(w.rows)
		}
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, some...)
	}
	return jobs, nil
}

// made takes the deliveries of a batch.
func (d *dispatch) made(w *writing, jobs []job, err error) {
	d.encoding = false
	switch w.left = len(jobs); {
	case errors.Is(err, errAdopt):
		w.adopt = true
		d.waiting = slices.Insert(d.waiting, 0, w)
		return
	case err != nil:
		d.fail(err)
		d.finish(w)
		return
	case w.left == 0:
		d.finish(w)
		return
	}
	_, newest := d.task.plugin.Opened().newest()
	e := &encoded{writing: w, jobs: jobs, hashed: newest}
	first, bytes := true, w.batch.bytes()+int(w.held.Load())
	for n := range jobs {
		j := &jobs[n]
		if j.refused != nil {
			continue
		}
		if first {
			e.hashed, first = j.hashed, false
		}
		e.mixed = e.mixed || j.hashed != e.hashed
	}
	if e.mixed {
		e.hashed = hashed{}
	}
	d.bytes, w.bytes = d.bytes+bytes-w.bytes, bytes
	d.encoded = e
}

// finish ends a batch of which nothing is on its way any more.
func (d *dispatch) finish(w *writing) {
	w.leaveNoneHalf()
	w.batch.span.End(nil) // what went wrong stands in its parts
	tally := &w.task.o.Tally.Batches
	tally.Ended(w.began, len(w.batch.rows.Rows))
	tally.Hold(-len(w.batch.rows.Rows))
	d.live = slices.DeleteFunc(d.live, func(other *writing) bool { return other == w })
	d.bytes -= w.bytes
	d.ended = true
	maps.DeleteFunc(d.settled, func(_ uint32, number int) bool { return d.task.ledger.holds(number) })
}

// start begins deliveries, as many as may.
func (d *dispatch) start() {
	for d.running < d.task.o.InFlight {
		l := d.following()
		if l == nil {
			return
		}
		d.running++
		j := l.jobs[0] // the lane may get longer meanwhile
		j.of.sent = true
		j.behind = d.before
		if l.numbered {
			j.behind = max(j.behind, d.settled[l.number])
		}
		go func() {
			again, err := j.of.guarded(&j)
			d.events <- func() {
				d.running--
				// A read that comes back with nothing to be sent again has settled its row: it was there already.
				if l.numbered && (!j.reads() || err == nil && len(again) == 0) {
					d.settled[l.number] = d.task.ledger.mark()
				}
				d.delivered(l, again, err)
			}
		}()
	}
}

// notedRows is how many rows are announced ahead for each request that may be on its way: after a kill they are in
// doubt as those are that were sent.
const notedRows = 3

// following is the lane whose delivery goes out next, nil for none. One that must not be sent twice is announced, and
// with it those that follow. What comes back into the queue meanwhile and was read before these goes before them.
func (d *dispatch) following() *lane {
	d.unnoteAll()
	if len(d.noted) > 0 {
		if first := d.queue.first(); first != nil && first.before(d.noted[0]) {
			if l := d.note(d.nextLane(false, false)); l != nil {
				return l
			}
			d.unnoteAll()
		}
		if len(d.noted) > 0 {
			return d.nextNoted()
		}
	}
	for rows := 0; rows < notedRows*d.task.o.InFlight; {
		ahead := len(d.noted) > 0
		l := d.note(d.nextLane(d.running == 0 && !ahead, ahead))
		if l == nil {
			break
		}
		if d.noted = append(d.noted, l); l.jobs[0].Request.Repeatable || d.ends() {
			break
		}
		rows += len(l.jobs[0].rows)
	}
	return d.nextNoted()
}

func (d *dispatch) nextNoted() *lane {
	if len(d.noted) == 0 {
		return nil
	}
	l := d.noted[0]
	d.noted = d.noted[1:]
	return l
}

// note announces the delivery of a lane that must not be sent twice; nil: there is none.
func (d *dispatch) note(l *lane) *lane {
	if l != nil && !l.jobs[0].Request.Repeatable {
		j := &l.jobs[0]
		j.note = j.of.note(j)
	}
	return l
}

// ends tells whether the task is about to end, so that what may still go out is asked of each delivery.
func (d *dispatch) ends() bool { return d.stopped() || d.ending() != nil || d.task.doubted() != nil }

// unnoteAll puts back all that was announced, where the task is about to end: which of it still goes out is asked of
// each delivery then.
func (d *dispatch) unnoteAll() {
	if d.ends() {
		d.unnote(nil)
	}
}

// unnote puts back lanes whose next delivery is of the batch, nil for any, was announced and has not been sent.
func (d *dispatch) unnote(w *writing) {
	d.noted = slices.DeleteFunc(d.noted, func(l *lane) bool {
		j := &l.jobs[0]
		if w != nil && j.of != w {
			return false
		}
		items := j.of.items(j)
		if j.note > 0 {
			d.task.ledger.withdraw(items)
		}
		j.note = 0
		d.task.ledger.end(items)
		d.queue.putBack(l)
		return true
	})
}

// delivered takes a delivery from its lane. What is to be encoded again goes before what comes behind it, so that rows
// of one key never overtake (P20).
func (d *dispatch) delivered(l *lane, again []job, err error) {
	if err != nil {
		d.fail(err)
		again = nil
	}
	w := l.jobs[0].of
	w.sent = true
	w.held.Add(-bytesOf(l.jobs[:1]))
	w.left += len(again) - 1
	d.queue.ended(l, again)
	if w.left == 0 {
		d.finish(w)
	}
}

// setAside takes the lane that is next out for good.
func (d *dispatch) setAside(l *lane) {
	d.queue.setAside(l)
	for _, j := range l.jobs {
		if j.of.left--; j.of.left == 0 {
			d.finish(j.of)
		}
	}
}

// stopped tells whether nothing more is to be started.
func (d *dispatch) stopped() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failure != nil || d.stopping.Err() != nil
}

func (d *dispatch) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if earlier(err, d.failure) {
		d.failure = err
	}
}

// nextLane is the lane whose first delivery may begin now, nil for none: of all that can, the one that was read first,
// so that little is settled out of order. alone: nothing is on its way. ahead: only one that must not be sent twice.
func (d *dispatch) nextLane(alone, ahead bool) *lane {
	for {
		l := d.queue.first()
		if l == nil || ahead && (l.jobs[0].Request.Repeatable || l.jobs[0].refused != nil) {
			return nil
		}
		j := &l.jobs[0]
		w := j.of
		items := w.items(j)
		if d.stopped() && !w.completes(items) {
			d.setAside(l)
			continue
		}
		if j.refused != nil && j.refused.late {
			d.task.ledger.examined(items)
			d.task.doubtful(j.refused.failure)
			d.queue.begin(l)
			d.delivered(l, nil, nil)
			continue
		}
		if d.task.doubted() != nil && !w.checking(j) && !w.completes(items) {
			// The task is about to fail: what is in doubt is looked at, and nothing else goes out that could overtake
			// it.
			d.task.ledger.examined(items)
			d.queue.begin(l)
			d.delivered(l, nil, nil)
			continue
		}
		if before := d.beforeEnd(j); len(before) == 0 {
			d.queue.begin(l)
			d.delivered(l, nil, nil)
			continue
		} else if len(before) < len(j.rows) {
			w.encodeAgain(l, before)
			continue
		}
		if err := w.undecided(j); err != nil {
			d.fail(err)
			d.setAside(l)
			continue
		}
		switch d.task.ledger.begin(items, alone) {
		case begun:
			d.queue.begin(l)
			return l
		case theirs: // their new owner writes them
			d.queue.begin(l)
			d.delivered(l, nil, nil)
		case partly:
			w.encodeAgain(l, slices.DeleteFunc(slices.Clone(j.rows),
				func(row uint32) bool { return !d.task.ledger.owned([]*item{w.batch.items[row]}) }))
		case full:
			if alone {
				w.apart(l)
			} else {
				d.queue.full(l)
			}
		}
	}
}

// beforeEnd are the rows of a delivery that were read before the record at which the task ends, or complete a record of
// which others are written; all of them where there is none.
func (d *dispatch) beforeEnd(j *job) []uint32 {
	bad := d.ending()
	if bad == nil {
		return j.rows
	}
	return slices.DeleteFunc(slices.Clone(j.rows), func(row uint32) bool {
		return !bad.before(j.of, row) && !d.task.ledger.halfWritten(j.of.batch.items[row])
	})
}
