package source

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/internal/run/tracing"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// pieceSize is how much of a body a decode call gets.
const pieceSize = 64 << 10

// page is one page being read. It fills chunks and passes them on. It lives for one call of [findFeed.readPage], or for one
// dead letter.
type page struct {
	feed   *feed
	fetch  *wit.Fetch
	origin *origin
	reader Reader
	// number is what the plugin calls the page by.
	number uint32

	chunk   *chunk
	emitted emitted
	cursor  cursor
	// resumeAt is where rows begin that were not delivered yet; skipping: they have not come.
	resumeAt position
	skipping bool
	// end is what the portions said of the page's end: it comes with the last piece, of the page or of what it nests.
	end          wit.Portion
	bodies       bodyBuffers
	linked       linkedRequests
	poisonSearch poisonSearch
	decoding     decodeTime
}

// emitted is what a page has passed on: so many rows, in so many parts.
type emitted struct {
	// some: a chunk of it was, or of what comes before it in one page of the output.
	any          bool
	rows, chunks int
}

// cursor is how far a page has come.
type cursor struct {
	// last is the number of the row that came last, -1 before the first; keys is the digest over all rows so far.
	lastRow int64
	keys    digest
	// lastComplete is the last row that is complete (no row of another chunk can share its number), with its digest.
	lastComplete int64
	completeKeys digest
	// rowsOfLast is how many rows have the number of the last.
	rowsOfLast int
	// received is how many rows and faults came, content a hash of their values, which holds for this run.
	received int
	content  uint64
}

var contentSeed = maphash.MakeSeed()

// add takes a value of a row or a fault into account.
func (s *cursor) add(value []byte) {
	s.received++
	s.content = s.content*31 + maphash.Bytes(contentSeed, value)
}

// bodyBuffers are buffers for those that are being read: the page's own first, then those of what it nests.
type bodyBuffers struct {
	pieces [][]byte
	depth  int
}

// follows are the requests that a page wants followed: how many, and the bytes of those that were not yet; made is how
// many were after the row.
type linkedRequests struct {
	total        int
	pendingBytes int64
	sinceRow     int
	row          int64
	backoff      progressBackoff
}

// poisonSearch is the search for rows on which the plugin breaks: fed is how much of the page's own body the plugin has got
// meanwhile, left is such a row that is being left out.
type poisonSearch struct {
	*bisection
	bytesFed int64
	skipping *poisonRow
}

// decodeTime is from when to when the plugin had the page, from its first piece to its last row, and how long it was at
// work in between.
type decodeTime struct {
	from, to time.Time
	took     time.Duration
}

func newPage(f *feed, fetch *wit.Fetch, of *origin, s *bisection) *page {
	return &page{feed: f, fetch: fetch, origin: of, poisonSearch: poisonSearch{bisection: s},
		cursor: cursor{lastRow: -1, keys: emptyDigest, lastComplete: -1, completeKeys: emptyDigest}}
}

