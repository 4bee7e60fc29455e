package main

import (
	"hash/fnv"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// check is the request by which is seen whether an insert that is uncertain was applied, in place of the insert. It
// only reads (P19).
func (e *encoding) check(insertion *request) (*request, error) {
	probing := e.s.uncertain == "retry" || e.s.uncertain == "repeatable" && e.s.learned[e.target.at].repeats
	switch {
	case e.s.uncertain == "fail":
		return nil, &wit.Fault{Kind: wit.FaultUnsupported,
			Message: "it is not looked up whether the entity was inserted (" + insertUncertain + " = fail)"}
	case probing:
		// It may be sent again; that the service is there is seen first.
		q := e.start(probe, "GET")
		q.path, q.repeatable, q.headers = e.target.service+"/", true, []wit.Header{{Name: "Accept", Value: e.s.media()}}
		return q, nil
	case e.missing == nil && !e.unsaid && !e.numbered():
		if e.elsewhere() {
			return e.finding(insertion)
		}
		q, err := e.reading(look)
		if q != nil {
			q.sent = insertion.body
		}
		return q, err
	case e.s.filter == "":
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
	by := e.filter
	if e.s.filter == "" {
		by = e.contents
	}
	filter, err := by()
	if err != nil {
		return nil, err
	}
	q := e.start(find, "GET")
	q.query, q.sent = "$filter="+string(uri.AppendEscaped(nil, filter))+"&$top="+strconv.Itoa(maxFound), insertion.body
	q.repeatable, q.headers = true, []wit.Header{{Name: "Accept", Value: e.s.media()}}
	return q, nil
}

// elsewhere tells whether the entity of an insert in doubt is not where the record's key says, and may be under another
// one: the service has not shown yet whether it keeps keys, which is forgotten with each start.
func (e *encoding) elsewhere() bool {
	return e.ofRow() == notShown && e.s.isLacking(e.target.path+e.p.predicateOf(e.keys))
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

// contents is a filter by what the record says besides its key: texts, whole numbers and GUIDs, which services compare
// as they were sent, unless they are initial, which some keep as null. What else the record says is compared with the
// entities that are found.
func (e *encoding) contents() (string, error) {
	var out []byte
	for i := range e.target.entity.Properties {
		property := &e.target.entity.Properties[i]
		if !property.Filterable || !property.Creatable || slices.Contains(e.target.entity.Key, property.Name) {
			continue
		}
		switch property.Type.Primitive {
		case edm.String, edm.Guid, edm.Byte, edm.SByte, edm.Int16, edm.Int32, edm.Int64:
		default:
			continue
		}
		member, ok := e.p.member(e.content, property.Name)
		if !ok || member.null() {
			continue
		}
		c, err := e.s.convert(property, member.schema(), member.value)
		if err != nil || initial(c.Text) {
			continue
		}
		before := len(out)
		if before > 0 {
			out = append(out, " and "...)
		}
		out = append(append(out, property.Name...), " eq "...)
		if out = uri.AppendLiteral(out, uri.Literal{Type: c.Type, Text: c.Text}); len(out) > maxContents {
			out = out[:before]
		}
	}
	if len(out) == 0 {
		return "", &wit.Fault{Kind: wit.FaultConflict, Message: "it can't be looked up whether the entity was " +
			"inserted: none has the record's key, the service has not shown since the start whether it keeps the " +
			"keys of what is inserted, " +
			"and the record says nothing else to look by; " + checkFilter + " isn't set"}
	}
	return string(out), nil
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
