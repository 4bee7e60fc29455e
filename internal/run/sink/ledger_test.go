package sink

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// format returns the effects as text.
func (out effects) format() string {
	var parts []string
	for _, i := range out.items {
		parts = append(parts, fmt.Sprint(i.offset))
	}
	for _, i := range out.settled {
		parts = append(parts, fmt.Sprint("settled ", i.offset))
	}
	for _, p := range out.resets {
		parts = append(parts, fmt.Sprintf("set back to %d, %d dropped", p.offset, p.dropped))
	}
	for _, partitions := range out.offsets {
		for _, next := range partitions {
			parts = append(parts, fmt.Sprint("offset ", next.Offset))
		}
	}
	if len(out.revoked) > 0 {
		parts = append(parts, "left")
	}
	if out.ok {
		parts = append(parts, "yes")
	}
	if out.text != "" {
		parts = append(parts, out.text)
	}
	return strings.Join(append(parts, [...]string{"", "full", "theirs"}[out.start]), " ")
}

// TestLedgerEvents checks the effects of successive events of a partition with the records 0 to 5, of which an earlier
// task has settled the third.
func TestLedgerEvents(t *testing.T) {
	tp := topicPartition{"t", 0}
	partitions := map[string][]int32{"t": {0}}
	l := newLedger(&InDoubtRecords{})
	var items []*item
	itemsAt := func(offsets ...int) (selected []*item) {
		for _, n := range offsets {
			selected = append(selected, items[n])
		}
		return selected
	}
	read := func(offsets ...int64) (e recordsRead) {
		for _, n := range offsets {
			e.records = append(e.records, &kgo.Record{Topic: "t", Offset: n})
		}
		return e
	}
	var lastCommit effects
	for n, c := range []struct {
		event func() event
		want  string // the effects as [effects.format] returns them
	}{
		{func() event { return read(0) }, ""}, // not assigned yet
		{func() event { return assigned{partitions} }, ""},
		{func() event { return offsetFetched{tp: tp, committed: 0, settled: []offsetRange{{2, 2}}} }, ""},
		{func() event { return read(0, 1, 2, 3, 4, 5) }, "0 1 3 4 5"},
		{func() event { return encodingStarted{items} }, "yes"},
		{func() event { return commitStarted{} }, "offset 0"},
		{func() event { return metadataRequested{tp: tp, next: 1} }, ""}, // not the offset that was accepted
		{func() event { return metadataRequested{tp: tp, next: 0} }, "yes settled=2"},
		{func() event { return commitSucceeded{lastCommit.offsets, lastCommit.number} }, "yes"},
		{func() event { return encodingStarted{items} }, ""},
		{func() event { return rowsTransformed{{items[0], 2, 2}} }, ""},
		{func() event { return deliveryStart{items: itemsAt(0, 1), idle: true} }, ""},
		{func() event { return deliveryAnnounced{items: itemsAt(0, 1), nonRepeatable: true} }, ""},
		{func() event { return commitStarted{} }, "offset 0"},
		{func() event { return metadataRequested{tp: tp, next: 0} }, "yes sent=0-1 settled=2"},
		{func() event { return commitFailed{lastCommit.offsets} }, ""},
		{func() event { return rowsSettled{items: itemsAt(1), written: true} }, "settled 1"},
		{func() event { return rowRejected{items[0], 1, FailedRecord{}} }, ""},
		{func() event { return rowsSettled{items: itemsAt(0), written: true} }, "0"}, // its dead letter is due
		{func() event { return deliveryEnded{items: itemsAt(0, 1), outcomeOpen: true} }, ""},
		{func() event { return commitStarted{} }, "offset 0"},
		{func() event { return metadataRequested{tp: tp, next: 0} }, "yes sent=0 settled=1-2"}, // a row of 0 is written
		{func() event { return deadLetterStored{items[0]} }, "settled 0"},
		{func() event { return commitSucceeded{lastCommit.offsets, lastCommit.number} }, "yes"},
		{func() event { return rowsTransformed{{items[2], 0, 0}} }, ""}, // the transforms drop it
		{func() event { return commitStarted{} }, "offset 4"},
		{func() event { return deliveryStart{items: itemsAt(3, 4), idle: true} }, ""},
		{func() event { return deliveryAnnounced{items: itemsAt(3), nonRepeatable: true} }, ""}, // but is never sent
		{func() event { return deliveryAnnounced{items: itemsAt(4), nonRepeatable: true} }, ""},
		{func() event { return deliverySent{itemsAt(4)} }, "yes"},
		{func() event { return revoking{partitions} }, ""},
		{func() event { return deliverySent{itemsAt(3)} }, ""},
		{func() event { return metadataRequested{tp: tp, next: 4} }, "yes sent=0-1"}, // a request may be in progress
		{func() event { return deliveryEnded{items: itemsAt(4), sent: true} }, ""},
		{func() event { return metadataRequested{tp: tp, next: 4} }, "yes"}, // the announced delivery was not sent
		{func() event { return deliveryStart{items: itemsAt(3), idle: true} }, "theirs"},
		{func() event { return revoked{partitions: partitions} }, "offset 4 left"},
		{func() event { return assigned{partitions} }, ""},
		{func() event { return commitSucceeded{lastCommit.offsets, lastCommit.number} }, "yes"}, // of the last one
		{func() event { return offsetFetched{tp: tp, committed: 4} }, ""},
		{func() event { return read(4, 5) }, "4 5"},
		{func() event { return deliveryStart{items: items, idle: true} }, "theirs"},
		{func() event { return read(1) }, "1 set back to 1, 2 dropped"},
		{func() event { return commitStarted{} }, "offset 1"},
	} {
		e := c.event()
		out := l.apply(e)
		diff := cmp.Diff(c.want, strings.TrimSpace(out.format()))
		assert.True(t, diff == "", "event %d, %T: (-expected +found)\n%s", n, e, diff)
		switch e.(type) {
		case recordsRead:
			items = append(items, out.items...)
		case commitStarted:
			lastCommit = out
		}
	}
}