// readPage fetches and decodes one page on an instance. On return f.at is where to go on: after the page, or, where it
// broke off, the place in it.
//
// While the service works on its answer, for as long as hours for the initial load of a queue of changes, the slot is
// another feed's: how many requests an origin has at a time is what its limit is for.
func (f *feed) readPage(ctx context.Context, r Reader, fetch *wit.Fetch, attempts *attempts, slot *pageSlot) (end stepResult,
	err error) {
	if fetch.Acknowledges {
		if err := f.awaitDurable(ctx); err != nil {
			return end, err
		}
	}
	of := &origin{request: fetch.Request.Method + " " + transport.ShownTarget(fetch.Request.Target)}
	p := newPage(f, fetch, of, &attempts.bisection)
	p.reader = r
	if f.position.midPage && fetch.Position != nil {
		p.startSkipping()
	}
	defer p.releaseChunk()
	p.startSpan()
	defer func() { p.endSpan(err) }()
	start := time.Now()
	lastRequest := FeedRequest{Request: fetch.Request.Method + " " + transport.LoggedTarget(fetch.Request.Target),
		At: start.UTC()}
	f.setLastRequest(lastRequest)
	slot.release()
	fetchSpan := p.origin.span.Request("fetch", &fetch.Request)
	workCtx, endFetch := f.task.count.fetch.Work(ctx)
	sendCtx, leaseErr := f.withLease(workCtx, fetch)
	answer, err := f.task.o.Client.Do(sendCtx, &fetch.Request)
	endFetch()
	if err == nil {
		lastRequest.Status, lastRequest.Milliseconds = int(answer.Status), time.Since(start).Milliseconds()
		f.setLastRequest(lastRequest)
		fetchSpan.Answered(answer.Status)
	}
	fetchSpan.End(err)
	if err != nil {
		if leaseErr() != nil {
			return end, &wit.Fault{Kind: wit.FaultTransient, Message: p.origin.request + " is not sent, as it would have " +
				"the service forget what it has sent, and the task may be another worker's by now: " + leaseErr().Error()}
		}
		// What became of a request that must not be sent twice the plugin finds out: it is asked what comes next.
		if noAnswer := new(transport.NoAnswer); errors.As(err, &noAnswer) {
			return end, &wit.Fault{Kind: wit.FaultTransient, Message: noAnswer.Error()}
		}
		return end, &permanentError{err}
	}
	defer answer.Body.Close()
	if err := slot.acquire(ctx); err != nil {
		return end, err
	}
	end, err = p.decodePage(transport.Within(ctx), answer)
	if err == nil {
		f.task.o.Tally.Batches.Ended(start, p.emitted.rows)
	} else {
		p.keepPosition(err)
		if fetch.Request.Repeatable && attempts.retry.Names(strconv.Itoa(int(answer.Status))) {
			err = &permanentError{err} // the transport has repeated it as often as it may be
		}
	}
	return end, err
}

// withLease is a context for a request that goes out only under the worker's lease, where it acknowledges anything. held
// says why it did not; nil: it did, or something else kept it.
func (f *feed) withLease(ctx context.Context, fetch *wit.Fetch) (sendCtx context.Context, leaseErr func() error) {
	lease := f.task.o.Lease
	if lease == nil || !fetch.Acknowledges {
		return ctx, func() error { return nil }
	}
	var rejection error
	expired, end := context.WithCancel(ctx)
	end()
	return transport.Before(ctx, func() error { rejection = lease(ctx); return rejection },
		func() bool { return lease(expired) == nil }), func() error { return rejection }
}

// startSpan begins the page's span, where pages are traced.
func (p *page) startSpan() {
	t := p.feed.task
	if t.o.Tracer == nil {
		return
	}
	p.origin.span = t.o.Tracer.Start("page", tracing.Internal)
	p.origin.span.Task(t.o.Connector, t.o.Task)
	p.origin.span.Name("culvert.feed", p.feed.name)
	if t.o.TraceHeaders {
		p.origin.traceHeader = p.origin.span.Header()
	}
}

// addDecodeTime notes that a piece of the page was decoded from a moment on until now.
func (p *page) addDecodeTime(from time.Time) {
	if p.decoding.from.IsZero() {
		p.decoding.from = from
	}
	p.decoding.to = time.Now()
	p.decoding.took += p.decoding.to.Sub(from)
}

// endSpan ends the page's span.
func (p *page) endSpan(err error) {
	p.origin.span.Past("decode", p.decoding.from, p.decoding.to, p.decoding.took)
	p.origin.span.Number("culvert.rows", int64(p.emitted.rows))
	p.origin.span.End(err)
}

// startSkipping sets out to skip what was delivered already. Only the same page under the plugin's promise that it repeats
// exactly can be resumed (P2).
func (p *page) startSkipping() {
	f := p.feed
	if p.fetch.RepeatsExactly && sameFields(*p.fetch.Position, f.position.fields) {
		p.resumeAt, p.skipping = f.position, true
		return
	}
	f.log.Info("a page that was begun is delivered again from its start", "page", p.origin.request, "row", f.position.row)
	f.task.count.repeated.Add(1)
}

