package sink

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/kafka"
)

// item is a consumed record until it is settled.
type item struct {
	record    *kgo.Record
	partition *partition
	// offset is the record's.
	offset int64
	// left is how many of the rows that came of it are not settled.
	left int
	// sent: a request with a row of it has gone out, by this task or an earlier one. Under the ledger's lock, as left.
	sent bool
	// written is how many of its rows are written by requests that must not be sent twice.
	written int
	// once is how many deliveries with rows of it are on their way, or about to be, that must not be sent twice.
	once int
	// rows is how many the transforms made of it, those included that were written before it was replayed.
	rows uint32
	// refused are those that cannot be written, which are not settled before the record's dead letter is stored; nil:
	// none.
	refused *refusal
}

// String names the record as an operator finds it.
func (i *item) String() string {
	return fmt.Sprintf("topic %s, partition %d, offset %d, key %q", i.record.Topic, i.record.Partition, i.offset,
		shortKey(i.record.Key))
}

// bytes are those of the record, with what it costs besides, about.
func (i *item) bytes() int { return 400 + len(i.record.Key) + len(i.record.Value) }

// maxKey is how much of a key stands in messages, in bytes.
const maxKey = 100

// shortKey is a key as messages show it: without the schema that JSON converters put around the value, and not all of a
// long one.
func shortKey(key []byte) []byte {
	var envelope struct{ Schema, Payload json.RawMessage }
	if len(key) < 64<<10 && bytes.HasPrefix(bytes.TrimSpace(key), []byte("{")) && json.Unmarshal(key,
		&envelope) == nil &&
		envelope.Schema != nil && envelope.Payload != nil {
		key = envelope.Payload
	}
	if len(key) > maxKey {
		key = append(bytes.Clone(key[:maxKey]), "…"...)
	}
	return key
}

// partition is one assignment of a partition of a topic: when it is revoked and assigned again, there is another one.
type partition struct {
	at topicPartition
	// items in the order of their offsets, the settled ones at the front taken away.
	items []*item
	// gone: not this member's any more; nothing of it is delivered or committed.
	gone bool
	// delivering is how many deliveries with rows of it are on their way.
	delivering int
	// settled is the offset behind the last of the items that were taken away, uncommitted if not yet committed.
	settled     kafka.Offsets
	uncommitted bool
	// committed is the offset that the group has, -1 for none. told: that is known, and what stands beside it.
	committed int64
	told      bool
	// owed: what an assignment before this one has settled is not stored yet.
	owed bool
	// taken is the offset that a commit was given last, -1 for none; asked: that commit stores metadata of this
	// assignment.
	taken int64
	asked bool
	// next is the offset behind the last record that was read.
	next int64
	// known are offsets that an earlier task has settled, although not all before them are: their records are left out.
	known []offsetRange
	// doubtful are the offsets of which nobody knew when the task began whether they were written, and which are still
	// to be checked.
	doubtful map[int64]bool
	// metadata is what was stored last since the partition was assigned, if stored; made is what was made last, which a
	// commit may have stored without an answer.
	stored         bool
	metadata, made string
	// bytes are those of the records in items.
	bytes int
	// base is the least offset that metadata may still be stored beside.
	base int64
	// counted is how long the metadata was when it was last counted, charged for how many rows it may have grown since.
	counted, charged int
	// reach is the last offset for which a delivery has begun, -1 for none. earlier is what lies behind that of what
	// was known of the partition when it was assigned, in order. decided: there were decisions about its records, which
	// stand in lists.
	reach   int64
	earlier []stated
	decided bool
}

type topicPartition struct {
	topic     string
	partition int32
}

// ledger keeps account of what is settled, by partition. Safe for use by several goroutines: the group's callbacks come
// beside everything else.
type ledger struct {
	mu         sync.Mutex
	partitions map[topicPartition]*partition
	// landed is closed when a delivery ends, for those that wait for that; nil while none does.
	landed chan struct{}
	// gone keeps what is known of partitions that went to another member.
	gone   *Settled
	doubts *Uncertain
	// limit is how long metadata may be.
	limit int
	// announced counts what was to be stored before a request goes out, and stored how much of that is.
	announced, stored int
	// sent and settled are memory for what metadata says.
	sent, settled []offsetRange
	// left are the rows of records that are to be written although others of them are; a record that is not among them
	// is written as a whole.
	left map[recordID]task.Parts
	// setBack is called, if set, when a partition goes on at an offset below what was read or committed of it; open is
	// how many of the records read before are not settled and are dropped.
	setBack func(at topicPartition, offset int64, open int)
}

