package write

import (
	"encoding/base64"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/setting"
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

// digest names a set in few letters.
func (t *entitySet) digest() string {
	h := fnv.New32a()
	h.Write([]byte(t.path))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))[:3]
}

// shown is what answers have shown of a set, in this run or, as a hint says, in earlier ones.
func (s *state) shown(t *entitySet, h hint) evidence {
	shown := s.evidence[t.same]
	if h.known != "" {
		shown.numbers = shown.numbers || h.known.Contains(knowsNumbers+t.digest())
		shown.fills = shown.fills || h.known.Contains(knowsFills+t.digest())
	}
	return shown
}

// numbered tells whether the service gives the entity of an insert another key than the record's, as far as answers
// have shown.
func (s *state) numbered(t *entitySet, keys []keyValue, h hint) bool {
	shown := s.shown(t, h)
	return shown.numbers || shown.fills && anyInitial(keys)
}

// anyInitial reports whether a value of a key is initial.
func anyInitial(keys []keyValue) bool {
	return slices.ContainsFunc(keys, func(k keyValue) bool { return initial(k.value.Text) })
}

// saysInitial tells whether a value of the entity's key is initial.
func (t *target) saysInitial() bool {
	values, _ := t.to.keyOf(t.predicate)
	return slices.ContainsFunc(values, func(v uri.Literal) bool { return initial(v.Text) })
}

// keyOf is the values of a predicate in the order of the set's key properties; false: it is not of these.
func (t *entitySet) keyOf(predicate string) (values []uri.Literal, ok bool) {
	_, keys, err := uri.ParsePredicate(predicate)
	if err != nil || len(keys) != len(t.entity.Key) {
		return nil, false
	}
	for _, name := range t.entity.Key {
		at := slices.IndexFunc(keys, func(k uri.Key) bool { return k.Name == name || k.Name == "" && len(keys) == 1 })
		if at < 0 {
			return nil, false
		}
		values = append(values, keys[at].Literal)
	}
	return values, true
}

// made learns from the address of an entity that was inserted whether the service gave it another key than was sent.
func (s *state) made(a *target, location string) {
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

// unaddressed is why an entity cannot be changed, deleted or read by the record's key; nil: it can.
func (s *state) unaddressed(t *entitySet, h hint) error {
	if !s.shown(t, h).numbers {
		return nil
	}
	return &wit.Error{Kind: wit.ErrorConfig, Message: t.path + ": the service numbers what is inserted by " +
		"itself, although the records say keys, so that a record's key is another entity's or none's: expected " +
		"inserts alone; updates and deletes by the service's numbers are for a connector of their own"}
}
