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

	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/internal/run/tracing"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

const pieceSize = 64 << 10

// page is one page being read, or one dead letter. It fills chunks and passes them on.
type page struct {
	feed   *feed
	fetch  *wit.Fetch
	origin *origin
	reader Reader
	id     uint32 // identifies the page in the plugin

	chunk        *chunk
	emitted      emitted
	cursor       cursor
	resumeAt     position // the first row that was not delivered yet; skipping is true before it
	skipping     bool
	end          wit.DecodeResult
	bodies       bodyBuffers
	linked       linkedRequests
	poisonSearch poisonSearch
	decoding     decodeTime
}

type emitted struct {
	any          bool // reports whether a chunk was already emitted for this output page
	rows, chunks int
}

// cursor is the progress within a page.
type cursor struct {
	// lastRow is the index of the last row, -1 before the first; keys is the digest over all rows so far.
	lastRow      int64
	keys         digest
	lastComplete int64 // the last row index that no later row can share, completeKeys its digest
	completeKeys digest
	rowsOfLast   int // counts the rows with the last index
	// received counts rows and errors, content is a hash of their values that is valid in this process.
	received int
	content  uint64
}

var contentSeed = maphash.MakeSeed()

func (s *cursor) add(value []byte) {
	s.received++
	s.content = s.content*31 + maphash.Bytes(contentSeed, value)
}

type bodyBuffers struct {
	pieces [][]byte
	depth  int
}

type linkedRequests struct {
	total        int
	pendingBytes int64
	sinceRow     int
	row          int64
	backoff      progressBackoff
}

type poisonSearch struct {
	*bisection
	bytesFed int64
	skipping *poisonRow
}

type decodeTime struct {
	from, to time.Time
	total    time.Duration
}

func newPage(f *feed, fetch *wit.Fetch, source *origin, s *bisection) *page {
	return &page{feed: f, fetch: fetch, origin: source, poisonSearch: poisonSearch{bisection: s},
		cursor: cursor{lastRow: -1, keys: emptyDigest, lastComplete: -1, completeKeys: emptyDigest}}
}

// readPage leaves f.position where to continue, also within an interrupted page. While the service prepares its
// response, which may take hours for an initial delta load, another feed gets the slot.
func (f *feed) readPage(ctx context.Context, r Reader, fetch *wit.Fetch, attempts *attempts,
	slot *pageSlot) (end stepResult, err error) {
	if fetch.Acknowledges {
		if err := f.awaitDurable(ctx); err != nil {
			return end, err
		}
	}
	source := &origin{request: fetch.Request.Method + " " + transport.PrintableTarget(fetch.Request.Target)}
	page := newPage(f, fetch, source, &attempts.bisection)
	page.reader = r
	if f.position.midPage && fetch.Position != nil {
		page.startSkipping()
	}
	defer page.releaseChunk()
	page.startSpan()
	defer func() { page.endSpan(err) }()
	start := time.Now()
	lastRequest := FeedRequest{Request: fetch.Request.Method + " " + transport.LoggedTarget(fetch.Request.Target),
		At: start.UTC()}
	f.setLastRequest(lastRequest)
	slot.release()
	fetchSpan := page.origin.span.StartRequest("fetch", &fetch.Request)
	workCtx, endFetch := f.task.count.fetch.Track(ctx)
	sendCtx, leaseErr := f.withLease(workCtx, fetch)
	answer, err := f.task.o.Client.Do(sendCtx, &fetch.Request)
	endFetch()
	if err == nil {
		lastRequest.Status, lastRequest.Milliseconds = int(answer.Status), time.Since(start).Milliseconds()
		f.setLastRequest(lastRequest)
		fetchSpan.SetStatus(answer.Status)
	}
	fetchSpan.End(err)
	if err != nil {
		if leaseErr() != nil {
			return end, &wit.Error{Kind: wit.ErrorTransient, Message: page.origin.request +
				" is not sent, because it would acknowledge data, and another worker may own the task by now: " +
				leaseErr().Error()}
		}
		// The plugin finds out the outcome of a non-repeatable request when it returns the next action.
		if noAnswer := new(transport.NoResponseError); errors.As(err, &noAnswer) {
			return end, &wit.Error{Kind: wit.ErrorTransient, Message: noAnswer.Error()}
		}
		return end, &permanentError{err}
	}
	defer answer.Body.Close()
	if err := slot.acquire(ctx); err != nil {
		return end, err
	}
	end, err = page.decodePage(transport.WithParent(ctx), answer)
	if err == nil {
		f.task.o.Metrics.Batches.Record(start, page.emitted.rows)
	} else {
		page.savePosition(err)
		if fetch.Request.Repeatable && attempts.retry.Names(strconv.Itoa(int(answer.Status))) {
			err = &permanentError{err} // the transport has repeated it
		}
	}
	return end, err
}

