package connect

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/kafka"
)

// Bounds of what a worker knows of the dead letter topic of a connector.
const (
	maxTrackedLetters = 1_000_000 // bounds the newest records of the topic that are read and kept
	// maxTrackedOfWorker bounds the letters of all connectors. A connector keeps at least an equal share.
	maxTrackedOfWorker = 2_000_000
	maxCountedCauses   = 10_000 // bounds the newest open letters whose causes are counted
	maxCauseTexts      = 200    // bounds the causes with a text
)

// deadLetterIndex records which dead letters of a connector are attempts of the same original record or row, and which
// originals are open: their newest attempt was neither delivered nor replaced nor discarded.
//
// Memory: about 80 bytes for each letter, so 80 MB at [maxTrackedLetters], 160 MB at [maxTrackedOfWorker], and 2 MB of
// texts.
//
// Invariants: letters are sorted by [compareTracked]. states has the replay state of each partition. An original is
// settled by a letter that is done and has as many replays as its newest letter.
type deadLetterIndex struct {
	letters   []trackedDeadLetter
	originals map[uint64]originalState
	texts     map[causeID]string
	states    map[int32]replayState
	from      kafka.Positions // the first offsets that were read
	starts    kafka.Positions // the first offsets of the topic; nil before the first update
	// indexed is the number of letters in originals. Zero makes update derive originals again.
	indexed int
	limit   int // the largest number of letters
}

type trackedDeadLetter struct {
	original  uint64 // the start of a [recordID]
	offset    int64
	partition int32
	replays   int32
	failedAt  uint32 // Unix seconds
	cause     causeID
}

type originalState struct {
	first   int32 // index of its oldest letter
	newest  int32 // index of its letter with the most replays
	settled int32 // maximum of the replays of its letters that are done, or -1
}

func newDeadLetterIndex() *deadLetterIndex {
	return &deadLetterIndex{originals: map[uint64]originalState{}, texts: map[causeID]string{},
		states: map[int32]replayState{}, from: kafka.Positions{}, limit: maxTrackedLetters}
}

func compareTracked(a, b trackedDeadLetter) int {
	return cmp.Or(cmp.Compare(a.failedAt, b.failedAt), cmp.Compare(a.partition, b.partition),
		cmp.Compare(a.offset, b.offset))
}

func (l *trackedDeadLetter) position() DeadLetterPosition {
	return DeadLetterPosition{l.partition, l.offset}
}

// add appends a letter. Call update after the last one.
func (d *deadLetterIndex) add(l *DeadLetter) {
	id := l.recordID()
	cause, message := l.cause()
	if len(d.texts) < maxCauseTexts {
		d.texts[cause] = message
	}
	d.letters = append(d.letters, trackedDeadLetter{original: binary.LittleEndian.Uint64(id[:]),
		offset: l.Record.Offset, partition: l.Record.Partition, replays: int32(l.Replays),
		failedAt: uint32(max(0, min(l.FailedAt.Unix(), math.MaxUint32))), cause: cause})
	if len(d.letters) > d.limit {
		d.dropOldest()
	}
}

// dropOldest drops the oldest letters beyond nine tenths of the limit. They count as not read.
func (d *deadLetterIndex) dropOldest() {
	slices.SortFunc(d.letters, compareTracked)
	dropped := len(d.letters) - d.limit + d.limit/10
	for _, l := range d.letters[:dropped] {
		d.from[l.partition] = max(d.from[l.partition], l.offset+1)
	}
	d.letters = slices.Clone(d.letters[dropped:])
	d.originals = map[uint64]originalState{}
	d.indexed = 0
}

// update derives the originals from new letters and from the replay states, and drops letters before starts, which were
// deleted from the topic. It keeps both arguments, and reports whether anything has changed.
func (d *deadLetterIndex) update(starts kafka.Positions, states map[int32]replayState) bool {
	isDeleted := func(l trackedDeadLetter) bool { return l.offset < starts[l.partition] }
	sameStates := maps.EqualFunc(states, d.states, func(a, b replayState) bool { return slices.Equal(a.done, b.done) })
	switch {
	case len(d.letters) > d.limit:
		d.dropOldest()
	case !sameStates, !slices.IsSortedFunc(d.letters[max(0, d.indexed-1):], compareTracked):
		d.indexed = 0
	}
	if slices.ContainsFunc(d.letters, isDeleted) {
		d.letters = slices.DeleteFunc(d.letters, isDeleted)
		d.indexed = 0
	}
	isFirst := d.starts == nil
	if !isFirst && sameStates && maps.Equal(starts, d.starts) && d.indexed == len(d.letters) {
		return false
	}
	d.starts = starts
	d.states = states
	if d.indexed == 0 {
		slices.SortFunc(d.letters, compareTracked)
		clear(d.originals)
	}
	for i := d.indexed; i < len(d.letters); i++ {
		l := &d.letters[i]
		o, ok := d.originals[l.original]
		if !ok {
			o = originalState{first: int32(i), newest: int32(i), settled: -1}
		}
		if l.replays >= d.letters[o.newest].replays {
			o.newest = int32(i)
		}
		if state := d.states[l.partition]; state.isDone(l.offset) {
			o.settled = max(o.settled, l.replays)
		}
		d.originals[l.original] = o
	}
	d.indexed = len(d.letters)
	if len(d.texts) == maxCauseTexts {
		d.dropTexts()
	}
	return true
}

