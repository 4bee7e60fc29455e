package deadletters

import (
	"cmp"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// clockTolerance is how much the clocks of brokers and workers may differ: a record whose time is less than this before
// the letter's may be newer. Such a record supersedes the letter, which users can send anyway.
const clockTolerance = 2 * time.Second

// timeComparison finds out which letters of a source are older than records of the topics that it writes. A letter has
// no position in the topic, so times decide: the time of the row, or of its failure if that is earlier. A record with
// the same contents is not newer: an earlier replay may have sent it before a crash. A record without a key overwrites
// nothing.
type timeComparison struct {
	scan    *topicScan
	records map[Position][]rowRecord // that letters become
	newest  map[recordID]newestRow   // by key of these records
	sent    map[recordID]rowOrder    // of the letters that were sent, by contents of their records
}

func (t *timeComparison) watch(l *Letter, topic string, key, value []byte) {
	if key == nil || !t.scan.reserve(watchedRowBytes) {
		return
	}
	t.scan.topic(topic).readSince(orderOf(l).time().Add(-clockTolerance))
	record := newRowRecord(topic, key, value)
	t.records[l.position()] = append(t.records[l.position()], record)
	if _, ok := t.newest[record.key]; !ok {
		t.newest[record.key] = newestRow{}
	}
}

func (t *timeComparison) add(r *kgo.Record) {
	if r.Key == nil {
		return
	}
	record := newRowRecord(r.Topic, r.Key, r.Value)
	newest, ok := t.newest[record.key]
	if !ok {
		return
	}
	order, ok := t.sent[record.content]
	if !ok { // not sent by this replay: after all rows of its time
		order = rowOrder{millis: r.Timestamp.Add(clockTolerance).UnixMilli(), index: math.MaxInt64}
	}
	if order.compare(newest.order) >= 0 { // of equal ones the last in the topic counts
		t.newest[record.key] = newestRow{content: record.content, order: order}
	}
}

// markSent implements [recordComparison]. The letter supersedes no newer ones, whatever the time of its record is.
func (t *timeComparison) markSent(l *Letter) {
	for _, record := range t.records[l.position()] {
		t.sent[record.content] = orderOf(l)
	}
}

func (t *timeComparison) isSuperseded(l *Letter) bool {
	order := orderOf(l)
	contents := map[recordID]recordID{} // by key, of the last of the letter's records, which overwrites the others
	for _, record := range t.records[l.position()] {
		contents[record.key] = record.content
	}
	for key, content := range contents {
		if newest := t.newest[key]; newest.content != content && newest.order.compare(order) > 0 {
			return true
		}
	}
	return false
}

// rowRecord identifies a record that a row becomes.
type rowRecord struct {
	key     recordID // of its topic and key
	content recordID // of its topic, key and value
}

// newestRow is the newest record of a key. The zero value means that the topic has no record of the key.
type newestRow struct {
	content recordID
	order   rowOrder
}

// rowOrder orders the rows of a source: rows of the same time by their index in a page.
type rowOrder struct {
	millis int64 // Unix milliseconds
	index  int64 // in the page
}

func (o rowOrder) time() time.Time { return time.UnixMilli(o.millis) }

func (o rowOrder) compare(other rowOrder) int {
	return cmp.Or(cmp.Compare(o.millis, other.millis), cmp.Compare(o.index, other.index))
}

// orderOf returns the order of the row of a letter.
func orderOf(l *Letter) rowOrder {
	order := rowOrder{millis: l.FailedAt.UnixMilli(), index: l.Offset}
	if !l.Timestamp.IsZero() {
		order.millis = min(order.millis, l.Timestamp.UnixMilli())
	}
	return order
}

func newRowRecord(topic string, key, value []byte) rowRecord {
	const row, tombstone = -1, -2 // in place of a partition, because an ID does not distinguish nil from an empty value
	kind := int32(row)
	if value == nil {
		kind = tombstone
	}
	return rowRecord{key: newKeyID(topic, row, key), content: newRecordID(topic, kind, -1, time.Time{}, key, value)}
}
