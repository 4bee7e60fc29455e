package sink

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/wit"
)

// InDoubtRecords holds the records of a connector of which nobody knows whether they were written, because a request
// that must not be sent twice got no answer, or one that does not say. The tasks of a connector share one: the group
// gives a failed task's partitions to another task, which would send the request again (P19). A start of the connector
// finds them in the metadata with the group's offsets. The zero value is empty and ready.
type InDoubtRecords struct {
	mu         sync.Mutex
	partitions map[topicPartition]*uncertainPartition
	// known is what the plugin knew of the service, now or in an earlier run.
	known wit.Known
}

// uncertainPartition holds those of a partition.
type uncertainPartition struct {
	records map[int64]*uncertainRecord
	// open are the offsets of those that are not resolved.
	open []offsetRange
	// moved are offsets of which those that are open may have been written as records of another offset or topic; nil:
	// there are none.
	moved *offsetRange
	// decided: a decision about one of them was used up once.
	decided bool
}

// noUncertain is a partition without uncertain records. It is never modified.
var noUncertain = &uncertainPartition{}

// uncertainRecord is one such record.
type uncertainRecord struct {
	why error
	// used is how many decisions to send it again were used up. sending: there is one that is not yet carried out;
	// sent: it is used up, too.
	used          int
	sending, sent bool
	// resolved: it is not in doubt any more, and not settled. What was decided stays used up, should it be in doubt
	// once more.
	resolved bool
}

// partition is the records of one; the caller holds mu.
func (u *InDoubtRecords) partition(at topicPartition) *uncertainPartition {
	return cmp.Or(u.partitions[at], noUncertain)
}

// at is what is known of a record, nil for nothing; the caller holds mu.
func (u *InDoubtRecords) at(r recordID) *uncertainRecord {
	return u.partition(r.topicPartition()).records[r.offset]
}

// forget removes a record; the caller holds mu.
func (u *InDoubtRecords) forget(r recordID) {
	if p := u.partitions[r.topicPartition()]; p != nil {
		delete(p.records, r.offset)
		p.open = without(p.open, r.offset)
	}
}

// isMoved reports whether an open record may have been written from another offset or topic; the caller holds mu.
func (u *InDoubtRecords) isMoved(r recordID) bool {
	p := u.partition(r.topicPartition())
	return p.moved != nil && within([]offsetRange{*p.moved}, offsetRange{r.offset, r.offset}) &&
		covered(p.open, offsetRange{r.offset, r.offset})
}

// MergeKnown takes what the plugin knows, and reports whether that is news.
func (u *InDoubtRecords) MergeKnown(known wit.Known) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	before := u.known
	u.known = u.known.With(known)
	return u.known != before
}

// Known is what the plugin knows, now or in an earlier run.
func (u *InDoubtRecords) Known() wit.Known {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.known
}

// hint returns the hint with which the plugin must check a record.
func (u *InDoubtRecords) hint(r *kgo.Record) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	hint := wit.HintUncertain
	if u.isMoved(idOf(r)) {
		hint += " " + wit.HintMoved
	}
	if u.known != "" {
		hint += " " + wit.HintKnown + string(u.known)
	}
	return hint
}

// move notes that records may have been written as ones of other offsets or another topic.
func (u *InDoubtRecords) move(at topicPartition, moved offsetRange) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p := u.partitions[at]; p != nil {
		p.moved = &moved
	}
}

// moved reports whether a record in doubt is such a one.
func (u *InDoubtRecords) moved(r *kgo.Record) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.isMoved(idOf(r)) && !u.at(idOf(r)).sending
}

// put adds a record. A decision that was being carried out is used up by it.
func (u *InDoubtRecords) put(at recordID, why error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.partitions == nil {
		u.partitions = map[topicPartition]*uncertainPartition{}
	}
	p := u.partitions[at.topicPartition()]
	if p == nil {
		p = &uncertainPartition{records: map[int64]*uncertainRecord{}}
		u.partitions[at.topicPartition()] = p
	}
	d := p.records[at.offset]
	p.open = with(p.open, at.offset)
	switch {
	case d == nil:
		p.records[at.offset] = &uncertainRecord{why: why}
	case d.sending || d.resolved:
		d.why, d.sending, d.sent, d.resolved = why, false, false, false
	}
}