// decodePage takes the answer apart.
func (p *page) decodePage(ctx context.Context, answer *transport.Answer) (end stepResult, err error) {
	f := p.feed
	p.number, err = p.reader.Begin(ctx, f.opened.context, f.index, p.fetch.Position, answer.Response)
	if err != nil {
		return end, fmt.Errorf("%s: %w", p.origin.request, err)
	}
	if _, err := p.readBody(ctx, "", answer.Status, answer.Body); err != nil {
		// the instance may be gone: then there is nothing to abandon
		_ = p.reader.Abandon(context.WithoutCancel(ctx), p.number)
		return end, fmt.Errorf("%s%s: %w", p.origin.request, p.rowSuffix(), err)
	}
	if p.end.Next != nil {
		if name, ok := reservedField(*p.end.Next); ok {
			return end, fmt.Errorf("%s: the plugin's offset has a field %s, which is the host's name", p.origin.request, name)
		}
	}
	if err := p.checkProgress(); err != nil {
		return end, err
	}
	if err := p.finish(ctx); err != nil {
		return end, err
	}
	f.task.count.pages.Add(1)
	return stepResult{more: p.end.More, rows: p.cursor.lastRow >= 0,
		wait: time.Duration(p.end.WaitMs) * time.Millisecond}, nil
}

// checkProgress fails a page that is the one before it, says that more comes, and leaves the offset as it was: its request
// and its rows are the same, so that they would come for ever. A wake that is to come once more, without a position and
// after a wait, is no such page, nor is one without rows: what it asks for may come later.
func (p *page) checkProgress() error {
	f, q, last := p.feed, &p.fetch.Request, p.feed.lastPage
	f.lastPage = ""
	if !p.end.More || p.cursor.received == 0 || p.fetch.Position == nil && p.end.WaitMs > 0 {
		return nil
	}
	f.lastPage = fmt.Sprintf("%s %q %x %v %x %d", q.Method, q.Target, maphash.Bytes(contentSeed, q.Body), p.cursor.keys,
		p.cursor.content, p.cursor.received)
	from, next := f.pageStart, f.pageStart
	if p.fetch.Position != nil {
		from = *p.fetch.Position
	}
	if p.end.Next != nil {
		next = *p.end.Next
	}
	if f.lastPage != last || !sameFields(from, next) {
		return nil
	}
	return &wit.Fault{Kind: wit.FaultData, Message: fmt.Sprintf("%s: the page came twice in succession: plugin "+
		"version %s says that more comes, and the same request from the same offset brought the same %d rows. "+
		"Expected another offset after the page, or no more: a newer version of the plugin may give it", p.origin.request,
		f.opened.code.Version(), p.cursor.received)}
}

// row says after which row something happened.
func (p *page) rowSuffix() string {
	if p.cursor.lastRow < 0 {
		return ""
	}
	return fmt.Sprintf(", after row %d", p.cursor.lastRow)
}

// readBody feeds a body to the plugin in pieces, and what the plugin asks for in between. What it asks for with the last
// piece of a followed answer comes after that one, not within it, and is returned.
func (p *page) readBody(ctx context.Context, tag string, status uint16, body io.Reader) ([]wit.Follow, error) {
	if p.bodies.depth == len(p.bodies.pieces) {
		p.bodies.pieces = append(p.bodies.pieces, make([]byte, pieceSize))
	}
	piece := p.bodies.pieces[p.bodies.depth]
	p.bodies.depth++
	defer func() { p.bodies.depth-- }()
	for {
		p.feed.task.count.fetch.Begin()
		n, err := io.ReadFull(body, piece)
		p.feed.task.count.fetch.End()
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !last {
			if n > 0 && p.fetch.RepeatsExactly {
				_, _ = p.decode(ctx, tag, status, piece[:n], false) // its rows need not come again
			}
			return nil, err
		}
		p.feed.task.count.bytes.Add(int64(n))
		if last && tag != "" {
			return p.decodeBounded(ctx, tag, status, piece[:n], true)
		}
		if err := p.putPiece(ctx, tag, status, piece[:n], last); err != nil || last {
			return nil, err
		}
	}
}

