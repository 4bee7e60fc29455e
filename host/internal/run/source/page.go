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

// page is one page being read. It fills chunks and passes them on. It lives for one call of [feed.page], or for one
// dead letter.
type page struct {
	feed   *feed
	fetch  *wit.Fetch
	of     *origin
	reader Reader
	// number is what the plugin calls the page by.
	number uint32

	chunk  *chunk
	handed handed
	seen   seen
	// skip is where rows begin that were not delivered yet; skipping: they have not come.
	skip     position
	skipping bool
	// end is what the portions said of the page's end: it comes with the last piece, of the page or of what it nests.
	end      wit.DecodeResult
	bodies   bodies
	follows  follows
	hunt     hunt
	decoding decoding
}

// handed is what a page has passed on: so many rows, in so many parts.
type handed struct {
	// some: a chunk of it was, or of what comes before it in one page of the output.
	some        bool
	rows, parts int
}

// seen is how far a page has come.
type seen struct {
	// last is the number of the row that came last, -1 before the first; keys is the digest over all rows so far.
	last int64
	keys digest
	// whole is the last row that is complete (no row of another chunk can share its number), with its digest.
	whole     int64
	wholeKeys digest
	// ofLast is how many rows have the number of the last.
	ofLast int
	// brought is how many rows and faults came, content a hash of their values, which holds for this run.
	brought int
	content uint64
}

var contentSeed = maphash.MakeSeed()

// bring takes a value of a row or a fault into account.
func (s *seen) bring(value []byte) {
	s.brought++
	s.content = s.content*31 + maphash.Bytes(contentSeed, value)
}

// bodies are buffers for those that are being read: the page's own first, then those of what it nests.
type bodies struct {
	pieces [][]byte
	depth  int
}

// follows are the requests that a page wants followed: how many, and the bytes of those that were not yet; made is how
// many were after the row.
type follows struct {
	wanted  int
	waiting int64
	made    int
	row     int64
	pace    pace
}

// hunt is the search for rows on which the plugin breaks: fed is how much of the page's own body the plugin has got
// meanwhile, left is such a row that is being left out.
type hunt struct {
	*search
	fed  int64
	left *poison
}

// decoding is from when to when the plugin had the page, from its first piece to its last row, and how long it was at
// work in between.
type decoding struct {
	from, to time.Time
	took     time.Duration
}

func newPage(f *feed, fetch *wit.Fetch, of *origin, s *search) *page {
	return &page{feed: f, fetch: fetch, of: of, hunt: hunt{search: s},
		seen: seen{last: -1, keys: noRows, whole: -1, wholeKeys: noRows}}
}

// page fetches and decodes one page on an instance. On return f.at is where to go on: after the page, or, where it
// broke off, the place in it.
//
// While the service works on its answer, for as long as hours for the initial load of a queue of changes, the slot is
// another feed's: how many requests an origin has at a time is what its limit is for.
func (f *feed) page(ctx context.Context, r Reader, fetch *wit.Fetch, tried *attempts, slot *pageSlot) (end turnEnd,
	err error) {
	if fetch.Acknowledges {
		if err := f.durable(ctx); err != nil {
			return end, err
		}
	}
	of := &origin{what: fetch.Request.Method + " " + transport.ShownTarget(fetch.Request.Target)}
	p := newPage(f, fetch, of, &tried.search)
	p.reader = r
	if f.at.inside && fetch.Position != nil {
		p.resume()
	}
	defer p.giveBack()
	p.trace()
	defer func() { p.traced(err) }()
	start := time.Now()
	asked := FeedRequest{Request: fetch.Request.Method + " " + transport.LoggedTarget(fetch.Request.Target),
		At: start.UTC()}
	f.asks(asked)
	slot.giveBack()
	fetching := p.of.span.StartRequest("fetch", &fetch.Request)
	working, fetched := f.task.count.fetch.Track(ctx)
	sending, held := f.leased(working, fetch)
	answer, err := f.task.o.Client.Do(sending, &fetch.Request)
	fetched()
	if err == nil {
		asked.Status, asked.Milliseconds = int(answer.Status), time.Since(start).Milliseconds()
		f.asks(asked)
		fetching.SetStatus(answer.Status)
	}
	fetching.End(err)
	if err != nil {
		if held() != nil {
			return end, &wit.Error{Kind: wit.ErrorTransient, Message: p.of.what + " is not sent, as it would have " +
				"the service forget what it has sent, and the task may be another worker's by now: " + held().Error()}
		}
		// What became of a request that must not be sent twice the plugin finds out: it is asked what comes next.
		if lost := new(transport.NoAnswer); errors.As(err, &lost) {
			return end, &wit.Error{Kind: wit.ErrorTransient, Message: lost.Error()}
		}
		return end, &finalError{err}
	}
	defer answer.Body.Close()
	if err := slot.take(ctx); err != nil {
		return end, err
	}
	end, err = p.read(transport.Within(ctx), answer)
	if err == nil {
		f.task.o.Metrics.Batches.Record(start, p.handed.rows)
	} else {
		p.broken(err)
		if fetch.Request.Repeatable && tried.retry.Names(strconv.Itoa(int(answer.Status))) {
			err = &finalError{err} // the transport has repeated it as often as it may be
		}
	}
	return end, err
}