// count is how many records are in doubt.
func (u *InDoubtRecords) count() (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range u.partitions {
		for _, d := range p.records {
			if !d.sending && !d.resolved {
				n++
			}
		}
	}
	return n
}

// resolve says that a record is not in doubt any more, and not settled.
func (u *InDoubtRecords) resolve(at recordID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if d := u.at(at); d != nil && d.used > 0 {
		d.resolved, d.sending, d.sent = true, false, false
		p := u.partitions[at.topicPartition()]
		p.open = without(p.open, at.offset)
	} else {
		u.forget(at)
	}
}

// remember takes from metadata how many decisions about a record were used up that is not in doubt.
func (u *InDoubtRecords) remember(at recordID, used int) {
	u.put(at, nil)
	u.mu.Lock()
	defer u.mu.Unlock()
	d, p := u.at(at), u.partitions[at.topicPartition()]
	d.used, d.resolved, p.decided = max(d.used, used), true, true
	p.open = without(p.open, at.offset)
}

// decide notes that metadata lists the record as uncertain and tells whether to send it again: the operator asked for
// that `named` times, `used` of which were acted on, as far as the metadata knows. A record that is not named any more
// can be named again. One that was to be sent by a task that lost its partition still is.
func (u *InDoubtRecords) decide(at recordID, why error, named, used int) (send bool) {
	u.mu.Lock()
	decided := u.at(at) != nil && u.at(at).sending
	u.mu.Unlock()
	if decided {
		return true
	}
	u.put(at, why)
	u.mu.Lock()
	defer u.mu.Unlock()
	d := u.at(at)
	if used > 0 {
		u.partitions[at.topicPartition()].decided = true
	}
	switch d.used = max(d.used, used); {
	case named == 0:
		d.used = 0
	case named > d.used:
		d.sending = true
	}
	return d.sending
}

// use says that a record is about to be sent: where that was decided, the decision is used up.
func (u *InDoubtRecords) use(at recordID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if d := u.at(at); d != nil && d.sending && !d.sent {
		d.sent = true
		d.used++
		u.partitions[at.topicPartition()].decided = true
	}
}

// settled forgets a record that somebody knows about now.
func (u *InDoubtRecords) settled(at recordID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forget(at)
}

// why is what was known when the record was given up; nil: it is not uncertain, or is to be sent all the same.
func (u *InDoubtRecords) why(r *kgo.Record) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if d := u.at(idOf(r)); d != nil && !d.sending && !d.resolved {
		return d.why
	}
	return nil
}

// sending tells whether a record is to be sent because somebody has decided so.
func (u *InDoubtRecords) sending(r *kgo.Record) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	d := u.at(idOf(r))
	return d != nil && d.sending
}

// of is the offsets of a partition's uncertain records from `next` on, in order.
func (u *InDoubtRecords) of(at topicPartition, next int64) []offsetRange {
	u.mu.Lock()
	defer u.mu.Unlock()
	return from(u.partition(at).open, next)
}

// rest is what metadata say besides: the range of offsets of a partition from `next` on that [InDoubtRecords.moved] is
// so of, none or one, and what the plugin knew.
func (u *InDoubtRecords) rest(at topicPartition, next int64) (moved []offsetRange, known wit.Known) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.partition(at)
	if open := from(p.open, next); len(open) > 0 && p.moved != nil {
		s := offsetRange{max(p.moved.first, open[0].first), min(p.moved.last, open[len(open)-1].last)}
		if s.first <= s.last {
			moved = []offsetRange{s}
		}
	}
	return moved, u.known
}

// used is the offsets of a partition from `next` on whose decisions were used up, in order, each as often as it was.
func (u *InDoubtRecords) used(at topicPartition, next int64) []offsetRange {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.partition(at)
	if !p.decided {
		return nil
	}
	var all []offsetRange
	for offset, d := range p.records {
		for n := 0; n < d.used && offset >= next; n++ {
			all = append(all, offsetRange{offset, offset})
		}
	}
	slices.SortFunc(all, func(a, b offsetRange) int { return cmp.Compare(a.first, b.first) })
	return all
}