// maxLinked bounds the requests that one page has followed, nested ones included: ten for each row of a page of
// 10,000. A page that breaks off is asked for again with all of them, so one that wants more would never come to its
// end.
const maxLinked = 100_000

// maxPendingBytes bounds the requests of a page that wait to be followed: those of one result of the plugin, as large
// as it may be by default.
const maxPendingBytes = 64 << 20

// reservedTagPrefix is how tags begin that are the host's own: [spec.TagComplete] and its like.
const reservedTagPrefix = "culvert:"

// maxNesting bounds how deep followed answers may stand within each other: one that asks for others amid its body.
const maxNesting = 16

// unpacedLinked is how many requests are followed without a pause while no row comes.
const unpacedLinked = 256

// linked takes what a page nests, fetched already or not, and feeds it to its end. It returns what is to be followed
// next.
func (p *page) fetchLinked(ctx context.Context, linked *wit.Follow, early *prefetched) ([]wit.Follow, error) {
	r := &linked.Request
	if strings.HasPrefix(r.Tag, reservedTagPrefix) {
		return nil, &wit.Fault{Kind: wit.FaultInternal, Message: fmt.Sprintf(
			"the plugin has a request followed with the tag %q: expected none that begins with %s, the host's own",
			r.Tag, reservedTagPrefix)}
	}
	if p.bodies.depth > maxNesting {
		return nil, &wit.Fault{Kind: wit.FaultData, Message: fmt.Sprintf("answers nest more than %d deep", maxNesting)}
	}
	if p.linked.row != p.cursor.lastRow {
		p.linked.row, p.linked.sinceRow, p.linked.backoff = p.cursor.lastRow, 0, progressBackoff{}
	}
	if p.linked.sinceRow++; p.linked.sinceRow > unpacedLinked {
		if err := pause.For(ctx, p.linked.backoff.after(false)); err != nil {
			return nil, err
		}
	}
	workCtx, endFetch := p.feed.task.count.fetch.Work(ctx)
	answer, err := early.await(workCtx)
	if answer == nil && err == nil {
		answer, err = p.feed.task.o.Client.Do(workCtx, r)
	}
	endFetch()
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", transport.ShownTarget(r.Target), &permanentError{err})
	}
	defer answer.Body.Close()
	if (answer.Status < 200 || answer.Status > 299) && !slices.Contains(linked.Tolerate, answer.Status) {
		head, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
		err := error(&wit.Fault{Kind: wit.KindOf(answer.Status), Message: fmt.Sprintf("follow %s: answered %d: %q",
			transport.ShownTarget(r.Target),
			answer.Status, head)})
		if p.feed.task.o.Client.Retry().Names(strconv.Itoa(int(answer.Status))) {
			err = &permanentError{err}
		}
		return nil, err
	}
	next, err := p.readBody(ctx, r.Tag, answer.Status, answer.Body)
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", transport.ShownTarget(r.Target), err)
	}
	return next, nil
}

// decode hands one piece to the plugin and takes its rows.
func (p *page) decode(ctx context.Context, tag string, status uint16, piece []byte, last bool) (wit.Portion, error) {
	if err := p.ensureChunk(ctx); err != nil {
		return wit.Portion{}, err
	}
	b := &p.chunk.batch
	from, data := len(b.Rows), len(b.Data)
	start := time.Now()
	p.feed.task.count.decode.Begin()
	portion, err := p.reader.Decode(ctx, p.number, tag, status, piece, last, b)
	p.feed.task.count.decode.End()
	if p.origin.span != nil {
		p.addDecodeTime(start)
	}
	if err != nil {
		p.chunk.truncate(from)
		return portion, err
	}
	if portion.Next != nil {
		p.end.Next = portion.Next
	}
	p.end.More, p.end.WaitMs = p.end.More || portion.More, max(p.end.WaitMs, portion.WaitMs)
	if err := p.acceptRows(from); err != nil {
		return portion, err
	}
	if len(b.Rows) == from && len(portion.Faults) == 0 {
		b.Data = b.Data[:data] // nothing but rows that were delivered already
	}
	if err := p.handleRowErrors(portion.Faults); err != nil {
		return portion, err
	}
	if p.chunk.isFull() {
		return portion, p.flushComplete(ctx)
	}
	return portion, nil
}

