package source

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strconv"
	"time"

	"github.com/culvert-project/culvert/internal/run/tracing"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

const pieceSize = 64 << 10 // bytes that are decoded at once

// page is one response of a feed, with its linked requests, or one dead letter of a replay. It decodes rows into chunks
// and passes these to the next stage.
type page struct {
	feed   *feed
	fetch  *wit.Fetch
	origin *origin
	reader Reader
	id     uint32 // identifies the page in the plugin

	chunk        *chunk
	emitted      emitted
	cursor       cursor
	resumeAt     position // the last row that an earlier attempt delivered; extraRows is counted down
	skipping     bool     // whether the page is not past resumeAt yet
	end          wit.DecodeResult
	bodies       bodyBuffers
	linked       linkedRequests
	poisonSearch poisonSearch
	decoding     decodeTime
}

// emitted counts what a page has sent to the next stage.
type emitted struct {
	hasSent bool // the page has sent a chunk
	rows    int
	chunks  int
}

// bodyBuffers has a buffer for each level of nested responses.
type bodyBuffers struct {
	buffers [][]byte
	depth   int // the current level, from 1
}

// poisonSearch is the search for rows that trap the plugin, see [bisection].
type poisonSearch struct {
	*bisection
	bytesFed int64      // how much of the page's own body was passed to the plugin
	skipped  *poisonRow // the row that the next error of a row is about, or nil
}

// decodeTime is the time of the calls that decode a page, for its span.
type decodeTime struct {
	from  time.Time
	to    time.Time
	total time.Duration
}

func newPage(f *feed, fetch *wit.Fetch, origin *origin, search *bisection) *page {
	return &page{feed: f, fetch: fetch, origin: origin, poisonSearch: poisonSearch{bisection: search},
		cursor: cursor{lastRow: -1, keys: emptyDigest, lastComplete: -1, completeKeys: emptyDigest}}
}

// readPage requests and reads one page. Afterwards f.position is where to continue, also within an interrupted page. It
// releases the slot until the service responds, which may take hours for an initial delta load.
func (f *feed) readPage(ctx context.Context, r Reader, fetch *wit.Fetch, attempts *attempts,
	slot *pageSlot) (result stepResult, err error) {
	if fetch.Acknowledges {
		if err := f.awaitDurable(ctx); err != nil {
			return result, err
		}
	}
	origin := &origin{request: fetch.Request.Method + " " + transport.PrintableTarget(fetch.Request.Target)}
	page := newPage(f, fetch, origin, &attempts.bisection)
	page.reader = r
	if page.fetch.Position != nil {
		if f.position.beginning == digestOf(page.origin.request) {
			f.log.Warn("the first load was interrupted and begins again: rows that it had delivered may be of "+
				"entities that were deleted since, which nothing reports; a snapshot mends that",
				"command", "culvert connectors snapshot "+f.task.o.Connector+" "+f.name)
		}
		f.position.beginning = ""
	}
	if f.position.midPage && fetch.Position != nil {
		page.startSkipping()
	}
	defer page.releaseChunk()
	page.startSpan()
	defer func() {
		span := page.origin.span
		span.AddPastChild("decode", page.decoding.from, page.decoding.to, page.decoding.total)
		span.SetInt("culvert.rows", int64(page.emitted.rows))
		span.End(err)
	}()
	start := time.Now()
	lastRequest := FeedRequest{Request: fetch.Request.Method + " " + transport.LoggedTarget(fetch.Request.Target),
		At: start.UTC()}
	f.setLastRequest(lastRequest)
	// Send the request, without the slot.
	slot.release()
	fetchSpan := page.origin.span.StartRequest("fetch", &fetch.Request)
	workCtx, endFetch := f.task.count.fetch.Track(ctx, &f.task.count.wait)
	sendCtx, leaseErr := f.withLease(workCtx, fetch)
	answer, err := f.task.o.Client.Do(transport.WithAffinity(sendCtx, f.affinity), &fetch.Request)
	endFetch()
	if err == nil {
		lastRequest.Status = int(answer.Status)
		lastRequest.Milliseconds = time.Since(start).Milliseconds()
		f.setLastRequest(lastRequest)
		fetchSpan.SetStatus(answer.Status)
	}
	fetchSpan.End(err)
	if err != nil {
		if leaseErr() != nil {
			return result, &wit.Error{Kind: wit.ErrorTransient, Message: page.origin.request +
				" is not sent, because it would acknowledge data, and another worker may own the task by now: " +
				leaseErr().Error()}
		}
		// The plugin determines the outcome of a non-repeatable request in its next action.
		if noAnswer := new(transport.NoResponseError); errors.As(err, &noAnswer) {
			return result, &wit.Error{Kind: wit.ErrorTransient, Message: noAnswer.Error()}
		}
		return result, &permanentError{err}
	}
	// Decode the response.
	defer answer.Body.Close()
	if answer.SessionLost {
		answer.Headers = append(answer.Headers, wit.Header{Name: wit.SessionLostHeader, Value: "true"})
	}
	if err := slot.acquire(ctx); err != nil {
		return result, err
	}
	result, err = page.decodePage(transport.WithParent(ctx), answer)
	if err == nil && answer.SessionLost && answer.Status < 500 {
		f.log.Warn("the service rejects a page whose token may belong to an earlier session, and the plugin continues",
			"page", page.origin.request, "status", answer.Status)
	}
	if err == nil {
		f.task.o.Metrics.Batches.Record(start, page.emitted.rows)
	} else {
		page.savePosition(err)
		if fetch.Request.Repeatable && attempts.retry.Names(strconv.Itoa(int(answer.Status))) {
			err = &permanentError{err} // the transport has repeated it
		}
	}
	return result, err
}