func newLedger(gone *Settled, doubts *Uncertain) *ledger {
	return &ledger{partitions: map[topicPartition]*partition{}, gone: gone, doubts: doubts,
		limit: kafka.MaxCommitMetadata}
}

// add enters records that were polled, with one row each to begin with. Those of partitions that went away while they
// were polled are left out: they come again to their new owner. Markers of transactions are settled at once. A record
// below what was read or committed before begins its partition anew: the log has become shorter, or the topic was made
// anew, and auto.offset.reset says to go on.
func (l *ledger) add(dst []*item, records []*kgo.Record) []*item {
	l.mu.Lock()
	defer l.mu.Unlock()
	var made []item
	for n, r := range records {
		at := topicPartition{r.Topic, r.Partition}
		p := l.partitions[at]
		if p == nil || p.gone {
			continue
		}
		if r.Offset < max(p.next, p.committed) {
			p = l.anew(p, r.Offset)
		}
		p.next = r.Offset + 1
		if len(made) == 0 {
			made = make([]item, neighbours(records[n:]))
		}
		i := &made[0]
		made = made[1:]
		*i = item{record: r, partition: p, offset: r.Offset, left: 1}
		p.items = append(p.items, i)
		p.bytes += i.bytes()
		if p.base < 0 {
			p.base = r.Offset
		}
		if r.Attrs.IsControl() { // the commit is to move over it, also while nothing comes behind it
			i.left = 0
			p.advance()
			continue
		}
		if p.knows(r.Offset) {
			i.left, i.sent = 0, true
			p.advance()
			p.uncommitted = true
			continue
		}
		dst = append(dst, i)
	}
	return dst
}

// fewItems is how many items are made together at most: they are held together, with their records.
const fewItems = 64

// neighbours is how many of the first records are of one partition, fewItems at most: they are settled about together.
func neighbours(records []*kgo.Record) (n int) {
	for n < min(len(records), fewItems) && records[n].Partition == records[0].Partition &&
		records[n].Topic == records[0].Topic {
		n++
	}
	return n
}

// anew begins a partition anew at an offset below what was read or committed of it. What was known behind that offset
// is of records that are gone, and so are those that are held; the group's offset is lowered before anything is sent.
func (l *ledger) anew(was *partition, offset int64) *partition {
	was.gone = true
	p := &partition{at: was.at, settled: kafka.Offsets{}, committed: offset, told: was.told, base: offset, reach: -1,
		taken: -1, counted: l.limit, decided: len(l.doubts.used(was.at, offset)) > 0, uncommitted: true}
	p.earlier = metadata{uncertain: l.doubts.of(was.at, offset)}.ranges(offset)
	l.partitions[was.at] = p
	if l.setBack != nil {
		open := 0
		for _, i := range was.items {
			if i.left > 0 {
				open++
			}
		}
		l.setBack(was.at, offset, open)
	}
	return p
}

func (p *partition) knows(offset int64) bool {
	for len(p.known) > 0 && p.known[0].last < offset {
		p.known = p.known[1:] // offsets come in order
	}
	return len(p.known) > 0 && p.known[0].first <= offset
}

// known says where the group is with a partition that is new here (-1: nowhere yet), what an earlier task has settled
// of it behind that, in order, and of which offsets nobody knows whether they were written. decided: somebody has
// decided about some of them. unstored: the metadata does not say all of that yet. stored is the metadata where an
// assignment before this one has stored it, else empty: should the partition go away again before anything else is
// stored, what it says of requests on their way is known then, too.
func (l *ledger) known(at topicPartition, committed int64, settled []offsetRange, doubtful map[int64]bool,
	decided, unstored bool, stored string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.partitions[at]; p != nil {
		p.committed, p.known, p.base, p.doubtful, p.metadata = committed, settled, committed, doubtful, stored
		p.counted, p.decided = l.limit, decided // to be counted
		p.earlier = metadata{settled: settled, uncertain: l.doubts.of(at, committed)}.ranges(committed)
		p.uncommitted = p.uncommitted || unstored
		p.told, p.owed = true, unstored
	}
}

