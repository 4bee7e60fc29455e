package sink

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka"
)

// item is a consumed record until it is settled.
type item struct {
	record    *kgo.Record
	partition *partition
	// left is how many of the rows that came of it are not settled.
	left int
}

// String names the record as an operator finds it.
func (i *item) String() string {
	key := i.record.Key
	if len(key) > 200 {
		key = key[:200]
	}
	return fmt.Sprintf("topic %s, partition %d, offset %d, key %q", i.record.Topic, i.record.Partition, i.record.Offset, key)
}

// partition is one assignment of a partition of a topic: when it is revoked and assigned again, there is another one.
type partition struct {
	// items in the order of their offsets, the settled ones at the front taken away.
	items []*item
	// gone: not this member's any more; nothing of it is delivered or committed.
	gone bool
	// delivering is how many deliveries with rows of it are on their way.
	delivering int
	// settled is the offset behind the last of the items that were taken away, uncommitted if not yet committed.
	settled     kafka.Offsets
	uncommitted bool
	// committed is the offset that the group has, -1 for none.
	committed int64
	// known are offsets that an earlier task has settled, although not all before them are: their records are left out.
	known []span
}

type place struct {
	topic     string
	partition int32
}

// ledger keeps account of what is settled, by partition. Safe for use by several goroutines: the group's callbacks come beside
// everything else.
type ledger struct {
	mu         sync.Mutex
	partitions map[place]*partition
	// landed is closed when a delivery ends; nil where nobody waits for one.
	landed chan struct{}
	// gone is told of partitions that went away.
	gone *Settled
}

func newLedger(gone *Settled) *ledger {
	return &ledger{partitions: map[place]*partition{}, gone: gone}
}

// add enters records that were polled, with one row each to begin with. Those of partitions that went away while they were polled
// are left out: they come again to their new owner.
func (l *ledger) add(dst []*item, records []*kgo.Record) []*item {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		p := l.partitions[place{r.Topic, r.Partition}]
		if p == nil || p.gone {
			continue
		}
		i := &item{record: r, partition: p, left: 1}
		p.items = append(p.items, i)
		if p.knows(r.Offset) {
			i.left = 0
			p.advance()
			p.uncommitted = true
			continue
		}
		dst = append(dst, i)
	}
	return dst
}

func (p *partition) knows(offset int64) bool {
	for len(p.known) > 0 && p.known[0].last < offset {
		p.known = p.known[1:] // offsets come in order
	}
	return len(p.known) > 0 && p.known[0].first <= offset
}

// known says where the group is with a partition that is new here (-1: nowhere yet), and what an earlier task has settled of it
// behind that, in order.
func (l *ledger) known(at place, committed int64, settled []span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.partitions[at]; p != nil {
		p.committed, p.known = committed, settled
	}
}

// committed says that offsets are stored.
func (l *ledger) committed(offsets kafka.Offsets) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, partitions := range offsets {
		for n, at := range partitions {
			if p := l.partitions[place{topic, n}]; p != nil {
				p.committed = max(p.committed, at.Offset)
			}
		}
	}
}

// ahead is the offsets of a partition from `next` on that are settled, although not all before them are.
func (l *ledger) ahead(at place, next int64) []span {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.partitions[at]
	if p == nil {
		p = l.gone.of(l, at) // revoked just now: its last commit is under way
	}
	if p == nil {
		return nil
	}
	return p.ahead(at, next)
}

func (p *partition) ahead(at place, next int64) []span {
	var spans []span
	together := false // with the record before, whatever lies between: there are no records there
	read := next - 1
	if front := p.settled[at.topic][at.partition].Offset; front > next { // settled while the commit was on its way
		spans, together, read = append(spans, span{next, front - 1}), true, front-1
	}
	for _, i := range p.items {
		read = i.record.Offset
		switch {
		case i.left > 0:
			together = false
		case together:
			spans[len(spans)-1].last = read
		default:
			spans, together = append(spans, span{read, read}), true
		}
	}
	for _, s := range p.known {
		if s.last > read {
			spans = append(spans, span{max(s.first, read+1), s.last})
		}
	}
	return spans
}

// become says how many rows came of a record: none settles it.
func (l *ledger) become(i *item, rows int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i.left = rows
	i.partition.advance()
}

// settle says that a row of a record is done with.
func (l *ledger) settle(i *item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i.left--
	i.partition.advance()
	i.partition.uncommitted = true // out of order, it belongs into the note
}

// unsure says that nobody knows whether a record was written: that is noted with the next commit.
func (l *ledger) unsure(i *item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i.partition.uncommitted = true
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
	clear(p.items[:n])
	p.items = p.items[n:]
}

// begin tells that a delivery with these records' rows is about to be sent; false: all of them are somebody else's now.
func (l *ledger) begin(items []*item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := false
	for _, i := range items {
		mine = mine || !i.partition.gone
	}
	if mine {
		for _, i := range items {
			i.partition.delivering++
		}
	}
	return mine
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

// uncommitted takes the offsets that are settled and not committed. Those that cannot be committed are given back by restore.
func (l *ledger) uncommitted() kafka.Offsets {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := kafka.Offsets{}
	for _, p := range l.partitions {
		if p.uncommitted {
			p.into(out)
			p.uncommitted = false
		}
	}
	return out
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
	if len(p.settled) == 0 && len(p.items) > 0 { // nothing but what stands in the note
		first := p.items[0].record
		if out[first.Topic] == nil {
			out[first.Topic] = map[int32]kgo.EpochOffset{}
		}
		out[first.Topic][first.Partition] = kgo.EpochOffset{Epoch: -1, Offset: first.Offset}
	}
}

// restore has offsets committed with the next commit.
func (l *ledger) restore(offsets kafka.Offsets) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, partitions := range offsets {
		for n := range partitions {
			if p := l.partitions[place{topic, n}]; p != nil {
				p.uncommitted = true
			}
		}
	}
}

// assigned begins partitions anew.
func (l *ledger) assigned(partitions map[string][]int32) {
	l.each(partitions, func(at place, _ *partition) {
		l.partitions[at] = &partition{settled: kafka.Offsets{}, committed: -1}
	})
}

// lost ends partitions at once.
func (l *ledger) lost(partitions map[string][]int32) {
	l.each(partitions, func(at place, p *partition) {
		if p != nil {
			p.gone = true
			l.gone.keep(at, l, p)
		}
		delete(l.partitions, at)
	})
}

func (l *ledger) each(partitions map[string][]int32, f func(place, *partition)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, list := range partitions {
		for _, n := range list {
			f(place{topic, n}, l.partitions[place{topic, n}])
		}
	}
}

// revoked ends partitions: nothing of them is sent from now on, what is on its way is waited for as long as ctx lasts, and what is
// settled is returned to be committed.
func (l *ledger) revoked(ctx context.Context, partitions map[string][]int32) kafka.Offsets {
	l.each(partitions, func(_ place, p *partition) {
		if p != nil {
			p.gone = true
		}
	})
	l.wait(ctx, func() bool {
		for topic, list := range partitions {
			for _, n := range list {
				if p := l.partitions[place{topic, n}]; p != nil && p.delivering > 0 {
					return false
				}
			}
		}
		return true
	})
	settled := kafka.Offsets{}
	l.each(partitions, func(at place, p *partition) {
		if p != nil {
			p.into(settled)
			l.gone.keep(at, l, p)
		}
		delete(l.partitions, at)
	})
	return settled
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
