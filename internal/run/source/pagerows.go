package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// cursor is the progress within a page.
type cursor struct {
	// lastRow is the index of the last row, -1 before the first; keys is the digest of all rows so far.
	lastRow      int64
	keys         digest
	lastComplete int64 // the last row index that no later row can share, completeKeys the digest up to it
	completeKeys digest
	rowsOfLast   int // counts the rows with the last index
	// received counts rows and errors, content is a hash of their values that is valid in this process.
	received int
	content  uint64
}

var contentSeed = maphash.MakeSeed()

func (c *cursor) add(value []byte) {
	c.received++
	c.content = c.content*31 + maphash.Bytes(contentSeed, value)
}

// decode has the plugin decode a piece of a response, and sends the chunk if that is full.
func (p *page) decode(ctx context.Context, tag string, status uint16, piece []byte,
	isLast bool) (wit.DecodeResult, error) {
	if err := p.ensureChunk(ctx); err != nil {
		return wit.DecodeResult{}, err
	}
	b := &p.chunk.batch
	firstNew := len(b.Rows)
	dataSize := len(b.Data)
	start := time.Now()
	p.feed.task.count.decode.Start()
	result, err := p.reader.Decode(ctx, p.id, tag, status, piece, isLast, b)
	p.feed.task.count.decode.Stop()
	if p.origin.span != nil {
		if p.decoding.from.IsZero() {
			p.decoding.from = start
		}
		p.decoding.to = time.Now()
		p.decoding.total += p.decoding.to.Sub(start)
	}
	if err != nil {
		p.chunk.truncate(firstNew)
		return result, err
	}
	if result.Next != nil {
		p.end.Next = result.Next
	}
	p.end.More = p.end.More || result.More
	p.end.WaitMs = max(p.end.WaitMs, result.WaitMs)
	if err := p.acceptRows(firstNew); err != nil {
		return result, err
	}
	if len(b.Rows) == firstNew && len(result.Errors) == 0 {
		b.Data = b.Data[:dataSize] // none of the new rows is kept
	}
	if p.feed.keys.comparesPage() && len(result.Errors) > 0 {
		return result, errors.New("a row cannot be decoded: " + result.Errors[0].Error.Message)
	}
	if err := p.handleRowErrors(result.Errors); err != nil {
		return result, err
	}
	if p.chunk.isFull() {
		return result, p.flushComplete(ctx)
	}
	return result, nil
}

// acceptRows moves the cursor over new rows. It drops delivered ones, and all of them while keys are compared.
func (p *page) acceptRows(firstNew int) error {
	b := &p.chunk.batch
	kept := firstNew
	for i := firstNew; i < len(b.Rows); i++ {
		r := &b.Rows[i]
		if err := p.advanceTo(int64(r.RowIndex)); err != nil {
			p.chunk.truncate(kept)
			return err
		}
		p.cursor.keys.addRow(b, r)
		p.cursor.add(b.Bytes(r.Value))
		p.cursor.rowsOfLast++
		isDelivered, err := p.wasDelivered()
		if err != nil {
			p.chunk.truncate(kept)
			return err
		}
		if p.feed.keys.comparesPage() {
			if err := p.feed.keys.compare(b.Bytes(r.Key)); err != nil {
				p.chunk.truncate(kept)
				return err
			}
			continue
		}
		if p.skipping || isDelivered {
			p.feed.task.count.resumed.Add(1)
			continue
		}
		if kept != i {
			b.Rows[kept] = *r
		}
		kept++
		p.chunk.origins = append(p.chunk.origins, r.RowIndex)
	}
	p.feed.task.count.read.Add(int64(kept - firstNew))
	p.emitted.rows += kept - firstNew
	b.Rows = b.Rows[:kept]
	return nil
}

// advanceTo moves the cursor to a row. After the last row to skip, it checks that the skipped rows were the same.
func (p *page) advanceTo(rowIndex int64) error {
	if rowIndex < p.cursor.lastRow {
		return &wit.Error{Kind: wit.ErrorInternal,
			Message: fmt.Sprintf("the plugin returned row %d after row %d", rowIndex, p.cursor.lastRow)}
	}
	if rowIndex == p.cursor.lastRow {
		return nil
	}
	if p.skipping && rowIndex > int64(p.resumeAt.row) {
		if p.cursor.keys != p.resumeAt.keys {
			return errMismatch
		}
		p.skipping = false
	}
	p.cursor.lastComplete = p.cursor.lastRow
	p.cursor.completeKeys = p.cursor.keys
	p.cursor.lastRow = rowIndex
	p.cursor.rowsOfLast = 0
	return nil
}

// wasDelivered reports whether a row is one of the extra rows after the position. Call it once for each row: it counts.
func (p *page) wasDelivered() (bool, error) {
	if p.skipping || p.resumeAt.extraRows == 0 {
		return false, nil
	}
	p.resumeAt.extraRows--
	if p.resumeAt.extraRows == 0 && p.cursor.keys != p.resumeAt.extraKeys {
		return false, errMismatch
	}
	return true, nil
}

// handleRowErrors skips rows that the plugin could not decode, or returns the task's error.
func (p *page) handleRowErrors(rowErrors []wit.RowError) error {
	for i := range rowErrors {
		rowErr := &rowErrors[i]
		if p.poisonSearch.skipped != nil {
			rowErr.Error.Message = trapMessage(p.poisonSearch.skipped.trap)
			p.poisonSearch.skipped = nil
		}
		p.cursor.add([]byte(rowErr.Error.Message))
		if p.resumeAt.midPage && rowErr.RowIndex <= p.resumeAt.row {
			continue
		}
		t := p.feed.task
		if err := t.o.HandleError(&t.count.errors, &rowError{rowErr.RowIndex, &rowErr.Error}, &rowErr.Error,
			func() {
				p.feed.logSkipped(p.origin.request, rowErr.RowIndex, task.StageDecode, &rowErr.Error, nil)
			}); err != nil {
			rows := p.chunk.batch.Rows
			from := slices.IndexFunc(rows, func(r wit.Row) bool { return r.RowIndex >= rowErr.RowIndex })
			if from >= 0 {
				p.chunk.truncate(from)
			}
			p.cursor.lastComplete = -1 // store no position in the page: its rows are read again
			return err
		}
		dlq := p.feed.task.o.DeadLetters
		if dlq == nil {
			continue
		}
		b := &p.chunk.batch
		failure := task.Failure{Stage: task.StageDecode, Class: rowErr.ErrorClass, Err: &rowErr.Error}
		row := FailedRow{Feed: p.feed.name, Topic: b.Topics[0], Page: p.origin.request, Row: rowErr.RowIndex,
			Partition: -1, Timestamp: -1, Failure: failure}
		p.chunk.deadLetters = append(p.chunk.deadLetters, outgoingLetter{timestamp: -1,
			value:   bytes.Clone(b.Data[rowErr.RawStart:][:rowErr.RawSize]),
			headers: dlq.Headers(withReplayOrigin(p.origin.replayed, row))})
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
