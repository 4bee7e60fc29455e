package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
)

// offsetTracker shares a task's [ledger] among its goroutines: encodings, deliveries and the group's callbacks.
type offsetTracker struct {
	mu                sync.Mutex
	ledger            ledger
	completed         chan struct{} // closed when a delivery completes; nil while nobody waits for it
	revokedPartitions *RevokedPartitions
	inDoubt           *InDoubtRecords
	log               *slog.Logger
}

func newOffsetTracker(revoked *RevokedPartitions, uncertain *InDoubtRecords, log *slog.Logger) *offsetTracker {
	return &offsetTracker{ledger: newLedger(uncertain), revokedPartitions: revoked, inDoubt: uncertain, log: log}
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
		a.log.Error("the partition has a lower offset than before: its topic has lost records or was created again; "+
			"records from this offset on are written, unwritten older ones are "+
			"dropped", "topic", s.tp.topic, "partition", s.tp.partition, "offset", s.offset, "dropped", s.dropped)
	}
	if out.completed && a.completed != nil {
		close(a.completed)
		a.completed = nil
	}
	return out
}

func (a *offsetTracker) owns(tp topicPartition) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ledger.partitions[tp] != nil
}

func (a *offsetTracker) checkAny(items []*item, cond func(*item) bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(items, cond)
}

func (a *offsetTracker) check(i *item, cond func(*item) bool) bool {
	return a.checkAny([]*item{i}, cond)
}

func (a *offsetTracker) sum(value func(*partition) int) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.ledger.partitions {
		n += value(p)
	}
	return n
}

func (a *offsetTracker) unsettled() int { return a.sum(func(p *partition) int { return len(p.items) }) }

func (a *offsetTracker) bytes() int { return a.sum(func(p *partition) int { return p.bytes }) }

// checksPending reports whether inherited records in doubt are still to be checked.
func (a *offsetTracker) checksPending() bool {
	return a.sum(func(p *partition) int { return len(p.toCheck) }) > 0
}

func (a *offsetTracker) isDurable(seq int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ledger.isDurable(seq)
}

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

// revoke ends partitions: it waits for deliveries in flight until ctx ends, and returns the settled offsets to commit.
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

func (a *offsetTracker) metadata(topic string, n int32, next int64) (text string, ok bool) {
	tp := topicPartition{topic, n}
	out := a.apply(metadataRequested{tp, next, a.revokedPartitions.get(a, tp)})
	return out.text, out.ok
}

// withCommitted adds to the error of a record what is committed of its partition.
func (a *offsetTracker) withCommitted(err error) error {
	var e *recordError
	if !errors.As(err, &e) || isInDoubt(err) {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	partition := e.item.partition
	if partition.revoked || partition.committed < 0 {
		return err
	}
	exception := ""
	if more := partition.appendSettled(nil, partition.committed, sentOnly); len(more) > 0 {
		exception = fmt.Sprintf(", except %v, which are written: a restart skips them, an offset that is set by "+
			"hand does not", more)
	}
	return fmt.Errorf("%w; topic %s, partition %d: everything before offset %d is written and committed, nothing from "+
		"there on%s", err, partition.tp.topic, partition.tp.partition, partition.committed, exception)
}

// RevokedPartitions remembers what the tasks of a connector in this process have settled of revoked partitions but
// could not commit: if the group's coordinator cannot be reached, members lose their partitions although no other
// member owns them. A task that gets such a partition back continues after the settled records. The zero value is ready
// to use.
type RevokedPartitions struct {
	mu         sync.Mutex
	partitions map[topicPartition]revokedPartition
}

type revokedPartition struct {
	tracker   *offsetTracker
	partition *partition
}

func (s *RevokedPartitions) add(a *offsetTracker, partition *partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.partitions == nil {
		s.partitions = map[topicPartition]revokedPartition{}
	}
	s.partitions[partition.tp] = revokedPartition{a, partition}
}

// get returns the partition of a tracker that was revoked last, nil if it was assigned again.
func (s *RevokedPartitions) get(a *offsetTracker, tp topicPartition) *partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if prior := s.partitions[tp]; prior.tracker == a {
		return prior.partition
	}
	return nil
}

// resume waits for the deliveries in flight of the partition's last owner in this process, and returns the settled
// offsets from next on, the committed offset (-1 for none). If next is before an offset that was committed here, a user
// has reset it, and nothing counts as settled. writtenHere reports that this process stored the metadata last and knows
// the outcome of the requests in them.
func (s *RevokedPartitions) resume(ctx context.Context, tp topicPartition, next int64,
	metadata string) (settled []offsetRange,
	writtenHere bool) {
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
	partition := prior.partition
	if next < partition.committed {
		return nil, false
	}
	return partition.appendSettled(nil, max(next, 0), allSettled), partition.inFlightRows == 0 &&
		(metadata == partition.storedCommit.text() || metadata == partition.lastCommit.text())
}
