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

// encodeInsert returns the insert or, if an earlier insert is in doubt, a read that looks it up.
func (e *rowEncoder) encodeInsert() (*request, error) {
	req := e.newRequest(Insert)
	if err := e.writeBody(req); err != nil {
		return nil, err
	}
	if e.hint.isUncertain() {
		return e.encodeCheck(req)
	}
	if (e.needsRecordKey && e.state.Mode != sinkconfig.ModeUpsert) || e.isKeyReplaced() {
		req.Predicate = "" // the service may create the entity with the key of another row
	}
	if e.state.InsertUncertain == "repeatable" {
		req.headers = e.appendIdentity(append(make([]wit.Header, 0, len(req.headers)+2), req.headers...))
	}
	req.repeatable = e.state.InsertUncertain == "retry" || IsIdempotent(e.state, e.set, &e.hint)
	return req, nil
}

// updateFor returns the operation of an update mode, or of a method for the updates of upserts.
func updateFor(mode string) Operation {
	switch mode {
	case sinkconfig.ModeMerge:
		return Merge
	case sinkconfig.ModePatch:
		return Patch
	}
	return Put
}

// encodeUpdate returns the update, or a read of the ETag that must come first.
func (e *rowEncoder) encodeUpdate(operation Operation) (*request, error) {
	if e.hint.isUncertain() {
		return nil, &wit.Error{Kind: wit.ErrorUnsupported, Message: "an update cannot be looked up"}
	}
	if e.state.UseETags && !e.hint.HasETag {
		if operation.IsUpsertUpdate() {
			return e.newETagRead(ReadETagForUpsert)
		}
		return e.newETagRead(ReadETag)
	}
	req, err := e.newEntityRequest(operation)
	if err != nil {
		return nil, err
	}
	e.setIfMatch(req)
	return req, e.writeBody(req)
}

// encodeUpsert returns the update or the insert of an upsert, as the hint's step or the settings specify, or a read.
func (e *rowEncoder) encodeUpsert() (*request, error) {
	if e.keyErr != nil {
		return nil, e.keyErr
	}
	if err := e.state.AddressError(e.set, e.hint.Known); err != nil {
		return nil, err
	}
	mayBeInserted := e.hint.SentByOther && e.hint.Step == "" && encode.HasInitial(e.keys)
	if mayBeInserted && e.state.InsertUncertain != "retry" {
		// The request has no setReadHeaders: it is not repeatable, because an insert may follow whose key the service
		// replaces.
		return e.newRequest(LookUpForUpsert), nil
	}
	if e.isKeyReplaced() {
		return nil, odataerror.DataError(
			"the service numbers entities with an initial key, so every upsert of them would be an insert")
	}
	if e.hint.isUncertain() {
		return e.newRead(LookUpForUpsert)
	}
	step := e.hint.Step
	if step == "" {
		step = e.state.UpsertFirst
		if e.insertsFirst() {
			step = StepInsert
		}
	}
	if step == StepUpdate {
		return e.encodeUpdate(updateFor(e.state.UpsertMethod) + UpsertPut - Put)
	}
	req, err := e.encodeInsert()
	if req != nil {
		req.Operation = UpsertInsert
	}
	return req, err
}

// insertsFirst reports whether an upsert begins with the insert because the service probably does not have the entity.
// If the service has it, it refuses the insert, and the update follows. If it overwrites the entity instead, as MODIFY
// does in ABAP, the result must be the same as after the update. An entity with an initial key begins with the update,
// because a service may number it.
func (e *rowEncoder) insertsFirst() bool {
	return e.state.SetCapabilities[e.set.CapabilityIndex].InsertsFirst && !e.state.HasNested &&
		!encode.HasInitial(e.keys) && e.set.Type.InsertEqualsUpdate(&e.value, updateFor(e.state.UpsertMethod) == Put)
}

// encodeDelete returns the delete, or a read that must come first.
func (e *rowEncoder) encodeDelete() (*request, error) {
	if e.hint.isUncertain() {
		return nil, &wit.Error{Kind: wit.ErrorUnsupported, Message: "a delete cannot be looked up"}
	}
	if e.hint.Step == StepConfirm {
		return e.newRead(ConfirmDelete)
	}
	if e.state.UseETags && !e.hint.HasETag {
		return e.newETagRead(ReadETagForDelete)
	}
	req, err := e.newEntityRequest(Delete)
	if err != nil {
		return nil, err
	}
	req.headers = append(req.headers, wit.Header{Name: "Accept", Value: e.state.MediaType()})
	e.setIfMatch(req)
	return req, nil
}

