package cluster

import (
	"maps"
	"slices"
)

// statusWrite is the value that a key of the status topic is to get.
type statusWrite struct {
	// value is the record's; nil: a tombstone.
	value []byte
	// status is what the value says; zero for tombstones and for topics that a connector uses.
	status Status
	// safe: it is not to overwrite what another worker has said in a newer generation.
	safe bool
	// tried: it was sent and failed; before is what the topic said when it was sent first.
	tried  bool
	before Status
}

// refused tells whether a write is to be left out, by what the topic says now. One that overwrites all is sent once
// without a look: generations begin with 1 again where the group was forgotten. When it failed and is to be sent again,
// it gives way to another worker's newer word that has come meanwhile.
func (w *statusWrite) refused(now Status) bool {
	return w.status.overtaken(now) && (w.safe || w.tried && now != w.before)
}

// outbox holds the newest value that each key is to get, until the topic has it. It is not for several goroutines.
//
// Of a key at most one value is under way; a newer one waits until that has ended. So values are never written in
// another order than they were put in.
type outbox struct{ waiting, underWay map[statusKey]statusWrite }

func newOutbox() outbox { return outbox{map[statusKey]statusWrite{}, map[statusKey]statusWrite{}} }

// left are the keys that are to get a value, some of them twice.
func (o *outbox) left() []statusKey {
	return slices.AppendSeq(slices.Collect(maps.Keys(o.waiting)), maps.Keys(o.underWay))
}

// take has send send what waits for a key, unless another value of it is under way: this one is then, until settled is
// called. What is refused by what the topic says now is left out.
func (o *outbox) take(k statusKey, now Status, send func(value []byte)) {
	w, waits := o.waiting[k]
	if _, busy := o.underWay[k]; !waits || busy {
		return
	}
	delete(o.waiting, k)
	if w.refused(now) {
		return
	}
	if !w.tried {
		w.before = now
	}
	o.underWay[k] = w
	send(w.value)
}

// settled says what became of a value that was under way. One that has failed waits again, unless there is a newer one.
func (o *outbox) settled(k statusKey, failed bool) {
	w := o.underWay[k]
	delete(o.underWay, k)
	if _, newer := o.waiting[k]; failed && !newer {
		w.tried = true
		o.waiting[k] = w
	}
}