// committed says that offsets are stored, and what was announced before they were taken. all false: the commit left out
// partitions that are this task's, so that nothing that was announced counts as stored; the next commit has them.
func (l *ledger) committed(offsets kafka.Offsets, announced int) (all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all = true
	for topic, partitions := range offsets {
		for n, at := range partitions {
			p := l.partitions[topicPartition{topic, n}]
			switch {
			case p == nil:
			case p.asked:
				p.committed, p.stored, p.owed, p.metadata = max(p.committed, at.Offset), true, false, p.made
			default: // it has come back, or was set back, while the commit was on its way, which left it out
				p.uncommitted = p.told
				all = all && !p.told
			}
		}
	}
	if all {
		l.stored = max(l.stored, announced)
	}
	return all
}

// metadata is what is to be stored beside the offset `next` of a partition. Where that gets too long, records are
// left out that nothing was sent for. ok false: the offset is not what the partition gave to a commit last, but of an
// assignment that is over, or from before the partition was set back. What is known of it now may lie behind that
// offset or before it: settled records would be forgotten, and written twice, or others passed over.
func (l *ledger) metadata(topic string, partition int32, next int64) (text string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := topicPartition{topic, partition}
	p := l.partitions[at]
	if p == nil {
		p = l.gone.of(l, at) // revoked just now: its last commit is under way
	}
	if p == nil || !p.told || next != p.taken {
		return "", false
	}
	n := metadata{uncertain: l.doubts.of(at, next), decided: l.doubts.used(at, next)}
	l.sent = p.appendSent(l.sent[:0], true)
	n.sent = slices.DeleteFunc(l.sent, func(s offsetRange) bool { return covered(n.uncertain, s) })
	l.settled = p.appendAhead(l.settled[:0], next, true)
	n.settled = l.settled
	text = n.text(next)
	if len(text) > l.limit-names-reserve {
		l.settled = p.appendAhead(l.settled[:0], next, false)
		n.settled = l.settled
		text = n.text(next)
	}
	p.made, p.asked = text, true
	return text, true
}

// limited says how long metadata may be.
func (l *ledger) limited(bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = bytes
}

// sent are the offsets of records that would be in doubt if the task ended now: a request that must not be sent twice
// is on its way with rows of them, or has written some of their rows and others are to come. Without underWay these
// last alone.
func (p *partition) sent(underWay bool) []offsetRange {
	return p.appendSent(nil, underWay)
}

// appendSent appends them.
func (p *partition) appendSent(dst []offsetRange, underWay bool) []offsetRange {
	next := int64(-1)
	for _, i := range p.items {
		if i.left <= 0 || i.written == 0 && (!underWay || i.once == 0) {
			continue
		}
		if i.offset == next {
			dst[len(dst)-1].last = next
		} else {
			dst = append(dst, offsetRange{i.offset, i.offset})
		}
		next = i.offset + 1
	}
	return dst
}

// within tells whether one of the spans holds another one.
func within(spans []offsetRange, s offsetRange) bool {
	return slices.ContainsFunc(spans, func(all offsetRange) bool { return all.first <= s.first && s.last <= all.last })
}

// covered is within for ranges in order, of which none overlap.
func covered(ranges []offsetRange, s offsetRange) bool {
	n, found := slices.BinarySearchFunc(ranges, s.first, func(r offsetRange, first int64) int {
		return cmp.Compare(r.first, first)
	})
	if !found {
		n--
	}
	return n >= 0 && s.last <= ranges[n].last
}

// ahead returns the settled offsets from next on. Without all it leaves out, at the end of a run, records that were
// settled without a request: a restart settles them in the same way.
func (p *partition) ahead(next int64, all bool) []offsetRange { return p.appendAhead(nil, next, all) }

