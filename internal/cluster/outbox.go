package cluster

import (
	"maps"
	"slices"
)

type statusWrite struct {
	value    []byte // the record's value. Nil means a tombstone.
	status   Status // the decoded value. It is zero for tombstones and topics.
	safe     bool   // true if a newer generation's status of another worker must not be overwritten
	tried    bool   // true after a failed attempt
	previous Status // what the topic contained before the first attempt
}

// isSuperseded reports whether the topic's status makes the write obsolete. An unsafe write is sent once in any case,
// because generations begin with 1 again if the group was forgotten.
func (w *statusWrite) isSuperseded(current Status) bool {
	return w.status.isSuperseded(current) && (w.safe || (w.tried && current != w.previous))
}

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

// send calls produce with the waiting write of a key, unless another one is in flight. A write that current supersedes
// is dropped.
func (o *outbox) send(k statusKey, current Status, produce func(value []byte)) {
	w, isWaiting := o.waiting[k]
	if _, isInFlight := o.inFlight[k]; !isWaiting || isInFlight {
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
	produce(w.value)
}

// complete ends the write in flight of a key. A failed one waits again unless a newer one does.
func (o *outbox) complete(k statusKey, failed bool) {
	w := o.inFlight[k]
	delete(o.inFlight, k)
	if _, isWaiting := o.waiting[k]; failed && !isWaiting {
		w.tried = true
		o.waiting[k] = w
	}
}
