package connect

import (
	"math"
	"slices"

	"github.com/culvert-project/culvert/internal/kafka"
	core "github.com/culvert-project/culvert/internal/run/task"
)

// replayIndex is the index of the letters from which a replay selects, as they are when it begins.
type replayIndex struct {
	*deadLetterIndex
	rows    map[DeadLetterPosition]core.RowSubset // of letters about a part of the rows of their records
	replays *replayRegistry                       // bounds the letters of all replays
}

func newReplayIndex(replays *replayRegistry) *replayIndex {
	index := &replayIndex{deadLetterIndex: newDeadLetterIndex(), rows: map[DeadLetterPosition]core.RowSubset{},
		replays: replays}
	index.limit = math.MaxInt
	return index
}

// close returns the memory of the letters to the registry.
func (r *replayIndex) close() { r.replays.release(int64(len(r.letters)) * indexedLetterBytes) }

// add adds a letter. Call update after the last one.
func (r *replayIndex) add(l *DeadLetter) error {
	if err := r.replays.reserve(indexedLetterBytes); err != nil {
		return err
	}
	if !l.Rows.IsAll() {
		r.rows[l.position()] = l.Rows
	}
	r.deadLetterIndex.add(l)
	return nil
}

// setLocated sets the letters of an index without rows. Call update afterwards.
func (r *replayIndex) setLocated(letters []trackedDeadLetter) error {
	err := r.replays.reserve(int64(len(letters)) * indexedLetterBytes)
	if err == nil {
		r.letters = slices.Clone(letters)
	}
	return err
}

// update derives the originals with the states of all partitions.
func (r *replayIndex) update(partitions map[int32]*partitionReplay) {
	states := map[int32]replayState{}
	for partition, p := range partitions {
		states[partition] = p.state.clone()
	}
	r.deadLetterIndex.update(kafka.Positions{}, states)
}

// represents reports whether a letter is the newest one of its original. A replay sends no other letter of it.
func (r *replayIndex) represents(l *DeadLetter) bool {
	original := l.recordID().original()
	_, ok := r.originals[original]
	return ok && r.newest(original).position() == l.position()
}

// attempt describes the next attempt of an original.
type attempt struct {
	rows            core.RowSubset // the rows that failed in all open letters
	isContradictory bool           // open letters are about different numbers of rows
	replays         int            // the number of replays with this one
	inDoubt         bool           // an earlier replay may have written rows
	valueDigest     string         // of the other value that it may have written; "" means the letter's own value
}

// attempt derives the next attempt from the letters of an original. A letter is no longer in doubt if a later letter
// has more replays: the replay of the former was rejected. A row of a source that was read several times is sent as it
// failed after the last read, because later rows of its key may have been delivered in between.
func (r *replayIndex) attempt(original originalID) (a attempt) {
	isOfEarlierRead := false
	for l := range r.deadLettersOf(original) {
		state := r.states[l.partition]
		a.replays = max(a.replays, int(l.replays)+1)
		if digest, ok := state.inDoubt[l.offset]; ok && a.replays == int(l.replays)+1 {
			a.inDoubt = true
			a.valueDigest = max(a.valueDigest, digest)
		}
		if r.isSettled(l) || isOfEarlierRead {
			continue
		}
		isOfEarlierRead = l.isRow && l.replays == 0
		common, ok := a.rows.Intersect(r.rows[l.position()])
		a.rows = common
		a.isContradictory = a.isContradictory || !ok
	}
	return a
}