// leased is a context for a request that goes out only under the worker's lease, where it acknowledges anything. held
// says why it did not; nil: it did, or something else kept it.
func (f *feed) leased(ctx context.Context, fetch *wit.Fetch) (sending context.Context, held func() error) {
	lease := f.task.o.CheckLease
	if lease == nil || !fetch.Acknowledges {
		return ctx, func() error { return nil }
	}
	var refused error
	over, end := context.WithCancel(ctx)
	end()
	return transport.Before(ctx, func() error { refused = lease(ctx); return refused },
		func() bool { return lease(over) == nil }), func() error { return refused }
}

// trace begins the page's span, where pages are traced.
func (p *page) trace() {
	t := p.feed.task
	if t.o.Tracer == nil {
		return
	}
	p.of.span = t.o.Tracer.Start("page", tracing.Internal)
	p.of.span.SetTask(t.o.Connector, t.o.Task)
	p.of.span.SetString("culvert.feed", p.feed.name)
	if t.o.TraceHeaders {
		p.of.carries = p.of.span.Header()
	}
}

// decoded notes that a piece of the page was decoded from a moment on until now.
func (p *page) decoded(from time.Time) {
	if p.decoding.from.IsZero() {
		p.decoding.from = from
	}
	p.decoding.to = time.Now()
	p.decoding.took += p.decoding.to.Sub(from)
}

// traced ends the page's span.
func (p *page) traced(err error) {
	p.of.span.AddPastChild("decode", p.decoding.from, p.decoding.to, p.decoding.took)
	p.of.span.SetInt("culvert.rows", int64(p.handed.rows))
	p.of.span.End(err)
}

// resume sets out to skip what was delivered already. Only the same page under the plugin's promise that it repeats
// exactly can be resumed (P2).
func (p *page) resume() {
	f := p.feed
	if p.fetch.RepeatsExactly && sameFields(*p.fetch.Position, f.at.fields) {
		p.skip, p.skipping = f.at, true
		return
	}
	f.log.Info("a page that was begun is delivered again from its start", "page", p.of.what, "row", f.at.row)
	f.task.count.repeated.Add(1)
}

// read takes the answer apart.
func (p *page) read(ctx context.Context, answer *transport.Answer) (end turnEnd, err error) {
	f := p.feed
	p.number, err = p.reader.Begin(ctx, f.opened.context, f.index, p.fetch.Position, answer.Response)
	if err != nil {
		return end, fmt.Errorf("%s: %w", p.of.what, err)
	}
	if _, err := p.body(ctx, "", answer.Status, answer.Body); err != nil {
		// the instance may be gone: then there is nothing to abandon
		_ = p.reader.Abandon(context.WithoutCancel(ctx), p.number)
		return end, fmt.Errorf("%s%s: %w", p.of.what, p.row(), err)
	}
	if p.end.Next != nil {
		if name, ok := reservedField(*p.end.Next); ok {
			return end, fmt.Errorf("%s: the plugin's offset has a field %s, which is the host's name", p.of.what, name)
		}
	}
	if err := p.advances(); err != nil {
		return end, err
	}
	if err := p.finish(ctx); err != nil {
		return end, err
	}
	f.task.count.pages.Add(1)
	return turnEnd{more: p.end.More, rows: p.seen.last >= 0,
		wait: time.Duration(p.end.WaitMs) * time.Millisecond}, nil
}

