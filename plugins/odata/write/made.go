package write

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// hasInitialKey tells whether a value of the entity's key is initial.
func hasInitialKey(t *target) bool {
	values, _ := t.to.keyOf(t.predicate)
	return slices.ContainsFunc(values, func(v uri.Literal) bool { return initial(v.Text) })
}

// made learns from the address of an entity that was inserted whether the service gave it another key than was sent.
func (s handler) made(a *target, location string) {
	if a.predicate == "" || strings.HasSuffix(location, a.predicate) ||
		strings.Contains(location, setting.Hidden) { // the host strikes secrets out, which may stand in a key by chance
		return
	}
	sent, ok := a.to.keyOf(a.predicate)
	if !ok {
		return
	}
	found, ok := a.to.keyOf(location)
	if !ok {
		return
	}
	before := s.evidence[a.to.same]
	now := &s.evidence[a.to.same]
	for i := range sent {
		if replaced(sent[i], found[i]) {
			now.fills = now.fills || initial(sent[i].Text)
			now.numbers = now.numbers || !initial(sent[i].Text)
		}
	}
	if *now == before {
		return
	}
	what := a.what() + ": the service made " + location + " of an entity with the key " + a.predicate
	if now.numbers {
		what += ": it numbers what is inserted by itself, so that later records of that key would be for " +
			"another entity, and fail"
	}
	sdk.Log(wit.LevelWarn, what)
}

// replaced tells whether a service has put another value in the place of one that was sent. That it pads texts or
// numbers with zeros, cuts blanks, or changes case is no other value: it takes the one for the other. What is written
// as another type can't be compared.
func replaced(sent, found uri.Literal) bool {
	whole := func(t edm.Primitive) bool { return t == edm.Int32 || t == edm.Int64 }
	switch {
	case sent.Type == edm.String && found.Type == edm.String:
		return canonicalText(sent.Text) != canonicalText(found.Text)
	case sent.Type == found.Type || whole(sent.Type) && whole(found.Type):
		order, ok := value.Compare(found.Type, sent.Text, found.Text)
		return ok && order != 0 && sent.Text != found.Text
	}
	return false
}