// withLease sends an acknowledging request only under the worker's lease. leaseErr returns why it was not sent.
func (f *feed) withLease(ctx context.Context, fetch *wit.Fetch) (sendCtx context.Context, leaseErr func() error) {
	lease := f.task.o.CheckLease
	if lease == nil || !fetch.Acknowledges {
		return ctx, func() error { return nil }
	}
	var rejection error
	expired, end := context.WithCancel(ctx)
	end()
	return transport.WithSendCheck(ctx, func() error { rejection = lease(ctx); return rejection },
		func() bool { return lease(expired) == nil }), func() error { return rejection }
}

func (p *page) startSpan() {
	t := p.feed.task
	if t.o.Tracer == nil {
		return
	}
	p.origin.span = t.o.Tracer.Start("page", tracing.Internal)
	p.origin.span.SetTask(t.o.Connector, t.o.Task)
	p.origin.span.SetString("culvert.feed", p.feed.name)
	if t.o.TraceHeaders {
		p.origin.traceHeader = p.origin.span.Header()
	}
}

func (p *page) addDecodeTime(from time.Time) {
	if p.decoding.from.IsZero() {
		p.decoding.from = from
	}
	p.decoding.to = time.Now()
	p.decoding.total += p.decoding.to.Sub(from)
}

func (p *page) endSpan(err error) {
	p.origin.span.AddPastChild("decode", p.decoding.from, p.decoding.to, p.decoding.total)
	p.origin.span.SetInt("culvert.rows", int64(p.emitted.rows))
	p.origin.span.End(err)
}

// startSkipping resumes the same page under the plugin's promise that it repeats exactly (P2).
func (p *page) startSkipping() {
	feed := p.feed
	if p.fetch.RepeatsExactly && sameFields(*p.fetch.Position, feed.position.fields) {
		p.resumeAt, p.skipping = feed.position, true
		return
	}
	feed.log.Info("an interrupted page is delivered again from its start", "page", p.origin.request, "row",
		feed.position.row)
	feed.task.count.repeated.Add(1)
}

func (p *page) decodePage(ctx context.Context, answer *transport.Answer) (end stepResult, err error) {
	feed := p.feed
	p.id, err = p.reader.Begin(ctx, feed.opened.context, feed.index, p.fetch.Position, answer.Response)
	if err != nil {
		return end, fmt.Errorf("%s: %w", p.origin.request, err)
	}
	if _, err := p.readBody(ctx, "", answer.Status, answer.Body); err != nil {
		_ = p.reader.Abandon(context.WithoutCancel(ctx), p.id) // fails if the instance is lost
		return end, fmt.Errorf("%s%s: %w", p.origin.request, p.rowSuffix(), err)
	}
	if p.end.Next != nil {
		if name, ok := reservedField(*p.end.Next); ok {
			return end, fmt.Errorf("%s: the plugin's offset has a field %s, which is the host's name",
				p.origin.request, name)
		}
	}
	if err := p.checkProgress(); err != nil {
		return end, err
	}
	if err := p.finish(ctx); err != nil {
		return end, err
	}
	feed.task.count.pages.Add(1)
	return stepResult{more: p.end.More, rows: p.cursor.lastRow >= 0,
		wait: time.Duration(p.end.WaitMs) * time.Millisecond}, nil
}

