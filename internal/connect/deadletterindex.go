package connect

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/kafka"
)

// Bounds of what a worker knows of the dead letter topic of a connector.
const (
	maxTrackedLetters = 1_000_000 // bounds the newest records of the topic that are read and kept
	// maxTrackedOfWorker bounds the letters of all connectors. A connector keeps at least an equal share.
	maxTrackedOfWorker = 2_000_000
	maxCauseTexts      = 200 // bounds the causes with a text
)

// deadLetterIndex records which dead letters of a connector are of the same original record or row, and which
// originals are open. The tracker has an index for each connector. A replay has an index of the letters from which it
// selects.
//
// Each letter's own position decides: a letter is settled if the replay state of its partition has its offset, and an
// original is open while it has a letter that is not settled. To settle an original means to settle all letters that it
// has at that time. So:
//
//   - a letter that is written afterwards is open, whatever its headers say: the record was read again and rejected
//     again, or a task wrote it during the replay. It is safe to ask again, and unsafe to hide the letter.
//   - a duplicate of a letter after a crash, and a letter whose replay crashed between writing the next letter and
//     storing its state, are settled together with the newest one, which alone is sent.
//   - states are stored for each partition. Letters in other partitions are settled before the letter that is sent, so
//     that a crash between them leaves that letter open, with the mark that it may have been written. A discard settles
//     the newest letters last: if only older ones were open after a crash, a replay would send all their rows, although
//     some of them may have been delivered since.
//   - letters that retention or compaction has removed do not exist.
//
// Of letters in one partition the one with the greater offset is newer, of letters in several partitions the one that
// failed later. An open letter is newer than a settled one. The number of replays decides nothing.
//
// Originals with one key and different values are versions of one record or row, see [deadLetterIndex.isSuperseded].
//
// Memory: at most 200 bytes for each letter, so 200 MB at [maxTrackedLetters], 400 MB at [maxTrackedOfWorker], and 2 MB
// of texts. Repeated letters of a row need 80.
//
// Invariants: letters are sorted by [compareTracked]. states has the replay state of each partition. The letters of an
// original are linked from the last to the first one. An original is open if its newest letter is not settled. versions
// has the keys of all letters in originals.
type deadLetterIndex struct {
	letters   []trackedDeadLetter
	originals map[originalID]originalState
	versions  map[originalID]newestVersions // by trackedDeadLetter.key
	texts     map[causeID]string
	states    map[int32]replayState
	from      kafka.Positions // the first offsets that were read
	starts    kafka.Positions // the first offsets of the topic; nil before the first update
	indexed   int             // number of letters in originals. Zero makes update derive originals again.
	limit     int             // the largest number of letters
}

// originalID is the start of a [recordID].
type originalID uint64

// trackedDeadLetter is what the index keeps of a dead letter.
type trackedDeadLetter struct {
	original  originalID
	key       originalID // [DeadLetter.keyID]
	offset    int64
	version   int64 // orders the originals with one key: the offset of a record, the time of a row in milliseconds
	partition int32
	replays   int32
	failedAt  uint32 // Unix seconds
	cause     causeID
	value     uint32 // digest of the value
	older     int32  // index of the previous letter of the original, or -1
	isRow     bool   // of a source
}

type originalState struct {
	newest int32 // index of its newest letter
	last   int32 // index of its last letter in the order of [compareTracked]
}

// newestVersions has the newest of the originals with one key, and the newest one with another value.
type newestVersions struct {
	newest versionOrder
	second versionOrder // the zero value means that all have one value
	value  uint32       // of the newest version
}

// versionOrder orders the originals with one key.
type versionOrder struct {
	version  int64  // [trackedDeadLetter.version]
	failedAt uint32 // of its first letter
}

func (n *newestVersions) add(l *trackedDeadLetter) {
	added := versionOrder{l.version, l.failedAt}
	switch {
	case l.value != n.value && l.version >= n.newest.version:
		*n = newestVersions{newest: added, second: n.newest, value: l.value}
	case l.value != n.value && l.version > n.second.version:
		n.second = added
	case l.value == n.value && l.version > n.newest.version:
		n.newest = added
	}
}

