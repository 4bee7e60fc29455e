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

func (o *offsetTracker) apply(e event) effects {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.ledger.apply(e)
	o.inDoubt.removeSettled(out.settled)
	for _, p := range out.revoked {
		o.revokedPartitions.add(o, p)
	}
	for _, s := range out.resets {
		o.log.Error("the partition has a lower offset than before: its topic has lost records or was created again; "+
			"records from this offset on are written, unwritten older ones are "+
			"dropped", "topic", s.tp.topic, "partition", s.tp.partition, "offset", s.offset, "dropped", s.dropped)
	}
	if out.completed && o.completed != nil {
		close(o.completed)
		o.completed = nil
	}
	return out
}

func (o *offsetTracker) owns(tp topicPartition) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ledger.partitions[tp] != nil
}

func (o *offsetTracker) checkAny(items []*item, cond func(*item) bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.ContainsFunc(items, cond)
}

// filter returns the items that meet a condition. Items that follow each other count once.
func (o *offsetTracker) filter(items []*item, cond func(*item) bool) (filtered []*item) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n, i := range items {
		if (n == 0 || items[n-1] != i) && cond(i) {
			filtered = append(filtered, i)
		}
	}
	return filtered
}

func (o *offsetTracker) sum(value func(*partition) int) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.ledger.partitions {
		n += value(p)
	}
	return n
}

func (o *offsetTracker) unsettled() int { return o.sum(func(p *partition) int { return len(p.items) }) }

func (o *offsetTracker) bytes() int { return o.sum(func(p *partition) int { return p.bytes }) }

func (o *offsetTracker) checksPending() bool {
	return o.sum(func(p *partition) int { return len(p.toCheck) }) > 0
}

func (o *offsetTracker) isDurable(seq int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ledger.isDurable(seq)
}

func (o *offsetTracker) knownSeq() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ledger.knownSeq
}

func (o *offsetTracker) portions(items []*item, rows []uint32, inFlight int) [][]uint32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ledger.portions(items, rows, inFlight)
}

func (o *offsetTracker) snapshot(records []*kgo.Record) (settled, inDoubt []bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ledger.snapshot(records)
}

// waitInFlight blocks until no delivery with rows of the partitions is in flight, or ctx ends.
func (o *offsetTracker) waitInFlight(ctx context.Context, partitions ...*partition) {
	for {
		o.mu.Lock()
		if !slices.ContainsFunc(partitions, func(p *partition) bool { return p.inFlightRows > 0 }) {
			o.mu.Unlock()
			return
		}
		if o.completed == nil {
			o.completed = make(chan struct{})
		}
		completed := o.completed
		o.mu.Unlock()
		select {
		case <-completed:
		case <-ctx.Done():
			return
		}
	}
}

func (o *offsetTracker) rebalances(committed func(topic string, partition int32, next int64,
	metadata kafka.CommitMetadata)) kafka.Rebalances {
	return kafka.Rebalances{
		Assigned:      func(partitions map[string][]int32) { o.apply(assigned{partitions}) },
		Revoked:       o.revoke,
		Lost:          func(partitions map[string][]int32) { o.apply(revoked{partitions: partitions, lost: true}) },
		Metadata:      o.metadata,
		MetadataLimit: func(bytes int) { o.apply(metadataLimited{bytes}) },
		Committed:     committed,
	}
}

// revoke ends partitions: it waits for deliveries in flight until ctx ends, and returns the settled offsets to commit.
func (o *offsetTracker) revoke(ctx context.Context, partitions map[string][]int32) kafka.Offsets {
	var affected []*partition
	o.apply(revoking{partitions})
	o.mu.Lock()
	for tp := range eachPartition(partitions) {
		if p := o.ledger.partitions[tp]; p != nil {
			affected = append(affected, p)
		}
	}
	o.mu.Unlock()
	o.waitInFlight(ctx, affected...)
	return o.apply(revoked{partitions: partitions}).offsets
}

func (o *offsetTracker) metadata(topic string, n int32, next int64) (text string, ok bool) {
	tp := topicPartition{topic, n}
	out := o.apply(metadataRequested{tp, next, o.revokedPartitions.get(o, tp)})
	return out.text, out.ok
}

// withCommitted adds the committed offset of the record's partition to the error of a record.
func (o *offsetTracker) withCommitted(err error) error {
	var e *recordError
	if !errors.As(err, &e) || isInDoubt(err) {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
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

// RevokedPartitions holds what the tasks of a connector in this process have settled of revoked partitions but could
// not commit: if the group's coordinator cannot be reached, members lose their partitions although no other member owns
// them. A task that gets such a partition back continues after the settled records. The zero value is ready to use.
type RevokedPartitions struct {
	mu         sync.Mutex
	partitions map[topicPartition]revokedPartition
}

type revokedPartition struct {
	tracker   *offsetTracker
	partition *partition
}

func (r *RevokedPartitions) add(tracker *offsetTracker, partition *partition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.partitions == nil {
		r.partitions = map[topicPartition]revokedPartition{}
	}
	r.partitions[partition.tp] = revokedPartition{tracker, partition}
}

// get returns the partition of a tracker that was revoked last, nil if it was assigned again.
func (r *RevokedPartitions) get(tracker *offsetTracker, tp topicPartition) *partition {
	r.mu.Lock()
	defer r.mu.Unlock()
	if prior := r.partitions[tp]; prior.tracker == tracker {
		return prior.partition
	}
	return nil
}

// resume removes the partition. It waits for the deliveries in flight of the last owner in this process, and returns
// the settled offsets from next on, the committed offset (-1 if missing). If next is before an offset that was
// committed here, a user has reset it, and nothing counts as settled. writtenHere reports whether this process stored
// storedText, the metadata at next, and knows the outcome of the requests in it.
func (r *RevokedPartitions) resume(ctx context.Context, tp topicPartition, next int64,
	storedText string) (settled []offsetRange, writtenHere bool) {
	r.mu.Lock()
	prior, ok := r.partitions[tp]
	delete(r.partitions, tp)
	r.mu.Unlock()
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
	// The last commit may be stored although its response was lost.
	isOwnText := storedText == partition.storedCommit.text() || storedText == partition.lastCommit.text()
	return partition.appendSettled(nil, max(next, 0), allSettled), partition.inFlightRows == 0 && isOwnText
}