// advances fails a page that is the one before it, says that more comes, and leaves the offset as it was: its request
// and its rows are the same, so that they would come for ever. A wake that is to come once more, without a position and
// after a wait, is no such page, nor is one without rows: what it asks for may come later.
func (p *page) advances() error {
	f, q, last := p.feed, &p.fetch.Request, p.feed.last
	f.last = ""
	if !p.end.More || p.seen.brought == 0 || p.fetch.Position == nil && p.end.WaitMs > 0 {
		return nil
	}
	f.last = fmt.Sprintf("%s %q %x %v %x %d", q.Method, q.Target, maphash.Bytes(contentSeed, q.Body), p.seen.keys,
		p.seen.content, p.seen.brought)
	from, next := f.standing, f.standing
	if p.fetch.Position != nil {
		from = *p.fetch.Position
	}
	if p.end.Next != nil {
		next = *p.end.Next
	}
	if f.last != last || !sameFields(from, next) {
		return nil
	}
	return &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf("%s: the page came twice in succession: plugin "+
		"version %s says that more comes, and the same request from the same offset brought the same %d rows. "+
		"Expected another offset after the page, or no more: a newer version of the plugin may give it", p.of.what,
		f.opened.code.Version(), p.seen.brought)}
}

// row says after which row something happened.
func (p *page) row() string {
	if p.seen.last < 0 {
		return ""
	}
	return fmt.Sprintf(", after row %d", p.seen.last)
}

// body feeds a body to the plugin in pieces, and what the plugin asks for in between. What it asks for with the last
// piece of a followed answer comes after that one, not within it, and is returned.
func (p *page) body(ctx context.Context, tag string, status uint16, body io.Reader) ([]wit.LinkedRequest, error) {
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
				_, _ = p.decode(ctx, tag, status, piece[:n], false) // its rows need not come again
			}
			return nil, err
		}
		p.feed.task.count.bytes.Add(int64(n))
		if last && tag != "" {
			return p.part(ctx, tag, status, piece[:n], true)
		}
		if err := p.put(ctx, tag, status, piece[:n], last); err != nil || last {
			return nil, err
		}
	}
}

// maxFollowed bounds the requests that one page has followed, nested ones included: ten for each row of a page of
// 10,000. A page that breaks off is asked for again with all of them, so one that wants more would never come to its
// end.
const maxFollowed = 100_000

// maxWaitingBytes bounds the requests of a page that wait to be followed: those of one result of the plugin, as large
// as it may be by default.
const maxWaitingBytes = 64 << 20

// hostTags is how tags begin that are the host's own: [wit.TagComplete] and its like.
const hostTags = "culvert:"

// maxDepth bounds how deep followed answers may stand within each other: one that asks for others amid its body.
const maxDepth = 16

// freelyFollowed is how many requests are followed without a pause while no row comes.
const freelyFollowed = 256

// follow takes what a page nests, fetched already or not, and feeds it to its end. It returns what is to be followed
// next.
func (p *page) follow(ctx context.Context, follow *wit.LinkedRequest, early *early) ([]wit.LinkedRequest, error) {
	r := &follow.Request
	if strings.HasPrefix(r.Tag, hostTags) {
		return nil, &wit.Error{Kind: wit.ErrorInternal, Message: fmt.Sprintf(
			"the plugin has a request followed with the tag %q: expected none that begins with %s, the host's own",
			r.Tag, hostTags)}
	}
	if p.bodies.depth > maxDepth {
		return nil, &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf("answers nest more than %d deep", maxDepth)}
	}
	if p.follows.row != p.seen.last {
		p.follows.row, p.follows.made, p.follows.pace = p.seen.last, 0, pace{}
	}
	if p.follows.made++; p.follows.made > freelyFollowed {
		if err := pause.For(ctx, p.follows.pace.after(false)); err != nil {
			return nil, err
		}
	}
	working, fetched := p.feed.task.count.fetch.Track(ctx)
	answer, err := early.await(working)
	if answer == nil && err == nil {
		answer, err = p.feed.task.o.Client.Do(working, r)
	}
	fetched()
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", transport.ShownTarget(r.Target), &finalError{err})
	}
	defer answer.Body.Close()
	if (answer.Status < 200 || answer.Status > 299) && !slices.Contains(follow.Tolerate, answer.Status) {
		head, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
		err := error(&wit.Error{Kind: wit.ErrorKindOf(answer.Status), Message: fmt.Sprintf("follow %s: answered %d: %q",
			transport.ShownTarget(r.Target),
			answer.Status, head)})
		if p.feed.task.o.Client.Retry().Names(strconv.Itoa(int(answer.Status))) {
			err = &finalError{err}
		}
		return nil, err
	}
	next, err := p.body(ctx, r.Tag, answer.Status, answer.Body)
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", transport.ShownTarget(r.Target), err)
	}
	return next, nil
}

