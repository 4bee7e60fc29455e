package requests

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// encodeCheck returns a read that finds out whether an insert without a response was applied, because repeating it
// could create the entity twice (RATIONALE.md P19). With insert.uncertain = repeatable it reads, too, because another
// worker may have sent another RequestID.
func (e *rowEncoder) encodeCheck(insertion *request) (*request, error) {
	hasKey := e.keyErr == nil && !e.needsRecordKey && !e.isKeyReplaced()
	isIdempotent := IsIdempotent(e.state, e.set, &e.hint)
	filter, err := e.checkFilter()
	switch {
	case e.state.InsertUncertain == "fail":
		return nil, &wit.Error{Kind: wit.ErrorUnsupported,
			Message: "inserts without a response are not looked up (" + sinkconfig.NameInsertUncertain + " = fail)"}
	case e.state.InsertUncertain == "retry", isIdempotent && e.state.CheckFilter == "" && !hasKey:
		// The insert may be sent again as soon as the service responds.
		read := e.newRequest(ProbeService)
		e.setReadHeaders(read)
		return read, nil
	case filter != "": // finds the entity even if the service replaced its key
		read := e.newRequest(Find)
		read.query = "$filter=" + string(uri.AppendEscaped(nil, filter)) + "&$top=" + strconv.Itoa(maxFound)
		read.Compare = string(insertion.body)
		e.setReadHeaders(read)
		return read, nil
	case hasKey:
		read, err := e.newRead(LookUp)
		if read != nil {
			read.Compare = string(insertion.body)
		}
		return read, err
	case err != nil:
		return nil, err
	}
	reason := "the record does not contain its key"
	if e.keyErr == nil && !e.needsRecordKey {
		reason = "the service replaces the key of the record"
	}
	return nil, &wit.Error{Kind: wit.ErrorConflict, Message: "cannot look up whether the entity was inserted: " +
		reason + ", and " + sinkconfig.NameCheckFilter + " is not set"}
}

const maxFound = 20 // entities that a look-up by filter reads

// checkFilter returns the configured filter with the values of the row, "" if none is configured.
func (e *rowEncoder) checkFilter() (string, error) {
	if e.state.CheckFilter == "" {
		return "", nil
	}
	var out []byte
	for placeholder := range entityset.Placeholders(e.state.CheckFilter) {
		out = append(out, placeholder.Before...)
		if !placeholder.Found {
			break
		}
		property := e.set.Type.Property(placeholder.Name)
		var member rowvalue.Value
		ok := e.value.Field(&member, placeholder.Name)
		if property == nil || !ok || !member.Present {
			return "", &wit.Error{Kind: wit.ErrorConflict,
				Message: "cannot look up whether the entity was inserted: " + sinkconfig.NameCheckFilter +
					" needs a value of property " + placeholder.Name + ", which the record does not have"}
		}
		var converted value.Converted
		err := encode.Convert(&converted, &e.state.Config, property, &member)
		if err != nil {
			return "", odataerror.DataError(placeholder.Name + ": " + err.Error())
		}
		out = uri.AppendLiteral(out, e.set.Model.Dialect, value.LiteralOf(property, converted.Text))
	}
	return string(out), nil
}
