package cluster

import (
	"maps"
	"slices"
)

type statusWrite struct {
	value    []byte // the record's value. Nil means a tombstone.
	status   Status // the decoded value. It is zero for tombstones and topics.
	safe     bool   // true if a newer generation's status of another worker must not be overwritten
	tried    bool   // true after a failed attempt; previous is what the topic contained before the first one
	previous Status
}

// isSuperseded reports whether the topic's status makes the write obsolete. An unsafe write is sent once in any case,
// because generations begin with 1 again if the group was forgotten.
func (w *statusWrite) isSuperseded(current Status) bool {
	return w.status.isSuperseded(current) && (w.safe || (w.tried && current != w.previous))
}

// outbox holds the writes that the topic has not accepted yet.
type outbox struct {
	waiting  map[statusKey]statusWrite
	inFlight map[statusKey]statusWrite
	failing  bool // true from a failed write until the outbox is empty
}

func newOutbox() outbox {
	return outbox{waiting: map[statusKey]statusWrite{}, inFlight: map[statusKey]statusWrite{}}
}

func (o *outbox) size() int { return len(o.waiting) + len(o.inFlight) }

func (o *outbox) keys() []statusKey {
	return slices.AppendSeq(slices.Collect(maps.Keys(o.waiting)), maps.Keys(o.inFlight))
}

func (o *outbox) send(k statusKey, current Status, send func(value []byte)) {
	w, ok := o.waiting[k]
	if _, busy := o.inFlight[k]; !ok || busy {
		return
	}
	delete(o.waiting, k)
	if w.isSuperseded(current) {
		return
	}
	if !w.tried {
		w.previous = current
	}
	o.inFlight[k] = w
	send(w.value)
}

func (o *outbox) done(k statusKey, failed bool) {
	w := o.inFlight[k]
	delete(o.inFlight, k)
	if _, ok := o.waiting[k]; failed && !ok {
		w.tried = true
		o.waiting[k] = w
	}
}