// appendAhead appends them.
func (p *partition) appendAhead(spans []offsetRange, next int64, all bool) []offsetRange {
	together := false // with the record before, whatever lies between: there are no records there
	read, end := next-1, int64(-1)
	put := func(s offsetRange) {
		if together {
			spans[len(spans)-1].last = s.last
		} else {
			spans, together = append(spans, s), true
		}
	}
	if front := p.settled[p.at.topic][p.at.partition].Offset; front > next { // settled while the commit was on its way
		put(offsetRange{next, front - 1})
		read = front - 1
	}
	for _, i := range p.items {
		read = i.offset
		switch {
		case i.left > 0:
			together = false
		case i.record.Attrs.IsControl(): // it comes to nothing once more
		case all || i.sent:
			put(offsetRange{read, read})
		}
	}
	for _, s := range p.known {
		if s.last > max(read, end) {
			spans = append(spans, offsetRange{max(s.first, read+1, end+1), s.last})
			end = s.last
		}
	}
	return spans
}

// become says how many rows came of a record, and how many of them are to be written: none settles it.
func (l *ledger) become(i *item, rows uint32, left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i.rows, i.left = rows, left
	i.partition.advance()
}

// settle says that a row of a record is done with; written: by a request that must not be sent twice. due: the others
// that are left cannot be written.
func (l *ledger) settle(i *item, written bool) (due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i.left--; written {
		i.written++
	}
	i.done(l)
	return i.due()
}

// done takes a record from the account when all of its rows are settled.
func (i *item) done(l *ledger) {
	if i.left <= 0 {
		l.doubts.settled(idOf(i.record))
		delete(i.partition.doubtful, i.offset)
	}
	i.partition.advance()
	i.partition.uncommitted = true // out of order, it belongs into the metadata
}

// refuse says that a row of a record cannot be written, or, with [allOfIt], that no row comes of it. due: nor can the
// others that are left.
func (l *ledger) refuse(i *item, part int, letter Letter) (due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i.refused == nil {
		i.refused = &refusal{letter: letter}
	}
	if part == allOfIt {
		i.refused.whole = true
	} else {
		i.refused.parts = append(i.refused.parts, uint32(part))
	}
	return i.due()
}

func (i *item) due() bool {
	r := i.refused
	return r != nil && (r.whole || len(r.parts) == i.left)
}

// letters are those of records that are due.
func (l *ledger) letters(items []*item) []Letter {
	l.mu.Lock()
	defer l.mu.Unlock()
	letters := make([]Letter, len(items))
	for n, i := range items {
		letters[n] = i.refused.letter
		if i.refused.whole {
			letters[n].Parts = l.left[idOf(i.record)]
		} else {
			letters[n].Parts = task.PartsOf(i.rows, i.refused.parts)
		}
	}
	return letters
}

// buried says that the letter of a record is stored, or is not to be, and returns how many rows that settles.
func (l *ledger) buried(i *item) (rows int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows, i.left = i.left, 0
	i.done(l)
	return rows
}

// unsettled tells whether rows of a record are not settled.
func (l *ledger) unsettled(i *item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return i.left > 0
}

// halfWritten tells whether some rows of a record are written that must not be sent twice, and others are not settled.
func (l *ledger) halfWritten(i *item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return i.written > 0 && i.left > 0
}

// examined says that a record which was in doubt when the task began was checked, or cannot be.
func (l *ledger) examined(items []*item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range items {
		delete(i.partition.doubtful, i.offset)
	}
}

// examining tells whether records are still to be checked that were in doubt when the task began.
func (l *ledger) examining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.partitions {
		if len(p.doubtful) > 0 {
			return true
		}
	}
	return false
}

// bytes are those of the records that are held: all that were read, up to the first of their partition that is not
// settled.
func (l *ledger) bytes() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.partitions {
		n += p.bytes
	}
	return n
}

// first tells whether no metadata was stored yet for a partition of these records, and has one stored with the next
// commit.
func (l *ledger) first(items []*item) (news bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range items {
		if p := i.partition; !p.stored {
			p.uncommitted, news = true, true
		}
	}
	return news
}

// announce says that a delivery with rows of these records is about to be sent. once: it must not be sent twice. It
// returns what [ledger.holds] takes; whoever sends calls withdraw when its outcome is known.
func (l *ledger) announce(items []*item, once bool) (number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range items {
		i.partition.uncommitted = true
		if once {
			i.once++
		}
	}
	l.announced++
	return l.announced
}