// checkProgress fails a page that equals the previous one and would be repeated for ever. Exempt are a trigger that is
// read again after a wait, and a page without rows, which may have some later.
func (p *page) checkProgress() error {
	feed, q, last := p.feed, &p.fetch.Request, p.feed.lastPage
	feed.lastPage = ""
	if !p.end.More || p.cursor.received == 0 || p.fetch.Position == nil && p.end.WaitMs > 0 {
		return nil
	}
	feed.lastPage = fmt.Sprintf("%s %q %x %v %x %d", q.Method, q.Target, maphash.Bytes(contentSeed, q.Body),
		p.cursor.keys,
		p.cursor.content, p.cursor.received)
	from, next := feed.pageStart, feed.pageStart
	if p.fetch.Position != nil {
		from = *p.fetch.Position
	}
	if p.end.Next != nil {
		next = *p.end.Next
	}
	if feed.lastPage != last || !sameFields(from, next) {
		return nil
	}
	return &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf("%s: the page came twice in succession: plugin "+
		"version %s says that more comes, and the same request from the same offset brought the same %d rows. "+
		"Expected another offset after the page, or no more: a newer version of the plugin may give it",
		p.origin.request,
		feed.opened.code.Version(), p.cursor.received)}
}

func (p *page) rowSuffix() string {
	if p.cursor.lastRow < 0 {
		return ""
	}
	return fmt.Sprintf(", after row %d", p.cursor.lastRow)
}

// readBody returns the linked requests of the last piece of a linked response, which follow it instead of being nested
// in it.
func (p *page) readBody(ctx context.Context, tag string, status uint16, body io.Reader) ([]wit.LinkedRequest, error) {
	if p.bodies.depth == len(p.bodies.pieces) {
		p.bodies.pieces = append(p.bodies.pieces, make([]byte, pieceSize))
	}
	piece := p.bodies.pieces[p.bodies.depth]
	p.bodies.depth++
	defer func() { p.bodies.depth-- }()
	for {
		p.feed.task.count.fetch.Start()
		n, err := io.ReadFull(body, piece)
		p.feed.task.count.fetch.Stop()
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !last {
			if n > 0 && p.fetch.RepeatsExactly {
				_, _ = p.decode(ctx, tag, status, piece[:n], false) // saves its rows from being read again
			}
			return nil, err
		}
		p.feed.task.count.bytes.Add(int64(n))
		if last && tag != "" {
			return p.decodeBounded(ctx, tag, status, piece[:n], true)
		}
		if err := p.decodePiece(ctx, tag, status, piece[:n], last); err != nil || last {
			return nil, err
		}
	}
}

// maxLinked bounds the linked requests of a page: ten for each row of 10,000. An interruption repeats all of them.
const maxLinked = 100_000

const maxPendingBytes = 64 << 20

// reservedTagPrefix begins the tags of the host, such as [wit.TagComplete].
const reservedTagPrefix = "culvert:"

const maxNesting = 16

const unpacedLinked = 256

