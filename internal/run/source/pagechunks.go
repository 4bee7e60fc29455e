package source

import (
	"context"
	"errors"
	"slices"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/wit"
)

// ensureChunk acquires a chunk if the page has none; it may block.
func (p *page) ensureChunk(ctx context.Context) error {
	if p.chunk != nil {
		return nil
	}
	chunk, err := p.feed.acquireChunk(ctx, p.origin)
	if err != nil {
		return err
	}
	p.chunk = chunk
	if p.origin.replayed != nil { // the feed of a replay has no topic
		chunk.batch.Topics[0] = p.origin.replayed.Record.Topic
	}
	return nil
}

// canCheckpoint reports whether offsets within the page may be stored: only if the page repeats exactly after a restart
// (RATIONALE.md P2).
func (p *page) canCheckpoint() bool { return p.fetch.Position != nil && p.fetch.RepeatsExactly }

// incompleteFrom returns where in the chunk the rows with the last row index begin, because more of them may follow. It
// returns the end of the chunk if some of them were sent already.
func (p *page) incompleteFrom() int {
	rows := p.chunk.batch.Rows
	start := len(rows)
	for start > 0 && int64(rows[start-1].RowIndex) == p.cursor.lastRow {
		start--
	}
	if len(rows)-start != p.cursor.rowsOfLast {
		return len(rows)
	}
	return start
}

// flushComplete sends the chunk without incomplete rows, which move to a new chunk, so that a stored position covers
// all sent rows. If all rows of the chunk have one index, one row waits for the next piece, which usually completes it;
// two or more are sent, because any number of them may follow.
func (p *page) flushComplete(ctx context.Context) error {
	chunk := p.chunk
	start := p.incompleteFrom()
	count := len(chunk.batch.Rows)
	if !p.canCheckpoint() || start == count || (start == 0 && count > 1) {
		return p.flush(ctx)
	}
	if start == 0 { // a single row
		return nil
	}
	incomplete := make([]uint32, 0, count-start)
	for i := start; i < count; i++ {
		incomplete = append(incomplete, uint32(i))
	}
	moved := chunk.batch.Subset(incomplete)
	// The chunk may be settled, and its memory reused, before the rows are in the new chunk.
	moved.Data = slices.Clone(moved.Data)
	moved.Retained = slices.Clone(moved.Retained)
	chunk.truncate(start)
	if err := p.flush(ctx); err != nil {
		return err
	}
	if err := p.ensureChunk(ctx); err != nil {
		return err
	}
	b := &p.chunk.batch
	b.Rows = append(b.Rows, moved.Rows...)
	b.Data = append(b.Data, moved.Data...)
	b.Retained = append(b.Retained, moved.Retained...)
	for range moved.Rows {
		p.chunk.origins = append(p.chunk.origins, uint32(p.cursor.lastRow))
	}
	return nil
}

// flush passes the page's chunk to the stages, with an offset if the page can continue after it.
func (p *page) flush(ctx context.Context) error {
	feed := p.feed
	chunk := p.chunk
	p.chunk = nil
	if chunk.offsetAfter.Partition == nil && p.canCheckpoint() && !p.skipping && p.cursor.lastComplete >= 0 {
		chunk.offsetAfter = feed.offsetAt(position{fields: *p.fetch.Position, midPage: true,
			row: uint32(p.cursor.lastComplete), keys: p.cursor.completeKeys, topic: feed.spec().Topic})
	}
	chunk.firstOfPage = !p.emitted.hasSent
	hasRows := len(chunk.batch.Rows)+len(chunk.deadLetters) > 0
	if feed.atBeginning && hasRows && p.fetch.Position != nil {
		feed.atBeginning = false
		// The next run must know after a crash that rows may have been delivered. That is needless with transactions,
		// which contain rows and offset.
		if feed.pipeline.output.AtLeastOnce() {
			chunk.loadBeginning = feed.offsetAt(position{fields: *p.fetch.Position, topic: feed.spec().Topic,
				beginning: digestOf(p.origin.request)})
		}
	}
	if keys := feed.keys; keys != nil && keys.use == keysRemembered && p.fetch.Position != nil {
		// Without all keys nothing proves that the load was complete.
		if err := keys.remember(&chunk.batch); err != nil {
			feed.log.Info("the keys of the first load are not remembered: its rows are read and delivered again "+
				"after it", "reason", err)
			feed.dropKeys()
		}
	}
	err := feed.send(ctx, chunk)
	if err == nil { // a chunk that was not sent needs no [page.sendEnd]
		p.emitted.hasSent = true
		p.emitted.chunks++
	}
	return err
}

// sendEnd sends an empty chunk that ends the page, unless nothing of the page was sent.
func (p *page) sendEnd(end pageEnd) {
	if !p.emitted.hasSent || p.feed.pipeline.ctx.Err() != nil {
		return
	}
	chunk, err := p.feed.acquireChunk(p.feed.pipeline.ctx, p.origin)
	if err != nil {
		return
	}
	chunk.pageEnd = end
	_ = p.feed.send(p.feed.pipeline.ctx, chunk)
}

// offsetAt returns the offset to store for a position: the plugin's fields and the host's.
func (f *feed) offsetAt(p position) kafka.Offset {
	fields := slices.Clone(p.fields)
	if p.midPage {
		fields = append(fields, wit.IntegerEntry(fieldRecord, int64(p.row)),
			wit.StringEntry(fieldKeys, p.keys.String()))
	}
	if subscription := f.notifications.subscriptionDigest; subscription != "" {
		fields = append(fields, wit.StringEntry(fieldSubscription, subscription))
	}
	if p.beginning != "" {
		fields = append(fields, wit.StringEntry(fieldBeginning, p.beginning))
	}
	fields = append(fields, wit.StringEntry(fieldFingerprint, withTopic(f.spec().Fingerprint, p.topic)))
	return kafka.Offset{Partition: f.partition, Position: fields}
}