// recordState is the state of a record in a model of a partition.
type recordState struct {
	read    bool
	settled bool
	doubt   bool
	// requested: a delivery with it has started. sent: it must not be sent twice, is announced and not settled.
	requested bool
	sent      bool
}

// modelLedger is a ledger of one partition next to a model of it, which tracks each record separately.
type modelLedger struct {
	*rand.Rand
	t      *testing.T
	l      ledger
	doubts *InDoubtRecords
	tp     topicPartition
	states []recordState // by offset
	items  []*item       // read, and in no delivery
	// deliveries are in progress.
	deliveries [][]*item
	// A commit is in progress if isCommitting. It has started with commitSeq, commit is its offset and metadata, and
	// commitStates are the states of the records at that time. stored and storedStates are the same of the last commit
	// that may be stored.
	isCommitting bool
	commit       commitEntry
	commitSeq    int
	commitStates []recordState
	stored       commitEntry
	storedStates []recordState
}

// restart starts an assignment from the last stored commit, as after a kill: its metadata must agree with the events
// until it was made.
func (m *modelLedger) restart() {
	meta, err := parseMetadata(m.stored.offset, m.stored.metadata)
	require.NoError(m.t, err)
	isIn := func(ranges []offsetRange, offset int) bool {
		return containsRange(ranges, offsetRange{int64(offset), int64(offset)})
	}
	for offset, state := range m.storedStates {
		settled := isIn(meta.settled, offset) || int64(offset) < m.stored.offset
		inDoubt := isIn(meta.inFlight, offset) || isIn(meta.inDoubt, offset)
		switch {
		case settled && !state.settled, state.settled && state.requested && !settled,
			state.sent && !inDoubt && !state.settled,
			isIn(meta.inDoubt, offset) && !state.doubt, settled && inDoubt && int64(offset) >= m.stored.offset:
			m.t.Fatalf("record %d is %+v, and %d with %q is stored", offset, state, m.stored.offset, m.stored.metadata)
		}
	}
	m.doubts = &InDoubtRecords{}
	m.l = newLedger(m.doubts)
	m.items = nil
	m.deliveries = nil
	m.isCommitting = false
	m.l.limit = 400
	for offset := range m.states {
		inDoubt := isIn(meta.inFlight, offset) || isIn(meta.inDoubt, offset)
		settled := isIn(meta.settled, offset) || int64(offset) < m.stored.offset
		m.states[offset] = recordState{settled: settled, requested: settled, doubt: inDoubt,
			read: int64(offset) < m.stored.offset}
		if inDoubt { // the operator leaves the decision to the task
			m.doubts.add(recordID{"t", 0, int64(offset)}, errEarlier)
		}
	}
	m.l.apply(assigned{map[string][]int32{"t": {0}}})
	m.l.apply(offsetFetched{tp: m.tp, committed: m.stored.offset, settled: meta.settled,
		mustStore: len(meta.inFlight) > 0})
}

