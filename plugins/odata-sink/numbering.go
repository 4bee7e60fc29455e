package main

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// numbering is what the service has shown that it does with the keys of entities that are inserted into a set.
type numbering byte

const (
	keeps numbering = iota
	// fills: it gives an entity another key where that of the record is initial, as 0 is; changes: where it is not.
	fills
	changes
)

// numbering is that of the row's set.
func (e *encoding) numbering() numbering { return e.s.numbering[e.target.same] }

// numbered tells whether the service gives the entity of an insert another key than the record's.
func (e *encoding) numbered() bool {
	switch e.numbering() {
	case fills:
		for _, k := range e.keys {
			if initial(k.value.Text) {
				return true
			}
		}
	case changes:
		return true
	}
	return false
}

// initial tells whether a key says nothing, as those of entities say that the service is to number.
func initial(text string) bool {
	return strings.Trim(text, "0-. ") == "" || strings.HasPrefix(text, "$")
}

// made learns from the address of an entity that was inserted whether the service gave it another key than was sent.
func (s *state) made(a *asked, location string) {
	if a.predicate == "" || location == "" || strings.HasSuffix(location, a.predicate) ||
		strings.Contains(location, "[hidden]") { // the host strikes secrets out, which may stand in a key by chance
		return
	}
	var of *entitySet
	for i := range s.sets {
		if s.sets[i].path == a.path {
			of = &s.sets[i]
			break
		}
	}
	_, found, err := uri.ParsePredicate(location)
	_, sent, err2 := uri.ParsePredicate(a.predicate)
	if of == nil || err != nil || err2 != nil || len(found) != len(sent) {
		return
	}
	shown := keeps
	for i := range sent {
		for j := range found {
			if (sent[i].Name == found[j].Name || len(sent) == 1) && otherKey(sent[i].Literal, found[j].Literal) {
				if initial(sent[i].Literal.Text) {
					shown = max(shown, fills)
				} else {
					shown = changes
				}
			}
		}
	}
	if shown <= s.numbering[of.same] {
		return
	}
	s.numbering[of.same] = shown
	what := "POST " + a.path + ": the service made " + location + " of an entity with the key " + a.predicate
	if shown == changes {
		what += ": it numbers what is inserted by itself, so that later records of that key would be for another entity, and fail"
	}
	sdk.Log(wit.LevelWarn, what)
}

// otherKey tells whether a service has put another value into a key. That it pads texts or numbers with zeros, cuts
// blanks, or changes case is none: it takes the one for the other.
func otherKey(sent, found uri.Literal) bool {
	whole := func(t edm.Primitive) bool { return t == edm.Int32 || t == edm.Int64 }
	switch {
	case sent.Type == edm.String && found.Type == edm.String:
		plain := func(text string) string { return strings.TrimLeft(strings.TrimSpace(text), "0") }
		return !strings.EqualFold(plain(sent.Text), plain(found.Text))
	case sent.Type == found.Type || whole(sent.Type) && whole(found.Type):
		order, ok := value.Compare(found.Type, sent.Text, found.Text)
		return ok && order != 0
	}
	return false // written as another type, which is not to be compared
}

// unaddressed is why an entity cannot be changed, deleted or read by the record's key; nil: it can.
func (e *encoding) unaddressed() error {
	if e.numbering() != changes {
		return nil
	}
	return &wit.Fault{Kind: wit.FaultConfig, Message: e.target.path + ": the service numbers what is inserted by itself, although the records say keys, so that a record's key is another entity's or none's: expected inserts alone; updates and deletes by the service's numbers are for a connector of their own"}
}
