package sink

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/kafka"
)

// restorePartition prepares an assigned partition: it finds out which records after the group's offset were written
// already and which may have been, so that none of them is sent twice. The sources are the commit metadata of the
// partition's previous owner, this process's own deliveries that no commit contains yet, and the operator's decisions
// in errors.uncertain.send and errors.uncertain.skip. An error fails the task.
func (t *Task) restorePartition(topic string, partition int32, next int64, stored kafka.CommitMetadata) {
	tp := topicPartition{topic, partition}
	prior, err := t.readPriorProgress(tp, next, stored)
	if err != nil {
		t.fail(fmt.Errorf("topic %s, partition %d: %w", topic, partition, err))
		return
	}
	t.o.InDoubt.MergeKnown(prior.known)
	causes := prior.inDoubtCauses()
	used := map[int64]int{}
	for _, offsets := range prior.usedDecisions {
		used[offsets.first]++
	}
	skipped, toCheck := t.applyDecisions(tp, causes, used)
	if len(prior.relocated) > 0 {
		t.o.InDoubt.setRelocated(tp, prior.relocated[0])
	}
	for offset, times := range used {
		if causes[offset] == nil { // otherwise applyDecisions has counted them
			t.o.InDoubt.restoreDecisions(recordID{topic, partition, offset}, times)
		}
	}
	settled := slices.Concat(prior.settled, prior.uncommitted, skipped)
	slices.SortFunc(settled, func(a, b offsetRange) int { return cmp.Compare(a.first, b.first) })
	storedText := ""
	if prior.writtenHere {
		storedText = stored.Text
	}
	mustStore := len(prior.uncommitted) > 0 || len(prior.inFlight) > 0 || len(prior.relocated) > 0
	t.tracker.apply(offsetFetched{tp: tp, committed: next, settled: settled, inDoubt: toCheck, mustStore: mustStore,
		storedText: storedText})
}

// priorProgress is what is known of the records after a partition's committed offset.
type priorProgress struct {
	metadata
	uncommitted []offsetRange // settled by this process, in no commit
	writtenHere bool          // this process wrote the metadata, and knows the outcome of the requests in them
}

func (t *Task) readPriorProgress(tp topicPartition, next int64,
	stored kafka.CommitMetadata) (p priorProgress, err error) {
	if err = stored.Unreadable; err == nil {
		p.metadata, err = parseMetadata(next, stored.Text)
	}
	if err != nil {
		return p, fmt.Errorf("the metadata of the group's offset %d cannot be read, so it is unknown which records "+
			"after it were written: %w; check the service, then set the group's offset again with Kafka's tools", next,
			err)
	}
	p.uncommitted, p.writtenHere = t.o.Revoked.resume(t.run.requestCtx, tp, next, stored.Text)
	if t.o.InDoubt.replaceTopic(tp, stored.TopicID) {
		p.uncommitted = nil
		p.writtenHere = false
	}
	// The metadata may describe another log: the topic was created again or copied, or has lost records.
	reason := stored.Mismatch
	if _, read := p.lastOffsets(next); reason == "" && stored.Text != "" && read >= stored.End {
		reason = fmt.Sprintf("they contain offset %d, but the partition ends at %d: it has lost records, or is a copy",
			read, stored.End)
	}
	if reason == "" {
		return p, nil
	}
	meta, err := t.mismatchedMetadata(tp, next, p.maxWritten(next, stored), p.metadata, stored, reason)
	if err != nil {
		return p, fmt.Errorf("%s: %w", reason, err)
	}
	return priorProgress{metadata: meta}, nil
}

// maxWritten returns the last offset that may have been written according to mismatching metadata. The offset of a
// record in a copied topic is at most its original one, by an unknown distance. So all present records of a copy may
// have been written, and as many future ones as follow the metadata's offset. If only the log is shorter, no new record
// was written.
func (p priorProgress) maxWritten(next int64, stored kafka.CommitMetadata) int64 {
	if next > stored.End {
		return next - 1
	}
	last, _ := p.lastOffsets(next)
	if stored.Mismatch != "" {
		last = max(last, stored.End-1)
	}
	for _, offsets := range p.uncommitted {
		last = max(last, offsets.last)
	}
	if stored.Verified {
		last = min(last, stored.End-1)
	}
	return last
}

