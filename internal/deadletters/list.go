package deadletters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
)

// Filter selects dead letters. The zero value selects all.
type Filter struct {
	Positions map[Position]bool // single dead letters; nil means all
	Connector string            // a name; empty means all connectors
	Cause     string            // a [Letter.CauseID]; empty means all
	Error     string            // a part of the exception's class or message, in any case
	Since     time.Time         // the earliest FailedAt; zero means no bound
	Until     time.Time         // the first FailedAt that is not selected; zero means no bound
	// Superseded selects letters with a newer one of the same key and another value.
	Superseded bool
}

// IsZero reports whether the filter selects all dead letters of its connectors.
func (f *Filter) IsZero() bool {
	return f.Positions == nil && f.Cause == "" && f.Error == "" && f.Since.IsZero() && f.Until.IsZero() && !f.Superseded
}

// SelectPositions sets Positions from texts like PARTITION@OFFSET. Nil changes nothing; an empty slice excludes all.
func (f *Filter) SelectPositions(positions []string) error {
	if positions != nil {
		f.Positions = map[Position]bool{}
	}
	for _, text := range positions {
		position, err := ParsePosition(text)
		if err != nil {
			return err
		}
		f.Positions[position] = true
	}
	return nil
}

// matchesText reports whether the filter selects the texts of a dead letter's exception.
func (f *Filter) matchesText(l *Letter) bool {
	contains := func(text string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(f.Error)) }
	return f.Error == "" || contains(l.Class) || contains(l.Message)
}

// Query selects a page of original records or rows, the newest first.
type Query struct {
	Show   string    // open, settled or all
	Filter Filter    // Connector and Positions are not used
	After  string    // [Page.Next] of the previous page. "" selects the first page.
	Only   *Position // if not nil, selects the original with the letter at this position
}

// Values of [Query.Show].
const (
	ShowOpen    = "open"
	ShowSettled = "settled"
	ShowAll     = "all"
)

// PageSize is the largest number of letters in a page without a filter by error.
const PageSize = 100

// maxSearchedLetters bounds the letters that are read for a page with a filter by error, which may have all of them.
const maxSearchedLetters = 10_000

// ErrInvalidAfter is the error of an invalid [Query.After].
var ErrInvalidAfter = errors.New("after: expected the next of the previous page, such as 1764288000-0@17")

// ListedLetter is the newest dead letter of an original record or row.
type ListedLetter struct {
	*Letter
	Index        int    // orders the letters of a page; some are left out
	After        string // the value of [Query.After] for a page that begins after it
	Attempts     int    // number of failures
	Settled      *bool  // whether it was delivered or discarded; nil means unknown
	IsSuperseded bool   // see [Filter]
}

// Page is a page of dead letters.
type Page struct {
	Topic   string
	Next    string // the value of [Query.After] for the next page; "" means that this is the last page
	Summary Summary
	Replay  *Progress // nil means that none runs
	// Matching is the number of letters on all pages. Nil means unknown: their texts must be read.
	Matching *int64

	listed map[Position]ListedLetter // without their records
}

// page returns the newest letters of the selected originals, in the order of their oldest letters, so that a new letter
// does not move an original to another page. The caller reads their records by [Page.read].
func (d *deadLetterIndex) page(topic string, query Query) (page Page, err error) {
	page = Page{Topic: topic, listed: map[Position]ListedLetter{}}
	end := len(d.letters)
	if query.After != "" {
		failedAt, letter, _ := strings.Cut(query.After, "-")
		position, positionErr := ParsePosition(letter)
		seconds, timeErr := strconv.ParseUint(failedAt, 10, 32)
		if positionErr != nil || timeErr != nil {
			return page, ErrInvalidAfter
		}
		key := indexedLetter{failedAt: uint32(seconds), partition: position.Partition, offset: position.Offset}
		end, _ = slices.BinarySearchFunc(d.letters, key, compareIndexed)
	}
	if query.Filter.Error == "" && query.Only == nil {
		page.Matching = new(int64)
		for range d.selected(query.Show, &query.Filter) {
			*page.Matching++
		}
	}
	var onlyOriginal originalID // used if query.Only is set
	if query.Only != nil {
		i := slices.IndexFunc(d.letters, func(l indexedLetter) bool { return l.position() == *query.Only })
		if i < 0 {
			return page, nil
		}
		onlyOriginal = d.letters[i].original
	}
	limit := PageSize
	if query.Filter.Error != "" {
		limit = maxSearchedLetters
	}
	after := ""
	for i := end - 1; i >= 0; i-- {
		oldest := &d.letters[i]
		if oldest.older >= 0 {
			continue // it is not the oldest letter of its original
		}
		l := d.newest(oldest.original)
		isOther := query.Only != nil && onlyOriginal != l.original
		if isOther || !d.selects(l, query.Show, &query.Filter) {
			continue
		}
		if len(page.listed) == limit {
			page.Next = after
			break
		}
		after = fmt.Sprintf("%d-%v", oldest.failedAt, oldest.position()) // valid even if the letter is gone
		isSettled := d.isSettled(l)
		page.listed[l.position()] = ListedLetter{Index: len(page.listed), After: after,
			Attempts: d.failures(l.original), Settled: &isSettled, IsSuperseded: d.isSuperseded(l.original)}
	}
	return page, nil
}

