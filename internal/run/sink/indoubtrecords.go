package sink

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/wit"
)

// InDoubtRecords holds the records of a connector whose outcome is unknown. The tasks share it, because the group
// assigns a failed task's partitions to another task, which would otherwise send the requests again. A restarted
// connector reads them from the commit metadata. The zero value is ready to use.
//
// Invariant: size changes together with records, while mu is held. So a reader that finds zero needs no lock: it gets
// the answer that it would get with the lock. Nearly always it is zero, and then no row of a batch takes the lock.
type InDoubtRecords struct {
	size       atomic.Int64 // counts the records of all partitions
	mu         sync.Mutex
	partitions map[topicPartition]*inDoubtPartition
	topicIDs   map[topicPartition]string // of the topics that the partitions belong to, as far as known
	known      wit.Known
}

type inDoubtPartition struct {
	records          map[int64]*inDoubtRecord
	open             []offsetRange // the offsets of the unresolved records
	relocated        *offsetRange  // offsets that may have been written as records of another offset or topic
	hasUsedDecisions bool          // a decision about one of the records was used up once
}

var emptyInDoubt = &inDoubtPartition{} // never modified

// inDoubtRecord is a record in doubt, or one whose decisions were used up.
type inDoubtRecord struct {
	reason error
	// used counts the decisions to send it again that were used up; resending means that one is being carried out.
	used          int
	resending     bool
	resendCounted bool // used includes the decision that is being carried out
	resolved      bool // not in doubt now; used counts if it comes into doubt again
}

// The caller of partition, record and forget, and of the methods of their results, holds mu.
func (i *InDoubtRecords) partition(tp topicPartition) *inDoubtPartition {
	return cmp.Or(i.partitions[tp], emptyInDoubt)
}

func (i *InDoubtRecords) record(r recordID) *inDoubtRecord {
	return i.partition(r.topicPartition()).records[r.offset]
}

func (i *InDoubtRecords) forget(r recordID) {
	if p := i.partition(r.topicPartition()); p.records[r.offset] != nil {
		i.size.Add(-1)
		delete(p.records, r.offset)
		p.open = removeOffset(p.open, r.offset)
	}
}

func (p *inDoubtPartition) isRelocated(offset int64) bool {
	return p.relocated != nil && containsRange([]offsetRange{*p.relocated}, offsetRange{offset, offset}) &&
		containsSorted(p.open, offsetRange{offset, offset})
}

// cause returns why the record is in doubt, nil if it is not or is sent again anyway.
func (r *inDoubtRecord) cause() error {
	if r == nil || r.resending || r.resolved {
		return nil
	}
	return r.reason
}

// rowInDoubt is a row whose record is or was in doubt.
type rowInDoubt struct {
	position  int   // in the rows that were searched
	cause     error // see [inDoubtRecord.cause]
	resending bool
	relocated bool
}

// search returns the rows whose records are or were in doubt. items are by row.
func (i *InDoubtRecords) search(items []*item, rows []uint32) (inDoubt []rowInDoubt) {
	if i.size.Load() == 0 {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for n, row := range rows {
		p := i.partition(items[row].partition.tp)
		if r := p.records[items[row].offset]; r != nil {
			inDoubt = append(inDoubt, rowInDoubt{n, r.cause(), r.resending, p.isRelocated(items[row].offset)})
		}
	}
	return inDoubt
}

// replaceTopic records the topic of an assigned partition. If it was created again since the last assignment, it drops
// the doubts about records of the former topic and returns true. An empty ID is unknown and changes nothing.
func (i *InDoubtRecords) replaceTopic(tp topicPartition, id string) (isOther bool) {
	if id == "" {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if former := i.topicIDs[tp]; former != "" && former != id {
		i.size.Add(-int64(len(i.partition(tp).records)))
		delete(i.partitions, tp)
		isOther = true
	}
	if i.topicIDs == nil {
		i.topicIDs = map[topicPartition]string{}
	}
	i.topicIDs[tp] = id
	return isOther
}

// MergeKnown adds what the plugin knows and reports whether that is new.
func (i *InDoubtRecords) MergeKnown(known wit.Known) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	previous := i.known
	i.known = i.known.With(known)
	return i.known != previous
}

// Known returns what the plugin knows, from this run or an earlier one.
func (i *InDoubtRecords) Known() wit.Known {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.known
}

func (i *InDoubtRecords) hint(r *kgo.Record) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	hint := wit.HintUncertain
	if i.partition(idOf(r).topicPartition()).isRelocated(r.Offset) {
		hint += " " + wit.HintMoved
	}
	if i.known != "" {
		hint += " " + wit.HintKnown + string(i.known)
	}
	return hint
}

func (i *InDoubtRecords) setRelocated(tp topicPartition, relocated offsetRange) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if p := i.partitions[tp]; p != nil {
		p.relocated = &relocated
	}
}

// add puts a record in doubt. If a decision to send it again was being carried out, that is used up.
func (i *InDoubtRecords) add(id recordID, reason error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.partitions == nil {
		i.partitions = map[topicPartition]*inDoubtPartition{}
	}
	p := i.partitions[id.topicPartition()]
	if p == nil {
		p = &inDoubtPartition{records: map[int64]*inDoubtRecord{}}
		i.partitions[id.topicPartition()] = p
	}
	record := p.records[id.offset]
	p.open = addOffset(p.open, id.offset)
	switch {
	case record == nil:
		p.records[id.offset] = &inDoubtRecord{reason: reason}
		i.size.Add(1)
	case record.resending || record.resolved:
		record.reason = reason
		record.resending = false
		record.resendCounted = false
		record.resolved = false
	}
}