// withLease makes sure that an acknowledging request is sent only under the worker's lease. leaseErr returns why it was
// not sent.
func (f *feed) withLease(ctx context.Context, fetch *wit.Fetch) (sendCtx context.Context, leaseErr func() error) {
	lease := f.task.o.CheckLease
	if lease == nil || !fetch.Acknowledges {
		return ctx, func() error { return nil }
	}
	var sendErr error
	endedCtx, cancel := context.WithCancel(ctx)
	cancel()
	return transport.WithSendCheck(ctx, func() error { sendErr = lease(ctx); return sendErr },
		func() bool { return lease(endedCtx) == nil }), func() error { return sendErr }
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

// startSkipping resumes an interrupted page: if the plugin promises that it repeats exactly, its rows are skipped up to
// the last one that was delivered. Otherwise the service may return others at the same places (RATIONALE.md P2).
func (p *page) startSkipping() {
	feed := p.feed
	if p.fetch.RepeatsExactly && sameFields(*p.fetch.Position, feed.position.fields) {
		p.resumeAt = feed.position
		p.skipping = true
		return
	}
	feed.log.Info("an interrupted page is delivered again from its start", "page", p.origin.request,
		"row", feed.position.row)
	feed.task.count.repeated.Add(1)
}

func (p *page) decodePage(ctx context.Context, answer *transport.Answer) (result stepResult, err error) {
	feed := p.feed
	p.id, err = p.reader.Begin(ctx, feed.opened.context, feed.index, p.fetch.Position, answer.Response)
	if err != nil {
		return result, fmt.Errorf("%s: %w", p.origin.request, err)
	}
	if _, err := p.readBody(ctx, "", answer.Status, answer.Body); err != nil {
		_ = p.reader.Abandon(context.WithoutCancel(ctx), p.id) // fails if the instance is lost
		if p.cursor.lastRow >= 0 {
			return result, fmt.Errorf("%s, after row %d: %w", p.origin.request, p.cursor.lastRow, err)
		}
		return result, fmt.Errorf("%s: %w", p.origin.request, err)
	}
	if p.end.Next != nil {
		if name, ok := reservedField(*p.end.Next); ok {
			return result, fmt.Errorf("%s: the plugin's offset has a field %s, which is the host's name",
				p.origin.request, name)
		}
	}
	if err := p.checkProgress(); err != nil {
		return result, err
	}
	finish := p.finish
	if feed.keys.comparesPage() {
		finish = p.finishCompared
	}
	if err := finish(ctx); err != nil {
		return result, err
	}
	feed.task.count.pages.Add(1)
	return stepResult{more: p.end.More, rows: p.cursor.lastRow >= 0,
		wait: time.Duration(p.end.WaitMs) * time.Millisecond}, nil
}

// checkProgress returns an error for a page that equals lastPage and would be repeated for ever, and sets lastPage. It
// accepts the page of a trigger that is read again after a wait, and a page without rows, which may have some later.
func (p *page) checkProgress() error {
	previous := p.feed.lastPage
	request := &p.fetch.Request
	feed := p.feed
	feed.lastPage = ""
	if !p.end.More || p.cursor.received == 0 || (p.fetch.Position == nil && p.end.WaitMs > 0) {
		return nil
	}
	feed.lastPage = fmt.Sprintf("%s %q %x %v %x %d", request.Method, request.Target,
		maphash.Bytes(contentSeed, request.Body), p.cursor.keys, p.cursor.content, p.cursor.received)
	from := feed.pageStart
	next := feed.pageStart
	if p.fetch.Position != nil {
		from = *p.fetch.Position
	}
	if p.end.Next != nil {
		next = *p.end.Next
	}
	if feed.lastPage != previous || !sameFields(from, next) {
		return nil
	}
	return &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf("%s: the page came twice in succession: plugin "+
		"version %s announces more rows, but the same request from the same offset returned the same %d rows; "+
		"a newer version of the plugin may set another offset after the page, or end",
		p.origin.request, feed.opened.code.Version(), p.cursor.received)}
}

// readBody reads a response in pieces and decodes them. It returns the linked requests of the last piece of a linked
// response, which follow it instead of being nested in it.
func (p *page) readBody(ctx context.Context, tag string, status uint16, body io.Reader) ([]wit.LinkedRequest, error) {
	if p.bodies.depth == len(p.bodies.buffers) {
		p.bodies.buffers = append(p.bodies.buffers, make([]byte, pieceSize))
	}
	piece := p.bodies.buffers[p.bodies.depth]
	p.bodies.depth++
	defer func() { p.bodies.depth-- }()
	for {
		p.feed.task.count.fetch.Start()
		n, err := io.ReadFull(body, piece)
		p.feed.task.count.fetch.Stop()
		isLast := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !isLast {
			if n > 0 && p.fetch.RepeatsExactly {
				_, _ = p.decode(ctx, tag, status, piece[:n], false) // the next attempt skips its rows
			}
			return nil, err
		}
		p.feed.task.count.bytes.Add(int64(n))
		if isLast && tag != "" {
			return p.decodeBounded(ctx, tag, status, piece[:n], true)
		}
		if err := p.decodePiece(ctx, tag, status, piece[:n], isLast); err != nil || isLast {
			return nil, err
		}
	}
}
