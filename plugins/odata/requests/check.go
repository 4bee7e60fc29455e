package requests

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// encodeCheck returns a read that finds out whether an insert in doubt was applied (P19). With insert.uncertain =
// repeatable it reads too, because an earlier version may have sent another RequestID.
func (e *rowEncoder) encodeCheck(insertion *request) (*request, error) {
	hasKey := e.keyErr == nil && !e.needsRecordKey && !e.isNumbered()
	idempotent := IsIdempotent(e.state, e.set, e.hint)
	filter, err := e.checkFilter()
	switch {
	case e.state.InsertUncertain == "fail":
		return nil, &wit.Error{Kind: wit.ErrorUnsupported,
			Message: "inserts without a response are not looked up (" + sinkconfig.NameInsertUncertain + " = fail)"}
	case e.state.InsertUncertain == "retry", idempotent && e.state.CheckFilter == "" && !hasKey:
		q := e.newRequest(ProbeService, "GET")
		e.makeRead(q)
		return q, nil
	case filter != "": // finds the entity even if the service replaced its key
		q := e.newRequest(Find, "GET")
		q.query = "$filter=" + string(uri.AppendEscaped(nil, filter)) + "&$top=" + strconv.Itoa(maxFound)
		q.Compare = string(insertion.body)
		e.makeRead(q)
		return q, nil
	case hasKey:
		q, err := e.newRead(LookUp)
		if q != nil {
			q.Compare = string(insertion.body)
		}
		return q, err
	case err != nil:
		return nil, err
	}
	why := "the record does not contain its key"
	if e.keyErr == nil && !e.needsRecordKey {
		why = "the service replaces the key of the record"
	}
	return nil, &wit.Error{Kind: wit.ErrorConflict, Message: "cannot look up whether the entity was inserted: " +
		why + ", and " + sinkconfig.NameCheckFilter + " is not set"}
}

const maxFound = 20

// checkFilter returns the configured filter with the values of the row, "" if none is configured.
func (e *rowEncoder) checkFilter() (string, error) {
	if e.state.CheckFilter == "" {
		return "", nil
	}
	var out []byte
	for at := range entityset.Placeholders(e.state.CheckFilter) {
		out = append(out, at.Before...)
		if !at.Found {
			break
		}
		property := e.set.Type.Property(at.Name)
		member, ok := e.value.Field(at.Name)
		if property == nil || !ok || !member.Present {
			return "", &wit.Error{Kind: wit.ErrorConflict,
				Message: "cannot look up whether the entity was inserted: " + sinkconfig.NameCheckFilter +
					" needs a value of property " + at.Name + ", which the record does not have"}
		}
		c, err := encode.Convert(&e.state.Config, property, &member)
		if err != nil {
			return "", odataerror.DataError(at.Name + ": " + err.Error())
		}
		out = uri.AppendLiteral(out, uri.Literal{Type: c.Type, Text: c.Text})
	}
	return string(out), nil
}