// mismatchedMetadata returns metadata of another log with nothing written and the records up to last in doubt.
func (t *Task) mismatchedMetadata(tp topicPartition, next, last int64, meta metadata, stored kafka.CommitMetadata,
	reason string) (metadata, error) {
	args := []any{"topic", tp.topic, "partition", tp.partition, "offset", next, "why", reason,
		"in_doubt", max(last-next+1, 0), "up_to", last}
	if skipped := (offsetRange{stored.Start, min(next, stored.End) - 1}); stored.OtherTopic &&
		skipped.first <= skipped.last {
		args = append(args, "skipped", skipped.String(), "advice", "a copy of a topic begins with records that were "+
			"written; if the topic was created again, stop the connector and set its offset to "+
			strconv.FormatInt(skipped.first, 10)+" with culvert offsets set, so that the skipped records are written "+
			"and none is in doubt")
	}
	t.log.Warn("the metadata of the group's offset is not about this log: nothing in it counts as written, and "+
		"records are in doubt", args...)
	if last-next >= maxInDoubt {
		return meta, fmt.Errorf("expected at most %d records that may have been written, found those from offset %d "+
			"up to %d; check the service, then set the group's offset with culvert offsets set", maxInDoubt, next, last)
	}
	valid := metadata{known: meta.known}
	from := min(next, stored.End)
	if stored.Verified { // the log is the same before its end
		from = stored.End
		valid.usedDecisions = meta.usedDecisions
	}
	if names := append(t.send.names(sendSetting, tp, from), t.skip.names(skipSetting, tp, from)...); names != nil {
		return meta, fmt.Errorf("expected no decisions about another log, found %s, which would apply to records of "+
			"this one; remove them, start the task, and decide about the records that it names then",
			strings.Join(names, ", "))
	}
	if last >= next {
		valid.inDoubt = []offsetRange{{next, last}}
		valid.relocated = []offsetRange{{next, last}}
	}
	return valid, nil
}

// inDoubtCauses returns, by offset, why records are in doubt: also requests in flight of unknown outcome.
func (p priorProgress) inDoubtCauses() map[int64]error {
	causes := map[int64]error{}
	if !p.writtenHere {
		for _, offsets := range p.inFlight {
			for offset := offsets.first; offset <= offsets.last; offset++ {
				if !containsRange(p.uncommitted, offsetRange{offset, offset}) {
					causes[offset] = errKilled
				}
			}
		}
	}
	for _, offsets := range p.inDoubt {
		for offset := offsets.first; offset <= offsets.last; offset++ {
			causes[offset] = errEarlier
			if containsRange(p.relocated, offsetRange{offset, offset}) {
				causes[offset] = errRelocated
			}
		}
	}
	return causes
}

// applyDecisions applies the operator's settings to the records in doubt and returns the records to skip and those
// that are still to be checked. used counts, by offset, how often a record was sent again already.
func (t *Task) applyDecisions(tp topicPartition, causes map[int64]error,
	used map[int64]int) (skipped []offsetRange, toCheck map[int64]bool) {
	toCheck = map[int64]bool{}
	for _, offset := range slices.Sorted(maps.Keys(causes)) {
		id := recordID{tp.topic, tp.partition, offset}
		switch {
		case t.skip.count(id) > 0:
			t.count.errors.Skipped.Add(1)
			t.log.Warn("a record in doubt is skipped because of "+skipSetting, "record", id.String())
			skipped = append(skipped, offsetRange{offset, offset})
			t.o.InDoubt.remove(id)
		case t.o.InDoubt.decide(id, causes[offset], t.send.count(id), used[offset]):
			t.log.Warn("a record in doubt is sent again because of "+sendSetting, "record", id.String())
		default:
			toCheck[offset] = true
		}
	}
	return skipped, toCheck
}

var (
	errEarlier   = errors.New("an earlier run could not find out")
	errKilled    = errors.New("an earlier run, which was killed, may have written it")
	errRelocated = errors.New("the metadata of the group's offset was not about this log, so an earlier run may have " +
		"written it")
)
