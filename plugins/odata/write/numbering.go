package write

import (
	"github.com/culvert-project/culvert/wit"
)

// The letters of [wit.Known]: that the service numbers what is inserted into a set, or fills initial keys.
const knowsNumbers, knowsFills = "n", "f"

// known is what answers have shown that checks of later runs depend upon.
func (s *state) known() (known wit.Known) {
	for i := range s.sets {
		if shown := s.evidence[i]; shown.numbers {
			known = known.With(wit.Known(knowsNumbers + s.sets[i].digest()))
		} else if shown.fills {
			known = known.With(wit.Known(knowsFills + s.sets[i].digest()))
		}
	}
	return known
}

// shown is what answers have shown of a set, in this run or, as a hint says, in earlier ones.
func (s *state) shown(t *entitySet, known wit.Known) evidence {
	shown := s.evidence[t.same]
	if known != "" {
		shown.numbers = shown.numbers || known.Says(knowsNumbers+t.digest())
		shown.fills = shown.fills || known.Says(knowsFills+t.digest())
	}
	return shown
}

// unaddressed is why an entity cannot be changed, deleted or read by the record's key; nil: it can.
func (s *state) unaddressed(t *entitySet, known wit.Known) error {
	if !s.shown(t, known).numbers {
		return nil
	}
	return &wit.Fault{Kind: wit.FaultConfig, Message: t.path + ": the service numbers what is inserted by " +
		"itself, although the records say keys, so that a record's key is another entity's or none's: expected " +
		"inserts alone; updates and deletes by the service's numbers are for a connector of their own"}
}
