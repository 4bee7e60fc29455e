package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/kafka"
)

// commits commits from time to time what is settled, and at once what the plugin has learned.
func (t *Task) commits(ctx context.Context) {
	for {
		select {
		case <-time.After(t.o.CommitInterval):
		case <-t.learned:
		case <-ctx.Done():
			return
		}
		t.commit(ctx)
	}
}

// store has metadata stored that says what was announced by a number, where no other commit has done so meanwhile.
func (t *Task) store(ctx context.Context, number int) error {
	t.committing.Lock()
	defer t.committing.Unlock()
	if t.account.holds(number) {
		return nil
	}
	return t.commitNow(ctx)
}

// commit stores what is settled. What cannot be stored is given back to the ledger, for the next time.
func (t *Task) commit(ctx context.Context) error {
	t.committing.Lock()
	defer t.committing.Unlock()
	return t.commitNow(ctx)
}

// errLeftOut is the error of a commit that stored nothing for partitions which are this task's.
var errLeftOut = errors.New("the commit has left out partitions that began again while it was on its way")

// commitNow is commit for who holds committing.
func (t *Task) commitNow(ctx context.Context) error {
	taken := t.account.apply(offsetsTaken{})
	if len(taken.offsets) == 0 {
		t.account.apply(offsetsStored{nil, taken.number}) // all of it is stored
		return nil
	}
	began := time.Now()
	err := t.run.consumer.Commit(ctx, taken.offsets)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		t.account.apply(offsetsKept{taken.offsets})
		return err // the task stops, and commitLast tries again
	}
	t.o.Metrics.Commits.Record(began, err)
	if err == nil {
		if !t.account.apply(offsetsStored{taken.offsets, taken.number}).yes {
			t.log.Info("offsets not committed, their partitions began again meanwhile: to be tried again")
			return errLeftOut
		}
		if t.uncommitted {
			t.log.Info("offsets are committed again")
		}
		t.uncommitted = false
		return nil
	}
	// Partitions that went away are not in the ledger any more; one that is stays this task's, also where the group has
	// rebalanced.
	t.account.apply(offsetsKept{taken.offsets})
	switch {
	case errors.Is(err, kafka.ErrRebalanced):
		t.log.Info("offsets not committed, the group has rebalanced: to be tried again", "error", err)
	case !t.uncommitted: // said once, until it goes well again
		t.log.Warn("offsets not committed, to be tried again", "error", err)
		t.uncommitted = true
	}
	return err
}

// commitLast stores what is settled when nothing more is to come, trying as long as ctx lasts. It returns the fault of
// metadata that is not stored: nothing that comes by itself mends that.
func (t *Task) commitLast(ctx context.Context) error {
	for backoff := (pause.Backoff{First: 50 * time.Millisecond, Longest: time.Second}); ; {
		err := t.commit(ctx)
		if err == nil {
			return nil
		}
		if backoff.Wait(ctx) != nil {
			t.log.Error("what was settled last is not committed: it is written again after a restart", "error", err)
			if errors.Is(err, kafka.ErrCommitMetadata) {
				return err
			}
			return nil
		}
	}
}

