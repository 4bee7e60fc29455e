package capabilities

import (
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/wit"
)

// Service holds what responses have shown of a service.
type Service struct {
	Answered         bool // it has answered a request for a row in this run
	NoBatch          bool // it has no $batch
	BatchSupport     BatchSupport
	SingleChangesets bool // it rejects changesets of several operations
	RequestIDs       bool // it recognizes repeated requests
	SendsVersion     bool // its responses contain the OData version
	AcceptsJSON      bool // it has answered a batch in JSON
	RefusesJSON      bool // it has refused the first batch in JSON
	MaxBatchBytes    int  // largest batch that is accepted. Zero means no limit.
	MaxOperations    int  // most operations of a batch that are all answered. Zero means no limit.
	BatchLimit       BatchLimit
}

// BatchSupport reports how likely it is that a service supports $batch. It decreases when a router answers a batch in
// place of the service. The service's next response to a batch resets it to BatchAssumed.
type BatchSupport byte

const (
	BatchAssumed     BatchSupport = iota // no router has answered a batch
	BatchUnconfirmed                     // a router answered: either the service was away, or it has no $batch
	BatchUnlikely                        // since then, the service has accepted a request without $batch
)

// EntitySet holds what responses have shown of an entity set.
type EntitySet struct {
	IfMatch             IfMatch
	ReplacesKeys        bool // the service replaced the key of a record
	ReplacesInitialKeys bool // the service replaced an initial key such as 0
	// NoETagSelect means that reads of ETags ask for whole entities: such a read succeeded after one with $select was
	// rejected, or had no ETag. It never becomes false again.
	NoETagSelect bool
	// InsertsFirst means that upserts begin with the insert, although the settings begin with the update: the service
	// has not found the entities of a whole batch, and has inserted each under the key that was sent. It ends with the
	// first insert that the service refuses.
	InsertsFirst bool
}

// IfMatch specifies whether a service accepts If-Match: * for an entity set.
type IfMatch byte

const (
	IfMatchUnknown IfMatch = iota
	IfMatchAccepted
	IfMatchRejected
)

// OfSet returns the capabilities of a set, learned in this run or, according to known, in earlier ones. known has only
// ReplacesKeys and ReplacesInitialKeys, so other fields may be read from SetCapabilities.
func (s *State) OfSet(set *entityset.EntitySet, known wit.Known) EntitySet {
	facts := s.SetCapabilities[set.CapabilityIndex]
	if known != "" { // usually it is empty, which saves the digest
		facts.ReplacesKeys = facts.ReplacesKeys || known.Contains(knownReplacesKeys+set.Digest())
		facts.ReplacesInitialKeys = facts.ReplacesInitialKeys || known.Contains(knownReplacesInitialKeys+set.Digest())
	}
	return facts
}

// AddressError returns an error if entities of the set cannot be addressed by the keys of records.
func (s *State) AddressError(set *entityset.EntitySet, known wit.Known) error {
	if !s.OfSet(set, known).ReplacesKeys {
		return nil
	}
	return &wit.Error{Kind: wit.ErrorConfig, Message: set.Path + ": the service replaces the keys of inserted " +
		"entities by numbers of its own, so the key of a record does not identify its entity: expected inserts " +
		"only; use another connector for updates and deletes by the service's numbers"}
}

// Letters of [wit.Known] before the digest of a set. A set has at most one of them: the first includes the second.
const knownReplacesKeys, knownReplacesInitialKeys = "n", "f"

// known returns the facts that look-ups in later runs depend on. They are stored with the committed offsets.
func (s *State) known() (known wit.Known) {
	for i := range s.Sets {
		if facts := s.SetCapabilities[i]; facts.ReplacesKeys {
			known = known.With(wit.Known(knownReplacesKeys + s.Sets[i].Digest()))
		} else if facts.ReplacesInitialKeys {
			known = known.With(wit.Known(knownReplacesInitialKeys + s.Sets[i].Digest()))
		}
	}
	return known
}
