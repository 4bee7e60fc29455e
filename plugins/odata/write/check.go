package write

import (
	"cmp"
	"hash/fnv"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// check is the request by which is seen whether an insert that is uncertain was applied, in place of the insert. It
// only reads (P19).
//
// With `repeatable`, what can be looked up is, also where the service knows RequestIDs: a run before this one may have
// been of a version that made others, and what is found needs no second request. Of an entity that is there and differs
// the RequestID decides then.
func (e *encoding) check(insertion *request) (*request, error) {
	keyed := e.missing == nil && !e.unsaid && !e.numbered()
	switch known := e.s.uncertain == "repeatable" && e.s.learned[e.target.at].repeats; {
	case e.s.uncertain == "fail":
		return nil, &wit.Fault{Kind: wit.FaultUnsupported,
			Message: "it is not looked up whether the entity was inserted (" + insertUncertain + " = fail)"}
	case keyed && e.s.uncertain != "retry" && !e.elsewhere():
		q, err := e.reading(look)
		if q != nil {
			q.sent = insertion.body
		}
		return q, err
	case e.s.uncertain == "retry", known && e.s.filter == "":
		// It may be sent again; that the service is there is seen first.
		q := e.start(probe, "GET")
		q.path, q.repeatable, q.headers = e.target.service+"/", true, []wit.Header{{Name: "Accept", Value: e.s.media()}}
		return q, nil
	case !keyed && e.s.filter == "":
		why := "the record doesn't say its key"
		if e.missing == nil && !e.unsaid {
			why = "the service gives it another key than the record's"
		}
		return nil, &wit.Fault{Kind: wit.FaultConflict,
			Message: "it can't be looked up whether the entity was inserted: " + why + ", and " + checkFilter +
				" isn't set"}
	}
	return e.finding(insertion)
}

// maxFound is how many entities a check by a filter asks for: more than one, since the filter may fit entities of
// other records too.
const maxFound = 20

// finding is the request that finds the entity of an insert by the filter of the settings, or by what the record says.
func (e *encoding) finding(insertion *request) (*request, error) {
	q := e.start(find, "GET")
	var filter string
	var err error
	if e.s.filter != "" {
		filter, err = e.filter()
	} else if filter, q.hint.step, err = e.contents(); err == nil {
		q.hint.step = cmp.Or(q.hint.step, e.hint.step)
	}
	if err != nil {
		return nil, err
	}
	q.query, q.sent = "$filter="+string(uri.AppendEscaped(nil, filter))+"&$top="+strconv.Itoa(maxFound), insertion.body
	q.repeatable, q.headers = true, []wit.Header{{Name: "Accept", Value: e.s.media()}}
	return q, nil
}

// elsewhere tells whether the entity of an insert in doubt is not where the record's key says, and may be under another
// one: the service has not shown yet whether it keeps keys, which is forgotten with each start.
func (e *encoding) elsewhere() bool {
	if e.ofRow() != notShown {
		return false
	}
	address := e.target.path + e.p.predicateOf(e.keys)
	return e.s.isLacking(address) || e.s.isLacking(searched(address))
}

// maxAbsent is how many entities are remembered that a check by their keys has not found; there are as many as rows in
// doubt. lengthAbsent is the length of each, in bytes.
const maxAbsent, lengthAbsent = 16_384, 8

// lacks remembers that no entity has this address, while it is looked whether the service has made it under another.
func (s *state) lacks(address string) {
	if s.isLacking(address) {
		return
	}
	if len(s.absent) >= maxAbsent*lengthAbsent {
		s.absent = s.absent[lengthAbsent:]
	}
	s.absent += sumOf(address)
}

// found says that it is known now.
func (s *state) found(address string) {
	if at := s.lackingAt(address); at >= 0 {
		s.absent = s.absent[:at] + s.absent[at+lengthAbsent:]
	}
}

func (s *state) isLacking(address string) bool { return s.lackingAt(address) >= 0 }

func (s *state) lackingAt(address string) int {
	for at, sum := 0, sumOf(address); at+lengthAbsent <= len(s.absent); at += lengthAbsent {
		if s.absent[at:at+lengthAbsent] == sum {
			return at
		}
	}
	return -1
}

func sumOf(address string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(address))
	return string(h.Sum(nil))
}

// maxContents is how long a filter by a record's contents gets, in bytes.
const maxContents = 1000

// sign is a value of a record by which its entity may be found under another key.
type sign struct {
	property string
	literal  uri.Literal
	// text: it is a text or a GUID, and no number.
	text bool
}

// signs are the record's values that services compare as they were sent: texts and GUIDs, the longest first, and whole
// numbers behind them. Those that are initial are none, which some services keep as null, nor long ones, which
// addresses have no room for.
func (e *encoding) signs() (all []sign) {
	for i := range e.target.entity.Properties {
		property := &e.target.entity.Properties[i]
		if !property.Filterable || !property.Creatable || e.target.entity.IsKey(property.Name) {
			continue
		}
		text := false
		switch property.Type.Primitive {
		case edm.String, edm.Guid:
			text = true
		case edm.Byte, edm.SByte, edm.Int16, edm.Int32, edm.Int64:
		default:
			continue
		}
		member, ok := e.p.member(e.content, property.Name)
		if !ok || member.null() {
			continue
		}
		c, err := e.s.convert(property, member.schema(), member.value)
		if err == nil && !initial(c.Text) && len(c.Text) <= maxContents/4 {
			all = append(all, sign{property.Name, uri.Literal{Type: c.Type, Text: c.Text}, text})
		}
	}
	slices.SortStableFunc(all, func(a, b sign) int {
		switch {
		case a.text && b.text:
			return cmp.Compare(len(b.literal.Text), len(a.literal.Text))
		case a.text:
			return -1
		case b.text:
			return 1
		}
		return 0
	})
	return all
}

