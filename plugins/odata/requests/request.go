package requests

import (
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/wit"
)

// Operation is the purpose of a request.
type Operation int

const (
	Insert Operation = iota
	Delete
	ConfirmDelete
	Put
	Merge
	Patch
	UpsertPut // an insert follows if there is no such entity; UpsertPut - Put converts an update to one of an upsert
	UpsertMerge
	UpsertPatch
	UpsertInsert
	ReadETag
	ReadETagForUpsert
	ReadETagForDelete
	LookUp          // reads an entity by its key, to see whether an insert was applied
	LookUpForUpsert // the same for an upsert
	Find            // looks an entity up by the configured filter
	ProbeService    // reads the service document, to see whether the service responds
	ReadSet         // reads any entity of the set, to see whether the set responds
)

const methodMerge = "MERGE"

// Method returns the HTTP method of the operation in OData v2.
func (o Operation) Method() string {
	switch o {
	case Insert, UpsertInsert:
		return "POST"
	case Delete:
		return "DELETE"
	case Put, UpsertPut:
		return "PUT"
	case Merge, UpsertMerge:
		return methodMerge
	case Patch, UpsertPatch:
		return "PATCH"
	}
	return "GET"
}

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
	Set           *entityset.EntitySet
	Predicate     string // key of the entity, "" if the record does not identify one
	Hint          Hint
	NestedUpdates int    // number of updates for nested entities
	Compare       string // body to compare with the entities that a look-up finds
	Selects       bool   // a read of an ETag contains $select
	InBatch       bool   // the response is part of a batch, so the service itself has sent it
}

// Method returns the HTTP method of the request.
func (t *Target) Method() string {
	method := t.Operation.Method()
	if method == methodMerge {
		return t.Set.Model.Dialect.Merge
	}
	return method
}

// Path returns the path of the request without query.
func (t *Target) Path() string {
	if t.Operation == ProbeService {
		return t.Set.Service + "/"
	}
	return t.Set.Path + t.key()
}

// key returns the key predicate in the path of the request.
func (t *Target) key() string {
	if t.IsInsert() || t.Operation == Find || t.Operation == ReadSet {
		return ""
	}
	return t.Predicate
}

// Name returns method and path for messages.
func (t *Target) Name() string {
	if t.NestedUpdates > 0 {
		return t.Method() + " " + t.Path() + " with nested entities"
	}
	return t.Method() + " " + t.Path()
}

// sameExceptKey reports whether two targets differ in their predicates only.
func (t *Target) sameExceptKey(other *Target) bool {
	return t.Operation == other.Operation && t.Set == other.Set && t.Hint == other.Hint && t.Selects == other.Selects &&
		t.NestedUpdates+other.NestedUpdates == 0 && t.Compare+other.Compare == ""
}

// request is the request that writes a row, or one that must precede it.
type request struct {
	Target
	row        uint32 // index in the call
	query      string // without '?'; may be empty
	headers    []wit.Header
	body       []byte
	entityHash uint32 // requests with equal hashes are sent in order
	repeatable bool   // sending it twice does no harm
	updates    []nestedUpdate
}

// nestedUpdate is the update of a nested entity, in the changeset of the request.
type nestedUpdate struct {
	path       string
	body       []byte
	entityHash uint32
}