// maxNames is how many records are named one by one.
const maxNames = 1000

// names are the records about which an operator has to decide, as the settings take them, and those among them that
// were sent again.
func (u *InDoubtRecords) names() (all, again []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	at := map[topicPartition][]offsetRange{}
	n := 0
	for place, p := range u.partitions {
		for offset, d := range p.records {
			if d.sending || d.resolved {
				continue
			}
			n++
			at[place] = append(at[place], offsetRange{offset, offset})
			if d.used > 0 {
				again = append(again, recordID{place.topic, place.partition, offset}.String())
			}
		}
	}
	places := make([]topicPartition, 0, len(at))
	for p := range at {
		places = append(places, p)
	}
	slices.SortFunc(places, func(a, b topicPartition) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	for _, p := range places {
		for _, s := range joined(at[p]) {
			if n > maxNames {
				all = append(all, fmt.Sprintf("%s-%d@%v", p.topic, p.partition, s))
				continue
			}
			for offset := s.first; offset <= s.last; offset++ {
				all = append(all, recordID{p.topic, p.partition, offset}.String())
			}
		}
	}
	slices.Sort(again)
	return all, again
}

// The settings by which an operator decides.
const sendSetting, skipSetting = "errors.uncertain.send", "errors.uncertain.skip"

// uncertainError is the error of a task that leaves records uncertain: it names all that the connector has.
type uncertainError struct {
	error
	all, again []string
}

func (e *uncertainError) Unwrap() error { return e.error }

func (e *uncertainError) Error() string {
	them, names := "it", strings.Join(e.all, ",")
	if len(e.all) > 1 {
		them = "them"
	}
	text := fmt.Sprintf("%v; look whether the service has %s, then set %s=%s to have %s sent again, "+
		"or %s=%s to leave %s out",
		e.error, them, sendSetting, names, them, skipSetting, names, them)
	if len(e.again) > 0 {
		text += fmt.Sprintf("; a name in %s counts once, and was used up for %s: name it there once more than before "+
			"to have it sent once more", sendSetting, strings.Join(e.again, ","))
	}
	return text
}

// advised adds to a fault that leaves records uncertain what can be done about them.
func (u *InDoubtRecords) advised(err error) error {
	if all, again := u.names(); len(all) > 0 {
		return &uncertainError{err, all, again}
	}
	return err
}

// decisions are records as a setting names them, TOPIC-PARTITION@OFFSET or TOPIC-PARTITION@FIRST-LAST.
type decisions map[topicPartition][]offsetRange

func parseDecisions(setting string, names []string) (d decisions, err error) {
	d = decisions{}
	for _, name := range names {
		at, s, ok := parseDecision(name)
		switch {
		case name == "":
		case !ok:
			return d, fmt.Errorf("%s: expected TOPIC-PARTITION@OFFSET, as orders-0@17, found %q", setting, name)
		default:
			d[at] = append(d[at], s)
		}
	}
	return d, nil
}

func parseDecision(name string) (at topicPartition, s offsetRange, ok bool) {
	n := strings.LastIndexByte(name, '@')
	if n < 0 {
		return at, s, false
	}
	dash := strings.LastIndexByte(name[:n], '-')
	if dash <= 0 {
		return at, s, false
	}
	partition, err := strconv.ParseInt(name[dash+1:n], 10, 32)
	s, inOrder := parseOffsetRange(name[n+1:])
	return topicPartition{name[:dash], int32(partition)}, s, inOrder && err == nil && partition >= 0
}

// names returns the names of a partition's records from an offset on, as the setting spells them.
func (d decisions) names(setting string, at topicPartition, from int64) (all []string) {
	for _, s := range d[at] {
		if s.last >= from {
			all = append(all, fmt.Sprintf("%s=%s-%d@%v", setting, at.topic, at.partition, s))
		}
	}
	return all
}

// count is how often a record is named.
func (d decisions) count(at recordID) int {
	n := 0
	for _, s := range d[at.topicPartition()] {
		if s.first <= at.offset && at.offset <= s.last {
			n++
		}
	}
	return n
}
