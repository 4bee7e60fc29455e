package sink

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// format returns the effects as text.
func (out effects) format() string {
	var parts []string
	for _, i := range out.items {
		parts = append(parts, fmt.Sprint(i.offset))
	}
	for _, at := range out.settled {
		parts = append(parts, fmt.Sprint("settled ", at.offset))
	}
	for _, p := range out.resets {
		parts = append(parts, fmt.Sprintf("set back to %d, %d dropped", p.offset, p.dropped))
	}
	for _, partitions := range out.offsets {
		for _, at := range partitions {
			parts = append(parts, fmt.Sprint("offset ", at.Offset))
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
	at := topicPartition{"t", 0}
	owned := map[string][]int32{"t": {0}}
	l := newLedger(&InDoubtRecords{})
	var items []*item
	of := func(offsets ...int) (more []*item) {
		for _, n := range offsets {
			more = append(more, items[n])
		}
		return more
	}
	read := func(offsets ...int64) (e recordsRead) {
		for _, n := range offsets {
			e.records = append(e.records, &kgo.Record{Topic: "t", Offset: n})
		}
		return e
	}
	var accepted effects
	for n, c := range []struct {
		event func() event
		want  string
	}{
		{func() event { return read(0) }, ""}, // not assigned yet
		{func() event { return assigned{owned} }, ""},
		{func() event { return offsetFetched{tp: at, committed: 0, settled: []offsetRange{{2, 2}}} }, ""},
		{func() event { return read(0, 1, 2, 3, 4, 5) }, "0 1 3 4 5"},
		{func() event { return encodingStarted{items} }, "yes"},
		{func() event { return commitStarted{} }, "offset 0"},
		{func() event { return metadataRequested{tp: at, next: 1} }, ""}, // not the offset that was accepted
		{func() event { return metadataRequested{tp: at, next: 0} }, "yes settled=2"},
		{func() event { return commitSucceeded{accepted.offsets, accepted.number} }, "yes"},
		{func() event { return encodingStarted{items} }, ""},
		{func() event { return rowsTransformed{items[0], 2, 2} }, ""},
		{func() event { return deliveryStart{of(0, 1), true} }, ""},
		{func() event { return deliveryAnnounced{of(0, 1), true} }, ""},
		{func() event { return commitStarted{} }, "offset 0"},
		{func() event { return metadataRequested{tp: at, next: 0} }, "yes sent=0-1 settled=2"},
		{func() event { return commitFailed{accepted.offsets} }, ""},
		{func() event { return rowsSettled{of(1), true} }, "settled 1"},
		{func() event { return rowRejected{items[0], 1, FailedRecord{}} }, ""},
		{func() event { return rowsSettled{of(0), true} }, "0"}, // its dead letter is due
		{func() event { return outcomeKnown{of(0, 1)} }, ""},
		{func() event { return deliveryEnded{of(0, 1)} }, ""},
		{func() event { return commitStarted{} }, "offset 0"},
		{func() event { return metadataRequested{tp: at, next: 0} }, "yes sent=0 settled=1-2"}, // a row of 0 is written
		{func() event { return deadLetterStored{items[0]} }, "settled 0"},
		{func() event { return commitSucceeded{accepted.offsets, accepted.number} }, "yes"},
		{func() event { return rowsTransformed{items[2], 0, 0} }, ""}, // the transforms drop it
		{func() event { return commitStarted{} }, "offset 4"},
		{func() event { return deliveryAnnounced{of(3), true} }, ""}, // but is never sent
		{func() event { return deliveryAnnounced{of(4), true} }, ""},
		{func() event { return inFlightChanged{of(4), 1} }, "yes"},
		{func() event { return revoking{owned} }, ""},
		{func() event { return inFlightChanged{of(3), 1} }, ""},
		{func() event { return metadataRequested{tp: at, next: 4} }, "yes sent=0-1"}, // a request may be in progress
		{func() event { return inFlightChanged{of(4), -1} }, "yes"},
		{func() event { return metadataRequested{tp: at, next: 4} }, "yes"}, // the announced delivery was not sent
		{func() event { return deliveryStart{of(3), true} }, "theirs"},
		{func() event { return revoked{owned, false} }, "offset 4 left"},
		{func() event { return assigned{owned} }, ""},
		{func() event { return commitSucceeded{accepted.offsets, accepted.number} }, "yes"}, // of the former assignment
		{func() event { return offsetFetched{tp: at, committed: 4} }, ""},
		{func() event { return read(4, 5) }, "4 5"},
		{func() event { return deliveryStart{items, true} }, "theirs"},
		{func() event { return read(1) }, "1 set back to 1, 2 dropped"},
		{func() event { return commitStarted{} }, "offset 1"},
	} {
		e := c.event()
		out := l.apply(e)
		if diff := cmp.Diff(c.want, strings.TrimSpace(out.format())); diff != "" {
			t.Errorf("event %d, %T: (-expected +found)\n%s", n, e, diff)
		}
		switch e.(type) {
		case recordsRead:
			items = append(items, out.items...)
		case commitStarted:
			accepted = out
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

// modelled is a ledger of one partition next to a model of it, which tracks each record separately.
type modelled struct {
	*rand.Rand
	t      *testing.T
	l      ledger
	doubts *InDoubtRecords
	at     topicPartition
	fates  []recordState
	items  []*item   // read, and in no delivery
	begun  [][]*item // deliveries in progress
	// taken is a commit in progress, by what was announced before, with its metadata and record states.
	taken    commitEntry
	stored   commitEntry
	underWay bool
	number   int
	then     []recordState
	last     []recordState
}

// start starts an assignment from the last stored commit, as after a kill: its metadata must agree with the events
// until it was made.
func (m *modelled) start() {
	n, err := parseMetadata(m.stored.offset, m.stored.metadata)
	if err != nil {
		m.t.Fatal(err)
	}
	in := func(ranges []offsetRange, at int) bool {
		return containsRange(ranges, offsetRange{int64(at), int64(at)})
	}
	for at, f := range m.last {
		settled := in(n.settled, at) || int64(at) < m.stored.offset
		inDoubt := in(n.inFlight, at) || in(n.inDoubt, at)
		switch {
		case settled && !f.settled, f.settled && f.requested && !settled, f.sent && !inDoubt && !f.settled,
			in(n.inDoubt, at) && !f.doubt, settled && inDoubt && int64(at) >= m.stored.offset:
			m.t.Fatalf("record %d is %+v, and %d with %q is stored", at, f, m.stored.offset, m.stored.metadata)
		}
	}
	m.doubts = &InDoubtRecords{}
	m.l = newLedger(m.doubts)
	m.items = nil
	m.begun = nil
	m.underWay = false
	m.l.limit = 400
	for at := range m.fates {
		inDoubt := in(n.inFlight, at) || in(n.inDoubt, at)
		settled := in(n.settled, at) || int64(at) < m.stored.offset
		m.fates[at] = recordState{settled: settled, requested: settled, doubt: inDoubt,
			read: int64(at) < m.stored.offset}
		if inDoubt { // the operator leaves the decision to the task
			m.doubts.add(recordID{"t", 0, int64(at)}, errEarlier)
		}
	}
	m.l.apply(assigned{map[string][]int32{"t": {0}}})
	m.l.apply(offsetFetched{tp: m.at, committed: m.stored.offset, settled: n.settled, mustStore: len(n.inFlight) > 0})
}

func (m *modelled) read() {
	var e recordsRead
	var want []int64
	most := 1 + m.IntN(8)
	for at := range m.fates {
		if f := &m.fates[at]; !f.read && len(e.records) < most {
			e.records = append(e.records, &kgo.Record{Topic: "t", Offset: int64(at)})
			if f.read = true; !f.settled {
				want = append(want, int64(at))
			}
		}
	}
	var found []int64
	for _, i := range m.l.apply(e).items {
		found = append(found, i.offset)
		m.items = append(m.items, i)
	}
	if diff := cmp.Diff(want, found); diff != "" {
		m.t.Fatalf("records to be written: (-expected +found)\n%s", diff)
	}
}

func (m *modelled) begin() {
	m.Shuffle(len(m.items), func(a, b int) { m.items[a], m.items[b] = m.items[b], m.items[a] })
	more := slices.Clone(m.items[:min(len(m.items), 1+m.IntN(5))])
	if len(more) == 0 || m.l.apply(deliveryStart{more, len(m.begun) == 0 && len(more) == 1}).start != startOK {
		return
	}
	m.items = m.items[len(more):]
	m.begun = append(m.begun, more)
	m.l.apply(deliveryAnnounced{more, true})
	for _, i := range more {
		m.fates[i.offset].requested = true
		m.fates[i.offset].sent = true
	}
}

func (m *modelled) end() {
	if len(m.begun) == 0 {
		return
	}
	n := m.IntN(len(m.begun))
	more := m.begun[n]
	m.begun = slices.Delete(m.begun, n, n+1)
	for _, i := range more {
		f := &m.fates[i.offset]
		f.sent = false
		switch m.IntN(4) {
		case 0: // to be sent again
			m.items = append(m.items, i)
		case 1:
			m.doubts.add(idOf(i.record), errEarlier)
			m.l.apply(inDoubtChanged{i})
			f.doubt = true
			m.items = append(m.items, i)
		default:
			f.settled = true
			f.doubt = false
			for _, at := range m.l.apply(rowsSettled{[]*item{i}, true}).settled {
				m.doubts.remove(at)
			}
		}
	}
	m.l.apply(outcomeKnown{more})
	m.l.apply(deliveryEnded{more})
}

// commit takes offsets to commit, or ends a commit in progress.
func (m *modelled) commit() {
	if m.underWay {
		m.underWay = false
		offsets := map[string]map[int32]kgo.EpochOffset{"t": {0: {Offset: m.taken.offset}}}
		if m.IntN(3) == 0 {
			m.l.apply(commitFailed{offsets})
		} else {
			m.l.apply(commitSucceeded{offsets, m.number})
			if !m.l.isDurable(m.number) {
				m.t.Fatal("the deliveries announced before the commit are not stored")
			}
		}
		// may be stored although the response was lost
		m.stored = m.taken
		m.last = m.then
		return
	}
	out := m.l.apply(commitStarted{})
	at, ok := out.offsets["t"][0]
	if !ok {
		return
	}
	retryAfter := m.l.apply(metadataRequested{tp: m.at, next: at.Offset})
	first := slices.IndexFunc(m.fates, func(f recordState) bool { return !f.settled })
	if !retryAfter.ok || len(retryAfter.text) > m.l.limit || (at.Offset > int64(first) && first >= 0) {
		m.t.Fatalf("offset %d with %q is committed, and %d is not settled", at.Offset, retryAfter.text, first)
	}
	m.taken = commitEntry{offset: at.Offset, metadata: retryAfter.text}
	m.number = out.number
	m.underWay = true
	m.then = slices.Clone(m.fates)
}

// TestLedgerSchedules checks that, whatever happens in whichever order, also with a kill at any time, a record is read
// again until it is settled, the metadata agree with the events, and they fit.
func TestLedgerSchedules(t *testing.T) {
	for seed := range uint64(300) {
		m := &modelled{Rand: rand.New(rand.NewPCG(seed, 21)), t: t, at: topicPartition{"t", 0},
			fates: make([]recordState, 120)}
		m.start()
		for range 400 {
			switch m.IntN(40) {
			case 0:
				m.start()
			case 1, 2, 3, 4, 5, 6:
				m.read()
			case 7, 8, 9, 10, 11, 12:
				m.commit()
			default:
				if m.IntN(2) == 0 {
					m.begin()
				} else {
					m.end()
				}
			}
		}
	}
}
