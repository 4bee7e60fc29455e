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
	Put // the updates of upserts below have the same order
	Merge
	Patch
	UpsertPut
	UpsertMerge
	UpsertPatch
	UpsertInsert
	ReadETag
	ReadETagForUpsert
	ReadETagForDelete
	// LookUp reads an entity by its key, Find by a filter, to see whether an insert was applied.
	LookUp
	LookUpForUpsert
	Find
	ProbeService
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

func (t *Target) sameExceptKey(other *Target) bool {
	return t.Operation == other.Operation && t.Set == other.Set && t.Hint == other.Hint &&
		t.NestedUpdates+other.NestedUpdates == 0 &&
		t.Compare+other.Compare == ""
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