// setIfMatch adds If-Match if the service accepts it, and sets whether the request may be repeated. A request with an
// ETag must not be if a conflict rejects the row: the repetition would find the change of the first request.
func (e *rowEncoder) setIfMatch(req *request) {
	tag := "*"
	req.repeatable = true
	isRejected := e.state.SetCapabilities[e.set.CapabilityIndex].IfMatch == capabilities.IfMatchRejected
	switch {
	case e.state.NoIfMatch, e.state.UseETags && e.hint.ETag == "":
		return
	case !e.state.UseETags && (e.hint.NoIfMatch || isRejected):
		req.Hint.NoIfMatch = true
		return
	case e.state.UseETags:
		tag = e.hint.ETag
		req.repeatable = e.state.RetryETagConflicts
	}
	req.headers = append(req.headers, wit.Header{Name: "If-Match", Value: tag})
}

// writeBody encodes the entity, and the updates of nested entities.
func (e *rowEncoder) writeBody(req *request) (err error) {
	if e.state.KeyFromRecord && e.keyErr != nil {
		return e.keyErr
	}
	writer := &e.writer
	writer.Config = &e.state.Config
	writer.Update = !req.IsInsert()
	writer.Keys = nil
	// The insert of an upsert names the same entity as the update before.
	if e.state.KeyFromRecord || (e.needsRecordKey && e.state.Mode == sinkconfig.ModeUpsert) {
		writer.Keys = e.keys
	}
	e.nested = nil
	if e.state.NestedUpdates {
		writer.Nested = &e.nested
	}
	size := max(min(e.lastBodySize, maxSizeHint), int(e.row.Value.Size))
	size += size/8 + 64 // mostly enough, so that bodies is not copied
	if cap(e.bodies)-len(e.bodies) < size {
		e.bodies = make([]byte, 0, max(size, min((e.rowsLeft+1)*size, maxSizeHint)))
	}
	start := len(e.bodies)
	bodies, err := writer.AppendEntity(e.bodies, e.set.Type, &e.value, "")
	if err != nil {
		return err
	}
	e.bodies = bodies
	req.body = bodies[start:len(bodies):len(bodies)]
	e.lastBodySize = len(req.body)
	headers := e.state.Dialect.BodyHeaders
	if e.state.Atom {
		headers = atomHeaders
	}
	if len(req.headers) == 0 {
		req.headers = slices.Clip(headers)
	} else {
		req.headers = append(req.headers, headers...)
	}
	if len(e.nested) == 0 {
		return nil
	}
	if e.state.OrderingKeyCount() > 1 {
		e.state.HasNested = true
		e.staleReason = "records have nested entities to update, so that all records are sent in order from now on"
	}
	return e.addNestedUpdates(req, e.nested, e.set.LinkedSet())
}

const maxSizeHint = 64 << 10 // bytes that are allocated for bodies at once, unless a row needs more

var atomHeaders = []wit.Header{{Name: "Accept", Value: "application/atom+xml"},
	{Name: "Content-Type", Value: "application/atom+xml;type=entry"}}

// addNestedUpdates adds updates of nested entities, each identified by the key in its own content.
func (e *rowEncoder) addNestedUpdates(req *request, nested []encode.NestedContent, source *entityset.LinkedSet) error {
	for _, content := range nested {
		targetSet := source.Targets[content.Navigation.Name]
		if targetSet == nil {
			return odataerror.DataError(content.Path +
				": $metadata does not declare an updatable entity set for these entities")
		}
		entities := []rowvalue.Value{content.Value}
		if content.Navigation.Many {
			entities = nil
			var items rowvalue.Cursor
			content.Value.Items(&items)
			for items.Next() {
				entities = append(entities, items.Value)
			}
			if items.Mismatch {
				return encode.Unexpected(content.Path, "an array of "+content.Type.QualifiedName(),
					"another kind of value")
			}
		}
		for i := range entities {
			if err := e.addNestedUpdate(req, &content, &entities[i], targetSet); err != nil {
				return err
			}
		}
	}
	return nil
}

// addNestedUpdate adds the update of one nested entity, and of the entities nested in it.
func (e *rowEncoder) addNestedUpdate(req *request, content *encode.NestedContent, entity *rowvalue.Value,
	targetSet *entityset.LinkedSet) error {
	keys, err := content.Type.AppendKeyValues(nil, &e.state.Config, entity, encode.RecordValue)
	if err != nil {
		return odataerror.DataError(content.Path + ": " + odataerror.As(err).Message)
	}
	var nestedContent []encode.NestedContent
	writer := encode.Writer{Config: &e.state.Config, Update: true, Nested: &nestedContent,
		NeedsMetadata: e.writer.NeedsMetadata}
	predicate := encode.Predicate(e.set.Model.Dialect, keys)
	update := nestedUpdate{path: targetSet.Path + predicate,
		entityHash: targetSet.EntityHash(encode.CanonicalPredicate(e.set.Model.Dialect, keys, predicate))}
	if update.body, err = writer.AppendEntity(nil, content.Type, entity, content.Path); err != nil {
		return err
	}
	req.updates = append(req.updates, update)
	req.NestedUpdates = len(req.updates)
	return e.addNestedUpdates(req, nestedContent, targetSet)
}