// committed takes what an earlier task, or an earlier run, has stored with an offset, and what the connector's tasks
// know besides. What an operator has decided about uncertain records holds.
func (t *Task) committed(topic string, partition int32, next int64, stored kafka.CommitMetadata) {
	text := stored.Text
	n, err := readMetadata(next, text)
	if err != nil {
		t.fail(fmt.Errorf("topic %s, partition %d: what stands with the group's offset %d is not metadata of this "+
			"version, so that nobody knows which records after it were written: %w; "+
			"look what the service has, and set the group's offset again with Kafka's tools", topic, partition, next,
			err))
		return
	}
	at := topicPartition{topic, partition}
	unstored, ours := t.o.Revoked.take(t.run.working, at, next, text)
	if why := mismatch(n, next, stored); why != "" {
		reach := reachOf(n, unstored, next, stored)
		t.log.Warn("what stands with the group's offset is not about this log: nothing in it counts as written, and "+
			"the records in doubt may have been", "topic", topic, "partition", partition, "offset", next, "why", why,
			"in_doubt", max(reach-next+1, 0), "up_to", reach)
		if reach-next >= maxUncertain {
			t.fail(fmt.Errorf("topic %s, partition %d: %s: expected at most %d records that may have been written, "+
				"found those from offset %d up to %d; look what the service has, and set the group's offset with "+
				"culvert offsets set", topic, partition, why, maxUncertain, next, reach))
			return
		}
		from, decided := min(next, stored.End), []offsetRange(nil)
		if stored.Verified { // what is before the end is this log's
			from, decided = stored.End, n.decided
		}
		if names := append(t.send.names(sendSetting, at, from), t.skip.names(skipSetting, at, from)...); names != nil {
			t.fail(fmt.Errorf("topic %s, partition %d: %s: expected no decisions about another log, found %s, which "+
				"would be taken for records of this one; take them out and start the task; about records that it "+
				"names after that can be decided anew", topic, partition, why, strings.Join(names, ", ")))
			return
		}
		n, unstored, ours = metadata{known: n.known, decided: decided}, nil, false
		if reach >= next {
			n.uncertain, n.moved = []offsetRange{{next, reach}}, []offsetRange{{next, reach}}
		}
	}
	t.o.InDoubt.MergeKnown(n.known)
	settled := append(n.settled, unstored...)
	used := map[int64]int{}
	for _, s := range n.decided {
		used[s.first]++
	}
	open, why := map[int64]bool{}, map[int64]error{}
	for _, s := range n.sent {
		for offset := s.first; offset <= s.last && !ours; offset++ {
			if !within(unstored, offsetRange{offset, offset}) { // settled by this process since
				why[offset] = errKilled
			}
		}
	}
	for _, s := range n.uncertain {
		for offset := s.first; offset <= s.last; offset++ {
			why[offset] = errEarlier
			if within(n.moved, offsetRange{offset, offset}) {
				why[offset] = errMoved
			}
		}
	}
	for _, offset := range slices.Sorted(maps.Keys(why)) {
		one := recordID{topic, partition, offset}
		if t.skip.count(one) > 0 {
			t.count.faults.Skipped.Add(1)
			t.log.Warn("a record that may not have been written is left out, as "+skipSetting+" says", "record",
				one.String())
			settled = append(settled, offsetRange{offset, offset})
			t.o.InDoubt.settled(one)
			continue
		}
		if t.o.InDoubt.decide(one, why[offset], t.send.count(one), used[offset]) {
			t.log.Warn("a record that may have been written already is sent again, as "+sendSetting+" says", "record",
				one.String())
		} else {
			open[offset] = true
		}
	}
	if len(n.moved) > 0 {
		t.o.InDoubt.move(at, n.moved[0])
	}
	for offset, times := range used {
		if why[offset] == nil {
			t.o.InDoubt.remember(recordID{topic, partition, offset}, times)
		}
	}
	slices.SortFunc(settled, func(a, b offsetRange) int { return cmp.Compare(a.first, b.first) })
	if !ours {
		text = ""
	}
	t.account.apply(offsetKnown{at: at, committed: next, settled: settled, doubtful: open,
		unstored: len(unstored) > 0 || len(n.sent) > 0 || len(n.moved) > 0, text: text})
}

// mismatch is why metadata are not about what follows the committed offset; "": they are, as far as one can tell.
func mismatch(n metadata, next int64, stored kafka.CommitMetadata) string {
	if _, read := n.reach(next); stored.Moved == "" && stored.Text != "" && read >= stored.End {
		return fmt.Sprintf("they reach to offset %d, and the partition ends at %d: it has lost records, or is a copy",
			read, stored.End)
	}
	return stored.Moved
}

// reachOf is up to which offset records may have been written whose metadata mismatch. A copied offset lies at its
// record or before it, nobody knows how far: so at a copy all records that are there now, and of those to come as many
// as are as far after the committed offset as after the one that the metadata were written for. Of a log that is known
// to be the same one and has become shorter, none that comes from now on was written.
func reachOf(n metadata, unstored []offsetRange, next int64, stored kafka.CommitMetadata) int64 {
	if next > stored.End { // what is read lies before it
		return next - 1
	}
	all, _ := n.reach(next)
	if stored.Moved != "" {
		all = max(all, stored.End-1)
	}
	for _, s := range unstored {
		all = max(all, s.last)
	}
	if stored.Verified {
		all = min(all, stored.End-1)
	}
	return all
}

var (
	errEarlier = errors.New("an earlier run could not find out")
	errKilled  = errors.New("a run before this one, which was killed, may have written it")
	errMoved   = errors.New("what stood with the group's offset was not about this log, so that an earlier run may " +
		"have written it")
)