// decode hands one piece to the plugin and takes its rows.
func (p *page) decode(ctx context.Context, tag string, status uint16, piece []byte, last bool) (wit.DecodeResult,
	error) {
	if err := p.room(ctx); err != nil {
		return wit.DecodeResult{}, err
	}
	b := &p.chunk.batch
	from, data := len(b.Rows), len(b.Data)
	start := time.Now()
	p.feed.task.count.decode.Start()
	portion, err := p.reader.Decode(ctx, p.number, tag, status, piece, last, b)
	p.feed.task.count.decode.Stop()
	if p.of.span != nil {
		p.decoded(start)
	}
	if err != nil {
		p.chunk.cut(from)
		return portion, err
	}
	if portion.Next != nil {
		p.end.Next = portion.Next
	}
	p.end.More, p.end.WaitMs = p.end.More || portion.More, max(p.end.WaitMs, portion.WaitMs)
	if err := p.take(from); err != nil {
		return portion, err
	}
	if len(b.Rows) == from && len(portion.Errors) == 0 {
		b.Data = b.Data[:data] // nothing but rows that were delivered already
	}
	if err := p.faults(portion.Errors); err != nil {
		return portion, err
	}
	if p.chunk.enough() {
		return portion, p.passComplete(ctx)
	}
	return portion, nil
}

