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
	// Next returns some letters and the offset after them; no letters means the end. It is called when the previous
	// ones are acknowledged and stored. Unreadable documents must not be among them.
	Next func(ctx context.Context, unreadable UnreadableReason) (letters []task.DeadLetter, after []wit.OffsetEntry,
		err error)
}

// UnreadableReason returns why no feed of the connector can read a letter that is a document, empty if one can. The
// error is that of opening the plugin.
type UnreadableReason func(context.Context, *task.DeadLetter) (why string, err error)

// Replay sends dead letters through the transforms and converters, documents through the plugin before. Letters that
// fail again go back to DeadLetters. It returns when all is acknowledged and the offset is stored.
func (t *Task) Replay(ctx context.Context, r Replay) error {
	if err := t.o.PrepareOffsets(ctx, 1); err != nil {
		return err
	}
	reading := replayReader{task: t}
	var err error
	if reading.key, reading.value, err = t.o.DeadLetters.NewConverters(); err != nil {
		return err
	}
	f := emptyFeed(t, &openedVersion{feeds: []wit.Feed{{}}})
	f.name, f.partition, f.log = "dead letters", r.Partition, t.log.With(slog.String("feed", "dead letters"))
	f.readStage = func(ctx context.Context) error {
		for {
			letters, after, err := r.Next(ctx, reading.unreadable)
			if err != nil || len(letters) == 0 {
				return err
			}
			if err := reading.send(ctx, f, letters, after); err != nil {
				return err
			}
			if err := f.awaitDurable(ctx); err != nil {
				return err
			}
		}
	}
	err = f.run(ctx)
	t.skips.Close()
	if err == nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

type replayReader struct {
	task       *Task
	key, value convert.Converter
	opened     *openedVersion // set by the first document
}

func (r *replayReader) send(ctx context.Context, f *feed, letters []task.DeadLetter, after []wit.OffsetEntry) error {
	for i, try := 0, 0; i < len(letters); {
		p := newPage(f, &wit.Fetch{}, &origin{request: letters[i].Request, replayed: &letters[i]}, &bisection{})
		p.emitted.any = i > 0
		err := r.fill(ctx, p)
		if errors.As(err, new(*plugin.PageLost)) && try < immediateRetries && p.emitted.chunks == 0 {
			try++ // another page has lost the plugin's instance
			p.releaseChunk()
			continue
		}
		if err == nil && i == len(letters)-1 {
			if err = p.ensureChunk(ctx); err == nil {
				p.chunk.offsetAfter, p.chunk.pageEnd = f.offsetAt(position{fields: after}), pageComplete
			}
		}
		if err == nil && p.chunk != nil {
			err = p.flush(ctx)
		}
		if p.releaseChunk(); err != nil {
			return err
		}
		i, try = i+1, 0
	}
	return nil
}

// fill makes the rows of a letter. An unreadable letter is written again as it is.
func (r *replayReader) fill(ctx context.Context, p *page) error {
	read := r.decodeRow
	if p.origin.replayed.IsDocument {
		read = r.decodeDocument
	}
	err := read(ctx, p)
	if err == nil || ctx.Err() != nil || p.emitted.chunks > 0 || !isLetterError(err, p.origin.replayed.IsDocument) {
		return err
	}
	if err := p.ensureChunk(ctx); err != nil {
		return err
	}
	p.chunk.truncate(0)
	p.chunk.deadLetters = p.chunk.deadLetters[:0]
	t, l := p.feed.task, p.origin.replayed
	stage := task.StageReplay // a document that the plugin rejects has another stage
	if l.IsDocument {
		stage = task.StageDecode
	}
	if trap := new(plugin.Trap); errors.As(err, &trap) {
		err = &wit.Error{Kind: wit.ErrorData, Message: trapMessage(trap)}
	}
	onSkip := func() { p.feed.logSkipped(p.origin.request, uint32(l.Record.Offset), stage, err, nil) }
	if err := t.o.HandleError(&t.count.errors, err, onSkip); err != nil {
		return err
	}
	row := l.Record
	back := withReplayOrigin(l, FailedRow{Topic: row.Topic, Partition: row.Partition,
		Timestamp: row.Timestamp.UnixMilli(),
		Failure:   task.NewFailure(stage, err)})
	back.Rows = l.Rows
	p.chunk.deadLetters = append(p.chunk.deadLetters, outgoingLetter{key: row.Key, value: bytes.Clone(row.Value),
		timestamp: back.Timestamp, headers: t.o.DeadLetters.Headers(back)})
	return nil
}

// isLetterError reports whether an error is the letter's, so that others can be read all the same. Otherwise it is the
// service's, the plugin's as a whole, or transient.
func isLetterError(err error, document bool) bool {
	var pluginErr *wit.Error
	var trap *plugin.Trap
	switch {
	case fault.Stops(err):
		return false
	case errors.As(err, &trap):
		return trap.Limit == "" // a limit is also exceeded on a busy machine
	case !errors.As(err, &pluginErr):
		return !document
	}
	switch pluginErr.Kind {
	case wit.ErrorData, wit.ErrorUnsupported:
		return true
	// A linked resource may be deleted, a document may violate the plugin's assumptions, and the plugin was just opened
	// for these letters.
	case wit.ErrorNotFound, wit.ErrorGone, wit.ErrorInternal, wit.ErrorStale:
		return document
	}
	return false
}

func (r *replayReader) unreadable(ctx context.Context, l *task.DeadLetter) (reason string, err error) {
	if r.opened == nil {
		o, err := r.task.plugin.Start(ctx)
		if err != nil {
			return "", err
		}
		r.task.plugin.Use(o)
		r.opened = o
	}
	_, reason = r.feedOf(l)
	return reason, nil
}

func (r *replayReader) decodeRow(ctx context.Context, p *page) (err error) {
	if err := p.ensureChunk(ctx); err != nil {
		return err
	}
	l, c := p.origin.replayed, p.chunk
	row := wit.Row{Partition: l.Record.Partition, Offset: -1, Timestamp: l.Record.Timestamp.UnixMilli()}
	if row.Key, err = r.key.Decode(ctx, l.Record.Topic, l.Record.Key, &c.batch); err != nil {
		return fmt.Errorf("its key: %w", err)
	}
	if row.Value, err = r.value.Decode(ctx, l.Record.Topic, l.Record.Value, &c.batch); err != nil {
		return fmt.Errorf("its value: %w", err)
	}
	c.batch.Rows, c.origins = append(c.batch.Rows, row), append(c.origins, uint32(l.Record.Offset))
	p.feed.task.count.read.Add(1)
	return nil
}

func (r *replayReader) decodeDocument(ctx context.Context, p *page) error {
	l, t := p.origin.replayed, r.task
	if reason, err := r.unreadable(ctx, l); err != nil || reason != "" {
		return cmp.Or(err, errors.New("a letter "+reason))
	}
	index, _ := r.feedOf(l)
	reader, err := r.opened.code.Acquire(ctx)
	if err != nil {
		return err
	}
	defer r.opened.code.Release(reader)
	p.reader = reader
	headers, err := t.offsetHeaders(ctx, &r.opened.feeds[index])
	if err != nil {
		return err
	}
	p.number, err = reader.Begin(ctx, r.opened.context, index, nil,
		wit.Response{Status: 200, Headers: headers, ReceivedAt: l.Record.Timestamp.UnixMilli()})
	if err != nil {
		return err
	}
	if _, err := p.readBody(ctx, "", 200, bytes.NewReader(l.Record.Value)); err != nil {
		_ = reader.Abandon(context.WithoutCancel(ctx), p.number) // the instance may be gone
		return err
	}
	return nil
}

// offsetHeaders returns the strings of a feed's stored offset, see [wit.OffsetHeader].
func (t *Task) offsetHeaders(ctx context.Context, w *wit.Feed) (headers []wit.Header, err error) {
	stored, err := t.o.StoredOffset(ctx, w.Partition)
	if err != nil {
		return nil, &permanentError{fmt.Errorf("read the stored offset: %w", err)}
	}
	fields, err := PluginFields(stored)
	if err != nil {
		return nil, &permanentError{err}
	}
	for _, field := range fields {
		if text := field.Value.String; text != nil {
			headers = append(headers, wit.Header{Name: wit.OffsetHeader + field.Name, Value: *text})
		}
	}
	return headers, nil
}

func (r *replayReader) feedOf(l *task.DeadLetter) (index uint32, reason string) {
	found := -1
	for i, f := range r.opened.feeds {
		if l.Feed != "" && l.Feed != f.Name || l.Feed == "" && l.Record.Topic != f.Topic {
			continue
		}
		if found >= 0 {
			return 0, fmt.Sprintf("that do not say which feed of topic %q they are of, and there are several",
				l.Record.Topic)
		}
		found = i
	}
	if found < 0 {
		return 0, fmt.Sprintf("of feed %q of topic %q, which the connector does not have any more", l.Feed,
			l.Record.Topic)
	}
	return uint32(found), ""
}

// withReplayOrigin copies into a new dead letter where the row of a replayed one first came from. l is nil for a first
// dead letter.
func withReplayOrigin(l *task.DeadLetter, letter FailedRow) FailedRow {
	if l != nil {
		letter.Feed, letter.Page, letter.Row, letter.Replays, letter.ReplayedFrom = l.Feed, l.Request,
			uint32(l.Record.Offset),
			l.Replays,
			l.Position
	}
	return letter
}