func (i *InDoubtRecords) count() (n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, p := range i.partitions {
		for _, record := range p.records {
			if !record.resending && !record.resolved {
				n++
			}
		}
	}
	return n
}

// resolve ends the doubt about a record, but keeps the number of decisions that were used up.
func (i *InDoubtRecords) resolve(id recordID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if record := i.record(id); record != nil && record.used > 0 {
		record.resolved = true
		record.resending = false
		record.resendCounted = false
		p := i.partitions[id.topicPartition()]
		p.open = removeOffset(p.open, id.offset)
	} else {
		i.forget(id)
	}
}

// restoreDecisions restores how many decisions were used up for a record that is not in doubt.
func (i *InDoubtRecords) restoreDecisions(id recordID, used int) {
	i.add(id, nil)
	i.mu.Lock()
	defer i.mu.Unlock()
	record := i.record(id)
	p := i.partitions[id.topicPartition()]
	record.used = max(record.used, used)
	record.resolved = true
	p.hasUsedDecisions = true
	p.open = removeOffset(p.open, id.offset)
}

// decide puts a record of the metadata in doubt and reports whether to send it again: requested is how often the
// operator's setting names it, used how often that was carried out according to the metadata. A record that the setting
// does not name any more can be named again later. A resend that a revoked task has not finished stays pending.
func (i *InDoubtRecords) decide(id recordID, reason error, requested, used int) (resend bool) {
	i.mu.Lock()
	isResending := i.record(id) != nil && i.record(id).resending
	i.mu.Unlock()
	if isResending {
		return true
	}
	i.add(id, reason)
	i.mu.Lock()
	defer i.mu.Unlock()
	record := i.record(id)
	if used > 0 {
		i.partitions[id.topicPartition()].hasUsedDecisions = true
	}
	record.used = max(record.used, used)
	switch {
	case requested == 0:
		record.used = 0
	case requested > record.used:
		record.resending = true
	}
	return record.resending
}

// useDecision counts the decision that is being carried out as used up. It does so once for each resend.
func (i *InDoubtRecords) useDecision(id recordID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if record := i.record(id); record != nil && record.resending && !record.resendCounted {
		record.resendCounted = true
		record.used++
		i.partitions[id.topicPartition()].hasUsedDecisions = true
	}
}

func (i *InDoubtRecords) remove(id recordID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.forget(id)
}

func (i *InDoubtRecords) removeSettled(items []*item) {
	if i.size.Load() == 0 || len(items) == 0 {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, settled := range items {
		i.forget(idOf(settled.record))
	}
}

// cause is [inDoubtRecord.cause].
func (i *InDoubtRecords) cause(r *kgo.Record) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.record(idOf(r)).cause()
}

func (i *InDoubtRecords) openRanges(tp topicPartition, next int64) []offsetRange {
	if i.size.Load() == 0 {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return rangesFrom(i.partition(tp).open, next)
}

func (i *InDoubtRecords) relocatedAndKnown(tp topicPartition, next int64) (relocated []offsetRange, known wit.Known) {
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.partition(tp)
	if open := rangesFrom(p.open, next); len(open) > 0 && p.relocated != nil {
		offsets := offsetRange{max(p.relocated.first, open[0].first), min(p.relocated.last, open[len(open)-1].last)}
		if offsets.first <= offsets.last {
			relocated = []offsetRange{offsets}
		}
	}
	return relocated, i.known
}

// usedDecisions returns the offsets of records whose decisions to send again were used up, once for each decision.
func (i *InDoubtRecords) usedDecisions(tp topicPartition, next int64) []offsetRange {
	if i.size.Load() == 0 {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.partition(tp)
	if !p.hasUsedDecisions {
		return nil
	}
	var used []offsetRange
	for offset, record := range p.records {
		for n := 0; n < record.used && offset >= next; n++ {
			used = append(used, offsetRange{offset, offset})
		}
	}
	slices.SortFunc(used, func(a, b offsetRange) int { return cmp.Compare(a.first, b.first) })
	return used
}

const maxListedRecords = 1000 // more are named as ranges

// names returns the names of the records in doubt, as ranges if there are many, and of those that were sent again once.
func (i *InDoubtRecords) names() (open, resent []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	ranges := map[topicPartition][]offsetRange{}
	count := 0
	for tp, p := range i.partitions {
		for offset, record := range p.records {
			if record.resending || record.resolved {
				continue
			}
			count++
			ranges[tp] = append(ranges[tp], offsetRange{offset, offset})
			if record.used > 0 {
				resent = append(resent, recordID{tp.topic, tp.partition, offset}.String())
			}
		}
	}
	tps := make([]topicPartition, 0, len(ranges))
	for tp := range ranges {
		tps = append(tps, tp)
	}
	slices.SortFunc(tps, func(a, b topicPartition) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	for _, tp := range tps {
		for _, s := range mergeRanges(ranges[tp]) {
			if count > maxListedRecords {
				open = append(open, fmt.Sprintf("%s-%d@%v", tp.topic, tp.partition, s))
				continue
			}
			for offset := s.first; offset <= s.last; offset++ {
				open = append(open, recordID{tp.topic, tp.partition, offset}.String())
			}
		}
	}
	slices.Sort(resent)
	return open, resent
}
