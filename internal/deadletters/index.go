package deadletters

import (
	"cmp"
	"hash/crc32"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
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
// Invariants: letters are sorted by [compareIndexed]. states has the replay state of each partition. The letters of an
// original are linked from the last to the first one. An original is open if its newest letter is not settled. versions
// has the keys of all letters in originals.
type deadLetterIndex struct {
	letters   []indexedLetter
	originals map[originalID]originalState
	versions  map[originalID]newestVersions // by indexedLetter.key
	texts     map[causeID]string
	states    map[int32]replayState
	from      kafka.Positions // the first offsets that were read
	starts    kafka.Positions // the first offsets of the topic; nil before the first update
	indexed   int             // number of letters in originals. Zero makes update derive originals again.
	limit     int             // the largest number of letters
}

// originalID is the start of a [recordID].
type originalID uint64

// indexedLetter is what the index keeps of a dead letter.
type indexedLetter struct {
	original  originalID
	key       originalID // [Letter.keyID]
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
	last   int32 // index of its last letter in the order of [compareIndexed]
}

// newestVersions has the newest of the originals with one key, and the newest one with another value.
type newestVersions struct {
	newest versionOrder
	second versionOrder // the zero value means that all have one value
	value  uint32       // of the newest version
}

// versionOrder orders the originals with one key.
type versionOrder struct {
	version  int64  // [indexedLetter.version]
	failedAt uint32 // of its first letter
}

func (n *newestVersions) add(l *indexedLetter) {
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

func newIndex() *deadLetterIndex {
	return &deadLetterIndex{originals: map[originalID]originalState{}, versions: map[originalID]newestVersions{},
		texts: map[causeID]string{}, states: map[int32]replayState{}, from: kafka.Positions{}, limit: maxTrackedLetters}
}

// compareIndexed orders letters by the time of failure. Partition and offset only make the order unique.
func compareIndexed(a, b indexedLetter) int {
	return cmp.Or(cmp.Compare(a.failedAt, b.failedAt), cmp.Compare(a.partition, b.partition),
		cmp.Compare(a.offset, b.offset))
}

func (l *indexedLetter) position() Position { return Position{l.partition, l.offset} }

// add appends a letter. Call update after the last one.
func (d *deadLetterIndex) add(l *Letter) {
	cause, message := l.cause()
	if len(d.texts) < maxCauseTexts {
		d.texts[cause] = message
	}
	version := l.Offset
	if l.isRow() {
		version = orderOf(l).millis
	}
	d.letters = append(d.letters, indexedLetter{original: l.recordID().original(), key: l.keyID(),
		offset: l.Record.Offset, version: version, partition: l.Record.Partition, replays: int32(l.Replays),
		failedAt: uint32(max(0, min(l.FailedAt.Unix(), math.MaxUint32))), cause: cause,
		value: crc32.ChecksumIEEE(l.Record.Value), isRow: l.isRow()})
	if len(d.letters) > d.limit {
		d.dropOldest()
	}
}

// dropOldest drops the oldest letters beyond nine tenths of the limit, so that not every new letter causes a sort. They
// count as not read.
func (d *deadLetterIndex) dropOldest() {
	slices.SortFunc(d.letters, compareIndexed)
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
	isDeleted := func(l indexedLetter) bool { return l.offset < starts[l.partition] }
	haveSameRanges := func(a, b replayState) bool { return slices.Equal(a.settled, b.settled) } // doubts change nothing
	isSorted := slices.IsSortedFunc(d.letters[max(0, d.indexed-1):], compareIndexed)            // the new letters
	if !isSorted || !maps.EqualFunc(states, d.states, haveSameRanges) || slices.ContainsFunc(d.letters, isDeleted) {
		d.letters = slices.DeleteFunc(d.letters, isDeleted)
		d.indexed = 0
	} else if d.starts != nil && maps.Equal(starts, d.starts) && d.indexed == len(d.letters) {
		return false
	}
	d.starts = starts
	d.states = states
	if d.indexed == 0 {
		slices.SortFunc(d.letters, compareIndexed)
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
	if len(d.texts) == maxCauseTexts { // drop the texts of causes without an open letter
		texts := d.texts
		d.texts = map[causeID]string{}
		for original := range d.originals {
			if id := d.newest(original).cause; d.isOpen(original) && texts[id] != "" {
				d.texts[id] = texts[id]
			}
		}
	}
	return true
}

// isNewer reports whether a letter is newer than another one, which precedes it in the order of [compareIndexed].
func (d *deadLetterIndex) isNewer(l, preceding *indexedLetter) bool {
	isOpen := !d.isSettled(l)
	isPrecedingOpen := !d.isSettled(preceding)
	if isOpen != isPrecedingOpen {
		return isOpen
	}
	// In another partition the letter failed later or at the same time, because the other precedes it.
	return l.partition != preceding.partition || l.offset > preceding.offset
}

// lettersOf returns the letters of an original, the last one first.
func (d *deadLetterIndex) lettersOf(original originalID) iter.Seq[*indexedLetter] {
	return func(yield func(*indexedLetter) bool) {
		o, ok := d.originals[original]
		for i := o.last; ok && i >= 0 && yield(&d.letters[i]); i = d.letters[i].older {
		}
	}
}

// newest returns the newest letter of an original, which must have one.
func (d *deadLetterIndex) newest(original originalID) *indexedLetter {
	return &d.letters[d.originals[original].newest]
}

// oldest returns the oldest letter of an original, which must have one.
func (d *deadLetterIndex) oldest(original originalID) (oldest *indexedLetter) {
	for l := range d.lettersOf(original) {
		oldest = l
	}
	return oldest
}

// failures returns how often an original has failed: the number of its letters, or more if earlier ones are gone.
func (d *deadLetterIndex) failures(original originalID) int {
	letters := 0
	replays := 0
	for l := range d.lettersOf(original) {
		letters++
		replays = max(replays, int(l.replays))
	}
	return max(letters, replays+1)
}

// isSettled reports whether a letter was delivered or discarded.
func (d *deadLetterIndex) isSettled(l *indexedLetter) bool {
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
	for l := range d.lettersOf(original) {
		version = max(version, l.version)
	}
	if newest.isRow {
		version += clockTolerance.Milliseconds()
	}
	versions := d.versions[newest.key]
	other := versions.newest // with another value
	if newest.value == versions.value {
		other = versions.second
	}
	// A greater offset that failed earlier may be of an earlier topic with the same name.
	return newest.key != 0 && other.version > version && other.failedAt >= d.oldest(original).failedAt
}

// isComplete reports whether all letters that were not read or were dropped are settled.
func (d *deadLetterIndex) isComplete() bool {
	for partition, from := range d.from {
		start := d.starts[partition]
		if from <= start {
			continue // all letters of the partition were read
		}
		state := d.states[partition]
		i, ok := state.find(start)
		if !ok || state.settled[i].last < from-1 { // one range must have all offsets before from
			return false
		}
	}
	return true
}

// summary counts the open originals and their causes, the most frequent first.
func (d *deadLetterIndex) summary() *Summary {
	s := &Summary{Causes: []CauseCount{}, More: !d.isComplete()}
	indexes := map[causeID]int{} // in s.Causes
	var open int64
	for i := range slices.Backward(d.letters) { // so the first letter of a cause is its newest one
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

// selected yields the positions of the newest letters of the originals that [deadLetterIndex.selects] selects, each
// with true: [maps.Collect] makes a set of them.
func (d *deadLetterIndex) selected(show string, filter *Filter) iter.Seq2[Position, bool] {
	return func(yield func(Position, bool) bool) {
		for _, o := range d.originals {
			if l := &d.letters[o.newest]; d.selects(l, show, filter) && !yield(l.position(), true) {
				return
			}
		}
	}
}

// selects reports whether show and a filter select the newest letter of an original, as far as the index knows the
// letter: it ignores the Error of the filter. An original is selected if it was failing within the times of the filter;
// its newest attempt may follow them. Otherwise no filter up to the time of a list would select a row that is refused
// in every period.
func (d *deadLetterIndex) selects(l *indexedLetter, show string, filter *Filter) bool {
	isOpen := !d.isSettled(l)
	if show != ShowAll && isOpen != (show == ShowOpen) {
		return false
	}
	isOfCause := filter.Cause == ""
	if !isOfCause {
		id, err := strconv.ParseUint(filter.Cause, 16, 32)
		isOfCause = err == nil && len(filter.Cause) == len(UnknownCause) && // only one form selects all unknown causes
			(causeID(id) == l.cause || causeID(id) == d.countedCause(l))
	}
	return isOfCause && (filter.Positions == nil || filter.Positions[l.position()]) &&
		!time.Unix(int64(l.failedAt), 0).Before(filter.Since) &&
		(filter.Until.IsZero() || time.Unix(int64(d.oldest(l.original).failedAt), 0).Before(filter.Until)) &&
		(!filter.Superseded || d.isSuperseded(l.original))
}

// countedCause returns the cause under which the letter is counted: zero if the text of its cause was not kept.
func (d *deadLetterIndex) countedCause(l *indexedLetter) causeID {
	if d.texts[l.cause] == "" {
		return 0
	}
	return l.cause
}

// newestOf returns the positions of the newest letters of the originals that have an open letter at one of the
// positions.
func (d *deadLetterIndex) newestOf(positions map[Position]bool) map[Position]bool {
	newest := map[Position]bool{}
	for i := range d.letters {
		if l := &d.letters[i]; positions[l.position()] && !d.isSettled(l) {
			newest[d.newest(l.original).position()] = true
		}
	}
	return newest
}

// related returns the positions of all dead letters of the originals that have one at one of the positions, sorted.
func (d *deadLetterIndex) related(positions map[Position]bool) (related []Position) {
	selected := map[originalID]bool{}
	for i := range d.letters {
		if l := &d.letters[i]; positions[l.position()] {
			selected[l.original] = true
		}
	}
	for original := range selected {
		for l := range d.lettersOf(original) {
			related = append(related, l.position())
		}
	}
	slices.SortFunc(related, comparePositions)
	return related
}