func (m *modelLedger) read() {
	var e recordsRead
	var want []int64
	maxRecords := 1 + m.IntN(8)
	for offset := range m.states {
		if state := &m.states[offset]; !state.read && len(e.records) < maxRecords {
			e.records = append(e.records, &kgo.Record{Topic: "t", Offset: int64(offset)})
			state.read = true
			if !state.settled {
				want = append(want, int64(offset))
			}
		}
	}
	var got []int64
	for _, i := range m.l.apply(e).items {
		got = append(got, i.offset)
		m.items = append(m.items, i)
	}
	require.Equal(m.t, want, got, "records to be written")
}

func (m *modelLedger) startDelivery() {
	m.Shuffle(len(m.items), func(a, b int) { m.items[a], m.items[b] = m.items[b], m.items[a] })
	items := slices.Clone(m.items[:min(len(m.items), 1+m.IntN(5))])
	start := deliveryStart{items: items, idle: len(m.deliveries) == 0 && len(items) == 1}
	if len(items) == 0 || m.l.apply(start).start != startOK {
		return
	}
	m.items = m.items[len(items):]
	m.deliveries = append(m.deliveries, items)
	m.l.apply(deliveryAnnounced{items: items, nonRepeatable: true})
	for _, i := range items {
		m.states[i.offset].requested = true
		m.states[i.offset].sent = true
	}
}

func (m *modelLedger) endDelivery() {
	if len(m.deliveries) == 0 {
		return
	}
	n := m.IntN(len(m.deliveries))
	items := m.deliveries[n]
	m.deliveries = slices.Delete(m.deliveries, n, n+1)
	for _, i := range items {
		state := &m.states[i.offset]
		state.sent = false
		switch m.IntN(4) {
		case 0: // to be sent again
			m.items = append(m.items, i)
		case 1:
			m.doubts.add(idOf(i.record), errEarlier)
			m.l.apply(inDoubtChanged{i})
			state.doubt = true
			m.items = append(m.items, i)
		default:
			state.settled = true
			state.doubt = false
			m.doubts.removeSettled(m.l.apply(rowsSettled{items: []*item{i}, written: true}).settled)
		}
	}
	m.l.apply(deliveryEnded{items: items, outcomeOpen: true})
}

// startOrEndCommit starts a commit, or ends the one in progress.
func (m *modelLedger) startOrEndCommit() {
	if m.isCommitting {
		m.isCommitting = false
		offsets := map[string]map[int32]kgo.EpochOffset{"t": {0: {Offset: m.commit.offset}}}
		if m.IntN(3) == 0 {
			m.l.apply(commitFailed{offsets})
		} else {
			m.l.apply(commitSucceeded{offsets, m.commitSeq})
			require.True(m.t, m.l.isDurable(m.commitSeq), "the deliveries announced before the commit are not stored")
		}
		// may be stored although the response was lost
		m.stored = m.commit
		m.storedStates = m.commitStates
		return
	}
	out := m.l.apply(commitStarted{})
	next, ok := out.offsets["t"][0]
	if !ok {
		return
	}
	stored := m.l.apply(metadataRequested{tp: m.tp, next: next.Offset})
	firstUnsettled := slices.IndexFunc(m.states, func(f recordState) bool { return !f.settled })
	if !stored.ok || len(stored.text) > m.l.limit || (next.Offset > int64(firstUnsettled) && firstUnsettled >= 0) {
		m.t.Fatalf("offset %d with %q is committed, and %d is not settled", next.Offset, stored.text, firstUnsettled)
	}
	m.commit = commitEntry{offset: next.Offset, metadata: stored.text}
	m.commitSeq = out.number
	m.isCommitting = true
	m.commitStates = slices.Clone(m.states)
}

// TestLedgerSchedules checks that, whatever happens in whichever order, also with a kill at any time, a record is read
// again until it is settled, the metadata agree with the events, and they fit.
func TestLedgerSchedules(t *testing.T) {
	for seed := range uint64(300) {
		m := &modelLedger{Rand: rand.New(rand.NewPCG(seed, 21)), t: t, tp: topicPartition{"t", 0},
			states: make([]recordState, 120)}
		m.restart()
		for range 400 {
			switch m.IntN(40) {
			case 0:
				m.restart()
			case 1, 2, 3, 4, 5, 6:
				m.read()
			case 7, 8, 9, 10, 11, 12:
				m.startOrEndCommit()
			default:
				if m.IntN(2) == 0 {
					m.startDelivery()
				} else {
					m.endDelivery()
				}
			}
		}
	}
}