// read calls handle with each dead letter of the page that has the text of the filter, in any order. Letters that are
// deleted in the meantime are missing.
func (p *Page) read(ctx context.Context, reader *kafka.Reader, redact func(string) string, filter *Filter,
	handle func(ListedLetter) error) error {
	positions := slices.SortedFunc(maps.Keys(p.listed), comparePositions)
	return readLetters(ctx, reader, p.Topic, positions, func(r *kgo.Record) error {
		l := Parse(r, redact)
		if !filter.matchesText(&l) {
			return nil
		}
		listed := p.listed[l.position()]
		listed.Letter = &l
		return handle(listed)
	})
}

// spanGap is the number of other records that are read to save a request.
const spanGap = 50

// readLetters calls handle with the records at sorted positions, until handle returns [kafka.ErrStop]. Letters that are
// deleted in the meantime are missing.
func readLetters(ctx context.Context, reader *kafka.Reader, topic string, positions []Position,
	handle func(*kgo.Record) error) error {
	for len(positions) > 0 {
		first := positions[0]
		n := 1
		for n < len(positions) && positions[n].Partition == first.Partition &&
			positions[n].Offset-positions[n-1].Offset < spanGap {
			n++
		}
		span := positions[:n]
		isStopped := false
		_, err := reader.Read(ctx, topic, kafka.ReadOptions{From: kafka.Positions{first.Partition: first.Offset},
			To: kafka.Positions{first.Partition: span[n-1].Offset + 1}}, func(r *kgo.Record) error {
			_, ok := slices.BinarySearchFunc(span, r.Offset, func(p Position, offset int64) int {
				return cmp.Compare(p.Offset, offset)
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
		positions = positions[n:]
	}
	return nil
}

// Topic is a dead letter topic that is read without a worker.
type Topic struct {
	name    string
	reader  *kafka.Reader
	redact  func(string) string
	indexes map[string]*deadLetterIndex // by connector; "" is of letters without headers
	// StatesErr is why it is unknown which letters are settled. Nil means that it is known.
	StatesErr error
}

// ReadTopic reads a dead letter topic. The settings of a worker specify where it stores which letters are settled.
func ReadTopic(ctx context.Context, reader *kafka.Reader, worker map[string]string, redact func(string) string,
	name string) (*Topic, error) {
	t := &Topic{name: name, reader: reader, redact: redact, indexes: map[string]*deadLetterIndex{}}
	id, err := reader.TopicID(ctx, name)
	if err != nil {
		return nil, err
	}
	states, err := readStates(ctx, reader, worker, name)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	t.StatesErr = err
	ends, err := reader.Read(ctx, name, kafka.ReadOptions{}, func(r *kgo.Record) error {
		l := Parse(r, redact)
		if t.indexes[l.Connector] == nil {
			t.indexes[l.Connector] = newIndex()
		}
		t.indexes[l.Connector].add(&l)
		return nil
	})
	for connector, index := range t.indexes {
		index.update(kafka.Positions{}, statesOf(states[connector], kafka.Range{To: ends, TopicID: id}))
	}
	return t, err
}

// Connectors returns the sorted names of the connectors that have written letters, "" for letters without headers.
func (t *Topic) Connectors() []string { return slices.Sorted(maps.Keys(t.indexes)) }

// List is [Queues.List] for a connector of the topic. If it is unknown which letters are settled, it lists all.
func (t *Topic) List(ctx context.Context, connector string, query Query,
	handle func(ListedLetter) error) (page Page, err error) {
	index := t.indexes[connector]
	if index == nil {
		index = newIndex()
	}
	if t.StatesErr != nil {
		query.Show = ShowAll
	}
	if page, err = index.page(t.name, query); err != nil {
		return page, err
	}
	page.Summary = *index.summary()
	return page, page.read(ctx, t.reader, t.redact, &query.Filter, func(l ListedLetter) error {
		if t.StatesErr != nil {
			l.Settled = nil
		}
		return handle(l)
	})
}
