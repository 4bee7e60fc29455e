package cluster

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
// A key is absent (the topic has all), waiting (then it stands in ready, once), or under way. Of a key at most one
// value is under way; a newer one waits until that has ended. So values are never written in another order than they
// were put in.
type outbox struct {
	keys  map[statusKey]*outgoing
	ready []statusKey
}

// outgoing is a key's newest value; outdated: what is under way is an older one.
type outgoing struct {
	newest             statusWrite
	underWay, outdated bool
}

// put has a key get a value; one that waits is replaced.
func (o *outbox) put(k statusKey, w statusWrite) {
	if e := o.keys[k]; e != nil {
		e.newest, e.outdated = w, e.underWay
		return
	}
	if o.keys == nil {
		o.keys = map[statusKey]*outgoing{}
	}
	o.keys[k] = &outgoing{newest: w}
	o.ready = append(o.ready, k)
}

// take has send send what waits: it is under way then, until settled is called. What is refused by what the topic says
// now is left out.
func (o *outbox) take(now func(statusKey) Status, send func(k statusKey, value []byte)) {
	ready := o.ready
	o.ready = nil
	for _, k := range ready {
		e, said := o.keys[k], now(k)
		if e.newest.refused(said) {
			delete(o.keys, k)
			continue
		}
		if !e.newest.tried {
			e.newest.before = said
		}
		e.underWay = true
		send(k, e.newest.value)
	}
}

// settled says what became of a value that was under way. One that has failed waits again, unless there is a newer one.
func (o *outbox) settled(k statusKey, failed bool) {
	e := o.keys[k]
	if !failed && !e.outdated {
		delete(o.keys, k)
		return
	}
	if !e.outdated {
		e.newest.tried = true
	}
	e.underWay, e.outdated = false, false
	o.ready = append(o.ready, k)
}
