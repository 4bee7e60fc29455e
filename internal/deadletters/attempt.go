package deadletters

import (
	"maps"
	"math"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/task"
)

// replayIndex is the index of the letters from which a replay selects, as they are when it begins.
type replayIndex struct {
	*deadLetterIndex
	rows    map[Position]task.RowSubset // of letters about a part of the rows of their records
	texts   map[Position]bool           // letters whose texts match a filter by error
	running *runningReplay              // bounds the letters of all replays
	// mayMatch is set if a filter may select one of the letters, whatever the states are.
	mayMatch bool
}

func newReplayIndex(running *runningReplay) *replayIndex {
	index := &replayIndex{deadLetterIndex: newIndex(), rows: map[Position]task.RowSubset{}, texts: map[Position]bool{},
		running: running}
	index.limit = math.MaxInt // running bounds the letters instead
	return index
}

// add adds a letter to select by a filter. Call update after the last one.
func (r *replayIndex) add(l *Letter, filter *Filter) error {
	if err := r.running.reserve(indexedLetterBytes); err != nil {
		return err
	}
	if !l.Rows.IsAll() {
		r.rows[l.position()] = l.Rows
	}
	isNamed := filter.Positions == nil || filter.Positions[l.position()]
	matchesText := filter.matchesText(l)
	r.mayMatch = r.mayMatch || (isNamed && matchesText && (filter.Cause == "" || filter.Cause == l.CauseID()))
	if filter.Error != "" && matchesText {
		r.texts[l.position()] = true
	}
	r.deadLetterIndex.add(l)
	return nil
}

// update derives the originals with the states of all partitions.
func (r *replayIndex) update(partitions map[int32]*partitionReplay) {
	states := map[int32]replayState{}
	for partition, p := range partitions {
		states[partition] = p.state.clone()
	}
	r.deadLetterIndex.update(kafka.Positions{}, states) // no starts: the letters were just read, so they exist
}

// matching returns the newest letters of the originals that show and the filter of all letters select.
func (r *replayIndex) matching(show string, filter *Filter) map[Position]bool {
	selected := maps.Collect(r.selected(show, filter))
	maps.DeleteFunc(selected, func(p Position, _ bool) bool { return filter.Error != "" && !r.texts[p] })
	return selected
}

// attempt describes the next attempt of an original.
type attempt struct {
	rows            task.RowSubset // the rows that failed in all open letters
	isContradictory bool           // open letters are about different numbers of rows
	replays         int            // the number of replays with this one
	inDoubt         bool           // an earlier replay may have written rows
	valueDigest     string         // of the other value that it may have written; "" means the letter's own value
}

// nextAttempt derives the next attempt from the letters of an original, the last letter first. A letter is no longer in
// doubt if a later letter has more replays: the replay of the former was rejected. A row of a source that was read
// several times is sent as it failed after the last read, because later rows of its key may have been delivered in
// between.
func (r *replayIndex) nextAttempt(original originalID) (a attempt) {
	isOfEarlierRead := false
	for l := range r.lettersOf(original) {
		state := r.states[l.partition]
		a.replays = max(a.replays, int(l.replays)+1)
		if digest, ok := state.inDoubt[l.offset]; ok && a.replays == int(l.replays)+1 {
			a.inDoubt = true
			a.valueDigest = max(a.valueDigest, digest) // any digest is greater than ""
		}
		if r.isSettled(l) || isOfEarlierRead {
			continue
		}
		isOfEarlierRead = l.isRow && l.replays == 0 // then the letters before this one are of earlier reads
		common, ok := a.rows.Intersect(r.rows[l.position()])
		a.rows = common
		a.isContradictory = a.isContradictory || !ok
	}
	return a
}
