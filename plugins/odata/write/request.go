package write

import (
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// operation is what a request does. Those of an upsert go on with the other one.
type operation int

const (
	insert operation = iota
	remove
	// confirm reads an entity that was to be deleted.
	confirm
	// put, merge and patch, and those of upserts, stand in the same order: [encoding.update] counts on it.
	put
	merge
	patch
	upsertPut
	upsertMerge
	upsertPatch
	upsertInsert
	// readTag reads an entity for its ETag.
	readTag
	readTagOfUpsert
	readTagOfRemoval
	// look and find read whether an insert was applied, probing whether the service is there.
	look
	lookOfUpsert
	find
	probing
	// readSet asks for an entity of the set, whichever, since the address of the row's is refused.
	readSet
)

// methods of operations; the others read.
var methods = map[operation]string{insert: "POST", upsertInsert: "POST", remove: "DELETE", put: "PUT", upsertPut: "PUT",
	merge: "MERGE", upsertMerge: "MERGE", patch: "PATCH", upsertPatch: "PATCH"}

// inserts tells whether an operation makes an entity.
func (o operation) inserts() bool { return o == insert || o == upsertInsert }

// upserts tells of an update whether an insert follows where the entity isn't there.
func (o operation) upserts() bool { return o == upsertPut || o == upsertMerge || o == upsertPatch }

// reads tells of an operation that can share a batch whether it is a read.
func (o operation) reads() bool { return o == readTag || o == readTagOfUpsert || o == readTagOfRemoval }

// target is what is sent for a row: encode makes it, and settle reads it from the delivery's memo.
type target struct {
	operation
	to *entitySet
	// predicate is the entity's key, "" where the row doesn't say one by which the entity is found.
	predicate string
	hint      hint
	// nested is how many updates of entities nested in the row go with it.
	nested int
	// compared is the body that a check compares with what it finds.
	compared string
	// batched: it goes in a batch. The answer to it is the service's own then, and faults of another kind than of the
	// row are the task's.
	batched bool
}

// path of the request, without its query.
func (t *target) path() string {
	switch {
	case t.operation == probing:
		return t.to.service + "/"
	case t.inserts(), t.operation == find, t.operation == readSet:
		return t.to.path
	}
	return t.to.path + t.predicate
}

// what names the request in messages.
func (t *target) what() string {
	method := methods[t.operation]
	if method == "" {
		method = "GET"
	}
	if t.nested > 0 {
		return method + " " + t.path() + " with the entities nested in it"
	}
	return method + " " + t.path()
}

// like tells whether nothing but the keys of two targets differ.
func (t *target) like(o *target) bool {
	return t.operation == o.operation && t.to == o.to && t.hint == o.hint && t.nested+o.nested == 0 &&
		t.compared+o.compared == ""
}

// request is what a row comes to: its target, and how it is sent.
type request struct {
	target
	row    uint32
	method string
	// query is what follows the path.
	query   string
	headers []wit.Header
	body    []byte
	// entity is a hash of the entity: the same for all spellings of its key.
	entity     uint32
	repeatable bool
	// updates are those of the entities nested in the row, which are done with the request or not at all.
	updates []nestedUpdate
}

// nestedUpdate is the update of an entity that is nested in a row. Its method and headers are those of the row's own.
type nestedUpdate struct {
	path   string
	body   []byte
	entity uint32
}

// A memo is the head of a delivery and its targets. Each target begins with a number, which says what of it stands in
// the memo.
const (
	// memoLike: it is like the one before, and only its key stands there.
	memoLike = 1 << iota
	// memoPart: it begins a part of the batch.
	memoPart
	// memoNested and memoCompared: it has these.
	memoNested
	memoCompared
)

// appendHead writes the head of a memo: the service's place among all, how long the batch is (0: the request is none),
// and how many targets follow.
func appendHead(memo []byte, at, size, count int) []byte {
	return pack.Int(pack.Int(pack.Int(memo, at), size), count)
}

// append writes a target after another one, nil for none. part: it begins a part of the batch.
func (t *target) append(memo []byte, before *target, part bool) []byte {
	says := 0
	if part {
		says = memoPart
	}
	if before != nil && t.like(before) {
		return pack.String(pack.Int(memo, says|memoLike), t.predicate)
	}
	if t.nested > 0 {
		says |= memoNested
	}
	if t.compared != "" {
		says |= memoCompared
	}
	memo = pack.Int(pack.Int(pack.Int(memo, says), int(t.operation)), t.to.place)
	memo = pack.String(pack.String(memo, t.hint.text()), t.predicate)
	if t.nested > 0 {
		memo = pack.Int(memo, t.nested)
	}
	if t.compared != "" {
		memo = pack.String(memo, t.compared)
	}
	return memo
}

// memo reads the targets of a delivery one by one.
type memo struct {
	at, size, count int
	s               *state
	r               pack.Reader
	// target is the last one; part: it begins a part of the batch; like: it is like the one before.
	target
	part, like bool
}

// readMemo reads the head. ok is false for a memo of another version of this plugin.
func readMemo(s *state, text []byte) (m memo, ok bool) {
	r := pack.NewReader(text)
	m = memo{at: r.Int(), size: r.Int(), s: s}
	m.count, m.r = r.Count(), *r
	return m, !r.Failed && m.at >= 0 && m.at < len(s.services) && m.count > 0 && (m.size > 0 || m.count == 1)
}

// next reads a target. ok is false where that cannot be.
func (m *memo) next() (ok bool) {
	says := m.r.Int()
	m.part, m.like = says&memoPart != 0, says&memoLike != 0
	if m.like {
		m.predicate = m.r.String()
		return !m.r.Failed && m.to != nil
	}
	op, place := m.r.Int(), m.r.Int()
	m.target = target{operation: operation(op), batched: m.size > 0}
	if m.r.Failed || place < 0 || place >= len(m.s.sets) {
		return false
	}
	m.to = &m.s.sets[place]
	m.hint, m.predicate = readHint(m.r.String()), m.r.String()
	if says&memoNested != 0 {
		m.nested = m.r.Int()
	}
	if says&memoCompared != 0 {
		m.compared = m.r.String()
	}
	return !m.r.Failed && m.nested >= 0
}

// all reads the targets that are left, and how many of them each part of the batch has.
func (m *memo) all() (rows []target, parts []int, ok bool) {
	rows = make([]target, 0, m.count)
	for range m.count {
		if !m.next() {
			return nil, nil, false
		}
		if m.part || len(parts) == 0 {
			parts = append(parts, 0)
		}
		parts[len(parts)-1]++
		rows = append(rows, m.target)
	}
	return rows, parts, m.r.Done()
}
