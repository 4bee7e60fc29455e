package write

import (
	"iter"
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
//
// With `repeatable`, what can be looked up is, also where the service knows RequestIDs: a run before this one may have
// been of a version that made others, and what is found needs no second request. Of an entity that is there and differs
// the RequestID decides then.
func (e *encoding) check(insertion *request) (*request, error) {
	keyed := e.missing == nil && !e.onlyInRecordKey && !e.numbered()
	known := e.s.uncertain == "repeatable" && e.s.learned[e.to.at].repeats
	filter, err := e.filter()
	switch {
	case e.s.uncertain == "fail":
		return nil, &wit.Fault{Kind: wit.FaultUnsupported,
			Message: "it is not looked up whether the entity was inserted (" + insertUncertain + " = fail)"}
	case e.s.uncertain == "retry", known && e.s.filter == "" && !keyed:
		// It may be sent again; that the service is there is seen first.
		q := e.start(probe, "GET")
		e.asRead(q)
		return q, nil
	case filter != "": // whatever key the service has given the entity
		q := e.start(find, "GET")
		q.query = "$filter=" + string(uri.AppendEscaped(nil, filter)) + "&$top=" + strconv.Itoa(maxFound)
		q.compared = string(insertion.body)
		e.asRead(q)
		return q, nil
	case keyed:
		q, err := e.readEntity(look)
		if q != nil {
			q.compared = string(insertion.body)
		}
		return q, err
	case err != nil:
		return nil, err
	}
	why := "the record doesn't say its key"
	if e.missing == nil && !e.onlyInRecordKey {
		why = "the service gives it another key than the record's"
	}
	return nil, &wit.Fault{Kind: wit.FaultConflict, Message: "it can't be looked up whether the entity was inserted: " +
		why + ", and " + checkFilter + " isn't set"}
}

// maxFound is how many entities a check by a filter asks for: more than one, since the filter may fit entities of
// other records too.
const maxFound = 20

// filter is the setting's, with the row's values in place of names, "" where it isn't set.
func (e *encoding) filter() (string, error) {
	if e.s.filter == "" {
		return "", nil
	}
	var out []byte
	for at := range templateOf(e.s.filter) {
		out = append(out, at.before...)
		if !at.named {
			break
		}
		property := e.to.entity.properties[at.name]
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

// blank is a property's place in a filter, with the text before it; not named: the text after the last one.
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
			before, after, found := strings.Cut(rest, "{")
			at := blank{before: before, named: found}
			at.name, rest, _ = strings.Cut(after, "}")
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

// uncheckable says that metadata show that no record says the key of an entity, and that no filter is set by which
// lost inserts are looked for; nil: they don't.
func (m *manner) uncheckable(t *entitySet) *wit.Fault {
	if m.uncertain != "check" || m.filter != "" || m.mode != modeInsert && m.mode != modeDynamic {
		return nil
	}
	s := t.model.Structures[0]
	why := ""
	if len(s.Key) == 0 {
		why = "has no key"
	}
	for _, name := range s.Key {
		if p := s.Property(name); p != nil && !p.Creatable {
			why = "numbers its key property " + name + " (sap:creatable=\"false\")"
		}
	}
	if why == "" {
		return nil
	}
	return fault.Config(insertUncertain, "Entity set "+t.set+" of "+t.service+" "+why+", so that "+insertUncertain+
		" = check can't look whether an insert whose answer was lost was applied: expected "+checkFilter+
		" to say by what else it is found, or another value")
}

// moment writes milliseconds since 1970 as a time of UTC.
func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05") }
