package main

import (
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// check is the request by which is seen whether an insert that is uncertain was applied, in place of the insert. It
// only reads (P19).
func (e *encoding) check(insertion *request) (*request, error) {
	probing := e.s.uncertain == "retry" || e.s.uncertain == "repeatable" && e.s.learned[e.target.at].repeats
	switch {
	case e.s.uncertain == "fail":
		return nil, &wit.Fault{Kind: wit.FaultUnsupported, Message: "it is not looked up whether the entity was inserted (" + insertUncertain + " = fail)"}
	case probing:
		// It may be sent again; that the service is there is seen first.
		q := e.start(probe, "GET")
		q.path, q.repeatable, q.headers = e.target.service+"/", true, []wit.Header{{Name: "Accept", Value: e.s.media()}}
		return q, nil
	case e.missing == nil && !e.unsaid:
		q, err := e.reading(look)
		if q != nil && !e.s.atom {
			q.sent = insertion.body
		}
		return q, err
	case e.s.filter == "":
		return nil, &wit.Fault{Kind: wit.FaultConflict, Message: "it can't be looked up whether the entity was inserted: the record doesn't say its key, and " + checkFilter + " isn't set"}
	}
	filter, err := e.filter()
	if err != nil {
		return nil, err
	}
	q := e.start(find, "GET")
	q.query = "$filter=" + string(uri.AppendEscaped(nil, filter)) + "&$top=1"
	q.repeatable, q.headers = true, []wit.Header{{Name: "Accept", Value: e.s.media()}}
	return q, nil
}

// filter is the setting's, with the row's values in place of names.
func (e *encoding) filter() (string, error) {
	rest := e.s.filter
	if e.target.entity.properties[rest] != nil {
		rest += " eq {" + rest + "}"
	}
	var out []byte
	for {
		before, behind, found := strings.Cut(rest, "{")
		out = append(out, before...)
		if !found {
			return string(out), nil
		}
		name, after, closed := strings.Cut(behind, "}")
		property := e.target.entity.properties[name]
		member, ok := e.p.member(e.content, name)
		if !closed || property == nil || !ok || member.null() {
			return "", &wit.Fault{Kind: wit.FaultConflict, Message: "it can't be looked up whether the entity was inserted: " + checkFilter + " wants a value of property " + name + ", which the record doesn't have"}
		}
		c, err := e.s.convert(property, member.schema(), member.value)
		if err != nil {
			return "", refuse(name + ": " + err.Error())
		}
		out = uri.AppendLiteral(out, uri.Literal{Type: c.Type, Text: c.Text})
		rest = after
	}
}

// moment writes milliseconds since 1970 as a time of UTC.
func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05") }