// newestOther returns the newest version with another value than this one.
func (n newestVersions) newestOther(value uint32) versionOrder {
	if value == n.value {
		return n.second
	}
	return n.newest
}

func newDeadLetterIndex() *deadLetterIndex {
	return &deadLetterIndex{originals: map[originalID]originalState{}, versions: map[originalID]newestVersions{},
		texts: map[causeID]string{}, states: map[int32]replayState{}, from: kafka.Positions{}, limit: maxTrackedLetters}
}

func compareTracked(a, b trackedDeadLetter) int {
	return cmp.Or(cmp.Compare(a.failedAt, b.failedAt), cmp.Compare(a.partition, b.partition),
		cmp.Compare(a.offset, b.offset))
}

func comparePositions(a, b trackedDeadLetter) int {
	return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
}

func (l *trackedDeadLetter) position() DeadLetterPosition {
	return DeadLetterPosition{l.partition, l.offset}
}

// add appends a letter. Call update after the last one.
func (d *deadLetterIndex) add(l *DeadLetter) {
	cause, message := l.cause()
	if len(d.texts) < maxCauseTexts {
		d.texts[cause] = message
	}
	version := l.Offset
	if l.isRow() {
		version = orderOf(l).millis
	}
	d.letters = append(d.letters, trackedDeadLetter{original: l.recordID().original(), key: l.keyID(),
		offset: l.Record.Offset, version: version, partition: l.Record.Partition, replays: int32(l.Replays),
		failedAt: uint32(max(0, min(l.FailedAt.Unix(), math.MaxUint32))), cause: cause,
		value: crc32.ChecksumIEEE(l.Record.Value), isRow: l.isRow()})
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
	d.originals = map[originalID]originalState{}
	d.indexed = 0
}

// update derives the originals from the letters and the replay states, and drops letters before starts, which were
// deleted from the topic. It keeps both arguments, and reports whether anything has changed.
func (d *deadLetterIndex) update(starts kafka.Positions, states map[int32]replayState) bool {
	if len(d.letters) > d.limit {
		d.dropOldest()
	}
	isDeleted := func(l trackedDeadLetter) bool { return l.offset < starts[l.partition] }
	haveSameRanges := func(a, b replayState) bool { return slices.Equal(a.settled, b.settled) }
	isSorted := slices.IsSortedFunc(d.letters[max(0, d.indexed-1):], compareTracked)
	if !isSorted || !maps.EqualFunc(states, d.states, haveSameRanges) || slices.ContainsFunc(d.letters, isDeleted) {
		d.letters = slices.DeleteFunc(d.letters, isDeleted)
		d.indexed = 0
	} else if d.starts != nil && maps.Equal(starts, d.starts) && d.indexed == len(d.letters) {
		return false
	}
	d.starts = starts
	d.states = states
	if d.indexed == 0 {
		slices.SortFunc(d.letters, compareTracked)
		clear(d.originals)
		clear(d.versions)
	}
	for i := d.indexed; i < len(d.letters); i++ {
		l := &d.letters[i]
		l.older = -1
		o, ok := d.originals[l.original]
		if ok {
			l.older = o.last
		}
		if !ok || d.isNewer(l, &d.letters[o.newest]) {
			o.newest = int32(i)
		}
		o.last = int32(i)
		d.originals[l.original] = o
		if l.key != 0 {
			versions := d.versions[l.key]
			versions.add(l)
			d.versions[l.key] = versions
		}
	}
	d.indexed = len(d.letters)
	if len(d.texts) == maxCauseTexts {
		d.dropTexts()
	}
	return true
}

// isNewer reports whether a letter is newer than another one, which precedes it in the order of [compareTracked].
func (d *deadLetterIndex) isNewer(l, preceding *trackedDeadLetter) bool {
	isOpen := !d.isSettled(l)
	isPrecedingOpen := !d.isSettled(preceding)
	if isOpen != isPrecedingOpen {
		return isOpen
	}
	return l.partition != preceding.partition || l.offset > preceding.offset
}

// deadLettersOf returns the letters of an original, the last one first.
func (d *deadLetterIndex) deadLettersOf(original originalID) iter.Seq[*trackedDeadLetter] {
	return func(yield func(*trackedDeadLetter) bool) {
		o, ok := d.originals[original]
		for i := o.last; ok && i >= 0 && yield(&d.letters[i]); i = d.letters[i].older {
		}
	}
}

