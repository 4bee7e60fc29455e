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
type offsetTracker struct {
	mu     sync.Mutex
	ledger ledger
	// completed is closed when a delivery lands, for those that wait for that; nil while none does.
	completed chan struct{}
	// gone keeps what is known of partitions that went to another member.
	revokedPartitions *Settled
	inDoubt           *Uncertain
	log               *slog.Logger
}

func newOffsetTracker(gone *Settled, uncertain *Uncertain, log *slog.Logger) *offsetTracker {
	return &offsetTracker{ledger: newLedger(uncertain), revokedPartitions: gone, inDoubt: uncertain, log: log}
}

func (a *offsetTracker) apply(e event) effects {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.ledger.apply(e)
	for _, id := range out.settled {
		a.inDoubt.remove(id)
	}
	for _, p := range out.revoked {
		a.revokedPartitions.add(a, p)
	}
	for _, s := range out.resets {
		a.log.Error("a partition goes on below what was read of it: its topic has lost records, or was made again; "+
			"what comes from there on is written, and what was read before and not written is "+
			"dropped", "topic", s.tp.topic, "partition", s.tp.partition, "offset", s.offset, "dropped", s.dropped)
	}
	if out.completed && a.completed != nil {
		close(a.completed)
		a.completed = nil
	}
	return out
}

// owns tells whether a partition is the task's now.
func (a *offsetTracker) owns(tp topicPartition) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ledger.partitions[tp] != nil
}

// some tells whether something is so of one of these records.
func (a *offsetTracker) checkAny(items []*item, cond func(*item) bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(items, cond)
}

// check tells whether something is so of a record.
func (a *offsetTracker) check(i *item, cond func(*item) bool) bool {
	return a.checkAny([]*item{i}, cond)
}

// sum counts something of all partitions.
func (a *offsetTracker) sum(value func(*partition) int) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.ledger.partitions {
		n += value(p)
	}
	return n
}

// open is how many records are not settled, bytes those of the records that are held: all that were read, up to the
// first of their partition that is not settled.
func (a *offsetTracker) unsettled() int { return a.sum(func(p *partition) int { return len(p.items) }) }

func (a *offsetTracker) bytes() int { return a.sum(func(p *partition) int { return p.bytes }) }

// checksPending tells whether records are still to be checked that were in doubt when the task began.
func (a *offsetTracker) checksPending() bool {
	return a.sum(func(p *partition) int { return len(p.toCheck) }) > 0
}

func (a *offsetTracker) isDurable(seq int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ledger.isDurable(seq)
}

// learned is what [ledger.isDurable] must tell where what the plugin knows is to be stored.
func (a *offsetTracker) knownSeq() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ledger.knownSeq
}

func (a *offsetTracker) portions(items []*item, rows []uint32, inFlight int) [][]uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ledger.portions(items, rows, inFlight)
}

func (a *offsetTracker) snapshot(records []*kgo.Record) (settled, inDoubt []bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ledger.snapshot(records)
}

// waitInFlight returns when no rows of these partitions are in deliveries on their way, or when ctx ends.
func (a *offsetTracker) waitInFlight(ctx context.Context, partitions ...*partition) {
	for {
		a.mu.Lock()
		if !slices.ContainsFunc(partitions, func(p *partition) bool { return p.inFlightRows > 0 }) {
			a.mu.Unlock()
			return
		}
		if a.completed == nil {
			a.completed = make(chan struct{})
		}
		completed := a.completed
		a.mu.Unlock()
		select {
		case <-completed:
		case <-ctx.Done():
			return
		}
	}
}

// rebalances are what the group tells.
func (a *offsetTracker) rebalances(committed func(topic string, partition int32, next int64,
	metadata kafka.CommitMetadata)) kafka.Rebalances {
	return kafka.Rebalances{
		Assigned:      func(partitions map[string][]int32) { a.apply(assigned{partitions}) },
		Revoked:       a.revoke,
		Lost:          func(partitions map[string][]int32) { a.apply(revoked{partitions, true}) },
		Metadata:      a.metadata,
		MetadataLimit: func(bytes int) { a.apply(metadataLimited{bytes}) },
		Committed:     committed,
	}
}

