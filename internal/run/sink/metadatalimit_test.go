package sink

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka"
)

// Whatever the outcome of the deliveries in progress, and in whichever order, it fits into the metadata: with
// consecutive offsets, with gaps, with metadata of earlier runs, and with brokers that allow little metadata.
func TestMetadataNeverExceedTheirLimit(t *testing.T) {
	for seed := range uint64(16) {
		w := newMetadataWorld(seed)
		waiting := w.readRecords()
		var running [][]*item
		for len(waiting)+len(running) > 0 {
			waiting = slices.DeleteFunc(waiting, func(items []*item) bool { return len(items) == 0 })
			slices.SortFunc(waiting, func(a, b []*item) int { return cmp.Compare(a[0].offset, b[0].offset) })
			if len(waiting) > 0 && len(running) < w.lanes {
				result := w.start(t, waiting[0], len(running) == 0)
				if result == startOK {
					running = append(running, waiting[0])
					waiting = waiting[1:]
					continue
				}
				if result == startMetadataFull && len(running) == 0 { // as [dispatcher.split]
					items := waiting[0]
					require.True(t, len(items) != 1, "seed %d: no space for one row", seed)
					waiting = slices.Insert(waiting[1:], 0, items[:len(items)/2], items[len(items)/2:])
					continue
				}
			}
			if len(running) > 0 {
				n := w.random.IntN(len(running))
				items := running[n]
				running = slices.Delete(running, n, n+1)
				w.end(t, items)
			}
		}
		if open := len(w.ledger.partitions[w.tp].items); open != 0 || w.longest == 0 {
			t.Errorf("seed %d: %d records are open, the longest metadata had %d bytes", seed, open, w.longest)
		}
		isRoomy := w.gap == 1 && w.limit == kafka.MaxCommitText && len(w.earlier) == 0 && w.lanes == 8
		assert.True(t, !isRoomy || w.largest >= 1000, "seed %d: expected deliveries of 1,000 rows, the largest had %d",
			seed, w.largest)
	}
}

// A metadataWorld is a ledger of one partition, with offsets, earlier metadata and a limit at random.
type metadataWorld struct {
	seed    uint64
	random  *rand.Rand
	doubts  *InDoubtRecords
	ledger  ledger
	tp      topicPartition
	limit   int
	gap     int64
	lanes   int
	next    int64 // the committed offset
	earlier []offsetRange
	longest int // bytes of metadata
	largest int // rows of a delivery
}

func newMetadataWorld(seed uint64) *metadataWorld {
	r := rand.New(rand.NewPCG(seed, 3))
	w := &metadataWorld{seed: seed, random: r, doubts: &InDoubtRecords{}, tp: topicPartition{"t", 0}}
	w.limit = []int{kafka.MaxCommitText, kafka.MaxCommitText, 875, 175}[r.IntN(4)]
	w.gap = []int64{1, 1, 2, 1000}[r.IntN(4)]
	w.ledger = newLedger(w.doubts)
	w.ledger.apply(metadataLimited{w.limit})
	w.ledger.apply(assigned{map[string][]int32{"t": {0}}})
	w.next = r.Int64N(1 << 33)
	if r.IntN(2) == 0 {
		for n := range r.Int64N(40) {
			w.earlier = append(w.earlier, offsetRange{w.next + 40*n, w.next + 40*n + r.Int64N(30)})
		}
	}
	decided := r.IntN(4) == 0
	for n := int64(0); decided && n < 2000; n += 1 + r.Int64N(100) {
		offset := w.next + n
		if !containsRange(w.earlier, offsetRange{offset, offset}) {
			w.doubts.decide(recordID{"t", 0, offset}, errEarlier, 1, 0)
		}
	}
	if r.IntN(2) == 0 {
		w.doubts.MergeKnown("fabc,gdef,nxy123")
		w.doubts.add(recordID{"t", 0, w.next + 1_000_000}, errRelocated)
		w.doubts.setRelocated(w.tp, offsetRange{w.next, w.next + 1_000_000})
	}
	w.ledger.apply(offsetFetched{tp: w.tp, committed: w.next, settled: w.earlier})
	return w
}

// readRecords adds records to the ledger and returns their deliveries. The rows of a portion are assigned to lanes at
// random.
func (w *metadataWorld) readRecords() (deliveries [][]*item) {
	var records []*kgo.Record
	count := 6000
	if w.limit < kafka.MaxCommitText {
		count = 1000
	}
	for offset := w.next; len(records) < count; offset += 1 + w.random.Int64N(w.gap) {
		records = append(records, &kgo.Record{Topic: "t", Offset: offset})
	}
	items := w.ledger.apply(recordsRead{records}).items
	rows := make([]uint32, len(items))
	for i := range rows {
		rows[i] = uint32(i)
	}
	w.lanes = 1 + w.random.IntN(8)
	for _, portion := range w.ledger.portions(items, rows, w.lanes) {
		laneItems := make([][]*item, w.lanes)
		for _, row := range portion {
			lane := w.random.IntN(w.lanes)
			laneItems[lane] = append(laneItems[lane], items[row])
		}
		deliveries = append(deliveries, laneItems...)
	}
	return deliveries
}

// start starts a delivery if the metadata has space for it.
func (w *metadataWorld) start(t *testing.T, items []*item, isOnly bool) startResult {
	result := w.ledger.apply(deliveryStart{items: items, idle: isOnly}).start
	if result == startOK {
		w.largest = max(w.largest, len(items))
		for _, i := range items {
			w.doubts.useDecision(idOf(i.record))
		}
		w.ledger.apply(deliveryAnnounced{items: items, nonRepeatable: true})
		w.checkMetadata(t)
	}
	return result
}

// end ends a delivery. Some of its records are in doubt for a while.
func (w *metadataWorld) end(t *testing.T, items []*item) {
	for _, i := range items {
		if w.random.IntN(3) == 0 {
			w.doubts.add(idOf(i.record), errEarlier)
		}
	}
	w.ledger.apply(deliveryEnded{items: items, outcomeOpen: true})
	w.checkMetadata(t)
	w.doubts.removeSettled(w.ledger.apply(rowsSettled{items: items, written: true}).settled)
	w.checkMetadata(t)
}

// checkMetadata checks the size of the metadata that would be committed.
func (w *metadataWorld) checkMetadata(t *testing.T) {
	offsets := w.ledger.apply(commitStarted{}).offsets
	if o, ok := offsets["t"][0]; ok {
		w.next = o.Offset
	}
	text := w.ledger.apply(metadataRequested{tp: w.tp, next: w.next}).text
	w.longest = max(w.longest, len(text))
	require.True(t, len(text) <= w.limit,
		"seed %d, limit %d: metadata of %d bytes: %.300s", w.seed, w.limit, len(text), text)
}