// newest returns the newest letter of an original, which must have one.
func (d *deadLetterIndex) newest(original originalID) *trackedDeadLetter {
	return &d.letters[d.originals[original].newest]
}

// oldest returns the oldest letter of an original, which must have one.
func (d *deadLetterIndex) oldest(original originalID) (oldest *trackedDeadLetter) {
	for l := range d.deadLettersOf(original) {
		oldest = l
	}
	return oldest
}

// failures returns how often an original has failed: the number of its letters, or more if earlier ones are gone.
func (d *deadLetterIndex) failures(original originalID) int {
	letters := 0
	replays := 0
	for l := range d.deadLettersOf(original) {
		letters++
		replays = max(replays, int(l.replays))
	}
	return max(letters, replays+1)
}

// dropTexts drops the texts of causes without an open letter.
func (d *deadLetterIndex) dropTexts() {
	open := map[causeID]string{}
	for original := range d.originals {
		if id := d.newest(original).cause; d.isOpen(original) && d.texts[id] != "" {
			open[id] = d.texts[id]
		}
	}
	d.texts = open
}

// isSettled reports whether a letter was delivered or discarded.
func (d *deadLetterIndex) isSettled(l *trackedDeadLetter) bool {
	state := d.states[l.partition]
	return state.isSettled(l.offset)
}

// isOpen reports whether an original has a letter that is not settled.
func (d *deadLetterIndex) isOpen(original originalID) bool {
	_, ok := d.originals[original]
	return ok && !d.isSettled(d.newest(original))
}

// isSuperseded reports whether an original has the key of a newer one with another value. Only letters are compared: a
// newer value that was accepted is not known here.
func (d *deadLetterIndex) isSuperseded(original originalID) bool {
	newest := d.newest(original)
	version := newest.version
	for l := range d.deadLettersOf(original) {
		version = max(version, l.version)
	}
	if newest.isRow {
		version += clockTolerance.Milliseconds()
	}
	other := d.versions[newest.key].newestOther(newest.value)
	// A greater offset that failed earlier may be of an earlier topic with the same name.
	return newest.key != 0 && other.version > version && other.failedAt >= d.oldest(original).failedAt
}

// isComplete reports whether all letters that were not read or were dropped are settled.
func (d *deadLetterIndex) isComplete() bool {
	for partition, from := range d.from {
		state := d.states[partition]
		if !state.covers(d.starts[partition], from-1) {
			return false
		}
	}
	return true
}

