package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka"
)

// account is a task's ledger for all of its goroutines: stages, deliveries, and the group's callbacks, which come at
// any time. It has one thing happen at a time, and does what follows from it.
type account struct {
	mu     sync.Mutex
	ledger ledger
	// landed is closed when a delivery lands, for those that wait for that; nil while none does.
	landed chan struct{}
	// gone keeps what is known of partitions that went to another member.
	gone      *RevokedPartitions
	uncertain *InDoubtRecords
	log       *slog.Logger
}

func newAccount(gone *RevokedPartitions, uncertain *InDoubtRecords, log *slog.Logger) *account {
	return &account{ledger: newLedger(uncertain), gone: gone, uncertain: uncertain, log: log}
}

func (a *account) apply(e event) effects {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.ledger.apply(e)
	for _, at := range out.settled {
		a.uncertain.settled(at)
	}
	for _, p := range out.left {
		a.gone.keep(a, p)
	}
	for _, s := range out.setBack {
		a.log.Error("a partition goes on below what was read of it: its topic has lost records, or was made again; "+
			"what comes from there on is written, and what was read before and not written is "+
			"dropped", "topic", s.at.topic, "partition", s.at.partition, "offset", s.offset, "dropped", s.dropped)
	}
	if out.landed && a.landed != nil {
		close(a.landed)
		a.landed = nil
	}
	return out
}

// has tells whether a partition is the task's now.
func (a *account) has(at topicPartition) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ledger.partitions[at] != nil
}

// some tells whether something is so of one of these records.
func (a *account) some(items []*item, so func(*item) bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(items, so)
}

// is tells whether something is so of a record.
func (a *account) is(i *item, so func(*item) bool) bool { return a.some([]*item{i}, so) }

// sum counts something of all partitions.
func (a *account) sum(of func(*partition) int) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.ledger.partitions {
		n += of(p)
	}
	return n
}

// open is how many records are not settled, bytes those of the records that are held: all that were read, up to the
// first of their partition that is not settled.
func (a *account) open() int { return a.sum(func(p *partition) int { return len(p.items) }) }

func (a *account) bytes() int { return a.sum(func(p *partition) int { return p.bytes }) }

// examining tells whether records are still to be checked that were in doubt when the task began.
func (a *account) examining() bool {
	return a.sum(func(p *partition) int { return len(p.doubtful) }) > 0
}

func (a *account) holds(number int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ledger.holds(number)
}

// learned is what [ledger.holds] must tell where what the plugin knows is to be stored.
func (a *account) learned() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ledger.learned
}

func (a *account) portions(items []*item, rows []uint32, inFlight int) [][]uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ledger.portions(items, rows, inFlight)
}

func (a *account) standing(records []*kgo.Record) (settled, sent []bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ledger.standing(records)
}

// wait returns when no rows of these partitions are in deliveries on their way, or when ctx ends.
func (a *account) wait(ctx context.Context, partitions ...*partition) {
	for {
		a.mu.Lock()
		if !slices.ContainsFunc(partitions, func(p *partition) bool { return p.underWay > 0 }) {
			a.mu.Unlock()
			return
		}
		if a.landed == nil {
			a.landed = make(chan struct{})
		}
		landed := a.landed
		a.mu.Unlock()
		select {
		case <-landed:
		case <-ctx.Done():
			return
		}
	}
}

// rebalances are what the group tells.
func (a *account) rebalances(committed func(topic string, partition int32, next int64,
	metadata kafka.CommitMetadata)) kafka.Rebalances {
	return kafka.Rebalances{
		Assigned:      func(partitions map[string][]int32) { a.apply(assigned{partitions}) },
		Revoked:       a.revoked,
		Lost:          func(partitions map[string][]int32) { a.apply(revoked{partitions, true}) },
		Metadata:      a.metadata,
		MetadataLimit: func(bytes int) { a.apply(metadataLimited{bytes}) },
		Committed:     committed,
	}
}

// revoked ends partitions: nothing of them is sent from now on, what is on its way is waited for as long as ctx lasts,
// and what is settled is returned to be committed.
func (a *account) revoked(ctx context.Context, partitions map[string][]int32) kafka.Offsets {
	var theirs []*partition
	a.apply(revoking{partitions})
	a.mu.Lock()
	for at := range listed(partitions) {
		if p := a.ledger.partitions[at]; p != nil {
			theirs = append(theirs, p)
		}
	}
	a.mu.Unlock()
	a.wait(ctx, theirs...)
	return a.apply(revoked{partitions, false}).offsets
}

// metadata is what is to be stored with an offset, see [metadataAsked].
func (a *account) metadata(topic string, n int32, next int64) (text string, ok bool) {
	at := topicPartition{topic, n}
	out := a.apply(metadataAsked{at, next, a.gone.of(a, at)})
	return out.text, out.yes
}

// upTo adds to the fault of a record that cannot be written what is committed of its partition, and what is written
// besides.
func (a *account) upTo(err error) error {
	var e *recordError
	if !errors.As(err, &e) || isUncertain(err) {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := e.item.partition
	if p.gone || p.committed < 0 {
		return err
	}
	but := ""
	if more := p.appendAhead(nil, p.committed, false); len(more) > 0 {
		but = fmt.Sprintf(" but %v, which a restart leaves out and an offset that is set by hand does not", more)
	}
	return fmt.Errorf("%w; of topic %s, partition %d, all before offset %d is written and committed, and nothing from "+
		"there on%s", err, p.at.topic, p.at.partition, p.committed, but)
}

// RevokedPartitions is what the tasks of a connector in this process have settled of partitions that went away from
// them before it was committed: a group that cannot be reached gives its members' partitions up, although nobody else
// has them, and then offsets cannot be committed either. A partition that comes back, to whichever of the tasks, goes
// on after what was settled, as a member's does that was never away. The zero value is empty and ready.
type RevokedPartitions struct {
	mu   sync.Mutex
	left map[topicPartition]leftPartition
}

// leftPartition is a partition as it was when it went away. What was on its way then is settled since, or not.
type leftPartition struct {
	account   *account
	partition *partition
}

func (s *RevokedPartitions) keep(a *account, p *partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == nil {
		s.left = map[topicPartition]leftPartition{}
	}
	s.left[p.at] = leftPartition{a, p}
}

// of is the partition that went away from an account last, nil if it has come back since.
func (s *RevokedPartitions) of(a *account, at topicPartition) *partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.left[at]; was.account == a {
		return was.partition
	}
	return nil
}

// take waits for deliveries that are still on their way, and returns the settled offsets from `next` on, the committed
// offset (-1: none). It returns none where next is before an offset that was committed here: somebody has set it back,
// to have records written again. last: metadata is the last that was made here, so the outcome of the requests that it
// lists is known.
func (s *RevokedPartitions) take(ctx context.Context, at topicPartition, next int64,
	metadata string) (settled []offsetRange,
	last bool) {
	s.mu.Lock()
	was, ok := s.left[at]
	delete(s.left, at)
	s.mu.Unlock()
	if !ok {
		return nil, false
	}
	was.account.wait(ctx, was.partition)
	was.account.mu.Lock()
	defer was.account.mu.Unlock()
	p := was.partition
	if next < p.committed {
		return nil, false
	}
	return p.appendAhead(nil, max(next, 0), true), p.underWay == 0 &&
		(metadata == p.stored.said() || metadata == p.taken.said())
}