func (p *page) fetchLinked(ctx context.Context, linked *wit.LinkedRequest,
	early *prefetched) ([]wit.LinkedRequest, error) {
	r := &linked.Request
	if strings.HasPrefix(r.Tag, reservedTagPrefix) {
		return nil, &wit.Error{Kind: wit.ErrorInternal, Message: fmt.Sprintf(
			"the plugin returned a linked request with the tag %q: expected a tag that does not begin with %s",
			r.Tag, reservedTagPrefix)}
	}
	if p.bodies.depth > maxNesting {
		return nil, &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf("answers nest more than %d deep", maxNesting)}
	}
	if p.linked.row != p.cursor.lastRow {
		p.linked.row, p.linked.sinceRow, p.linked.backoff = p.cursor.lastRow, 0, progressBackoff{}
	}
	if p.linked.sinceRow++; p.linked.sinceRow > unpacedLinked {
		if err := pause.For(ctx, p.linked.backoff.after(false)); err != nil {
			return nil, err
		}
	}
	workCtx, endFetch := p.feed.task.count.fetch.Track(ctx)
	answer, err := early.await(workCtx)
	if answer == nil && err == nil {
		answer, err = p.feed.task.o.Client.Do(workCtx, r)
	}
	endFetch()
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", transport.PrintableTarget(r.Target), &permanentError{err})
	}
	defer answer.Body.Close()
	if (answer.Status < 200 || answer.Status > 299) && !slices.Contains(linked.Tolerate, answer.Status) {
		head, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
		err := error(&wit.Error{Kind: wit.ErrorKindOf(answer.Status), Message: fmt.Sprintf("follow %s: answered %d: %q",
			transport.PrintableTarget(r.Target),
			answer.Status, head)})
		if p.feed.task.o.Client.Retry().Names(strconv.Itoa(int(answer.Status))) {
			err = &permanentError{err}
		}
		return nil, err
	}
	next, err := p.readBody(ctx, r.Tag, answer.Status, answer.Body)
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", transport.PrintableTarget(r.Target), err)
	}
	return next, nil
}

func (p *page) decode(ctx context.Context, tag string, status uint16, piece []byte,
	last bool) (wit.DecodeResult, error) {
	if err := p.ensureChunk(ctx); err != nil {
		return wit.DecodeResult{}, err
	}
	b := &p.chunk.batch
	from, data := len(b.Rows), len(b.Data)
	start := time.Now()
	p.feed.task.count.decode.Start()
	portion, err := p.reader.Decode(ctx, p.id, tag, status, piece, last, b)
	p.feed.task.count.decode.Stop()
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
	if len(b.Rows) == from && len(portion.Errors) == 0 {
		b.Data = b.Data[:data] // all rows were delivered already
	}
	if err := p.handleRowErrors(portion.Errors); err != nil {
		return portion, err
	}
	if p.chunk.isFull() {
		return portion, p.flushComplete(ctx)
	}
	return portion, nil
}