// revoke ends partitions: nothing of them is sent from now on, what is on its way is waited for as long as ctx lasts,
// and what is settled is returned to be committed.
func (a *offsetTracker) revoke(ctx context.Context, partitions map[string][]int32) kafka.Offsets {
	var affected []*partition
	a.apply(revoking{partitions})
	a.mu.Lock()
	for tp := range eachPartition(partitions) {
		if p := a.ledger.partitions[tp]; p != nil {
			affected = append(affected, p)
		}
	}
	a.mu.Unlock()
	a.waitInFlight(ctx, affected...)
	return a.apply(revoked{partitions, false}).offsets
}

// metadata is what is to be stored with an offset, see [metadataRequested].
func (a *offsetTracker) metadata(topic string, n int32, next int64) (text string, ok bool) {
	tp := topicPartition{topic, n}
	out := a.apply(metadataRequested{tp, next, a.revokedPartitions.get(a, tp)})
	return out.text, out.ok
}

// withCommitted adds to the fault of a record that cannot be written what is committed of its partition, and what is written
// besides.
func (a *offsetTracker) withCommitted(err error) error {
	var e *recordError
	if !errors.As(err, &e) || isInDoubt(err) {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := e.item.partition
	if p.revoked || p.committed < 0 {
		return err
	}
	exception := ""
	if more := p.appendSettled(nil, p.committed, false); len(more) > 0 {
		exception = fmt.Sprintf(" but %v, which a restart leaves out and an offset that is set by hand does not", more)
	}
	return fmt.Errorf("%w; of topic %s, partition %d, all before offset %d is written and committed, and nothing from "+
		"there on%s", err, p.tp.topic, p.tp.partition, p.committed, exception)
}

// Settled is what the tasks of a connector in this process have settled of partitions that went away from them before
// it was committed: a group that cannot be reached gives its members' partitions up, although nobody else has them, and
// then offsets cannot be committed either. A partition that comes back, to whichever of the tasks, goes on after what
// was settled, as a member's does that was never away. The zero value is empty and ready.
type Settled struct {
	mu         sync.Mutex
	partitions map[topicPartition]revokedPartition
}

// revokedPartition is a partition as it was when it went away. What was on its way then is settled since, or not.
type revokedPartition struct {
	tracker   *offsetTracker
	partition *partition
}

func (s *Settled) add(a *offsetTracker, p *partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.partitions == nil {
		s.partitions = map[topicPartition]revokedPartition{}
	}
	s.partitions[p.tp] = revokedPartition{a, p}
}

// of is the partition that went away from an account last, nil if it has come back since.
func (s *Settled) get(a *offsetTracker, tp topicPartition) *partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if prior := s.partitions[tp]; prior.tracker == a {
		return prior.partition
	}
	return nil
}

// resume waits for deliveries that are still on their way, and returns the settled offsets from `next` on, the committed
// offset (-1: none). It returns none where next is before an offset that was committed here: somebody has set it back,
// to have records written again. last: metadata is the last that was made here, so the outcome of the requests that it
// lists is known.
func (s *Settled) resume(ctx context.Context, tp topicPartition, next int64, metadata string) (settled []offsetRange,
	last bool) {
	s.mu.Lock()
	prior, ok := s.partitions[tp]
	delete(s.partitions, tp)
	s.mu.Unlock()
	if !ok {
		return nil, false
	}
	prior.tracker.waitInFlight(ctx, prior.partition)
	prior.tracker.mu.Lock()
	defer prior.tracker.mu.Unlock()
	p := prior.partition
	if next < p.committed {
		return nil, false
	}
	return p.appendSettled(nil, max(next, 0), true), p.inFlightRows == 0 &&
		(metadata == p.storedCommit.text() || metadata == p.lastCommit.text())
}