// contents is a filter by what the record says besides its key. Services change texts of what is inserted: they write
// them in capitals, or put one of their own in the place of another. So there are two searches, each by all numbers and
// every other text, the longest one first, as it was sent or in capitals; with step `search` the second one follows.
// Where there are fewer than two texts, there is one. What else the record says is compared with the entities that are
// found.
func (e *encoding) contents() (filter, step string, err error) {
	signs := e.signs()
	texts := 0
	for texts < len(signs) && signs[texts].text {
		texts++
	}
	first := 0
	if texts > 1 {
		if e.s.isLacking(searched(e.target.path + e.p.predicateOf(e.keys))) {
			first = 1
		} else {
			step = stepSearch
		}
	}
	var out []byte
	for i := range signs {
		if signs[i].text && i%2 != first && texts > 1 {
			continue
		}
		before := len(out)
		if before > 0 {
			out = append(out, " and "...)
		}
		if out = signs[i].append(out); len(out) > maxContents {
			out = out[:before]
		}
	}
	if len(out) == 0 {
		return "", "", &wit.Fault{Kind: wit.FaultConflict, Message: "it can't be looked up whether the entity was " +
			"inserted: none has the record's key, the service has not shown since the start whether it keeps the " +
			"keys of what is inserted, " +
			"and the record says nothing else to look by; " + checkFilter + " isn't set"}
	}
	return string(out), step, nil
}

// append writes a condition by which entities are found that have the value, a text as it is or in capitals.
func (s *sign) append(dst []byte) []byte {
	is := func(dst []byte, text string) []byte {
		return uri.AppendLiteral(append(append(dst, s.property...), " eq "...), uri.Literal{Type: s.literal.Type,
			Text: text})
	}
	upper := strings.ToUpper(s.literal.Text)
	if s.literal.Type != edm.String || upper == s.literal.Text {
		return is(dst, s.literal.Text)
	}
	return append(is(append(is(append(dst, '('), s.literal.Text), " or "...), upper), ')')
}

// searched is what is remembered, in the place of an address, where the first search by contents has found nothing.
func searched(address string) string { return "searched " + address }

// near tells whether an entity may be the record's, of which the service has changed something: it differs in one of
// the values that were sent, or in one of five, and has another one. Capitals are no difference.
func (t *entitySet) near(sent, entity jsontext.Value) bool {
	all, others := 0, 0
	for _, m := range sent.Members {
		if !entity.Has(m.Name) || m.Value.Kind == jsontext.Null || initial(m.Value.Text) {
			continue
		}
		all++
		if other := entity.At(m.Name); !sameValue(m.Value, other) && !t.sameFloat(m.Name, m.Value, other) &&
			!strings.EqualFold(strings.TrimSpace(m.Value.Text), strings.TrimSpace(other.Text)) {
			others++
		}
	}
	return others < all && others <= max(1, all/5)
}

// filter is the setting's, with the row's values in place of names.
func (e *encoding) filter() (string, error) {
	var out []byte
	for at := range templateOf(e.s.filter) {
		out = append(out, at.before...)
		if !at.named {
			break
		}
		property := e.target.entity.properties[at.name]
		member, ok := e.p.member(e.content, at.name)
		if property == nil || !ok || member.null() {
			return "", &wit.Fault{Kind: wit.FaultConflict,
				Message: "it can't be looked up whether the entity was inserted: " + checkFilter +
					" wants a value of property " + at.name + ", which the record doesn't have"}
		}
		c, err := e.s.convert(property, member.schema(), member.value)
		if err != nil {
			return "", refuse(at.name + ": " + err.Error())
		}
		out = uri.AppendLiteral(out, uri.Literal{Type: c.Type, Text: c.Text})
	}
	return string(out), nil
}

// blank is a property's place in a filter, with the text before it; not named: the text behind the last one.
type blank struct {
	before, name string
	named        bool
}

// templateOf goes through a filter of the settings. One without places is the name of a property.
func templateOf(filter string) iter.Seq[blank] {
	if !strings.Contains(filter, "{") {
		filter += " eq {" + filter + "}"
	}
	return func(yield func(blank) bool) {
		for rest := filter; ; {
			before, behind, found := strings.Cut(rest, "{")
			at := blank{before: before, named: found}
			at.name, rest, _ = strings.Cut(behind, "}")
			if !yield(at) || !found {
				return
			}
		}
	}
}

// misnamed says that the filter names what is no property of an entity set; nil: it names none such, or isn't looked
// at.
func (m *manner) misnamed(t *entitySet) *wit.Fault {
	if m.filter == "" || m.uncertain != "check" && m.uncertain != "repeatable" {
		return nil
	}
	s := t.model.Structures[0]
	for at := range templateOf(m.filter) {
		p := s.Property(at.name)
		if !at.named || p != nil && p.Type.Primitive != edm.NotPrimitive {
			continue
		}
		var names []string
		for i := range s.Properties {
			if s.Properties[i].Type.Primitive != edm.NotPrimitive {
				names = append(names, s.Properties[i].Name)
			}
		}
		return fault.Config(checkFilter, "Entity set "+t.set+" of "+t.service+" has no property "+at.name+" to look by"+
			fault.Among(at.name, names, "it has none"))
	}
	return nil
}

// moment writes milliseconds since 1970 as a time of UTC.
func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05") }
