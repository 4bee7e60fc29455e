package sink

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/wit"
)

// InDoubtRecords holds the records of a connector whose outcome is unknown. The tasks share it, because the group
// assigns a failed task's partitions to another task, which would otherwise send the requests again. A restarted
// connector reads them from the commit metadata. The zero value is ready to use.
type InDoubtRecords struct {
	mu         sync.Mutex
	partitions map[topicPartition]*inDoubtPartition
	known      wit.Known
}

type inDoubtPartition struct {
	records          map[int64]*inDoubtRecord
	open             []offsetRange // the offsets of the unresolved records
	relocated        *offsetRange  // offsets that may have been written as records of another offset or topic
	hasUsedDecisions bool          // a decision about one of the records was used up once
}

// emptyInDoubt is never modified.
var emptyInDoubt = &inDoubtPartition{}

type inDoubtRecord struct {
	cause error
	// used counts the decisions to send it again that were used up; resending means that one is being carried out.
	used                     int
	resending, resendCounted bool // resendCounted means that used includes it
	// resolved means that it is not in doubt now; used counts if it comes into doubt again.
	resolved bool
}

// The caller of partition, record, forget and isRelocated holds mu.
func (u *InDoubtRecords) partition(tp topicPartition) *inDoubtPartition {
	return cmp.Or(u.partitions[tp], emptyInDoubt)
}

func (u *InDoubtRecords) record(r recordID) *inDoubtRecord {
	return u.partition(r.topicPartition()).records[r.offset]
}

func (u *InDoubtRecords) forget(r recordID) {
	if p := u.partitions[r.topicPartition()]; p != nil {
		delete(p.records, r.offset)
		p.open = removeOffset(p.open, r.offset)
	}
}

func (u *InDoubtRecords) isRelocated(r recordID) bool {
	p := u.partition(r.topicPartition())
	return p.relocated != nil && containsRange([]offsetRange{*p.relocated}, offsetRange{r.offset, r.offset}) &&
		containsSorted(p.open, offsetRange{r.offset, r.offset})
}

// MergeKnown adds what the plugin knows and reports whether that is new.
func (u *InDoubtRecords) MergeKnown(known wit.Known) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	before := u.known
	u.known = u.known.With(known)
	return u.known != before
}

// Known returns what the plugin knows, from this run or an earlier one.
func (u *InDoubtRecords) Known() wit.Known {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.known
}

func (u *InDoubtRecords) hint(r *kgo.Record) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	hint := wit.HintUncertain
	if u.isRelocated(idOf(r)) {
		hint += " " + wit.HintMoved
	}
	if u.known != "" {
		hint += " " + wit.HintKnown + string(u.known)
	}
	return hint
}

func (u *InDoubtRecords) setRelocated(tp topicPartition, relocated offsetRange) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p := u.partitions[tp]; p != nil {
		p.relocated = &relocated
	}
}

func (u *InDoubtRecords) relocatedInDoubt(r *kgo.Record) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.isRelocated(idOf(r)) && !u.record(idOf(r)).resending
}

// add puts a record in doubt. If a decision to send it again was being carried out, that is used up.
func (u *InDoubtRecords) add(id recordID, reason error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.partitions == nil {
		u.partitions = map[topicPartition]*inDoubtPartition{}
	}
	partition := u.partitions[id.topicPartition()]
	if partition == nil {
		partition = &inDoubtPartition{records: map[int64]*inDoubtRecord{}}
		u.partitions[id.topicPartition()] = partition
	}
	record := partition.records[id.offset]
	partition.open = addOffset(partition.open, id.offset)
	switch {
	case record == nil:
		partition.records[id.offset] = &inDoubtRecord{cause: reason}
	case record.resending || record.resolved:
		record.cause, record.resending, record.resendCounted, record.resolved = reason, false, false, false
	}
}

func (u *InDoubtRecords) count() (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range u.partitions {
		for _, d := range p.records {
			if !d.resending && !d.resolved {
				n++
			}
		}
	}
	return n
}

func (u *InDoubtRecords) resolve(id recordID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if d := u.record(id); d != nil && d.used > 0 {
		d.resolved, d.resending, d.resendCounted = true, false, false
		p := u.partitions[id.topicPartition()]
		p.open = removeOffset(p.open, id.offset)
	} else {
		u.forget(id)
	}
}

