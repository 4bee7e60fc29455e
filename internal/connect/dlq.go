package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/events"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// ErrNoDeadLetterTopic means that the connector has no dead letter topic.
var ErrNoDeadLetterTopic = errors.New("the connector has no " + deadLetterTopic)

// ListedDeadLetter is the newest dead letter of an original record or row.
type ListedDeadLetter struct {
	*DeadLetter
	Index        int    // orders the letters of a page; some are left out
	After        string // the value of [DeadLetterQuery.After] for a page that begins after it
	Attempts     int    // number of failures
	IsOpen       bool   // false means that it was settled
	IsSuperseded bool   // see [DeadLetterFilter]
}

// DeadLetterPage is a page of dead letters.
type DeadLetterPage struct {
	Topic   string
	Next    string // the value of [DeadLetterQuery.After] for the next page; "" means that this is the last page
	Summary DeadLetterSummary
	Replay  *ReplayProgress // nil means that none runs
	// Matching is the number of letters on all pages. Nil means unknown: their texts must be read.
	Matching *int64
}

// ListDeadLetters calls handle with each dead letter of a page of the connector, in any order. Letters that are deleted
// in the meantime are missing.
func (h *Herder) ListDeadLetters(ctx context.Context, name string, query DeadLetterQuery,
	handle func(ListedDeadLetter) error) (page DeadLetterPage, err error) {
	if page.Topic, err = h.deadLetterTopic(name); err != nil {
		return page, err
	}
	page.Replay = h.shared.replays.progress(name)
	var letters []trackedDeadLetter
	var reader *kafka.Reader
	entries := map[DeadLetterPosition]ListedDeadLetter{}
	err = h.tracker.withIndex(ctx, name, page.Topic, func(c *trackedConnector, r *kafka.Reader) (err error) {
		index := c.index
		reader = r
		letters, page.Next, err = index.page(query)
		if c.summary != nil {
			page.Summary = *c.summary
		}
		if query.Filter.Error == "" && query.Only == nil {
			page.Matching = new(int64)
			for range index.selected(query.Show, &query.Filter) {
				*page.Matching++
			}
		}
		for i := range letters {
			l := &letters[i]
			entries[l.position()] = ListedDeadLetter{Index: i, After: index.oldest(l.original).pageKey(),
				Attempts: index.failures(l.original), IsOpen: !index.isSettled(l),
				IsSuperseded: index.isSuperseded(l.original)}
		}
		slices.SortFunc(letters, comparePositions)
		return err
	})
	if err != nil {
		return page, err
	}
	// This read does not hold the lock of the topic, so that other lists do not wait for it.
	return page, readLetters(ctx, reader, page.Topic, letters, func(r *kgo.Record) error {
		l := h.shared.parseDeadLetter(r)
		if !query.Filter.matchesText(&l) {
			return nil
		}
		entry := entries[l.position()]
		entry.DeadLetter = &l
		return handle(entry)
	})
}

// parseDeadLetter returns a dead letter without secrets in its class and message, from which its cause is derived.
func (o *Options) parseDeadLetter(r *kgo.Record) DeadLetter {
	l := ParseDeadLetter(r)
	l.Class = o.Worker.Redact(l.Class)
	l.Message = o.Worker.Redact(l.Message)
	return l
}

// spanGap is the number of other records that are read to save a request.
const spanGap = 50

// readLetters calls handle with the records of letters, which are sorted by [comparePositions], until handle returns
// [kafka.ErrStop]. Letters that are deleted in the meantime are missing.
func readLetters(ctx context.Context, reader *kafka.Reader, topic string, letters []trackedDeadLetter,
	handle func(*kgo.Record) error) error {
	for len(letters) > 0 {
		first := letters[0]
		n := 1
		for n < len(letters) && letters[n].partition == first.partition &&
			letters[n].offset-letters[n-1].offset < spanGap {
			n++
		}
		span := letters[:n]
		isStopped := false
		_, err := reader.Read(ctx, topic, kafka.ReadOptions{From: kafka.Positions{first.partition: first.offset},
			To: kafka.Positions{first.partition: span[n-1].offset + 1}}, func(r *kgo.Record) error {
			_, ok := slices.BinarySearchFunc(span, r.Offset, func(l trackedDeadLetter, offset int64) int {
				return cmp.Compare(l.offset, offset)
			})
			if !ok {
				return nil
			}
			err := handle(r)
			isStopped = errors.Is(err, kafka.ErrStop)
			return err
		})
		if err != nil || isStopped {
			return err
		}
		letters = letters[n:]
	}
	return nil
}

// ErrMixedCauses means that a filter selects [UnknownCause].
var ErrMixedCauses = errors.New("cause " + UnknownCause + " has letters of several faults: expected letters, or " +
	"another filter")

