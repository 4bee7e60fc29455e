package write

import (
	"bytes"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// evidence is what a service has shown that it does with the value of a key property when an entity is inserted.
type evidence byte

const (
	notShown evidence = iota
	// kept: the entity has the value; given: it has another one, which the service gave it.
	kept
	given
)

// numbering is what was shown of each key property of an entity set, in their order: a byte for each, with values that
// are not initial in its lower half, and those that are, as 0 is, in the upper one. Empty: nothing.
type numbering string

func (n numbering) of(key int, initial bool) evidence {
	if key >= len(n) {
		return notShown
	}
	said, blank := evidence(n[key]&15), evidence(n[key]>>4)
	if initial && (blank != notShown || said != given) {
		return blank
	}
	return said // who changes what a record says numbers what it leaves open
}

// with is the numbering with one more thing shown; what was given once counts, whatever came before or comes later.
func (n numbering) with(key, keys int, initial bool, what evidence) numbering {
	b := make([]byte, max(keys, len(n)))
	copy(b, n)
	if initial {
		b[key] = b[key]&15 | max(b[key]>>4, byte(what))<<4
	} else {
		b[key] = b[key]&^15 | max(b[key]&15, byte(what))
	}
	return numbering(b)
}

// keeps tells whether all key properties keep values that are not initial.
func (n numbering) keeps() bool {
	for i := range len(n) {
		if evidence(n[i]&15) != kept {
			return false
		}
	}
	return n != ""
}

// gives tells whether the service has given any key property a value.
func (n numbering) gives() bool {
	for i := range len(n) {
		if evidence(n[i]&15) == given || evidence(n[i]>>4) == given {
			return true
		}
	}
	return false
}

// changes tells whether the service has changed a key that was not initial.
func (n numbering) changes() bool {
	for i := range len(n) {
		if evidence(n[i]&15) == given {
			return true
		}
	}
	return false
}

// ofRow is what is shown of the key that an insert of the row says: given where one of its properties is, kept where
// all are.
func (e *encoding) ofRow() evidence {
	n, what := e.s.numbering[e.target.same], kept
	for i := range e.keys {
		switch n.of(i, initial(e.keys[i].value.Text)) {
		case given:
			return given
		case notShown:
			what = notShown
		}
	}
	return what
}

// numbered tells whether the service gives the entity of an insert another key than the record's. Most never do.
func (e *encoding) numbered() bool { return e.s.numbering[e.target.same].gives() && e.ofRow() == given }

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

// ofKey is [encoding.ofRow] of a request that was sent.
func (s *state) ofKey(t *entitySet, predicate string) evidence {
	values, ok := t.keyOf(predicate)
	if !ok {
		return notShown
	}
	what := kept
	for i, v := range values {
		switch s.numbering[t.same].of(i, initial(v.Text)) {
		case given:
			return given
		case notShown:
			what = notShown
		}
	}
	return what
}

// initial tells whether a key says nothing, as those of entities say that the service is to number.
func initial(text string) bool {
	return strings.Trim(text, "0-. ") == "" || strings.HasPrefix(text, "$")
}

// made learns from the address of an entity that was inserted, or where the answer has none from the entity itself,
// whether the service gave it another key than was sent.
func (s *state) made(a *sentRequest, location string, body []byte) {
	if a.predicate == "" {
		return
	}
	t := s.setOf(a)
	if t == nil {
		return
	}
	before := s.numbering[t.same]
	if location == "" && before.keeps() || strings.HasSuffix(location, a.predicate) && !s.teaches(t, a.predicate) ||
		strings.Contains(location, setting.Hidden) { // the host strikes secrets out, which may stand in a key by chance
		return
	}
	sent, ok := t.keyOf(a.predicate)
	if !ok {
		return
	}
	found, ok := t.keyOf(location)
	if location == "" {
		if found, ok = t.keyIn(body, sent); ok {
			location = "an entity with the key (" + textOf(found) + ")"
		}
	}
	if !ok {
		return
	}
	now, news := before, false
	for i := range sent {
		blank := initial(sent[i].Text)
		switch same, known := sameKey(sent[i], found[i]); {
		case same && proves(sent[i]):
			now = now.with(i, len(sent), blank, kept)
		case same:
		case known:
			news = news || before.of(i, blank) != given
			now = now.with(i, len(sent), blank, given)
		}
	}
	s.numbering[t.same] = now
	if !news {
		return
	}
	what := "POST " + a.path + ": the service made " + location + " of an entity with the key " + a.predicate
	if now.changes() {
		what += ": it numbers what is inserted by itself, so that later records of that key would be for " +
			"another entity, and fail"
	}
	sdk.Log(wit.LevelWarn, what)
}

// keptAt learns that the service has kept a key: what an insert has sent was found there.
func (s *state) keptAt(a *sentRequest) {
	t := s.setOf(a)
	if t == nil || a.sent == "" {
		return
	}
	values, _ := t.keyOf(a.predicate)
	for i, v := range values {
		if proves(v) {
			s.numbering[t.same] = s.numbering[t.same].with(i, len(values), initial(v.Text), kept)
		}
	}
}

// proves tells whether an entity that has a value as it was sent proves that the service keeps what is sent. A service
// that counts from 1 has the records with the keys 1, 2 and 3 under these too, until it has refused one. So a number
// proves nothing, and no text that ends in a digit; nor does a date, a time or a Boolean, which may be the service's
// default. What is not proved costs a search before an insert is sent again; what is taken for proved and is none makes
// an entity twice.
func proves(v uri.Literal) bool {
	switch v.Type {
	case edm.String, edm.Guid, edm.Binary:
		text := strings.TrimSpace(v.Text)
		return text == "" || !isDigit(text[len(text)-1])
	}
	return false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// teaches tells whether an insert whose entity has the key that was sent shows something of the set that is not known.
func (s *state) teaches(t *entitySet, predicate string) bool {
	n := s.numbering[t.same]
	if n.keeps() || !endsOther(predicate) {
		return false
	}
	values, _ := t.keyOf(predicate)
	for i, v := range values {
		if proves(v) && n.with(i, len(values), initial(v.Text), kept) != n {
			return true
		}
	}
	return false
}

// endsOther tells, without taking a predicate apart, whether one of its values between quotes may end in something else
// than a digit, as one does that proves something. What follows a percent sign may be anything.
func endsOther(predicate string) bool {
	for i := 1; i < len(predicate)-1; i++ {
		if predicate[i] == '\'' && (predicate[i+1] == ',' || predicate[i+1] == ')') &&
			(!isDigit(predicate[i-1]) || i > 2 && predicate[i-3] == '%') {
			return true
		}
	}
	return false
}

// keyIn is the key of the entity in a body, as values of the types that were sent.
func (t *entitySet) keyIn(body []byte, sent []uri.Literal) (values []uri.Literal, ok bool) {
	if empty(body) {
		return nil, false
	}
	v := propertiesOf(body)
	for i, name := range t.entity.Key {
		m := v.At(name)
		if m.Kind != jsontext.String && m.Kind != jsontext.Number {
			return nil, false
		}
		values = append(values, uri.Literal{Type: sent[i].Type, Text: m.Text})
	}
	return values, true
}

// predicateIn is the predicate of the entity in a body in JSON that is written as services mostly do: with no blanks
// between its values and no backslashes in those of its key, which are texts and integers. nil: it is another one. It
// reads to the last property of the key, and is memory that the next one uses.
func (p *Plugin) predicateIn(t *entitySet, body []byte) []byte {
	body, ok := bytes.CutPrefix(body, []byte(`{"d":{`))
	if !ok || !t.flat.addressed {
		return nil
	}
	var texts [4][]byte
	if len(t.flat.keyProperties) > len(texts) {
		return nil
	}
	for found := 0; found < len(t.flat.keyProperties); {
		name, rest := plainText(body)
		if name == nil || bytes.IndexByte(name, '\\') >= 0 || len(rest) == 0 || rest[0] != ':' {
			return nil
		}
		size := plainValue(rest[1:])
		if size == 0 || 1+size >= len(rest) || rest[1+size] != ',' && rest[1+size] != '}' {
			return nil
		}
		c := t.flat.slots[string(name)]
		if c != nil && c.key >= 0 && texts[c.key] == nil { // of two with one name the first counts
			text, quoted := rest[1:1+size], rest[1] == '"'
			if quoted {
				text = text[1 : size-1]
			}
			if bytes.IndexByte(text, '\\') >= 0 || c.bounded && !isInteger(text) || !c.bounded && !quoted {
				return nil
			}
			texts[c.key] = text
			found++
		}
		if rest[1+size] == '}' && found < len(t.flat.keyProperties) {
			return nil
		}
		body = rest[2+size:]
	}
	p.predicate, p.uriKeys = p.predicate[:0], p.uriKeys[:0]
	for i, c := range t.flat.keyProperties {
		if len(t.flat.keyProperties) == 1 && c.property.Type.Primitive == edm.Int32 {
			p.predicate = append(append(append(p.predicate, '('), texts[i]...), ')')
			return p.predicate
		}
		p.uriKeys = append(p.uriKeys, uri.Key{Name: c.property.Name, Literal: uri.Literal{
			Type: c.property.Type.Primitive, Text: string(texts[i])}})
	}
	p.predicate = uri.AppendPredicate(p.predicate, p.uriKeys)
	return p.predicate
}

// isInteger tells whether a text is an integer as JSON has it.
func isInteger(text []byte) bool {
	digits := bytes.TrimPrefix(text, []byte("-"))
	for _, c := range digits {
		if !isDigit(c) {
			return false
		}
	}
	return len(digits) > 0
}

// plainText is what stands in the quotes with which a text begins, nil where it begins with none, and what follows.
func plainText(b []byte) (inner, rest []byte) {
	size := plainValue(b)
	if size < 2 || b[0] != '"' {
		return nil, nil
	}
	return b[1 : size-1], b[size:]
}

// plainValue is the size of the JSON value with which a text begins, 0 where it has no end.
func plainValue(b []byte) int {
	depth := 0
	for at := 0; at < len(b); {
		switch b[at] {
		case '"':
			for at++; ; at++ {
				n := bytes.IndexByte(b[at:], '"')
				if n < 0 {
					return 0
				}
				before := at
				at += n
				slashes := 0
				for at-1-slashes >= before && b[at-1-slashes] == '\\' {
					slashes++
				}
				if slashes%2 == 0 {
					break
				}
			}
			at++
		case '{', '[':
			depth++
			at++
			continue
		case '}', ']':
			depth--
			at++
		default:
			for at++; at < len(b) && depth == 0 && b[at] != ',' && b[at] != '}' && b[at] != ']'; at++ {
			}
		}
		if depth == 0 {
			return at
		}
		if depth < 0 {
			return 0
		}
	}
	return 0
}

// textOf is the values of a key in a message.
func textOf(values []uri.Literal) string {
	texts := make([]string, len(values))
	for i := range values {
		texts[i] = values[i].Text
	}
	return strings.Join(texts, ",")
}

// sameKey tells whether a service has kept the value of a key property; known: the two can be compared. That it pads
// texts or numbers with zeros, cuts blanks, or changes case is no other value: it takes the one for the other.
func sameKey(sent, found uri.Literal) (same, known bool) {
	whole := func(t edm.Primitive) bool { return t == edm.Int32 || t == edm.Int64 }
	switch {
	case sent.Type == edm.String && found.Type == edm.String:
		plain := func(text string) string { return strings.TrimLeft(strings.TrimSpace(text), "0") }
		return strings.EqualFold(plain(sent.Text), plain(found.Text)), true
	case sent.Type == found.Type || whole(sent.Type) && whole(found.Type):
		order, ok := value.Compare(found.Type, sent.Text, found.Text)
		return ok && order == 0 || sent.Text == found.Text, ok || sent.Text == found.Text
	}
	return false, false // written as another type
}

// unaddressed is why an entity cannot be changed, deleted or read by the record's key; nil: it can.
func (e *encoding) unaddressed() error {
	if !e.s.numbering[e.target.same].changes() {
		return nil
	}
	return &wit.Fault{Kind: wit.FaultConfig, Message: e.target.path + ": the service numbers what is inserted by " +
		"itself, although the records say keys, so that a record's key is another entity's or none's: expected " +
		"inserts alone; updates and deletes by the service's numbers are for a connector of their own"}
}
