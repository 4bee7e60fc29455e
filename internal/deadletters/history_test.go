package deadletters

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/run/task"
)

// letterHistory is a dead letter topic with two partitions and the letters of one record, next to a model: which of
// them are settled. A letter's value is its time, as if each retry edited it.
type letterHistory struct {
	t      *testing.T
	events []string
	states [2]replayState
	model  []modelLetter
}

type modelLetter struct {
	*Letter
	isSettled bool
}

// crash is where a process ends while it settles letters.
type crash int

const (
	noCrash           crash = iota
	beforeAnyState          // nothing is stored
	beforeOwnState          // the states of other partitions are stored
	afterTaskHasAdded       // no crash, but a task writes a letter before the states are stored
)

// write adds a letter, as a task and a refused retry do. The record is read again if offsets were set back.
func (h *letterHistory) write(partition int32, replays int) {
	letter := newDeadLetter(1, "a", replays, task.RowSubset{})
	letter.Record.Partition = partition
	letter.Record.Offset = int64(len(h.model))
	letter.FailedAt = time.Unix(int64(len(h.model)), 0)
	h.model = append(h.model, modelLetter{Letter: letter})
}

// newestOpen returns the index of the last open letter of the model, or -1.
func (h *letterHistory) newestOpen() int {
	for i := len(h.model) - 1; i >= 0; i-- {
		if !h.model[i].isSettled {
			return i
		}
	}
	return -1
}

// open builds the index of a replay.
func (h *letterHistory) open() (*replayIndex, map[int32]*partitionReplay) {
	index := newReplayIndex(nil)
	replays := map[int32]*partitionReplay{}
	c := &connectorReplay{index: index, partitions: replays, request: Request{DryRun: true}}
	for partition := range int32(len(h.states)) {
		replays[partition] = &partitionReplay{connectorReplay: c, partition: partition,
			state: h.states[partition].clone()}
	}
	for _, l := range h.model {
		require.NoError(h.t, index.add(l.Letter, &Filter{}))
	}
	index.update(replays)
	return index, replays
}

// replay sends the record if it is open. refusedIn is the partition of the next letter, or -1 if it is delivered.
func (h *letterHistory) replay(refusedIn int32, c crash) {
	_, replays := h.open()
	newest := h.newestOpen()
	if newest < 0 {
		return
	}
	sent := h.model[newest].Letter
	existing := len(h.model)
	if refusedIn >= 0 {
		h.write(refusedIn, sent.Replays+1)
	}
	if c == afterTaskHasAdded {
		h.write(sent.Record.Partition, 0)
	}
	if c == beforeAnyState {
		return
	}
	sender := replays[sent.Record.Partition]
	state := sender.state.clone()
	require.NoError(h.t, sender.settle(h.t.Context(), &state, []*Letter{sent}))
	if c != beforeOwnState {
		sender.state = state
	}
	for partition, p := range replays {
		h.states[partition] = p.state
	}
	for i := range h.model[:existing] {
		if c != beforeOwnState || h.model[i].Record.Partition != sent.Record.Partition {
			h.model[i].isSettled = true
		}
	}
}

// discard settles the letters in the first partitions, all if there is no crash.
func (h *letterHistory) discard(partitions int32) {
	newest := h.newestOpen()
	if newest < 0 {
		return
	}
	index, _ := h.open()
	selected := index.newestOf(map[Position]bool{h.model[newest].position(): true})
	letters := index.related(selected)
	for _, l := range letters {
		if l.Partition < partitions {
			h.states[l.Partition].markSettled(l.Offset, l.Offset)
			h.model[l.Offset].isSettled = true
		}
	}
}

// check compares the index with the model.
func (h *letterHistory) check() {
	index, _ := h.open()
	if len(h.model) == 0 {
		return
	}
	newest := h.newestOpen()
	original := h.model[0].recordID().original()
	found := index.letters[index.originals[original].newest].offset
	if isOpen := index.isOpen(original); isOpen != (newest >= 0) || (isOpen && found != int64(newest)) {
		h.t.Fatalf("%s: expected the newest open letter %d, found open: %t, letter %d", strings.Join(h.events, ", "),
			newest, isOpen, found)
	}
	for i, l := range h.model {
		if state := h.states[l.Record.Partition]; state.isSettled(int64(i)) != l.isSettled {
			h.t.Fatalf("%s: letter %d: expected settled: %t", strings.Join(h.events, ", "), i, l.isSettled)
		}
	}
}

// letterEvents are what may happen to the letters of a record.
var letterEvents = map[string]func(*letterHistory){
	"the task writes to 0":                   func(h *letterHistory) { h.write(0, 0) },
	"the task writes to 1":                   func(h *letterHistory) { h.write(1, 0) },
	"delivered":                              func(h *letterHistory) { h.replay(-1, noCrash) },
	"delivered, crash":                       func(h *letterHistory) { h.replay(-1, beforeAnyState) },
	"delivered, crash between partitions":    func(h *letterHistory) { h.replay(-1, beforeOwnState) },
	"delivered while the task writes":        func(h *letterHistory) { h.replay(-1, afterTaskHasAdded) },
	"refused in 0":                           func(h *letterHistory) { h.replay(0, noCrash) },
	"refused in 1":                           func(h *letterHistory) { h.replay(1, noCrash) },
	"refused in 1, crash":                    func(h *letterHistory) { h.replay(1, beforeAnyState) },
	"refused in 0, crash between partitions": func(h *letterHistory) { h.replay(0, beforeOwnState) },
	"discarded":                              func(h *letterHistory) { h.discard(2) },
	"discarded, crash between partitions":    func(h *letterHistory) { h.discard(1) },
}

// In all short histories of a record's letters in two partitions, the record is open exactly while it has a letter that
// was not settled: what is written after the last settlement is never hidden, and what was settled is not sent again. A
// crash between two partitions leaves the letter open that was sent, or a newer one.
func TestHistoriesOfLetters(t *testing.T) {
	t.Parallel()
	const maxEvents = 4
	count := 0
	var extend func(letterHistory)
	extend = func(h letterHistory) {
		for name, apply := range letterEvents {
			next := letterHistory{t: t, events: append(slices.Clone(h.events), name), model: slices.Clone(h.model)}
			for partition := range h.states {
				next.states[partition] = h.states[partition].clone()
			}
			apply(&next)
			next.check()
			count++
			if len(next.events) < maxEvents {
				extend(next)
			}
		}
	}
	extend(letterHistory{})
	n := len(letterEvents)
	assert.True(t, count == n+n*n+n*n*n+n*n*n*n, "%v", "expected all histories, found "+strconv.Itoa(count))
}