func (u *InDoubtRecords) restoreDecisions(id recordID, used int) {
	u.add(id, nil)
	u.mu.Lock()
	defer u.mu.Unlock()
	d, p := u.record(id), u.partitions[id.topicPartition()]
	d.used, d.resolved, p.hasUsedDecisions = max(d.used, used), true, true
	p.open = removeOffset(p.open, id.offset)
}

// decide puts a record of the metadata in doubt and reports whether to send it again: requested is how often the
// operator's setting names it, used how often that was carried out according to the metadata. A record that the setting
// does not name any more can be named again later. A resend that a revoked task has not finished stays pending.
func (u *InDoubtRecords) decide(id recordID, reason error, requested, used int) (resend bool) {
	u.mu.Lock()
	decided := u.record(id) != nil && u.record(id).resending
	u.mu.Unlock()
	if decided {
		return true
	}
	u.add(id, reason)
	u.mu.Lock()
	defer u.mu.Unlock()
	record := u.record(id)
	if used > 0 {
		u.partitions[id.topicPartition()].hasUsedDecisions = true
	}
	switch record.used = max(record.used, used); {
	case requested == 0:
		record.used = 0
	case requested > record.used:
		record.resending = true
	}
	return record.resending
}

func (u *InDoubtRecords) useDecision(id recordID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if d := u.record(id); d != nil && d.resending && !d.resendCounted {
		d.resendCounted = true
		d.used++
		u.partitions[id.topicPartition()].hasUsedDecisions = true
	}
}

func (u *InDoubtRecords) remove(id recordID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forget(id)
}

// cause returns why a record is in doubt, nil if it is not or is sent again anyway.
func (u *InDoubtRecords) cause(r *kgo.Record) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if d := u.record(idOf(r)); d != nil && !d.resending && !d.resolved {
		return d.cause
	}
	return nil
}

func (u *InDoubtRecords) isResent(r *kgo.Record) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	d := u.record(idOf(r))
	return d != nil && d.resending
}

func (u *InDoubtRecords) openRanges(tp topicPartition, next int64) []offsetRange {
	u.mu.Lock()
	defer u.mu.Unlock()
	return rangesFrom(u.partition(tp).open, next)
}

func (u *InDoubtRecords) relocatedAndKnown(tp topicPartition, next int64) (relocated []offsetRange, known wit.Known) {
	u.mu.Lock()
	defer u.mu.Unlock()
	partition := u.partition(tp)
	if open := rangesFrom(partition.open, next); len(open) > 0 && partition.relocated != nil {
		s := offsetRange{max(partition.relocated.first, open[0].first),
			min(partition.relocated.last, open[len(open)-1].last)}
		if s.first <= s.last {
			relocated = []offsetRange{s}
		}
	}
	return relocated, u.known
}

func (u *InDoubtRecords) usedDecisions(tp topicPartition, next int64) []offsetRange {
	u.mu.Lock()
	defer u.mu.Unlock()
	partition := u.partition(tp)
	if !partition.hasUsedDecisions {
		return nil
	}
	var all []offsetRange
	for offset, d := range partition.records {
		for n := 0; n < d.used && offset >= next; n++ {
			all = append(all, offsetRange{offset, offset})
		}
	}
	slices.SortFunc(all, func(a, b offsetRange) int { return cmp.Compare(a.first, b.first) })
	return all
}

const maxListedRecords = 1000

func (u *InDoubtRecords) names() (all, resent []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	ranges := map[topicPartition][]offsetRange{}
	n := 0
	for tp, p := range u.partitions {
		for offset, record := range p.records {
			if record.resending || record.resolved {
				continue
			}
			n++
			ranges[tp] = append(ranges[tp], offsetRange{offset, offset})
			if record.used > 0 {
				resent = append(resent, recordID{tp.topic, tp.partition, offset}.String())
			}
		}
	}
	tps := make([]topicPartition, 0, len(ranges))
	for p := range ranges {
		tps = append(tps, p)
	}
	slices.SortFunc(tps, func(a, b topicPartition) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	for _, p := range tps {
		for _, s := range mergeRanges(ranges[p]) {
			if n > maxListedRecords {
				all = append(all, fmt.Sprintf("%s-%d@%v", p.topic, p.partition, s))
				continue
			}
			for offset := s.first; offset <= s.last; offset++ {
				all = append(all, recordID{p.topic, p.partition, offset}.String())
			}
		}
	}
	slices.Sort(resent)
	return all, resent
}
