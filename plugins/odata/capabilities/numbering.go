package capabilities

import (
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/wit"
)

const knownNumbers, knownFillsInitial = "n", "f"

// known returns what checks in later runs depend on. It is stored with the committed offsets.
func (s *State) known() (known wit.Known) {
	for i := range s.Sets {
		if learned := s.SetCapabilities[i]; learned.Numbers {
			known = known.With(wit.Known(knownNumbers + s.Sets[i].Digest()))
		} else if learned.FillsInitial {
			known = known.With(wit.Known(knownFillsInitial + s.Sets[i].Digest()))
		}
	}
	return known
}

// OfSet returns the capabilities of a set, learned in this run or, according to known, in earlier ones.
func (s *State) OfSet(t *entityset.EntitySet, known wit.Known) EntitySet {
	learned := s.SetCapabilities[t.CapabilityIndex]
	if known != "" {
		learned.Numbers = learned.Numbers || known.Contains(knownNumbers+t.Digest())
		learned.FillsInitial = learned.FillsInitial || known.Contains(knownFillsInitial+t.Digest())
	}
	return learned
}

// AddressError returns an error if entities of the set cannot be addressed by the keys of records.
func (s *State) AddressError(t *entityset.EntitySet, known wit.Known) error {
	if !s.OfSet(t, known).Numbers {
		return nil
	}
	return &wit.Error{Kind: wit.ErrorConfig, Message: t.Path + ": the service replaces the keys of inserted " +
		"entities by numbers of its own, so the key of a record does not identify its entity: expected inserts " +
		"only; use another connector for updates and deletes by the service's numbers"}
}