// ReplayConnector is [Herder.Replay] for one connector. It returns [ErrNotRunning] if it is paused or stopped, and
// [ErrMixedCauses].
func (h *Herder) ReplayConnector(ctx context.Context, name string, r ReplayRequest) (result ReplayResult, err error) {
	if r.Topic, err = h.deadLetterTopic(name); err != nil {
		return result, err
	}
	switch isPaused, err := h.isPausedOrStopped(ctx, name); {
	case err != nil:
		return result, err
	case isPaused && !r.DryRun:
		return result, ErrNotRunning
	}
	result, err = h.replayAlone(ctx, name, replayBytes, r)
	if result.Sent > 0 && !r.DryRun {
		h.Events().Record(ctx, events.Event{Connector: name, Kind: "replayed", Text: fmt.Sprintf("dead letters: "+
			"%d sent, %d delivered, %d refused again", result.Sent, result.Delivered, result.Rejected)})
	}
	if err == nil && result.Rejected > 0 && !r.DryRun && len(r.Filter.Positions) == 1 {
		for selected := range r.Filter.Positions {
			result.Letter = h.newestLetter(ctx, name, r.Topic, selected)
		}
	}
	return result, err
}

// replayAlone is [Herder.Replay] for one connector, of which no other replay may run. bytes are reserved for it.
func (h *Herder) replayAlone(ctx context.Context, name string, bytes int64, r ReplayRequest) (ReplayResult, error) {
	if r.Filter.Cause == UnknownCause {
		return ReplayResult{}, ErrMixedCauses
	}
	running, end, err := h.shared.replays.begin(name, bytes)
	if err != nil {
		return ReplayResult{}, err
	}
	defer end()
	defer h.tracker.wake.Ring()
	r.running = running
	r.Filter.Connector = name
	show := ShowOpen
	if r.IncludeReplayed {
		show = ShowAll
	}
	r.located = h.tracker.locate(ctx, r.Topic, show, r.Filter)
	return h.Replay(ctx, r)
}

// newestLetter returns the position of the newest dead letter of the same original. It returns "" if no letter is
// newer or the topic cannot be read within 5 seconds: the first read of a large topic takes minutes.
func (h *Herder) newestLetter(ctx context.Context, name, topic string, letter DeadLetterPosition) (position string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_ = h.tracker.withIndex(ctx, name, topic, func(c *trackedConnector, _ *kafka.Reader) error { // "" after an error
		for _, l := range c.index.related(map[DeadLetterPosition]bool{letter: true}) {
			if newest := c.index.newest(l.original); newest.position() != letter {
				position = newest.position().String()
			}
		}
		return nil
	})
	return position
}

// DiscardResult is the result of [Herder.DiscardDeadLetters].
type DiscardResult struct {
	Discarded int            // number of original records or rows
	Kept      map[string]int // number of other positions by reason
}

// DiscardDeadLetters marks the original records or rows of the open dead letters that a filter selects as settled: they
// are not replayed. An error wraps [ErrTooManyRanges] if their state would exceed its bound; nothing is stored then. It
// returns [ErrMixedCauses].
func (h *Herder) DiscardDeadLetters(ctx context.Context, name string, filter DeadLetterFilter) (DiscardResult, error) {
	topic, err := h.deadLetterTopic(name)
	if err != nil {
		return DiscardResult{}, err
	}
	const noBytes = 0
	result, err := h.replayAlone(ctx, name, noBytes, ReplayRequest{Topic: topic, isDiscard: true, Filter: filter})
	if result.Discarded > 0 {
		h.Events().Record(ctx, events.Event{Connector: name, Kind: "discarded",
			Text: fmt.Sprintf("dead letters: %d", result.Discarded)})
	}
	return DiscardResult{Discarded: result.Discarded, Kept: result.Kept}, err
}

// ErrNotRunning means that the connector is paused or stopped.
var ErrNotRunning = errors.New("the connector is paused or stopped: resume it, then replay its dead letters")

// isPausedOrStopped waits until queued requests are handled. It reports whether the target state is not Running.
func (h *Herder) isPausedOrStopped(ctx context.Context, name string) (bool, error) {
	ctl, err := h.find(name)
	if err != nil {
		return false, err
	}
	response := make(chan bool, 1)
	ctl.enqueue(event{apply: func(context.Context) { response <- ctl.desiredSpec().target != Running }})
	select {
	case isPaused := <-response:
		return isPaused, nil
	case <-ctl.done:
		return false, fmt.Errorf("%s: %w", name, ErrUnknownConnector)
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (h *Herder) deadLetterTopic(name string) (string, error) {
	ctl, err := h.find(name)
	if err != nil {
		return "", err
	}
	if topic := setting.Trim(ctl.desiredSpec().config.Text(deadLetterTopic)); topic != "" {
		return topic, nil
	}
	return "", ErrNoDeadLetterTopic
}