// mark returns what [ledger.holds] takes for all that is settled by now.
func (l *ledger) mark() (number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.announced++
	return l.announced
}

// withdraw says that the outcome of a delivery is known which was announced as one that must not be sent twice.
func (l *ledger) withdraw(items []*item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range items {
		i.once--
		i.partition.uncommitted = true
	}
}

// owes tells whether something that records' partitions had settled before they came back is not stored yet.
func (l *ledger) owes(items []*item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(items, func(i *item) bool { return i.partition.owed })
}

// holds tells whether the metadata that is stored says what was announced.
func (l *ledger) holds(number int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return number <= l.stored
}

// unsure says that nobody knows whether a record was written, or that somebody does now: that is noted with the next
// commit.
func (l *ledger) unsure(i *item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i.partition.uncommitted = true
}

// owned tells whether all of these records are this task's.
func (l *ledger) owned(items []*item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !slices.ContainsFunc(items, func(i *item) bool { return i.partition.gone })
}

// advance takes settled items from the front.
func (p *partition) advance() {
	n := 0
	for ; n < len(p.items) && p.items[n].left <= 0; n++ {
	}
	if n == 0 {
		return
	}
	p.settled.Mark(p.items[n-1].record)
	p.uncommitted = true
	for _, i := range p.items[:n] {
		p.bytes -= i.bytes()
		delete(p.doubtful, i.offset)
	}
	clear(p.items[:n])
	p.items = p.items[n:]
}

// beginning is whether a delivery may begin.
type beginning int

const (
	begun beginning = iota
	// full: what could come of it might not fit into the metadata, before others have ended.
	full
	// theirs: all of its records are somebody else's now, or come again; partly: some of them are.
	theirs
	partly
)

// begin tells that a delivery with these records' rows is about to be sent. alone: no other one is on its way.
func (l *ledger) begin(items []*item, alone bool) beginning {
	l.mu.Lock()
	defer l.mu.Unlock()
	type part struct {
		rows  int
		reach int64
	}
	parts := make(map[*partition]part, 1)
	gone := 0
	for _, i := range items {
		if i.partition.gone {
			gone++
		} else {
			of := parts[i.partition]
			parts[i.partition] = part{of.rows + 1, max(of.reach, i.offset)}
		}
	}
	switch {
	case len(parts) == 0:
		return theirs
	case gone > 0:
		return partly
	}
	for p, of := range parts {
		// The first one that is not settled goes whatever lies behind it, or nothing would get shorter.
		first := p.delivering == 0 && len(p.items) > 0 && slices.Contains(items, p.items[0])
		if !l.room(p, of.rows, of.reach, alone || first) {
			return full
		}
	}
	for _, i := range items {
		i.partition.delivering++
		i.partition.charged++
		i.partition.reach = max(i.partition.reach, i.offset)
		i.sent = true
	}
	return begun
}

const (
	// names is what metadata has beside its offsets: names and signs.
	names = 64
	// reserve is what deliveries that run ahead leave for the first one.
	reserve = 64
	// front is what metadata that says the state of each offset has before these: a run that is settled, and from where
	// on they are. split is what a range gets longer by that is cut in two.
	front, split = 48, 32
)

// room tells whether the metadata of a partition has room for whatever comes of n more rows, up to the offset reach: as
// the state of each offset, or in lists, where a row that is settled or uncertain makes it longer by an offset and a
// sign at most.
func (l *ledger) room(p *partition, n int, reach int64, first bool) bool {
	limit := l.limit - names
	if !first {
		limit -= reserve
	}
	if len(p.items) > 0 && l.near(p, n, max(p.reach, reach)) <= int64(limit) {
		return true
	}
	each := p.each()
	if p.counted+(p.charged+n)*each <= limit {
		return true
	}
	l.sent, l.settled = p.appendSent(l.sent[:0], false), p.appendAhead(l.settled[:0], p.base, false)
	count := metadata{uncertain: l.doubts.of(p.at, p.base), decided: l.doubts.used(p.at, p.base), sent: l.sent,
		settled: l.settled}
	p.counted, p.charged = count.length(p.base), p.delivering
	return p.counted+(p.charged+n)*each <= limit
}