// take goes through new rows of the chunk: it keeps account of where the page is and drops rows that were delivered
// already.
func (p *page) acceptRows(from int) error {
	b := &p.chunk.batch
	kept := from
	for i := from; i < len(b.Rows); i++ {
		r := &b.Rows[i]
		if err := p.advanceTo(int64(r.Origin)); err != nil {
			p.chunk.truncate(kept)
			return err
		}
		p.cursor.keys.addRow(b, r)
		p.cursor.add(b.Bytes(r.Value))
		p.cursor.rowsOfLast++
		skip, err := p.wasDelivered()
		if err != nil {
			p.chunk.truncate(kept)
			return err
		}
		if p.skipping || skip {
			p.feed.task.count.resumed.Add(1)
			continue
		}
		if kept != i {
			b.Rows[kept] = *r
		}
		kept++
		p.chunk.origins = append(p.chunk.origins, r.Origin)
	}
	p.feed.task.count.read.Add(int64(kept - from))
	p.emitted.rows += kept - from
	b.Rows = b.Rows[:kept]
	return nil
}

// advanceTo moves to a row's number. When it leaves the rows that were delivered already, it looks whether they were the
// same.
func (p *page) advanceTo(origin int64) error {
	if origin < p.cursor.lastRow {
		return &wit.Fault{Kind: wit.FaultInternal, Message: fmt.Sprintf("the plugin gave row %d after row %d", origin,
			p.cursor.lastRow)}
	}
	if origin == p.cursor.lastRow {
		return nil
	}
	if p.skipping && origin > int64(p.resumeAt.row) {
		if p.cursor.keys != p.resumeAt.keys {
			return errMismatch
		}
		p.skipping = false
	}
	p.cursor.lastComplete, p.cursor.completeKeys = p.cursor.lastRow, p.cursor.keys
	p.cursor.lastRow, p.cursor.rowsOfLast = origin, 0
	return nil
}

// wasDelivered says whether the row is one of those that were delivered of the number after the place.
func (p *page) wasDelivered() (bool, error) {
	if p.skipping || p.resumeAt.extraRows == 0 {
		return false, nil
	}
	if p.resumeAt.extraRows--; p.resumeAt.extraRows == 0 && p.cursor.keys != p.resumeAt.extraKeys {
		return false, errMismatch
	}
	return true, nil
}

// faults handles rows that the plugin could not read. They count as rows of the page.
func (p *page) handleRowErrors(rowErrors []wit.RowFault) error {
	for i := range rowErrors {
		rf := &rowErrors[i]
		if p.poisonSearch.skipping != nil {
			rf.Fault.Message = trapMessage(p.poisonSearch.skipping.trap)
			p.poisonSearch.skipping = nil
		}
		p.cursor.add([]byte(rf.Fault.Message))
		if p.resumeAt.midPage && rf.Origin <= p.resumeAt.row {
			continue
		}
		t := p.feed.task
		if err := t.o.Refuse(&t.count.errors, &rowError{rf.Origin, &rf.Fault},
			func() { p.feed.logSkipped(p.origin.request, rf.Origin, task.AtDecode, &rf.Fault, nil) }); err != nil {
			p.chunk.truncateFrom(rf.Origin)
			p.cursor.lastComplete = -1 // this chunk carries no place: what it holds comes again
			return err
		}
		p.rawToDLQ(rf)
	}
	return nil
}

// rowError is a row that could not be handled where none may be skipped.
type rowError struct {
	row uint32
	err error
}

func (e *rowError) Error() string { return fmt.Sprintf("row %d: %v", e.row, e.err) }
func (e *rowError) Unwrap() error { return e.err }

// ensureChunk sees to it that there is a chunk to fill.
func (p *page) ensureChunk(ctx context.Context) error {
	if p.chunk != nil {
		return nil
	}
	c, err := p.feed.acquireChunk(ctx, p.origin)
	if err != nil {
		return err
	}
	p.chunk = c
	if p.origin.replayed != nil {
		c.batch.Topics[0] = p.origin.replayed.Record.Topic
	}
	return nil
}

