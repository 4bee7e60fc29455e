package requests

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

func (e *rowEncoder) encodeInsert() (*request, error) {
	q := e.newRequest(Insert, "POST")
	if err := e.writeBody(q, false); err != nil {
		return nil, err
	}
	if e.hint.isUncertain() {
		return e.encodeCheck(q)
	}
	if e.needsRecordKey && e.state.Mode != sinkconfig.ModeUpsert || e.isNumbered() {
		q.Predicate = "" // the service may number the entity with the key of another row
	}
	if e.state.InsertUncertain == "repeatable" {
		q.headers = append(q.headers, e.identity().headers()...)
	}
	q.repeatable = e.state.InsertUncertain == "retry" || IsIdempotent(e.state, e.set, e.hint)
	return q, nil
}

func (e *rowEncoder) encodeUpdate(mode string, isUpsert bool) (*request, error) {
	op, method := Put, "PUT"
	switch mode {
	case sinkconfig.ModeMerge:
		op, method = Merge, "MERGE"
	case sinkconfig.ModePatch:
		op, method = Patch, "PATCH"
	}
	if isUpsert {
		op += UpsertPut - Put // the variants have the same order
	}
	if e.hint.isUncertain() {
		return nil, &wit.Error{Kind: wit.ErrorUnsupported, Message: "an update cannot be looked up"}
	}
	if e.state.UseETags && !e.hint.HasETag {
		reading := ReadETag
		if isUpsert {
			reading = ReadETagForUpsert
		}
		return e.newRead(reading)
	}
	q, err := e.newEntityRequest(op, method)
	if err != nil {
		return nil, err
	}
	e.setIfMatch(q)
	return q, e.writeBody(q, true)
}

func (e *rowEncoder) encodeUpsert() (*request, error) {
	if e.keyErr != nil {
		return nil, e.keyErr
	}
	if err := e.state.AddressError(e.set, e.hint.Known); err != nil {
		return nil, err
	}
	if e.hint.Moved && e.hint.Step == "" && e.state.InsertUncertain != "retry" && encode.HasInitial(e.keys) {
		// Not repeatable: an insert may follow that the service numbers.
		return e.newRequest(LookUpForUpsert, "GET"), nil
	}
	if e.isNumbered() {
		return nil, odataerror.DataError(
			"the service numbers entities with an initial key, so every upsert of them would be an insert")
	}
	if e.hint.isUncertain() {
		return e.newRead(LookUpForUpsert)
	}
	step := e.hint.Step
	if step == "" {
		step = e.state.UpsertFirst
	}
	if step == StepUpdate {
		return e.encodeUpdate(e.state.Config.UpsertMethod, true)
	}
	q, err := e.encodeInsert()
	if q != nil {
		q.Operation = UpsertInsert
	}
	return q, err
}

func (e *rowEncoder) encodeDelete() (*request, error) {
	if e.hint.isUncertain() {
		return nil, &wit.Error{Kind: wit.ErrorUnsupported, Message: "a delete cannot be looked up"}
	}
	if e.hint.Step == StepConfirm {
		return e.newRead(ConfirmDelete)
	}
	if e.state.UseETags && !e.hint.HasETag {
		return e.newRead(ReadETagForDelete)
	}
	q, err := e.newEntityRequest(Delete, "DELETE")
	if err != nil {
		return nil, err
	}
	q.headers = append(q.headers, wit.Header{Name: "Accept", Value: e.state.MediaType()})
	e.setIfMatch(q)
	return q, nil
}

// setIfMatch adds If-Match if the service accepts it, and decides whether the request may be repeated. A request with
// an ETag may not if a conflict rejects the row: the repetition would find the change of the first request.
func (e *rowEncoder) setIfMatch(q *request) {
	tag := "*"
	q.repeatable = true
	switch {
	case e.state.NoIfMatch, e.state.UseETags && e.hint.ETag == "":
		return
	case !e.state.UseETags && (e.hint.NoIfMatch ||
		e.state.SetCapabilities[e.set.CapabilityIndex].IfMatch == capabilities.IfMatchRejected):
		q.Hint.NoIfMatch = true
		return
	case e.state.UseETags:
		tag, q.repeatable = e.hint.ETag, e.state.RetryETagConflicts
	}
	q.headers = append(q.headers, wit.Header{Name: "If-Match", Value: tag})
}

func (e *rowEncoder) writeBody(q *request, isUpdate bool) (err error) {
	b := encode.Writer{Config: &e.state.Config, Update: isUpdate}
	if e.state.KeyFromRecord && e.keyErr != nil {
		return e.keyErr
	}
	// The insert of an upsert names the same entity as the update before.
	if e.state.KeyFromRecord || e.needsRecordKey && e.state.Mode == sinkconfig.ModeUpsert {
		b.Keys = e.keys
	}
	var nested []encode.NestedContent
	if e.state.NestedUpdates {
		b.Nested = &nested
	}
	size := max(min(e.lastBodySize, maxSizeHint), int(e.row.Value.Size))
	if q.body, err = b.AppendEntity(make([]byte, 0, size+size/8+64), e.set.Type, &e.value, ""); err != nil {
		return err
	}
	e.lastBodySize = len(q.body)
	addBodyHeaders(&e.state.Config, q)
	if len(nested) == 0 {
		return nil
	}
	return e.addNestedUpdates(q, nested, e.set.LinkedSet())
}

const maxSizeHint = 64 << 10

var (
	jsonHeaders = []wit.Header{{Name: "Accept", Value: "application/json"}, {Name: "Content-Type",
		Value: "application/json"}}
	atomHeaders = []wit.Header{{Name: "Accept", Value: "application/atom+xml"}, {Name: "Content-Type",
		Value: "application/atom+xml;type=entry"}}
)

func addBodyHeaders(c *sinkconfig.Config, q *request) {
	headers := jsonHeaders
	if c.Atom {
		headers = atomHeaders
	}
	if len(q.headers) == 0 {
		q.headers = slices.Clip(headers)
		return
	}
	q.headers = append(q.headers, headers...)
}

// addNestedUpdates adds updates of nested entities. Each is identified by the key in its own content.
func (e *rowEncoder) addNestedUpdates(q *request, nested []encode.NestedContent, from *entityset.LinkedSet) error {
	for _, c := range nested {
		to := from.Targets[c.Navigation.Name]
		if to == nil {
			return odataerror.DataError(c.Path + ": $metadata does not declare an updatable entity set for these entities")
		}
		contents := []rowvalue.Value{c.Value}
		if c.Navigation.Many {
			contents = nil
			items := c.Value.Items()
			for items.Next() {
				contents = append(contents, items.Value)
			}
			if items.Mismatch {
				return encode.Unexpected(c.Path, "an array of "+c.Type.QualifiedName(), "another kind of value")
			}
		}
		for i := range contents {
			item := &contents[i]
			keys, err := c.Type.KeyValues(&e.state.Config, item, false)
			if err != nil {
				return odataerror.DataError(c.Path + ": " + odataerror.As(err).Message)
			}
			var deeper []encode.NestedContent
			b := encode.Writer{Config: &e.state.Config, Update: true, Nested: &deeper}
			predicate := encode.Predicate(keys)
			u := nestedUpdate{path: to.Path + predicate,
				entityHash: to.EntityHash(encode.CanonicalPredicate(keys, predicate))}
			if u.body, err = b.AppendEntity(nil, c.Type, item, c.Path); err != nil {
				return err
			}
			q.updates = append(q.updates, u)
			q.NestedUpdates = len(q.updates)
			if err := e.addNestedUpdates(q, deeper, to); err != nil {
				return err
			}
		}
	}
	return nil
}