// near is how long the metadata of a partition gets at most, but for its names, whatever comes of n more rows up to the
// offset reach, if it says the state of each offset up to there or further.
func (l *ledger) near(p *partition, n int, reach int64) int64 {
	first := p.items[0].offset
	for len(p.earlier) > 0 && p.earlier[0].last <= p.reach {
		p.earlier = p.earlier[1:]
	}
	behind := int64(0) // in lists
	for _, s := range p.earlier {
		if s.last > reach {
			behind += s.cost
		}
	}
	least := nearLength(reach-first+1) + behind
	if behind > 0 {
		least += split
	}
	for _, s := range p.earlier {
		if s.last > reach {
			behind -= s.cost
			least = min(least, nearLength(s.last-first+1)+behind+split)
		}
	}
	if n := len(p.earlier); n > 0 && behind == 0 {
		least = min(least, nearLength(max(reach, p.earlier[n-1].last)-first+1))
	}
	if !p.decided {
		return least + front + reserve // so that there is room for decisions
	}
	decisions := metadata{decided: l.doubts.used(p.at, p.base)}.length(p.base)
	return least + front + int64(decisions+p.each()*(p.delivering+n))
}

// each is how many bytes a row can add to the partition's metadata: an offset and a sign.
func (p *partition) each() int {
	ahead := int64(0)
	if n := len(p.items); n > 0 {
		ahead = max(p.items[n-1].offset-p.base, 0)
	}
	return len(strconv.FormatInt(ahead, 10)) + 1
}

// leastPortion is how many rows of a partition are encoded together, however short metadata may be.
const leastPortion = 64

// portions cuts rows of a batch, which are positions in items, into parts to be encoded one after another: of each
// partition about as many as its metadata can tell apart. A delivery of more could not begin and would be encoded again
// in parts. Where offsets lie so far apart that the metadata has lists of them, it is nearly twice as many with many
// lanes, since a delivery has but a few of them, and what is settled grows together. Rows of a partition stay in order.
func (l *ledger) portions(items []*item, rows []uint32, inFlight int) [][]uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	type part struct {
		rows, size  int
		first, last int64
	}
	parts, number := map[*partition]*part{}, 1
	for _, row := range rows {
		i := items[row]
		of := parts[i.partition]
		if of == nil {
			of = &part{first: i.offset}
			parts[i.partition] = of
		}
		of.rows, of.last = of.rows+1, max(of.last, i.offset)
	}
	for p, of := range parts {
		lanes := max(inFlight, 2)
		most := max((l.limit-names-reserve)/p.each()*2*lanes/(lanes+2), leastPortion)
		// Offsets of which the states have room may be more, unless they lie far apart.
		room := int64(l.limit - names - reserve)
		if len(p.items) > 0 && l.near(p, of.rows, max(p.reach, of.last)) <= room {
			most = of.rows
		} else if near := 3 * (room - front - reserve); near > 0 && !p.decided && len(p.earlier) == 0 {
			times := (of.last - of.first + near) / near
			most = max(most, int((int64(of.rows)+times-1)/times))
		}
		count := (of.rows + most - 1) / most
		of.size, number = (of.rows+count-1)/count, max(number, count)
	}
	if number == 1 {
		return [][]uint32{rows}
	}
	out, seen := make([][]uint32, number), make(map[*partition]int, len(parts))
	for _, row := range rows {
		p := items[row].partition
		at := seen[p] / parts[p].size
		out[at] = append(out[at], row)
		seen[p]++
	}
	return out
}

// end tells that the delivery is settled or has failed.
func (l *ledger) end(items []*item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range items {
		i.partition.delivering--
	}
	if l.landed != nil {
		close(l.landed)
		l.landed = nil
	}
}

// wait returns when done, which is called with the ledger locked, is true after a delivery has ended, or when ctx ends.
func (l *ledger) wait(ctx context.Context, done func() bool) {
	for {
		l.mu.Lock()
		if done() {
			l.mu.Unlock()
			return
		}
		if l.landed == nil {
			l.landed = make(chan struct{})
		}
		landed := l.landed
		l.mu.Unlock()
		select {
		case <-landed:
		case <-ctx.Done():
			return
		}
	}
}