// dropTexts drops the texts of causes without an open letter.
func (d *deadLetterIndex) dropTexts() {
	open := map[causeID]string{}
	for _, o := range d.originals {
		if id := d.letters[o.newest].cause; d.isOpen(o) && d.texts[id] != "" {
			open[id] = d.texts[id]
		}
	}
	d.texts = open
}

func (d *deadLetterIndex) isOpen(o originalState) bool {
	return o.settled < d.letters[o.newest].replays
}

// summary counts the open originals, and causes of the newest of them, the most frequent first.
func (d *deadLetterIndex) summary() *DeadLetterSummary {
	s := &DeadLetterSummary{Causes: []CauseCount{}}
	for partition, from := range d.from {
		state := d.states[partition]
		s.More = s.More || !state.covers(d.starts[partition], from-1)
	}
	indexes := map[causeID]int{} // in s.Causes
	var open int64
	for i := range slices.Backward(d.letters) {
		l := &d.letters[i]
		if o := d.originals[l.original]; int(o.newest) != i || !d.isOpen(o) {
			continue
		}
		open++
		if open > maxCountedCauses {
			continue
		}
		cause := d.countedCause(l)
		n, ok := indexes[cause]
		if !ok {
			n = len(s.Causes)
			indexes[cause] = n
			s.Causes = append(s.Causes, CauseCount{ID: cause.String(), Text: cmp.Or(d.texts[cause], "other causes"),
				Newest: int64(l.failedAt)})
		}
		s.Causes[n].Count++
	}
	s.Open = &open
	slices.SortStableFunc(s.Causes, func(a, b CauseCount) int { return cmp.Compare(b.Count, a.Count) })
	return s
}

// DeadLetterQuery selects a page of original records or rows, the newest first.
type DeadLetterQuery struct {
	Show  string              // open, settled or all
	Cause string              // an identifier of a cause; "" means all
	After string              // [DeadLetterPage.Next] of the previous page. "" selects the first page.
	Only  *DeadLetterPosition // if not nil, selects the original with the letter at this position
}

// Values of [DeadLetterQuery.Show].
const (
	ShowOpen    = "open"
	ShowSettled = "settled"
	ShowAll     = "all"
)

const deadLetterPageSize = 100

// ErrInvalidAfter is the error of an invalid [DeadLetterQuery.After].
var ErrInvalidAfter = errors.New("after: expected the next of the previous page, such as 1764288000-0@17")

// pageKey is the value of after: a letter's place in the order. It is valid even if the letter is gone.
func (l *trackedDeadLetter) pageKey() string { return fmt.Sprintf("%d-%v", l.failedAt, l.position()) }

func parsePageKey(key string) (trackedDeadLetter, error) {
	failedAt, letter, _ := strings.Cut(key, "-")
	position, positionErr := ParseDeadLetterPosition(letter)
	seconds, timeErr := strconv.ParseUint(failedAt, 10, 32)
	if positionErr != nil || timeErr != nil {
		return trackedDeadLetter{}, ErrInvalidAfter
	}
	return trackedDeadLetter{failedAt: uint32(seconds), partition: position.Partition, offset: position.Offset}, nil
}

// page returns the newest attempts of the selected originals, in the order of their oldest letters, so that an attempt
// does not move an original to another page. next is the After of the next page, "" on the last page.
func (d *deadLetterIndex) page(query DeadLetterQuery) (page []trackedDeadLetter, next string, err error) {
	end := len(d.letters)
	if query.After != "" {
		key, err := parsePageKey(query.After)
		if err != nil {
			return nil, "", err
		}
		end, _ = slices.BinarySearchFunc(d.letters, key, compareTracked)
	}
	var onlyOriginal uint64 // used if query.Only is set
	if query.Only != nil {
		i := slices.IndexFunc(d.letters, func(l trackedDeadLetter) bool { return l.position() == *query.Only })
		if i < 0 {
			return nil, "", nil
		}
		onlyOriginal = d.letters[i].original
	}
	cause, err := strconv.ParseUint(query.Cause, 16, 32)
	if query.Cause != "" && err != nil {
		return nil, "", nil
	}
	last := 0
	for i := end - 1; i >= 0; i-- {
		o := d.originals[d.letters[i].original]
		l := d.letters[o.newest]
		switch isOpen := d.isOpen(o); {
		case int(o.first) != i, query.Show == ShowOpen && !isOpen, query.Show == ShowSettled && isOpen,
			query.Cause != "" && d.countedCause(&l) != causeID(cause), query.Only != nil && onlyOriginal != l.original:
			continue
		}
		if len(page) == deadLetterPageSize {
			return page, d.letters[last].pageKey(), nil
		}
		page = append(page, l)
		last = i
	}
	return page, "", nil
}

// countedCause returns the cause under which the letter is counted: zero if the text of its own was not kept.
func (d *deadLetterIndex) countedCause(l *trackedDeadLetter) causeID {
	if d.texts[l.cause] == "" {
		return 0
	}
	return l.cause
}

// siblings returns all letters of the open originals with a letter at one of the positions, and counts both.
func (d *deadLetterIndex) siblings(
	positions map[DeadLetterPosition]bool) (letters []trackedDeadLetter, originals, matched int) {
	selected := map[uint64]bool{}
	for i := range d.letters {
		l := &d.letters[i]
		if positions[l.position()] && d.isOpen(d.originals[l.original]) {
			selected[l.original] = true
			matched++
		}
	}
	for i := range d.letters {
		if selected[d.letters[i].original] {
			letters = append(letters, d.letters[i])
		}
	}
	return letters, len(selected), matched
}