// summary counts the open originals and their causes, the most frequent first.
func (d *deadLetterIndex) summary() *DeadLetterSummary {
	s := &DeadLetterSummary{Causes: []CauseCount{}, More: !d.isComplete()}
	indexes := map[causeID]int{} // in s.Causes
	var open int64
	for i := range slices.Backward(d.letters) {
		l := &d.letters[i]
		if int(d.originals[l.original].newest) != i || d.isSettled(l) {
			continue
		}
		open++
		if d.isSuperseded(l.original) {
			s.Superseded++
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
	Show   string              // open, settled or all
	Filter DeadLetterFilter    // Connector and Positions are not used
	After  string              // [DeadLetterPage.Next] of the previous page. "" selects the first page.
	Only   *DeadLetterPosition // if not nil, selects the original with the letter at this position
}

// Values of [DeadLetterQuery.Show].
const (
	ShowOpen    = "open"
	ShowSettled = "settled"
	ShowAll     = "all"
)

// DeadLetterPageSize is the largest number of letters in a page of [Herder.ListDeadLetters] without a filter by error.
const DeadLetterPageSize = 100

// maxSearchedLetters bounds the letters that are read for a page with a filter by error, which may have all of them.
const maxSearchedLetters = 10_000

// ErrInvalidAfter is the error of an invalid [DeadLetterQuery.After].
var ErrInvalidAfter = errors.New("after: expected the next of the previous page, such as 1764288000-0@17")

// pageKey is the value of after: where a letter is in the order. It is valid even if the letter is gone.
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

// page returns the newest letters of the selected originals, in the order of their oldest letters, so that a new letter
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
	var onlyOriginal originalID // used if query.Only is set
	if query.Only != nil {
		i := slices.IndexFunc(d.letters, func(l trackedDeadLetter) bool { return l.position() == *query.Only })
		if i < 0 {
			return nil, "", nil
		}
		onlyOriginal = d.letters[i].original
	}
	limit := DeadLetterPageSize
	if query.Filter.Error != "" {
		limit = maxSearchedLetters
	}
	last := 0
	for i := end - 1; i >= 0; i-- {
		l := d.newest(d.letters[i].original)
		isOther := query.Only != nil && onlyOriginal != l.original
		if d.letters[i].older >= 0 || isOther || !d.selects(l, query.Show, &query.Filter) {
			continue
		}
		if len(page) == limit {
			return page, d.letters[last].pageKey(), nil
		}
		page = append(page, *l)
		last = i
	}
	return page, "", nil
}

// selected yields the positions of the newest letters of the originals that [deadLetterIndex.selects] selects.
func (d *deadLetterIndex) selected(show string, filter *DeadLetterFilter) iter.Seq2[DeadLetterPosition, bool] {
	return func(yield func(DeadLetterPosition, bool) bool) {
		for _, o := range d.originals {
			if l := &d.letters[o.newest]; d.selects(l, show, filter) && !yield(l.position(), true) {
				return
			}
		}
	}
}

// selects reports whether show and a filter select the newest letter of an original, as far as the index knows the
// letter: it ignores the Error of the filter.
func (d *deadLetterIndex) selects(l *trackedDeadLetter, show string, filter *DeadLetterFilter) bool {
	if show != ShowAll && (show == ShowOpen) == d.isSettled(l) {
		return false
	}
	isOfCause := filter.Cause == ""
	if !isOfCause {
		id, err := strconv.ParseUint(filter.Cause, 16, 32)
		isOfCause = err == nil && len(filter.Cause) == len(UnknownCause) && // only one form selects all unknown causes
			(causeID(id) == l.cause || causeID(id) == d.countedCause(l))
	}
	return isOfCause && (filter.Positions == nil || filter.Positions[l.position()]) &&
		d.isInTime(l, filter) && (!filter.Superseded || d.isSuperseded(l.original))
}

// isInTime reports whether an original was failing within the times of a filter. Its newest attempt may follow them:
// otherwise no filter up to the time of a list would select a row that is refused in every period.
func (d *deadLetterIndex) isInTime(newest *trackedDeadLetter, filter *DeadLetterFilter) bool {
	return !time.Unix(int64(newest.failedAt), 0).Before(filter.Since) && (filter.Until.IsZero() ||
		time.Unix(int64(d.oldest(newest.original).failedAt), 0).Before(filter.Until))
}

// countedCause returns the cause under which the letter is counted: zero if the text of its cause was not kept.
func (d *deadLetterIndex) countedCause(l *trackedDeadLetter) causeID {
	if d.texts[l.cause] == "" {
		return 0
	}
	return l.cause
}

// newestOf returns the positions of the newest letters of the originals that have an open letter at one of the
// positions. missing has the positions without an open letter.
func (d *deadLetterIndex) newestOf(
	positions map[DeadLetterPosition]bool) (newest, missing map[DeadLetterPosition]bool) {
	newest = map[DeadLetterPosition]bool{}
	missing = maps.Clone(positions)
	for i := range d.letters {
		if l := &d.letters[i]; positions[l.position()] && !d.isSettled(l) {
			newest[d.newest(l.original).position()] = true
			delete(missing, l.position())
		}
	}
	return newest, missing
}

// related returns all dead letters of the originals that have one at one of the positions, by their positions.
func (d *deadLetterIndex) related(positions map[DeadLetterPosition]bool) (letters []trackedDeadLetter) {
	selected := map[originalID]bool{}
	for i := range d.letters {
		if l := &d.letters[i]; positions[l.position()] {
			selected[l.original] = true
		}
	}
	for original := range selected {
		for l := range d.deadLettersOf(original) {
			letters = append(letters, *l)
		}
	}
	slices.SortFunc(letters, comparePositions)
	return letters
}