// uncommitted takes the offsets that are settled and not committed, and tells how much was announced before. Those that
// cannot be committed are given back by restore.
func (l *ledger) uncommitted() (out kafka.Offsets, announced int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out = kafka.Offsets{}
	for _, p := range l.partitions {
		if p.uncommitted {
			p.into(out)
			p.uncommitted, p.asked = false, false
			if at, ok := out[p.at.topic][p.at.partition]; ok {
				p.base, p.taken = at.Offset, at.Offset
			}
		}
	}
	return out, l.announced
}

func (p *partition) into(out kafka.Offsets) {
	for topic, partitions := range p.settled {
		for n, at := range partitions {
			if out[topic] == nil {
				out[topic] = map[int32]kgo.EpochOffset{}
			}
			out[topic][n] = at
		}
	}
	if len(p.settled) > 0 {
		return
	}
	at := p.committed
	if len(p.items) > 0 {
		at = p.items[0].offset
	}
	if at >= 0 { // nothing but what stands in the metadata
		if out[p.at.topic] == nil {
			out[p.at.topic] = map[int32]kgo.EpochOffset{}
		}
		out[p.at.topic][p.at.partition] = kgo.EpochOffset{Epoch: -1, Offset: at}
	}
}

// restore has offsets committed with the next commit.
func (l *ledger) restore(offsets kafka.Offsets) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, partitions := range offsets {
		for n := range partitions {
			if p := l.partitions[topicPartition{topic, n}]; p != nil {
				p.uncommitted = true
			}
		}
	}
}

// assigned begins partitions anew.
func (l *ledger) assigned(partitions map[string][]int32) {
	l.each(partitions, func(at topicPartition, _ *partition) {
		l.partitions[at] = &partition{at: at, settled: kafka.Offsets{}, committed: -1, taken: -1, base: -1, reach: -1}
	})
}

// lost ends partitions at once.
func (l *ledger) lost(partitions map[string][]int32) {
	l.each(partitions, func(at topicPartition, p *partition) {
		if p != nil {
			p.gone = true
			l.gone.keep(at, l, p)
		}
		delete(l.partitions, at)
	})
}

func (l *ledger) each(partitions map[string][]int32, f func(topicPartition, *partition)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, list := range partitions {
		for _, n := range list {
			f(topicPartition{topic, n}, l.partitions[topicPartition{topic, n}])
		}
	}
}

// revoked ends partitions: nothing of them is sent from now on, what is on its way is waited for as long as ctx lasts,
// and what is settled is returned to be committed.
func (l *ledger) revoked(ctx context.Context, partitions map[string][]int32) kafka.Offsets {
	l.each(partitions, func(_ topicPartition, p *partition) {
		if p != nil {
			p.gone = true
		}
	})
	l.wait(ctx, func() bool {
		for topic, list := range partitions {
			for _, n := range list {
				if p := l.partitions[topicPartition{topic, n}]; p != nil && p.delivering > 0 {
					return false
				}
			}
		}
		return true
	})
	settled := kafka.Offsets{}
	l.each(partitions, func(at topicPartition, p *partition) {
		if p != nil {
			p.into(settled)
			if next, ok := settled[at.topic][at.partition]; ok {
				p.taken = next.Offset
			}
			l.gone.keep(at, l, p)
		}
		delete(l.partitions, at)
	})
	return settled
}

// upTo adds to the fault of a record that cannot be written what is committed of its partition, and what is written
// besides.
func (l *ledger) upTo(err error) error {
	var e *recordError
	if !errors.As(err, &e) || uncertain(err) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := e.item.partition
	if p.gone || p.committed < 0 {
		return err
	}
	but := ""
	if more := p.ahead(p.committed, false); len(more) > 0 {
		but = fmt.Sprintf(" but %v, which a restart leaves out and an offset that is set by hand does not", more)
	}
	return fmt.Errorf("%w; of topic %s, partition %d, all before offset %d is written and committed, and nothing from "+
		"there on%s", err, p.at.topic, p.at.partition, p.committed, but)
}

// open is how many records are not settled.
func (l *ledger) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, p := range l.partitions {
		n += len(p.items)
	}
	return n
}

// count is how many partitions the task has.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.partitions)
}