// acceptRows advances the cursor over new rows of the chunk and drops rows that were delivered already.
func (p *page) acceptRows(from int) error {
	b := &p.chunk.batch
	kept := from
	for i := from; i < len(b.Rows); i++ {
		r := &b.Rows[i]
		if err := p.advanceTo(int64(r.RowIndex)); err != nil {
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
		p.chunk.origins = append(p.chunk.origins, r.RowIndex)
	}
	p.feed.task.count.read.Add(int64(kept - from))
	p.emitted.rows += kept - from
	b.Rows = b.Rows[:kept]
	return nil
}

// advanceTo checks, after the rows that were delivered already, that these were the same.
func (p *page) advanceTo(origin int64) error {
	if origin < p.cursor.lastRow {
		return &wit.Error{Kind: wit.ErrorInternal, Message: fmt.Sprintf("the plugin returned row %d after row %d",
			origin,
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

func (p *page) wasDelivered() (bool, error) {
	if p.skipping || p.resumeAt.extraRows == 0 {
		return false, nil
	}
	if p.resumeAt.extraRows--; p.resumeAt.extraRows == 0 && p.cursor.keys != p.resumeAt.extraKeys {
		return false, errMismatch
	}
	return true, nil
}

func (p *page) handleRowErrors(rowErrors []wit.RowError) error {
	for i := range rowErrors {
		rowErr := &rowErrors[i]
		if p.poisonSearch.skipping != nil {
			rowErr.Error.Message = trapMessage(p.poisonSearch.skipping.trap)
			p.poisonSearch.skipping = nil
		}
		p.cursor.add([]byte(rowErr.Error.Message))
		if p.resumeAt.midPage && rowErr.RowIndex <= p.resumeAt.row {
			continue
		}
		t := p.feed.task
		if err := t.o.HandleError(&t.count.errors, &rowError{rowErr.RowIndex, &rowErr.Error},
			func() {
				p.feed.logSkipped(p.origin.request, rowErr.RowIndex, task.StageDecode, &rowErr.Error,
					nil)
			}); err != nil {
			p.chunk.truncateFrom(rowErr.RowIndex)
			p.cursor.lastComplete = -1 // this chunk stores no position: its rows are read again
			return err
		}
		p.rawToDLQ(rowErr)
	}
	return nil
}

// rowError is a row that could not be handled and must not be skipped.
type rowError struct {
	row uint32
	err error
}

func (e *rowError) Error() string { return fmt.Sprintf("row %d: %v", e.row, e.err) }
func (e *rowError) Unwrap() error { return e.err }

func (p *page) ensureChunk(ctx context.Context) error {
	if p.chunk != nil {
		return nil
	}
	chunk, err := p.feed.acquireChunk(ctx, p.origin)
	if err != nil {
		return err
	}
	p.chunk = chunk
	if p.origin.replayed != nil {
		chunk.batch.Topics[0] = p.origin.replayed.Record.Topic
	}
	return nil
}

// canCheckpoint reports whether positions within the page may be stored (P2).
func (p *page) canCheckpoint() bool { return p.fetch.Position != nil && p.fetch.RepeatsExactly }

// incompleteFrom returns the first row in the chunk with the last index, which more rows may share. If some of these
// were emitted already, it is the end of the chunk.
func (p *page) incompleteFrom() int {
	rows := p.chunk.batch.Rows
	from := len(rows)
	for from > 0 && int64(rows[from-1].RowIndex) == p.cursor.lastRow {
		from--
	}
	if len(rows)-from != p.cursor.rowsOfLast {
		return len(rows)
	}
	return from
}

// flushComplete keeps incomplete rows for the next chunk, so that a stored position covers all emitted rows. Rows of
// one index that fill a chunk are emitted, too.
func (p *page) flushComplete(ctx context.Context) error {
	chunk, from := p.chunk, p.incompleteFrom()
	count := len(chunk.batch.Rows)
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
	kept := chunk.batch.Subset(last)
	chunk.truncate(from)
	if err := p.flush(ctx); err != nil {
		return err
	}
	if err := p.ensureChunk(ctx); err != nil {
		return err
	}
	b := &p.chunk.batch
	b.Rows, b.Data, b.Retained = append(b.Rows, kept.Rows...), append(b.Data, kept.Data...),
		append(b.Retained, kept.Retained...)
	for range kept.Rows {
		p.chunk.origins = append(p.chunk.origins, uint32(p.cursor.lastRow))
	}
	return nil
}

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

func (p *page) flush(ctx context.Context) error {
	chunk := p.chunk
	p.chunk = nil
	if chunk.offsetAfter.Partition == nil && p.canCheckpoint() && !p.skipping && p.cursor.lastComplete >= 0 {
		chunk.offsetAfter = p.feed.offsetAt(position{fields: *p.fetch.Position, midPage: true,
			row:  uint32(p.cursor.lastComplete),
			keys: p.cursor.completeKeys, topic: p.feed.spec().Topic})
	}
	chunk.firstOfPage = !p.emitted.any
	err := p.feed.send(ctx, chunk)
	if err == nil { // otherwise there is nothing to abort
		p.emitted.any = true
		p.emitted.chunks++
	}
	return err
}

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

func (f *feed) offsetAt(p position) kafka.Offset {
	return kafka.Offset{Partition: f.partition, Position: p.storedFields(f.spec().Fingerprint,
		f.notifications.subscriptionDigest)}
}

func (f *feed) send(ctx context.Context, chunk *chunk) error {
	chunk.inFlight = len(chunk.batch.Rows)
	f.task.o.Metrics.Batches.AddActive(chunk.inFlight)
	select {
	case f.pipeline.decoded <- chunk:
		return nil
	case <-ctx.Done():
		f.releaseChunk(chunk)
		return context.Cause(ctx)
	}
}

func (p *page) finish(ctx context.Context) error {
	feed := p.feed
	if p.skipping && (p.cursor.lastRow != int64(p.resumeAt.row) || p.cursor.keys != p.resumeAt.keys) ||
		p.resumeAt.extraRows > 0 {
		return errMismatch
	}
	if err := p.ensureChunk(ctx); err != nil {
		return err
	}
	next := position{fields: feed.pageStart, topic: feed.position.topic}
	if p.end.Next != nil {
		if next = (position{fields: *p.end.Next}); p.end.More {
			next.topic = feed.spec().Topic
		}
	} else if p.fetch.Position == nil && feed.position.midPage {
		next = feed.position // an extra page; an interrupted one continues after it
	}
	p.chunk.offsetAfter, p.chunk.pageEnd = feed.offsetAt(next), pageComplete
	if err := p.flush(ctx); err != nil {
		return err
	}
	if feed.position = next; !next.midPage {
		feed.pageStart = next.fields
	}
	feed.setBoundary(feed.pageStart)
	return nil
}

// savePosition records how far an interrupted page was emitted, so that it continues from there.
func (p *page) savePosition(err error) {
	feed := p.feed
	feed.pipeline.logRestart = nil
	var row *rowError
	if errors.As(err, &row) && p.chunk != nil {
		_ = p.flush(feed.pipeline.ctx) // the rows before it are valid
	}
	if errors.Is(err, errMismatch) || p.fetch.Position == nil {
		p.sendEnd(pageAborted)
		return
	}
	if p.skipping || p.resumeAt.extraRows > 0 {
		return // nothing new was delivered: f.position remains
	}
	at := position{fields: *p.fetch.Position, topic: feed.position.topic}
	if p.fetch.RepeatsExactly && feed.pipeline.output.AtLeastOnce() && p.flushDelivered() {
		at.midPage, at.row, at.keys = true, uint32(p.cursor.lastComplete), p.cursor.completeKeys
		at.extraRows, at.extraKeys = p.cursor.rowsOfLast, p.cursor.keys
		at.topic = feed.spec().Topic
	} else if !feed.pipeline.output.AtLeastOnce() && p.resumeAt.midPage {
		at = p.resumeAt // delivered when pages were not transactions yet
	}
	if at.midPage && feed.pipeline.output.AtLeastOnce() {
		p.sendEnd(pageComplete)
	} else {
		p.sendEnd(pageAborted)
	}
	if !at.midPage && p.cursor.lastRow >= 0 {
		feed.pipeline.logRestart = func() {
			feed.task.count.repeated.Add(1)
			feed.log.Warn("the page was interrupted and is delivered again from its start", "page", p.origin.request,
				"row",
				p.cursor.lastRow)
		}
	}
	feed.position = at
}

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

func (p *page) releaseChunk() {
	if p.chunk != nil {
		p.feed.releaseChunk(p.chunk)
		p.chunk = nil
	}
}

// awaitDurable waits until everything that was read is in Kafka with the offset after it (P1).
func (f *feed) awaitDurable(ctx context.Context) error {
	chunk, err := f.acquireChunk(ctx, &origin{})
	if err != nil {
		return err
	}
	barrier := make(chan struct{})
	chunk.barrier = barrier
	if err := f.send(ctx, chunk); err != nil {
		return err
	}
	select {
	case <-barrier:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
