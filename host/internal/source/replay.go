package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/wit"
)

// DeadLetter is one of a source, read back from its topic.
type DeadLetter struct {
	// Feed, Topic, Page and Row are those of the row; Feed is "" where the letter does not say.
	Feed, Topic, Page string
	Row               uint32
	// Times is how often it was replayed before.
	Times int
	// Document: Value is the row as the service sent it, else it is JSON with its schema, as Key.
	Document   bool
	Key, Value []byte
	Timestamp  time.Time
}

// Replay is what sends dead letters once more.
type Replay struct {
	// Partition is where it is stored how far they are.
	Partition []wit.Field
	// Next returns some letters, and what is stored behind them; no letters: these were all. It is called when those
	// before are acknowledged and stored.
	Next func(context.Context) (letters []DeadLetter, behind []wit.Field, err error)
}

// Replay sends dead letters through the transforms and converters, those that are documents through the plugin before.
// What is refused again goes back to DeadLetters. It returns when all is acknowledged and what is behind it is stored.
func (t *Task) Replay(ctx context.Context, r Replay) error {
	if err := t.o.Renew(ctx, 1); err != nil {
		return err
	}
	var reading replaying
	var err error
	if reading.key, reading.value, err = t.o.DeadLetters.NewConverters(); err != nil {
		return err
	}
	f := &feed{task: t, name: "dead letters", partition: r.Partition, opened: &openedVersion{feeds: []wit.Feed{{}}},
		log: t.log.With(slog.String("feed", "dead letters")), wakes: wakes{came: make(chan struct{}, 1)}}
	f.reads = func(ctx context.Context) error {
		for {
			letters, behind, err := r.Next(ctx)
			if err != nil || len(letters) == 0 {
				return err
			}
			if err := reading.send(ctx, f, letters, behind); err != nil {
				return err
			}
			if err := f.durable(ctx); err != nil {
				return err
			}
		}
	}
	err = f.run(ctx)
	if err == nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// replaying makes rows of dead letters. It belongs to the stage of reading.
type replaying struct {
	key, value convert.Converter
	opened     *openedVersion // for documents, by the first
}

// send hands letters on as one page.
func (r *replaying) send(ctx context.Context, f *feed, letters []DeadLetter, behind []wit.Field) error {
	for i := range letters {
		p := &page{feed: f, fetch: &wit.Fetch{}, what: letters[i].Page, refused: &letters[i], search: &search{},
			last: -1, keys: noRows, whole: -1, wholeKeys: noRows, passed: i > 0}
		err := r.fill(ctx, p)
		if err == nil && i == len(letters)-1 {
			if err = p.room(ctx); err == nil {
				p.chunk.mark, p.chunk.moves, p.chunk.ends = position{fields: behind}, true, isWhole
			}
		}
		if err == nil && p.chunk != nil {
			err = p.pass(ctx)
		}
		p.giveBack()
		if err != nil {
			return err
		}
	}
	return nil
}

// fill makes the rows of a letter. One that cannot be read goes back as it is.
func (r *replaying) fill(ctx context.Context, p *page) error {
	read := r.row
	if p.refused.Document {
		read = r.document
	}
	err := read(ctx, p)
	var f *wit.Fault
	if err == nil || ctx.Err() != nil || convert.Stops(err) ||
		errors.As(err, &f) && f.Kind != wit.FaultData && f.Kind != wit.FaultUnsupported {
		return err
	}
	if p.passed && p.chunk == nil || p.refused.Document && f == nil {
		return err // some of it is on its way, or no fault of the letter's
	}
	if err := p.room(ctx); err != nil {
		return err
	}
	p.chunk.cut(0)
	t, l := p.feed.task, p.refused
	stage := "replay" // which tells it from a document that the plugin has refused
	if l.Document {
		stage = "decode"
	}
	if err := t.o.Refuse(&t.count.faults, err, func() { p.feed.skipped(p.what, l.Row, stage, err, nil) }); err != nil {
		return err
	}
	p.chunk.letters = append(p.chunk.letters, outgoing{key: l.Key, value: bytes.Clone(l.Value),
		timestamp: l.Timestamp.UnixMilli(), headers: t.o.DeadLetters.Headers(l.letter(Letter{Topic: l.Topic,
			Stage: stage, Class: convert.ErrorClass(err), Err: err}))})
	return nil
}

// row reads a row that a transform or a converter has refused.
func (r *replaying) row(ctx context.Context, p *page) (err error) {
	if err := p.room(ctx); err != nil {
		return err
	}
	l, c := p.refused, p.chunk
	row := wit.Row{Partition: -1, Offset: -1, Timestamp: l.Timestamp.UnixMilli()}
	if row.Key, err = r.key.Decode(ctx, l.Topic, l.Key, &c.batch); err != nil {
		return fmt.Errorf("its key: %w", err)
	}
	if row.Value, err = r.value.Decode(ctx, l.Topic, l.Value, &c.batch); err != nil {
		return fmt.Errorf("its value: %w", err)
	}
	c.batch.Rows, c.origins = append(c.batch.Rows, row), append(c.origins, l.Row)
	p.feed.task.count.read.Add(1)
	return nil
}

// document has the plugin read a row that it has refused.
func (r *replaying) document(ctx context.Context, p *page) error {
	l, t := p.refused, p.feed.task
	if r.opened == nil {
		o, err := t.plugin.Start(ctx)
		if err != nil {
			return &finalError{err}
		}
		t.plugin.Take(o)
		r.opened = o
	}
	index, err := r.feed(l)
	if err != nil {
		return err
	}
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
		wit.Response{Status: 200, Headers: headers, At: l.Timestamp.UnixMilli()})
	if err != nil {
		return err
	}
	if err := p.body(ctx, "", 200, bytes.NewReader(l.Value)); err != nil {
		_ = reader.Abandon(context.WithoutCancel(ctx), p.number) // the instance may be gone
		return err
	}
	return nil
}

// offsetHeaders are the texts of a feed's stored offset, see [wit.OffsetHeader].
func (t *Task) offsetHeaders(ctx context.Context, w *wit.Feed) (headers []wit.Header, err error) {
	stored, err := t.o.Stored(ctx, w.Partition)
	if err != nil {
		return nil, &finalError{fmt.Errorf("read the stored offset: %w", err)}
	}
	fields, err := PluginFields(stored)
	if err != nil {
		return nil, &finalError{err}
	}
	for _, field := range fields {
		if text := field.Value.Text; text != nil {
			headers = append(headers, wit.Header{Name: wit.OffsetHeader + field.Name, Value: *text})
		}
	}
	return headers, nil
}

// feed is the one that a letter is of.
func (r *replaying) feed(l *DeadLetter) (index uint32, err error) {
	found := -1
	for i, f := range r.opened.feeds {
		if l.Feed != "" && l.Feed != f.Name || l.Feed == "" && l.Topic != f.Topic {
			continue
		}
		if found >= 0 {
			return 0, fmt.Errorf("the letter does not say which feed of topic %s it is of, and there are several",
				l.Topic)
		}
		found = i
	}
	if found < 0 {
		return 0, fmt.Errorf("the connector has no feed %q of topic %s any more", l.Feed, l.Topic)
	}
	return uint32(found), nil
}

// letter is what is said of a dead letter that goes back: where its row came from first.
func (l *DeadLetter) letter(of Letter) Letter {
	if l != nil {
		of.Feed, of.Page, of.Row, of.Times = l.Feed, l.Page, l.Row, l.Times+1
	}
	return of
}
