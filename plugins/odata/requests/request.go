package requests

import (
	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// Operation is the purpose of a request.
type Operation int

const (
	Insert Operation = iota
	Delete
	// ConfirmDelete reads an entity whose deletion is not certain.
	ConfirmDelete
	// The updates and their upsert variants have the same order.
	Put
	Merge
	Patch
	UpsertPut
	UpsertMerge
	UpsertPatch
	UpsertInsert
	// ReadETag and its variants read an entity before it is changed.
	ReadETag
	ReadETagForUpsert
	ReadETagForDelete
	// LookUp reads an entity by its key, Find by a filter, to see whether an insert was applied.
	LookUp
	LookUpForUpsert
	Find
	ProbeService
	// ReadSet reads any entity of the set.
	ReadSet
)

var methods = map[Operation]string{Insert: "POST", UpsertInsert: "POST", Delete: "DELETE", Put: "PUT", UpsertPut: "PUT",
	Merge: "MERGE", UpsertMerge: "MERGE", Patch: "PATCH", UpsertPatch: "PATCH"}

// IsInsert reports whether the operation creates an entity.
func (o Operation) IsInsert() bool { return o == Insert || o == UpsertInsert }

// IsUpsertUpdate reports whether an insert follows if the entity does not exist.
func (o Operation) IsUpsertUpdate() bool {
	return o == UpsertPut || o == UpsertMerge || o == UpsertPatch
}

// IsETagRead reports whether the operation reads an ETag. Such reads can share a batch.
func (o Operation) IsETagRead() bool {
	return o == ReadETag || o == ReadETagForUpsert || o == ReadETagForDelete
}

// Target is the part of a request that is needed to handle its response.
type Target struct {
	Operation
	Set *entityset.EntitySet
	// Predicate is the key of the entity, "" if the record does not identify one.
	Predicate string
	Hint      Hint
	// NestedUpdates is the number of updates for nested entities.
	NestedUpdates int
	// Compare is the body to compare with the entities that a check finds.
	Compare string
	// InBatch is true for an operation of a batch. Its response comes from the service itself.
	InBatch bool
}

// Path returns the path of the request without query.
func (t *Target) Path() string {
	switch {
	case t.Operation == ProbeService:
		return t.Set.Service + "/"
	case t.IsInsert(), t.Operation == Find, t.Operation == ReadSet:
		return t.Set.Path
	}
	return t.Set.Path + t.Predicate
}

// Name returns method and path for messages.
func (t *Target) Name() string {
	method := methods[t.Operation]
	if method == "" {
		method = "GET"
	}
	if t.NestedUpdates > 0 {
		return method + " " + t.Path() + " with nested entities"
	}
	return method + " " + t.Path()
}

func (t *Target) sameExceptKey(o *Target) bool {
	return t.Operation == o.Operation && t.Set == o.Set && t.Hint == o.Hint && t.NestedUpdates+o.NestedUpdates == 0 &&
		t.Compare+o.Compare == ""
}

type request struct {
	Target
	row        uint32
	method     string
	query      string
	headers    []wit.Header
	body       []byte
	entityHash uint32
	repeatable bool
	updates    []nestedUpdate
}

type nestedUpdate struct {
	path       string
	body       []byte
	entityHash uint32
}

// The state of a delivery is a head followed by targets. Each target starts with a set of these flags.
const (
	flagSameAsPrevious = 1 << iota
	flagNewPart
	flagNested
	flagCompare
)

// AppendStateHead starts the state of a delivery. size is the length of the batch, 0 for a single request.
func AppendStateHead(dst []byte, service, size, count int) []byte {
	return pack.Int(pack.Int(pack.Int(dst, service), size), count)
}

// AppendState appends a target. before is the previous target, nil for the first one.
func (t *Target) AppendState(dst []byte, previous *Target, part bool) []byte {
	flags := 0
	if part {
		flags = flagNewPart
	}
	if previous != nil && t.sameExceptKey(previous) {
		return pack.String(pack.Int(dst, flags|flagSameAsPrevious), t.Predicate)
	}
	if t.NestedUpdates > 0 {
		flags |= flagNested
	}
	if t.Compare != "" {
		flags |= flagCompare
	}
	dst = pack.Int(pack.Int(pack.Int(dst, flags), int(t.Operation)), t.Set.Index)
	dst = pack.String(pack.String(dst, t.Hint.Text()), t.Predicate)
	if t.NestedUpdates > 0 {
		dst = pack.Int(dst, t.NestedUpdates)
	}
	if t.Compare != "" {
		dst = pack.String(dst, t.Compare)
	}
	return dst
}

type stateReader struct {
	count   int
	batched bool
	state   *capabilities.State
	r       *pack.Reader
	Target
	newPart, sameAsPrevious bool
}

// Delivery is a delivery that was sent.
type Delivery struct {
	// BatchBytes is the size of the batch, 0 for a single request.
	ServiceIndex, BatchBytes int
	// Parts holds the number of targets in each part of the batch. Nested updates follow the target of their row.
	Targets []Target
	Parts   []int
}

// ReadDelivery decodes the state of a delivery. ok is false if another version of this plugin wrote it.
func ReadDelivery(s *capabilities.State, text []byte) (d *Delivery, ok bool) {
	r := pack.Open(text)
	d = &Delivery{ServiceIndex: r.Int(), BatchBytes: r.Int()}
	m := stateReader{count: r.Count(), batched: d.BatchBytes > 0, state: s, r: r}
	if r.Bad || d.ServiceIndex < 0 || d.ServiceIndex >= len(s.Services) || m.count <= 0 || d.BatchBytes <= 0 &&
		m.count != 1 {
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

func (m *stateReader) next() (ok bool) {
	flags := m.r.Int()
	m.newPart, m.sameAsPrevious = flags&flagNewPart != 0, flags&flagSameAsPrevious != 0
	if m.sameAsPrevious {
		m.Predicate = m.r.String()
		return !m.r.Bad && m.Set != nil
	}
	op, place := m.r.Int(), m.r.Int()
	m.Target = Target{Operation: Operation(op), InBatch: m.batched}
	if m.r.Bad || place < 0 || place >= len(m.state.Sets) {
		return false
	}
	m.Set = &m.state.Sets[place]
	m.Hint, m.Predicate = parseHint(m.r.String()), m.r.String()
	if flags&flagNested != 0 {
		m.NestedUpdates = m.r.Int()
	}
	if flags&flagCompare != 0 {
		m.Compare = m.r.String()
	}
	return !m.r.Bad && m.NestedUpdates >= 0
}

// IsIdempotent reports whether the service ignores a repeated POST of the row by its RequestID.
func IsIdempotent(s *capabilities.State, t *entityset.EntitySet, h Hint) bool {
	return s.InsertUncertain == "repeatable" && s.ServiceCapabilities[t.ServiceIndex].RequestIDs && !h.Moved
}

// IsRepeatable reports whether the request, or its operation in a batch, may be sent twice.
func (t *Target) IsRepeatable(s *capabilities.State) bool {
	if t.IsInsert() {
		return s.InsertUncertain == "retry" || IsIdempotent(s, t.Set, t.Hint)
	}
	return t.Operation == Delete || !s.UseETags || !t.Hint.HasETag || t.Hint.ETag == "" || s.RetryETagConflicts
}
