package write

import (
	"strconv"

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
	known := identified(e.s, e.to, e.hint)
	filter, err := e.filter()
	switch {
	case e.s.uncertain == "fail":
		return nil, &wit.Fault{Kind: wit.FaultUnsupported,
			Message: "it is not looked up whether the entity was inserted (" + insertUncertain + " = fail)"}
	case e.s.uncertain == "retry", known && e.s.filter == "" && !keyed:
		// It may be sent again; that the service is there is seen first.
		q := e.start(probing, "GET")
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
		property := e.to.entity.Property(at.name)
		member, ok := e.content.member(at.name)
		if property == nil || !ok || !member.present {
			return "", &wit.Fault{Kind: wit.FaultConflict,
				Message: "it can't be looked up whether the entity was inserted: " + checkFilter +
					" wants a value of property " + at.name + ", which the record doesn't have"}
		}
		c, err := convert(&e.s.manner, property, &member)
		if err != nil {
			return "", fault.Data(at.name + ": " + err.Error())
		}
		out = uri.AppendLiteral(out, uri.Literal{Type: c.Type, Text: c.Text})
	}
	return string(out), nil
}