// canCheckpoint says that places within the page may be stored (P2).
func (p *page) canCheckpoint() bool { return p.fetch.Position != nil && p.fetch.RepeatsExactly }

// incompleteFrom is the position in the chunk of the first row with the last number, of which more may come: the place that
// is stored is before it. Where some of that number were passed on already, it is the end of the chunk.
func (p *page) incompleteFrom() int {
	rows := p.chunk.batch.Rows
	from := len(rows)
	for from > 0 && int64(rows[from-1].Origin) == p.cursor.lastRow {
		from--
	}
	if len(rows)-from != p.cursor.rowsOfLast {
		return len(rows)
	}
	return from
}

// flushComplete passes on what the chunk has of complete rows and keeps the others for the next chunk, so that a stored
// place covers all rows in Kafka. Several rows of one number that fill a chunk are passed on.
func (p *page) flushComplete(ctx context.Context) error {
	c, from := p.chunk, p.incompleteFrom()
	count := len(c.batch.Rows)
	if !p.canCheckpoint() || from == count || from == 0 && count > 1 {
		return p.flush(ctx)
	}
	if from == 0 {
		return nil
	}
	last := make([]uint32, 0, count-from)
	for i := from; i < count; i++ {
		last = append(last, uint32(i))
	}
	kept := c.batch.Part(last)
	c.truncate(from)
	if err := p.flush(ctx); err != nil {
		return err
	}
	if err := p.ensureChunk(ctx); err != nil {
		return err
	}
	b := &p.chunk.batch
	b.Rows, b.Data, b.Held = append(b.Rows, kept.Rows...), append(b.Data, kept.Data...), append(b.Held, kept.Held...)
	for range kept.Rows {
		p.chunk.origins = append(p.chunk.origins, uint32(p.cursor.lastRow))
	}
	return nil
}

// dropIncomplete takes the rows of the last number out of the chunk of a page that broke off: they come again.
func (p *page) dropIncomplete() {
	from := p.incompleteFrom()
	dropped := len(p.chunk.batch.Rows) - from
	if dropped == 0 {
		return
	}
	p.chunk.truncate(from)
	p.cursor.rowsOfLast, p.cursor.keys = 0, p.cursor.completeKeys
	p.emitted.rows -= dropped
	p.feed.task.count.read.Add(int64(-dropped))
}

// flush hands the chunk to the next stage. While a page that repeats exactly is being read, the place after its last
// complete row may be stored; else nothing until the page's end.
func (p *page) flush(ctx context.Context) error {
	c := p.chunk
	p.chunk = nil
	if c.offsetAfter.Partition == nil && p.canCheckpoint() && !p.skipping && p.cursor.lastComplete >= 0 {
		c.offsetAfter = p.feed.offsetAt(position{fields: *p.fetch.Position, midPage: true, row: uint32(p.cursor.lastComplete),
			keys: p.cursor.completeKeys, topic: p.feed.spec().Topic})
	}
	c.firstOfPage = !p.emitted.any
	err := p.feed.send(ctx, c)
	if err == nil { // else nothing has begun that could be aborted
		p.emitted.any = true
		p.emitted.chunks++
	}
	return err
}

// ends says how a page ends that broke off, where some of it was passed on.
func (p *page) sendEnd(end pageEnd) {
	if !p.emitted.any || p.feed.pipeline.ctx.Err() != nil {
		return
	}
	c, err := p.feed.acquireChunk(p.feed.pipeline.ctx, p.origin)
	if err != nil {
		return
	}
	c.pageEnd = end
	_ = p.feed.send(p.feed.pipeline.ctx, c)
}

// offsetAt is what is stored when the feed stands somewhere.
func (f *feed) offsetAt(p position) kafka.Offset {
	return kafka.Offset{Partition: f.partition, Position: p.storedFields(f.spec().Fingerprint, f.notifications.subscriptionDigest)}
}