// send passes a chunk to the stages, which release it. It releases the chunk itself if ctx ends first.
func (f *feed) send(ctx context.Context, chunk *chunk) error {
	chunk.inFlight = len(chunk.batch.Rows)
	f.task.o.Metrics.Batches.AddActive(chunk.inFlight) // until releaseChunk
	select {
	case f.pipeline.decoded <- chunk:
		return nil
	case <-ctx.Done():
		f.releaseChunk(chunk)
		return context.Cause(ctx)
	}
}

// finish sends the last chunk with the offset after the page, and makes that the feed's position.
func (p *page) finish(ctx context.Context) error {
	feed := p.feed
	endsAtResume := p.cursor.lastRow == int64(p.resumeAt.row) && p.cursor.keys == p.resumeAt.keys
	if (p.skipping && !endsAtResume) || p.resumeAt.extraRows > 0 {
		return errMismatch // the page ends before the rows that were delivered
	}
	if err := p.ensureChunk(ctx); err != nil {
		return err
	}
	// Without a next offset, the feed's offset stays as it is.
	next := position{fields: feed.pageStart, topic: feed.position.topic, beginning: feed.position.beginning}
	if p.end.Next != nil {
		next = position{fields: *p.end.Next}
		if p.end.More {
			next.topic = feed.spec().Topic
		}
	} else if p.fetch.Position == nil && feed.position.midPage {
		// This page, of a trigger or a snapshot, was read in between; the interrupted one continues after it.
		next = feed.position
	}
	p.chunk.offsetAfter = feed.offsetAt(next)
	p.chunk.pageEnd = pageComplete
	feed.sentRows = feed.sentRows || p.emitted.rows > 0
	if feed.sentRows && !p.end.More && p.end.Next != nil { // the end of a load, or of changes
		p.chunk.offsetAfter.Prompt = true
		feed.sentRows = false
	}
	if err := p.flush(ctx); err != nil {
		return err
	}
	feed.position = next
	if !next.midPage {
		feed.pageStart = next.fields
	}
	feed.setBoundary(feed.pageStart)
	return nil
}

// savePosition sends the complete rows of an interrupted page, ends or aborts it, and sets the position to continue at.
func (p *page) savePosition(err error) {
	feed := p.feed
	feed.pipeline.logRestart = nil
	if feed.keys.comparesPage() {
		return // nothing was delivered
	}
	var rowErr *rowError
	if errors.As(err, &rowErr) && p.chunk != nil {
		_ = p.flush(feed.pipeline.ctx) // without transactions, the rows before it stay although the page is aborted
	}
	// Forget the keys of the failed page, unless its rows that were sent stay visible.
	keys := feed.keys
	if keys != nil && keys.use == keysRemembered && !feed.pipeline.output.AtLeastOnce() {
		keys.digests = keys.digests[:keys.pageStart]
	}
	if errors.Is(err, errMismatch) || p.fetch.Position == nil {
		p.sendEnd(pageAborted)
		return
	}
	if p.skipping || p.resumeAt.extraRows > 0 {
		return // nothing new was delivered: feed.position remains
	}
	next := position{fields: *p.fetch.Position, topic: feed.position.topic} // readPage has cleared beginning
	if p.fetch.RepeatsExactly && feed.pipeline.output.AtLeastOnce() && p.flushDelivered() {
		next.midPage = true
		next.row = uint32(p.cursor.lastComplete)
		next.keys = p.cursor.completeKeys
		next.extraRows = p.cursor.rowsOfLast
		next.extraKeys = p.cursor.keys
		next.topic = feed.spec().Topic
	} else if !feed.pipeline.output.AtLeastOnce() && p.resumeAt.midPage {
		next = p.resumeAt // of an earlier run whose pages were no transactions
	}
	if next.midPage && feed.pipeline.output.AtLeastOnce() {
		p.sendEnd(pageComplete)
	} else {
		p.sendEnd(pageAborted)
	}
	if !next.midPage && p.cursor.lastRow >= 0 {
		feed.pipeline.logRestart = func() {
			feed.task.count.repeated.Add(1)
			feed.log.Warn("the page was interrupted and is delivered again from its start", "page", p.origin.request,
				"row", p.cursor.lastRow)
		}
	}
	feed.position = next
}

// flushDelivered sends the complete rows and reports whether the page can continue after them.
func (p *page) flushDelivered() bool {
	if p.cursor.lastComplete < 0 {
		return false
	}
	if p.chunk == nil {
		return true
	}
	// More rows with the last index may follow.
	start := p.incompleteFrom()
	if dropped := len(p.chunk.batch.Rows) - start; dropped > 0 {
		p.chunk.truncate(start)
		p.cursor.rowsOfLast = 0
		p.cursor.keys = p.cursor.completeKeys
		p.emitted.rows -= dropped
		p.feed.task.count.read.Add(int64(-dropped))
	}
	return p.flush(p.feed.pipeline.ctx) == nil
}

func (p *page) releaseChunk() {
	if p.chunk != nil {
		p.feed.releaseChunk(p.chunk)
		p.chunk = nil
	}
}

// awaitDurable waits until everything that was read is in Kafka, with the offset after it. A request that lets the
// service delete delivered data must not be sent earlier (RATIONALE.md P1).
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
