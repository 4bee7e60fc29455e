package capabilities

import (
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/wit"
)

// The letters of [wit.Known]: that the service numbers what is inserted into a set, or fills initial keys.
const knownNumbers, knownFillsInitial = "n", "f"

// known is what answers have shown that checks of later runs depend upon.
func (s *State) known() (known wit.Known) {
	for i := range s.Sets {
		if shown := s.SetCapabilities[i]; shown.Numbers {
			known = known.With(wit.Known(knownNumbers + s.Sets[i].Digest()))
		} else if shown.FillsInitial {
			known = known.With(wit.Known(knownFillsInitial + s.Sets[i].Digest()))
		}
	}
	return known
}

// shown is what answers have shown of a set, in this run or, as a hint says, in earlier ones.
func (s *State) OfSet(t *entityset.EntitySet, known wit.Known) EntitySet {
	shown := s.SetCapabilities[t.CapabilityIndex]
	if known != "" {
		shown.Numbers = shown.Numbers || known.Says(knownNumbers+t.Digest())
		shown.FillsInitial = shown.FillsInitial || known.Says(knownFillsInitial+t.Digest())
	}
	return shown
}

// unaddressed is why an entity cannot be changed, deleted or read by the record's key; nil: it can.
func (s *State) AddressError(t *entityset.EntitySet, known wit.Known) error {
	if !s.OfSet(t, known).Numbers {
		return nil
	}
	return &wit.Fault{Kind: wit.FaultConfig, Message: t.Path + ": the service numbers what is inserted by " +
		"itself, although the records say keys, so that a record's key is another entity's or none's: expected " +
		"inserts alone; updates and deletes by the service's numbers are for a connector of their own"}
}