func (f *feed) send(ctx context.Context, c *chunk) error {
	c.inFlight = len(c.batch.Rows)
	f.task.o.Tally.Batches.Hold(c.inFlight)
	select {
	case f.pipeline.decoded <- c:
		return nil
	case <-ctx.Done():
		f.releaseChunk(c)
		return context.Cause(ctx)
	}
}

// finish ends a page that was read whole: its rows, and after them the offset from which to go on.
func (p *page) finish(ctx context.Context) error {
	f := p.feed
	if p.skipping && (p.cursor.lastRow != int64(p.resumeAt.row) || p.cursor.keys != p.resumeAt.keys) || p.resumeAt.extraRows > 0 {
		return errMismatch
	}
	if err := p.ensureChunk(ctx); err != nil {
		return err
	}
	next := position{fields: f.pageStart, topic: f.position.topic}
	if p.end.Next != nil {
		if next = (position{fields: *p.end.Next}); p.end.More {
			next.topic = f.spec().Topic
		}
	} else if p.fetch.Position == nil && f.position.midPage {
		next = f.position // in addition to a page that was begun, and is gone on with
	}
	p.chunk.offsetAfter, p.chunk.pageEnd = f.offsetAt(next), pageComplete
	if err := p.flush(ctx); err != nil {
		return err
	}
	if f.position = next; !next.midPage {
		f.pageStart = next.fields
	}
	f.setBoundary(f.pageStart)
	return nil
}

// keepPosition notes how far a page came that broke off, so that it is gone on with from there.
func (p *page) keepPosition(err error) {
	f := p.feed
	f.pipeline.logRestart = nil
	var row *rowError
	if errors.As(err, &row) && p.chunk != nil {
		// what came before the row is good
		_ = p.flush(f.pipeline.ctx)
	}
	if errors.Is(err, errMismatch) || p.fetch.Position == nil {
		p.sendEnd(pageAborted)
		return
	}
	if p.skipping || p.resumeAt.extraRows > 0 {
		return // nothing new was delivered: f.at stands
	}
	at := position{fields: *p.fetch.Position, topic: f.position.topic}
	if p.fetch.RepeatsExactly && f.pipeline.output.Keeps() && p.flushDelivered() {
		at.midPage, at.row, at.keys = true, uint32(p.cursor.lastComplete), p.cursor.completeKeys
		at.extraRows, at.extraKeys = p.cursor.rowsOfLast, p.cursor.keys
		at.topic = f.spec().Topic
	} else if !f.pipeline.output.Keeps() && p.resumeAt.midPage {
		at = p.resumeAt // the rows up to there were delivered when pages were not transactions yet
	}
	if at.midPage && f.pipeline.output.Keeps() {
		p.sendEnd(pageComplete)
	} else {
		p.sendEnd(pageAborted)
	}
	if !at.midPage && p.cursor.lastRow >= 0 {
		f.pipeline.logRestart = func() {
			f.task.count.repeated.Add(1)
			f.log.Warn("the page broke off and is delivered again from its start", "page", p.origin.request, "row", p.cursor.lastRow)
		}
	}
	f.position = at
}

// flushDelivered says whether complete rows of the page were passed on: it passes on those that are in the chunk.
func (p *page) flushDelivered() bool {
	if p.cursor.lastComplete < 0 {
		return false
	}
	if p.chunk == nil {
		return true
	}
	p.dropIncomplete()
	return p.flush(p.feed.pipeline.ctx) == nil
}

// releaseChunk returns a chunk that was not passed on.
func (p *page) releaseChunk() {
	if p.chunk != nil {
		p.feed.releaseChunk(p.chunk)
		p.chunk = nil
	}
}

// awaitDurable waits until everything that was read is in Kafka and the offset after it is stored (P1).
func (f *feed) awaitDurable(ctx context.Context) error {
	c, err := f.acquireChunk(ctx, &origin{})
	if err != nil {
		return err
	}
	barrier := make(chan struct{})
	c.barrier = barrier
	if err := f.send(ctx, c); err != nil {
		return err
	}
	select {
	case <-barrier:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
