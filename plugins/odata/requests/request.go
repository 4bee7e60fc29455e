package requests

import (
	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// operation is what a request does. Those of an upsert go on with the other one.
type Operation int

const (
	Insert Operation = iota
	Delete
	// confirm reads an entity that was to be deleted.
	ConfirmDelete
	// put, merge and patch, and those of upserts, stand in the same order: [encoding.update] counts on it.
	Put
	Merge
	Patch
	UpsertPut
	UpsertMerge
	UpsertPatch
	UpsertInsert
	// readTag reads an entity for its ETag.
	ReadETag
	ReadETagForUpsert
	ReadETagForDelete
	// look and find read whether an insert was applied, probing whether the service is there.
	LookUp
	LookUpForUpsert
	Find
	ProbeService
	// readSet asks for an entity of the set, whichever, since the address of the row's is refused.
	ReadSet
)

// methods of operations; the others read.
var methods = map[Operation]string{Insert: "POST", UpsertInsert: "POST", Delete: "DELETE", Put: "PUT", UpsertPut: "PUT",
	Merge: "MERGE", UpsertMerge: "MERGE", Patch: "PATCH", UpsertPatch: "PATCH"}

// inserts tells whether an operation makes an entity.
func (o Operation) IsInsert() bool { return o == Insert || o == UpsertInsert }

// upserts tells of an update whether an insert follows where the entity isn't there.
func (o Operation) IsUpsertUpdate() bool {
	return o == UpsertPut || o == UpsertMerge || o == UpsertPatch
}

// reads tells of an operation that can share a batch whether it is a read.
func (o Operation) IsETagRead() bool {
	return o == ReadETag || o == ReadETagForUpsert || o == ReadETagForDelete
}

// target is what is sent for a row: encode makes it, and settle reads it from the delivery's memo.
type Target struct {
	Operation
	Set *entityset.EntitySet
	// predicate is the entity's key, "" where the row doesn't say one by which the entity is found.
	Predicate string
	Hint      Hint
	// nested is how many updates of entities nested in the row go with it.
	NestedUpdates int
	// compared is the body that a check compares with what it finds.
	Compare string
	// batched: it goes in a batch. The answer to it is the service's own then, and faults of another kind than of the
	// row are the task's.
	InBatch bool
}

// path of the request, without its query.
func (t *Target) Path() string {
	switch {
	case t.Operation == ProbeService:
		return t.Set.Service + "/"
	case t.IsInsert(), t.Operation == Find, t.Operation == ReadSet:
		return t.Set.Path
	}
	return t.Set.Path + t.Predicate
}

// what names the request in messages.
func (t *Target) Name() string {
	method := methods[t.Operation]
	if method == "" {
		method = "GET"
	}
	if t.NestedUpdates > 0 {
		return method + " " + t.Path() + " with the entities nested in it"
	}
	return method + " " + t.Path()
}

// like tells whether nothing but the keys of two targets differ.
func (t *Target) sameExceptKey(o *Target) bool {
	return t.Operation == o.Operation && t.Set == o.Set && t.Hint == o.Hint && t.NestedUpdates+o.NestedUpdates == 0 &&
		t.Compare+o.Compare == ""
}

// request is what a row comes to: its target, and how it is sent.
type request struct {
	Target
	row    uint32
	method string
	// query is what follows the path.
	query   string
	headers []wit.Header
	body    []byte
	// entity is a hash of the entity: the same for all spellings of its key.
	entityHash uint32
	repeatable bool
	// updates are those of the entities nested in the row, which are done with the request or not at all.
	updates []nestedUpdate
}

// nestedUpdate is the update of an entity that is nested in a row. Its method and headers are those of the row's own.
type nestedUpdate struct {
	path       string
	body       []byte
	entityHash uint32
}

// A memo is the head of a delivery and its targets. Each target begins with a number, which says what of it stands in
// the memo.
const (
	// memoLike: it is like the one before, and only its key stands there.
	flagSameAsPrevious = 1 << iota
	// memoPart: it begins a part of the batch.
	flagNewPart
	// memoNested and memoCompared: it has these.
	flagNested
	flagCompare
)

// appendHead writes the head of a memo: the service's place among all, how long the batch is (0: the request is none),
// and how many targets follow.
func AppendStateHead(memo []byte, at, size, count int) []byte {
	return pack.Number(pack.Number(pack.Number(memo, at), size), count)
}

// append writes a target after another one, nil for none. part: it begins a part of the batch.
func (t *Target) AppendState(memo []byte, before *Target, part bool) []byte {
	says := 0
	if part {
		says = flagNewPart
	}
	if before != nil && t.sameExceptKey(before) {
		return pack.Text(pack.Number(memo, says|flagSameAsPrevious), t.Predicate)
	}
	if t.NestedUpdates > 0 {
		says |= flagNested
	}
	if t.Compare != "" {
		says |= flagCompare
	}
	memo = pack.Number(pack.Number(pack.Number(memo, says), int(t.Operation)), t.Set.Index)
	memo = pack.Text(pack.Text(memo, t.Hint.Text()), t.Predicate)
	if t.NestedUpdates > 0 {
		memo = pack.Number(memo, t.NestedUpdates)
	}
	if t.Compare != "" {
		memo = pack.Text(memo, t.Compare)
	}
	return memo
}

// memo reads the targets of a delivery one by one.
type stateReader struct {
	count   int
	batched bool
	state   *capabilities.State
	r       *pack.Reader
	// target is the last one; part: it begins a part of the batch; like: it is like the one before.
	Target
	newPart, sameAsPrevious bool
}

// delivery is a delivery that was sent, as its memo describes it.
type Delivery struct {
	// at is the service's index. size is how long the batch is, 0 for a single request.
	ServiceIndex, BatchBytes int
	// rows are in the order of their operations. parts is how many of them each part of the batch has: one where others
	// are nested in it, whose updates stand after its own.
	Targets []Target
	Parts   []int
}

// readDelivery reads a memo. ok is false for one of another version of this plugin.
func ReadDelivery(s *capabilities.State, text []byte) (d *Delivery, ok bool) {
	r := pack.Open(text)
	d = &Delivery{ServiceIndex: r.Number(), BatchBytes: r.Number()}
	m := stateReader{count: r.Count(), batched: d.BatchBytes > 0, state: s, r: r}
	if r.Bad || d.ServiceIndex < 0 || d.ServiceIndex >= len(s.Services) || m.count <= 0 || d.BatchBytes <= 0 && m.count != 1 {
		return nil, false
	}
	d.Targets = make([]Target, 0, m.count)
	for range m.count {
		if !m.next() {
			return nil, false
		}
		if m.newPart || len(d.Parts) == 0 {
			d.Parts = append(d.Parts, 0)
		}
		d.Parts[len(d.Parts)-1]++
		d.Targets = append(d.Targets, m.Target)
	}
	return d, r.Done()
}

// next reads a target. ok is false where that cannot be.
func (m *stateReader) next() (ok bool) {
	says := m.r.Number()
	m.newPart, m.sameAsPrevious = says&flagNewPart != 0, says&flagSameAsPrevious != 0
	if m.sameAsPrevious {
		m.Predicate = m.r.Text()
		return !m.r.Bad && m.Set != nil
	}
	op, place := m.r.Number(), m.r.Number()
	m.Target = Target{Operation: Operation(op), InBatch: m.batched}
	if m.r.Bad || place < 0 || place >= len(m.state.Sets) {
		return false
	}
	m.Set = &m.state.Sets[place]
	m.Hint, m.Predicate = parseHint(m.r.Text()), m.r.Text()
	if says&flagNested != 0 {
		m.NestedUpdates = m.r.Number()
	}
	if says&flagCompare != 0 {
		m.Compare = m.r.Text()
	}
	return !m.r.Bad && m.NestedUpdates >= 0
}

// identified tells whether the service does nothing twice for a row, since it knows RequestIDs, and the row's was never
// another one.
func IsIdempotent(s *capabilities.State, t *entityset.EntitySet, h Hint) bool {
	return s.InsertUncertain == "repeatable" && s.ServiceCapabilities[t.ServiceIndex].RequestIDs && !h.Moved
}

// repeatable tells whether the request may be sent twice, as far as one of a batch can.
func (a *Target) IsRepeatable(s *capabilities.State) bool {
	if a.IsInsert() {
		return s.InsertUncertain == "retry" || IsIdempotent(s, a.Set, a.Hint)
	}
	return a.Operation == Delete || !s.UseETags || !a.Hint.HasETag || a.Hint.ETag == "" || s.RetryETagConflicts
}
