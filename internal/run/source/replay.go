package source

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// Replay delivers dead letters again.
type Replay struct {
	// Partition is where the progress is stored.
	Partition []wit.OffsetEntry
	// Next returns some letters and the offset after them; no letters means the end. It is called again when the
	// records of these letters are acknowledged and the offset is stored. It must omit unreadable documents.
	Next func(context.Context, UnreadableReason) (letters []task.DeadLetter, nextOffset []wit.OffsetEntry, err error)
	// Delivered is called with the position of each letter with an acknowledged row, before the next call of Next.
	Delivered func(position string)
	// Converted, if not nil, is called with the position of a letter and each record that it becomes, before the record
	// is sent. A nil value is a tombstone. Calls are not concurrent.
	Converted func(position, topic string, key, value []byte)
}

// UnreadableReason returns why no feed of the connector can read a letter that is a document, or "" if one can. It
// returns an error only if the plugin cannot be opened.
type UnreadableReason func(context.Context, *task.DeadLetter) (reason string, err error)

// Replay sends dead letters through the transforms and converters, documents through the plugin first. Those that
// fail again return to DeadLetters. It ends when all is acknowledged and the offset is stored.
func (t *Task) Replay(ctx context.Context, r Replay) error {
	if err := t.o.PrepareOffsets(ctx, 1); err != nil {
		return err
	}
	reader := replayReader{task: t, delivered: r.Delivered, converted: r.Converted}
	var err error
	if reader.key, reader.value, err = t.o.DeadLetters.NewConverters(); err != nil {
		return err
	}
	feed := emptyFeed(t, &openedVersion{feeds: []wit.Feed{{}}})
	feed.name = "dead letters"
	feed.partition = r.Partition
	feed.log = t.log.With(slog.String("feed", "dead letters"))
	feed.readStage = func(ctx context.Context) error {
		for {
			letters, nextOffset, err := r.Next(ctx, reader.unreadable)
			if err != nil || len(letters) == 0 {
				return err
			}
			if err := reader.send(ctx, feed, letters, nextOffset); err != nil {
				return err
			}
			if err := feed.awaitDurable(ctx); err != nil {
				return err
			}
		}
	}
	err = feed.run(ctx)
	t.skips.Close()
	if err == nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

type replayReader struct {
	task      *Task
	key       convert.Converter
	value     convert.Converter
	opened    *openedVersion // set by the first document
	delivered func(position string)
	converted func(position, topic string, key, value []byte)
}

// send sends the rows of letters, and nextOffset with the last one.
func (r *replayReader) send(ctx context.Context, feed *feed, letters []task.DeadLetter,
	nextOffset []wit.OffsetEntry) error {
	for i, retries := 0, 0; i < len(letters); {
		origin := &origin{request: letters[i].Request, replayed: &letters[i], delivered: r.delivered,
			converted: r.converted}
		page := newPage(feed, &wit.Fetch{}, origin, &bisection{})
		page.emitted.hasSent = i > 0
		err := r.fill(ctx, page)
		if errors.As(err, new(*plugin.PageLostError)) && retries < immediateRetries && page.emitted.chunks == 0 {
			retries++ // another page has lost the plugin's instance
			page.releaseChunk()
			continue
		}
		if err == nil && i == len(letters)-1 {
			if err = page.ensureChunk(ctx); err == nil {
				page.chunk.offsetAfter = feed.offsetAt(position{fields: nextOffset})
				page.chunk.pageEnd = pageComplete
			}
		}
		if err == nil && page.chunk != nil {
			err = page.flush(ctx)
		}
		page.releaseChunk()
		if err != nil {
			return err
		}
		i++
		retries = 0
	}
	return nil
}

// fill decodes the rows of a letter. If that fails because of the letter, the letter is written again unchanged.
func (r *replayReader) fill(ctx context.Context, page *page) error {
	decode := r.decodeRow
	if page.origin.replayed.IsDocument {
		decode = r.decodeDocument
	}
	err := decode(ctx, page)
	if err == nil || ctx.Err() != nil || page.emitted.chunks > 0 ||
		!isLetterError(err, page.origin.replayed.IsDocument) {
		return err
	}
	if err := page.ensureChunk(ctx); err != nil {
		return err
	}
	page.chunk.truncate(0)
	page.chunk.deadLetters = page.chunk.deadLetters[:0]
	t := page.feed.task
	deadLetter := page.origin.replayed
	stage := task.StageReplay
	if deadLetter.IsDocument {
		stage = task.StageDecode
	}
	if trap := new(plugin.Trap); errors.As(err, &trap) {
		err = &wit.Error{Kind: wit.ErrorData, Message: trapMessage(trap)}
	}
	onSkip := func() { page.feed.logSkipped(page.origin.request, uint32(deadLetter.Record.Offset), stage, err, nil) }
	if err := t.o.HandleError(&t.count.errors, err, err, onSkip); err != nil {
		return err
	}
	row := deadLetter.Record
	failedRow := withReplayOrigin(deadLetter, FailedRow{Topic: row.Topic, Partition: row.Partition,
		Timestamp: row.Timestamp.UnixMilli(), Failure: task.NewFailure(stage, err)})
	failedRow.Rows = deadLetter.Rows
	page.chunk.deadLetters = append(page.chunk.deadLetters, outgoingLetter{key: row.Key, value: bytes.Clone(row.Value),
		timestamp: failedRow.Timestamp, headers: t.o.DeadLetters.Headers(failedRow)})
	return nil
}

// isLetterError reports whether an error concerns only the letter. Otherwise it is transient, or concerns the service
// or the whole plugin.
func isLetterError(err error, isDocument bool) bool {
	var pluginErr *wit.Error
	var trap *plugin.Trap
	switch {
	case fault.IsFatal(err):
		return false
	case errors.As(err, &trap):
		return trap.Limit == "" // on a busy machine, any letter may exceed a limit
	case !errors.As(err, &pluginErr):
		return !isDocument
	}
	switch pluginErr.Kind {
	case wit.ErrorData, wit.ErrorUnsupported:
		return true
	// A linked entity may be deleted, a document may violate the plugin's assumptions, and the plugin was just opened
	// for these letters.
	case wit.ErrorNotFound, wit.ErrorGone, wit.ErrorInternal, wit.ErrorStale:
		return isDocument
	}
	return false
}

// unreadable is an UnreadableReason. Its first call opens the plugin.
func (r *replayReader) unreadable(ctx context.Context, deadLetter *task.DeadLetter) (reason string, err error) {
	if r.opened == nil {
		o, err := r.task.plugin.Start(ctx)
		if err != nil {
			return "", err
		}
		r.task.plugin.Use(o)
		r.opened = o
	}
	_, reason = r.feedOf(deadLetter)
	return reason, nil
}

func (r *replayReader) decodeRow(ctx context.Context, page *page) (err error) {
	if err := page.ensureChunk(ctx); err != nil {
		return err
	}
	deadLetter := page.origin.replayed
	chunk := page.chunk
	row := wit.Row{Partition: deadLetter.Record.Partition, Offset: -1,
		Timestamp: deadLetter.Record.Timestamp.UnixMilli()}
	if row.Key, err = r.key.Decode(ctx, deadLetter.Record.Topic, deadLetter.Record.Key, &chunk.batch); err != nil {
		return fmt.Errorf("its key: %w", err)
	}
	if row.Value, err = r.value.Decode(ctx, deadLetter.Record.Topic, deadLetter.Record.Value,
		&chunk.batch); err != nil {
		return fmt.Errorf("its value: %w", err)
	}
	chunk.batch.Rows = append(chunk.batch.Rows, row)
	chunk.origins = append(chunk.origins, uint32(deadLetter.Record.Offset))
	page.feed.task.count.read.Add(1)
	return nil
}

func (r *replayReader) decodeDocument(ctx context.Context, page *page) error {
	deadLetter := page.origin.replayed
	t := r.task
	if reason, err := r.unreadable(ctx, deadLetter); err != nil || reason != "" {
		return cmp.Or(err, errors.New("a letter "+reason))
	}
	index, _ := r.feedOf(deadLetter)
	reader, err := r.opened.code.Acquire(ctx)
	if err != nil {
		return err
	}
	defer r.opened.code.Release(reader)
	page.reader = reader
	headers, err := t.offsetHeaders(ctx, &r.opened.feeds[index])
	if err != nil {
		return err
	}
	page.id, err = reader.Begin(ctx, r.opened.context, index, nil,
		wit.Response{Status: 200, Headers: headers, ReceivedAt: deadLetter.Record.Timestamp.UnixMilli()})
	if err != nil {
		return err
	}
	if _, err := page.readBody(ctx, "", 200, bytes.NewReader(deadLetter.Record.Value)); err != nil {
		_ = reader.Abandon(context.WithoutCancel(ctx), page.id) // the instance may be gone
		return err
	}
	return nil
}

// offsetHeaders returns the strings of a feed's stored offset, see [wit.OffsetHeader].
func (t *Task) offsetHeaders(ctx context.Context, spec *wit.Feed) (headers []wit.Header, err error) {
	stored, err := t.o.StoredOffset(ctx, spec.Partition)
	if err != nil {
		return nil, &permanentError{fmt.Errorf("read the stored offset: %w", err)}
	}
	fields, err := PluginFields(stored)
	if err != nil {
		return nil, &permanentError{err}
	}
	for _, field := range fields {
		if s := field.Value.String; s != nil {
			headers = append(headers, wit.Header{Name: wit.OffsetHeader + field.Name, Value: *s})
		}
	}
	return headers, nil
}

// feedOf returns the feed that can read a letter, or the reason why none can, as the end of a sentence about letters.
func (r *replayReader) feedOf(deadLetter *task.DeadLetter) (index uint32, reason string) {
	match := -1
	for i, spec := range r.opened.feeds {
		isNamed := deadLetter.Feed != ""
		if (isNamed && deadLetter.Feed != spec.Name) || (!isNamed && deadLetter.Record.Topic != spec.Topic) {
			continue
		}
		if match >= 0 {
			return 0, fmt.Sprintf("that do not say which feed of topic %q they are of, and there are several",
				deadLetter.Record.Topic)
		}
		match = i
	}
	if match < 0 {
		return 0, fmt.Sprintf("of feed %q of topic %q, which the connector does not have any more", deadLetter.Feed,
			deadLetter.Record.Topic)
	}
	return uint32(match), ""
}

// withReplayOrigin copies the origin of the row from the replayed dead letter to a new one. deadLetter is nil if the
// row came from the service.
func withReplayOrigin(deadLetter *task.DeadLetter, failedRow FailedRow) FailedRow {
	if deadLetter != nil {
		failedRow.Feed = deadLetter.Feed
		failedRow.Page = deadLetter.Request
		failedRow.Row = uint32(deadLetter.Record.Offset)
		failedRow.Replays = deadLetter.Replays
		failedRow.ReplayedFrom = deadLetter.Position
		failedRow.Original = deadLetter.Original
	}
	return failedRow
}