// take goes through new rows of the chunk: it keeps account of where the page is and drops rows that were delivered
// already.
func (p *page) take(from int) error {
	b := &p.chunk.batch
	kept := from
	for i := from; i < len(b.Rows); i++ {
		r := &b.Rows[i]
		if err := p.advance(int64(r.RowIndex)); err != nil {
			p.chunk.cut(kept)
			return err
		}
		p.seen.keys.row(b, r)
		p.seen.bring(b.Bytes(r.Value))
		p.seen.ofLast++
		skip, err := p.beyond()
		if err != nil {
			p.chunk.cut(kept)
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
	p.handed.rows += kept - from
	b.Rows = b.Rows[:kept]
	return nil
}

// advance moves to a row's number. When it leaves the rows that were delivered already, it looks whether they were the
// same.
func (p *page) advance(origin int64) error {
	if origin < p.seen.last {
		return &wit.Error{Kind: wit.ErrorInternal, Message: fmt.Sprintf("the plugin gave row %d after row %d", origin,
			p.seen.last)}
	}
	if origin == p.seen.last {
		return nil
	}
	if p.skipping && origin > int64(p.skip.row) {
		if p.seen.keys != p.skip.keys {
			return errMismatch
		}
		p.skipping = false
	}
	p.seen.whole, p.seen.wholeKeys = p.seen.last, p.seen.keys
	p.seen.last, p.seen.ofLast = origin, 0
	return nil
}

// beyond says whether the row is one of those that were delivered of the number after the place.
func (p *page) beyond() (bool, error) {
	if p.skipping || p.skip.beyond == 0 {
		return false, nil
	}
	if p.skip.beyond--; p.skip.beyond == 0 && p.seen.keys != p.skip.beyondKeys {
		return false, errMismatch
	}
	return true, nil
}

// faults handles rows that the plugin could not read. They count as rows of the page.
func (p *page) faults(faults []wit.RowError) error {
	for i := range faults {
		rf := &faults[i]
		if p.hunt.left != nil {
			rf.Error.Message = breaksOn(p.hunt.left.trap)
			p.hunt.left = nil
		}
		p.seen.bring([]byte(rf.Error.Message))
		if p.skip.inside && rf.RowIndex <= p.skip.row {
			continue
		}
		t := p.feed.task
		if err := t.o.HandleError(&t.count.faults, &rowError{rf.RowIndex, &rf.Error},
			func() { p.feed.skipped(p.of.what, rf.RowIndex, task.StageDecode, &rf.Error, nil) }); err != nil {
			p.chunk.truncate(rf.RowIndex)
			p.seen.whole = -1 // this chunk carries no place: what it holds comes again
			return err
		}
		p.buryRaw(rf)
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

// room sees to it that there is a chunk to fill.
func (p *page) room(ctx context.Context) error {
	if p.chunk != nil {
		return nil
	}
	c, err := p.feed.take(ctx, p.of)
	if err != nil {
		return err
	}
	p.chunk = c
	if p.of.refused != nil {
		c.batch.Topics[0] = p.of.refused.Record.Topic
	}
	return nil
}

// marks says that places within the page may be stored (P2).
func (p *page) marks() bool { return p.fetch.Position != nil && p.fetch.RepeatsExactly }

// incomplete is the position in the chunk of the first row with the last number, of which more may come: the place that
// is stored is before it. Where some of that number were passed on already, it is the end of the chunk.
func (p *page) incomplete() int {
	rows := p.chunk.batch.Rows
	from := len(rows)
	for from > 0 && int64(rows[from-1].RowIndex) == p.seen.last {
		from--
	}
	if len(rows)-from != p.seen.ofLast {
		return len(rows)
	}
	return from
}

// passComplete passes on what the chunk has of complete rows and keeps the others for the next chunk, so that a stored
// place covers all rows in Kafka. Several rows of one number that fill a chunk are passed on.
func (p *page) passComplete(ctx context.Context) error {
	c, from := p.chunk, p.incomplete()
	count := len(c.batch.Rows)
	if !p.marks() || from == count || from == 0 && count > 1 {
		return p.pass(ctx)
	}
	if from == 0 {
		return nil
	}
	last := make([]uint32, 0, count-from)
	for i := from; i < count; i++ {
		last = append(last, uint32(i))
	}
	kept := c.batch.Part(last)
	c.cut(from)
	if err := p.pass(ctx); err != nil {
		return err
	}
	if err := p.room(ctx); err != nil {
		return err
	}
	b := &p.chunk.batch
	b.Rows, b.Data, b.Held = append(b.Rows, kept.Rows...), append(b.Data, kept.Data...), append(b.Held, kept.Held...)
	for range kept.Rows {
		p.chunk.origins = append(p.chunk.origins, uint32(p.seen.last))
	}
	return nil
}

// dropIncomplete takes the rows of the last number out of the chunk of a page that broke off: they come again.
func (p *page) dropIncomplete() {
	from := p.incomplete()
	dropped := len(p.chunk.batch.Rows) - from
	if dropped == 0 {
		return
	}
	p.chunk.cut(from)
	p.seen.ofLast, p.seen.keys = 0, p.seen.wholeKeys
	p.handed.rows -= dropped
	p.feed.task.count.read.Add(int64(-dropped))
}

// pass hands the chunk to the next stage. While a page that repeats exactly is being read, the place after its last
// complete row may be stored; else nothing until the page's end.
func (p *page) pass(ctx context.Context) error {
	c := p.chunk
	p.chunk = nil
	if c.upTo.Partition == nil && p.marks() && !p.skipping && p.seen.whole >= 0 {
		c.upTo = p.feed.stores(position{fields: *p.fetch.Position, inside: true, row: uint32(p.seen.whole),
			keys: p.seen.wholeKeys, topic: p.feed.wit().Topic})
	}
	c.begins = !p.handed.some
	err := p.feed.hand(ctx, c)
	if err == nil { // else nothing has begun that could be aborted
		p.handed.some = true
		p.handed.parts++
	}
	return err
}

// ends says how a page ends that broke off, where some of it was passed on.
func (p *page) ends(how ending) {
	if !p.handed.some || p.feed.pipe.failed.Err() != nil {
		return
	}
	c, err := p.feed.take(p.feed.pipe.failed, p.of)
	if err != nil {
		return
	}
	c.ends = how
	_ = p.feed.hand(p.feed.pipe.failed, c)
}

// stores is what is stored when the feed stands somewhere.
func (f *feed) stores(at position) kafka.Offset {
	return kafka.Offset{Partition: f.partition, Position: at.stored(f.wit().Fingerprint, f.wakes.subscriptionDigest)}
}

func (f *feed) hand(ctx context.Context, c *chunk) error {
	c.held = len(c.batch.Rows)
	f.task.o.Metrics.Batches.AddActive(c.held)
	select {
	case f.pipe.decoded <- c:
		return nil
	case <-ctx.Done():
		f.give(c)
		return context.Cause(ctx)
	}
}

// finish ends a page that was read whole: its rows, and after them the offset from which to go on.
func (p *page) finish(ctx context.Context) error {
	f := p.feed
	if p.skipping && (p.seen.last != int64(p.skip.row) || p.seen.keys != p.skip.keys) || p.skip.beyond > 0 {
		return errMismatch
	}
	if err := p.room(ctx); err != nil {
		return err
	}
	next := position{fields: f.standing, topic: f.at.topic}
	if p.end.Next != nil {
		if next = (position{fields: *p.end.Next}); p.end.More {
			next.topic = f.wit().Topic
		}
	} else if p.fetch.Position == nil && f.at.inside {
		next = f.at // in addition to a page that was begun, and is gone on with
	}
	p.chunk.upTo, p.chunk.ends = f.stores(next), pageComplete
	if err := p.pass(ctx); err != nil {
		return err
	}
	if f.at = next; !next.inside {
		f.standing = next.fields
	}
	f.stand(f.standing)
	return nil
}

// broken notes how far a page came that broke off, so that it is gone on with from there.
func (p *page) broken(err error) {
	f := p.feed
	f.pipe.fromStart = nil
	var row *rowError
	if errors.As(err, &row) && p.chunk != nil {
		// what came before the row is good
		_ = p.pass(f.pipe.failed)
	}
	if errors.Is(err, errMismatch) || p.fetch.Position == nil {
		p.ends(pageAborted)
		return
	}
	if p.skipping || p.skip.beyond > 0 {
		return // nothing new was delivered: f.at stands
	}
	at := position{fields: *p.fetch.Position, topic: f.at.topic}
	if p.fetch.RepeatsExactly && f.pipe.output.Keeps() && p.delivered() {
		at.inside, at.row, at.keys = true, uint32(p.seen.whole), p.seen.wholeKeys
		at.beyond, at.beyondKeys = p.seen.ofLast, p.seen.keys
		at.topic = f.wit().Topic
	} else if !f.pipe.output.Keeps() && p.skip.inside {
		at = p.skip // the rows up to there were delivered when pages were not transactions yet
	}
	if at.inside && f.pipe.output.Keeps() {
		p.ends(pageComplete)
	} else {
		p.ends(pageAborted)
	}
	if !at.inside && p.seen.last >= 0 {
		f.pipe.fromStart = func() {
			f.task.count.repeated.Add(1)
			f.log.Warn("the page broke off and is delivered again from its start", "page", p.of.what, "row",
				p.seen.last)
		}
	}
	f.at = at
}

// delivered says whether complete rows of the page were passed on: it passes on those that are in the chunk.
func (p *page) delivered() bool {
	if p.seen.whole < 0 {
		return false
	}
	if p.chunk == nil {
		return true
	}
	p.dropIncomplete()
	return p.pass(p.feed.pipe.failed) == nil
}

// giveBack returns a chunk that was not passed on.
func (p *page) giveBack() {
	if p.chunk != nil {
		p.feed.give(p.chunk)
		p.chunk = nil
	}
}

// durable waits until everything that was read is in Kafka and the offset after it is stored (P1).
func (f *feed) durable(ctx context.Context) error {
	c, err := f.take(ctx, &origin{})
	if err != nil {
		return err
	}
	barrier := make(chan struct{})
	c.barrier = barrier
	if err := f.hand(ctx, c); err != nil {
		return err
	}
	select {
	case <-barrier:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
