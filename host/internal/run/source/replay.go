package source

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/convert/fault"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// Replay is what sends dead letters once more.
type Replay struct {
	// Partition is where it is stored how far they are.
	Partition []wit.OffsetEntry
	// Next returns some letters, and what is stored after them; no letters: these were all. It is called when those
	// before are acknowledged and stored. Letters that are documents and unreadable are not to be among them.
	Next func(ctx context.Context, unreadable UnreadableReason) (letters []task.DeadLetter, after []wit.OffsetEntry,
		err error)
}

// UnreadableReason tells why no feed of the connector can read a letter that is a document, "" where one can. The error
// is that of opening the plugin.
type UnreadableReason func(context.Context, *task.DeadLetter) (why string, err error)

// Replay sends dead letters through the transforms and converters, those that are documents through the plugin before.
// What is refused again goes back to DeadLetters. It returns when all is acknowledged and what is after it is stored.
func (t *Task) Replay(ctx context.Context, r Replay) error {
	if err := t.o.PrepareOffsets(ctx, 1); err != nil {
		return err
	}
	reading := replaying{task: t}
	var err error
	if reading.key, reading.value, err = t.o.DeadLetters.NewConverters(); err != nil {
		return err
	}
	f := newFeedOf(t, &openedVersion{feeds: []wit.Feed{{}}})
	f.name, f.partition, f.log = "dead letters", r.Partition, t.log.With(slog.String("feed", "dead letters"))
	f.reads = func(ctx context.Context) error {
		for {
			letters, after, err := r.Next(ctx, reading.unreadable)
			if err != nil || len(letters) == 0 {
				return err
			}
			if err := reading.send(ctx, f, letters, after); err != nil {
				return err
			}
			if err := f.durable(ctx); err != nil {
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

// replaying makes rows of dead letters. It belongs to the stage of reading.
type replaying struct {
	task       *Task
	key, value convert.Converter
	opened     *openedVersion // for documents, by the first
}

// send forwards letters as one page, after which something is stored.
func (r *replaying) send(ctx context.Context, f *feed, letters []task.DeadLetter, after []wit.OffsetEntry) error {
	for i, try := 0, 0; i < len(letters); {
		p := newPage(f, &wit.Fetch{}, &origin{what: letters[i].Request, refused: &letters[i]}, &search{})
		p.handed.some = i > 0
		err := r.fill(ctx, p)
		if errors.As(err, new(*plugin.Abandoned)) && try < soonAgain && p.handed.parts == 0 {
			try++ // another page broke the plugin's instance
			p.giveBack()
			continue
		}
		if err == nil && i == len(letters)-1 {
			if err = p.room(ctx); err == nil {
				p.chunk.upTo, p.chunk.ends = f.stores(position{fields: after}), pageComplete
			}
		}
		if err == nil && p.chunk != nil {
			err = p.pass(ctx)
		}
		if p.giveBack(); err != nil {
			return err
		}
		i, try = i+1, 0
	}
	return nil
}

// fill makes the rows of a letter. One that cannot be read goes back as it is.
func (r *replaying) fill(ctx context.Context, p *page) error {
	read := r.row
	if p.of.refused.IsDocument {
		read = r.document
	}
	err := read(ctx, p)
	if err == nil || ctx.Err() != nil || p.handed.parts > 0 || !ofTheLetter(err, p.of.refused.IsDocument) {
		return err
	}
	if err := p.room(ctx); err != nil {
		return err
	}
	p.chunk.cut(0)
	p.chunk.letters = p.chunk.letters[:0]
	t, l := p.feed.task, p.of.refused
	stage := task.StageReplay // which tells it from a document that the plugin has refused
	if l.IsDocument {
		stage = task.StageDecode
	}
	if trap := new(plugin.Trap); errors.As(err, &trap) {
		err = &wit.Error{Kind: wit.ErrorData, Message: breaksOn(trap)}
	}
	left := func() { p.feed.skipped(p.of.what, uint32(l.Record.Offset), stage, err, nil) }
	if err := t.o.HandleError(&t.count.faults, err, left); err != nil {
		return err
	}
	row := l.Record
	back := goesBack(l, FailedRow{Topic: row.Topic, Partition: row.Partition, Timestamp: row.Timestamp.UnixMilli(),
		Failure: task.NewFailure(stage, err)})
	back.Rows = l.Rows
	p.chunk.letters = append(p.chunk.letters, outgoing{key: row.Key, value: bytes.Clone(row.Value),
		timestamp: back.Timestamp, headers: t.o.DeadLetters.Headers(back)})
	return nil
}

// ofTheLetter tells whether what keeps a letter from being read is the letter's: others can be read all the same. Else
// it is the service's, the plugin's as a whole, or of the moment.
func ofTheLetter(err error, document bool) bool {
	var ofPlugin *wit.Error
	var trap *plugin.Trap
	switch {
	case fault.Stops(err):
		return false
	case errors.As(err, &trap):
		return trap.Limit == "" // a busy machine breaks fences too
	case !errors.As(err, &ofPlugin):
		return !document
	}
	switch ofPlugin.Kind {
	case wit.ErrorData, wit.ErrorUnsupported:
		return true
	// What a document links to may be gone; it may break what a plugin takes for granted, and one that asks to be
	// opened again was opened for these letters.
	case wit.ErrorNotFound, wit.ErrorGone, wit.ErrorInternal, wit.ErrorStale:
		return document
	}
	return false
}

// unreadable is an [UnreadableReason].
func (r *replaying) unreadable(ctx context.Context, l *task.DeadLetter) (why string, err error) {
	if r.opened == nil {
		o, err := r.task.plugin.Start(ctx)
		if err != nil {
			return "", err
		}
		r.task.plugin.Use(o)
		r.opened = o
	}
	_, why = r.feed(l)
	return why, nil
}

// row reads a row that a transform or a converter has refused.
func (r *replaying) row(ctx context.Context, p *page) (err error) {
	if err := p.room(ctx); err != nil {
		return err
	}
	l, c := p.of.refused, p.chunk
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

// document has the plugin read a row that it has refused.
func (r *replaying) document(ctx context.Context, p *page) error {
	l, t := p.of.refused, r.task
	if why, err := r.unreadable(ctx, l); err != nil || why != "" {
		return cmp.Or(err, errors.New("a letter "+why))
	}
	index, _ := r.feed(l)
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
	if _, err := p.body(ctx, "", 200, bytes.NewReader(l.Record.Value)); err != nil {
		_ = reader.Abandon(context.WithoutCancel(ctx), p.number) // the instance may be gone
		return err
	}
	return nil
}

// offsetHeaders are the texts of a feed's stored offset, see [wit.OffsetHeader].
func (t *Task) offsetHeaders(ctx context.Context, w *wit.Feed) (headers []wit.Header, err error) {
	stored, err := t.o.StoredOffset(ctx, w.Partition)
	if err != nil {
		return nil, &finalError{fmt.Errorf("read the stored offset: %w", err)}
	}
	fields, err := PluginFields(stored)
	if err != nil {
		return nil, &finalError{err}
	}
	for _, field := range fields {
		if text := field.Value.String; text != nil {
			headers = append(headers, wit.Header{Name: wit.OffsetHeader + field.Name, Value: *text})
		}
	}
	return headers, nil
}

// feed is the one that a letter is of; why says that there is none.
func (r *replaying) feed(l *task.DeadLetter) (index uint32, why string) {
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

// goesBack returns what is recorded about a dead letter that is written again: where its row first came from. Nil means
// that it is written for the first time.
func goesBack(l *task.DeadLetter, as FailedRow) FailedRow {
	if l != nil {
		as.Feed, as.Page, as.Row, as.Replays, as.ReplayedFrom = l.Feed, l.Request, uint32(l.Record.Offset), l.Replays,
			l.Position
	}
	return as
}
