package sink

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/kafka"
)

// restorePartition applies what an earlier run, or another task of the connector, has stored with the group's offset of
// an assigned partition, and the operator's decisions about its records in doubt.
func (t *Task) restorePartition(topic string, partition int32, next int64, stored kafka.CommitMetadata) {
	tp := topicPartition{topic, partition}
	meta, err := parseMetadata(next, stored.Text)
	if err != nil {
		t.fail(fmt.Errorf("topic %s, partition %d: the metadata of the group's offset %d cannot be read, so it is "+
			"unknown which records after it were written: %w; check the service, then set the group's offset again "+
			"with Kafka's tools", topic, partition, next, err))
		return
	}
	uncommitted, written := t.o.Revoked.resume(t.run.requestCtx, tp, next, stored.Text)
	if reason := metadataMismatch(meta, next, stored); reason != "" {
		last := maxWritten(meta, uncommitted, next, stored)
		if meta, err = t.mismatchedMetadata(tp, meta, next, last, stored, reason); err != nil {
			t.fail(fmt.Errorf("topic %s, partition %d: %s: %w", topic, partition, reason, err))
			return
		}
		uncommitted, written = nil, false
	}
	t.o.InDoubt.MergeKnown(meta.known)
	causes := meta.inDoubtCauses(uncommitted, written)
	used := map[int64]int{}
	for _, s := range meta.usedDecisions {
		used[s.first]++
	}
	skipped, toCheck := t.applyDecisions(tp, causes, used)
	if len(meta.relocated) > 0 {
		t.o.InDoubt.setRelocated(tp, meta.relocated[0])
	}
	for offset, times := range used {
		if causes[offset] == nil {
			t.o.InDoubt.restoreDecisions(recordID{topic, partition, offset}, times)
		}
	}
	settled := slices.Concat(meta.settled, uncommitted, skipped)
	slices.SortFunc(settled, func(a, b offsetRange) int { return cmp.Compare(a.first, b.first) })
	text := ""
	if written {
		text = stored.Text
	}
	t.tracker.apply(offsetFetched{tp: tp, committed: next, settled: settled, inDoubt: toCheck,
		uncommitted: len(uncommitted) > 0 || len(meta.inFlight) > 0 || len(meta.relocated) > 0, storedText: text})
}

// mismatchedMetadata returns what remains valid of metadata that do not describe this log: nothing in them counts as
// written, and the records up to last are in doubt.
func (t *Task) mismatchedMetadata(tp topicPartition, meta metadata, next, last int64, stored kafka.CommitMetadata,
	reason string) (metadata, error) {
	t.log.Warn("the metadata of the group's offset is not about this log: nothing in it counts as written, and "+
		"records are in doubt", "topic", tp.topic, "partition", tp.partition, "offset", next, "why", reason,
		"in_doubt", max(last-next+1, 0), "up_to", last)
	if last-next >= maxInDoubt {
		return meta, fmt.Errorf("expected at most %d records that may have been written, found those from offset %d "+
			"up "+
			"to %d; check the service, then set the group's offset with culvert offsets set", maxInDoubt, next, last)
	}
	from, decided := min(next, stored.End), []offsetRange(nil)
	if stored.Verified { // the log is the same before its end
		from, decided = stored.End, meta.usedDecisions
	}
	if names := append(t.send.names(sendSetting, tp, from), t.skip.names(skipSetting, tp, from)...); names != nil {
		return meta, fmt.Errorf("expected no decisions about another log, found %s, which would apply to records of "+
			"this one; remove them, start the task, and decide about the records that it names then",
			strings.Join(names, ", "))
	}
	meta = metadata{known: meta.known, usedDecisions: decided}
	if last >= next {
		meta.inDoubt, meta.relocated = []offsetRange{{next, last}}, []offsetRange{{next, last}}
	}
	return meta, nil
}

// inDoubtCauses returns why records are in doubt. Requests in flight are in doubt unless the metadata are this
// process's own, or it has settled their records since.
func (n metadata) inDoubtCauses(uncommitted []offsetRange, writtenHere bool) map[int64]error {
	causes := map[int64]error{}
	for _, s := range n.inFlight {
		for offset := s.first; offset <= s.last && !writtenHere; offset++ {
			if !containsRange(uncommitted, offsetRange{offset, offset}) {
				causes[offset] = errKilled
			}
		}
	}
	for _, s := range n.inDoubt {
		for offset := s.first; offset <= s.last; offset++ {
			causes[offset] = errEarlier
			if containsRange(n.relocated, offsetRange{offset, offset}) {
				causes[offset] = errRelocated
			}
		}
	}
	return causes
}

func (t *Task) applyDecisions(tp topicPartition, causes map[int64]error, used map[int64]int) (skipped []offsetRange,
	toCheck map[int64]bool) {
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

func metadataMismatch(n metadata, next int64, stored kafka.CommitMetadata) string {
	if _, read := n.lastOffsets(next); stored.Moved == "" && stored.Text != "" && read >= stored.End {
		return fmt.Sprintf("they contain offset %d, but the partition ends at %d: it has lost records, or is a copy",
			read, stored.End)
	}
	return stored.Moved
}

// maxWritten returns the last offset that may have been written according to mismatching metadata. A copied offset is
// at its record or before it, by an unknown distance: so all present records of a copy may have been written, and as
// many of those to come as follow the offset of the metadata. If the log is the same and has become shorter, no new
// record was written.
func maxWritten(meta metadata, uncommitted []offsetRange, next int64, stored kafka.CommitMetadata) int64 {
	if next > stored.End {
		return next - 1
	}
	all, _ := meta.lastOffsets(next)
	if stored.Moved != "" {
		all = max(all, stored.End-1)
	}
	for _, s := range uncommitted {
		all = max(all, s.last)
	}
	if stored.Verified {
		all = min(all, stored.End-1)
	}
	return all
}

var (
	errEarlier   = errors.New("an earlier run could not find out")
	errKilled    = errors.New("an earlier run, which was killed, may have written it")
	errRelocated = errors.New("the metadata of the group's offset was not about this log, so an earlier run may have " +
		"written it")
)
