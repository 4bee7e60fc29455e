package requests

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// Input is the rows of one call of Encode, as [wit.Sink] describes them.
type Input struct {
	Topics       []string
	Rows         []wit.Row
	Data         []byte
	RecordIDs    []wit.RecordID
	RecordTopics []string
	Hints        []wit.Hint
}

// errorClass is the exception class of rejected rows in the headers of dead letters.
const errorClass = "org.apache.kafka.connect.errors.DataException"

// Encode returns the deliveries that write the rows.
func Encode(s *capabilities.State, schemas rowvalue.Schemas, in *Input) wit.EncodeResult {
	hints := make(map[uint32]string, len(in.Hints))
	for _, h := range in.Hints {
		hints[h.Row] = h.Text
	}
	sets := make([]*entityset.EntitySet, len(in.Topics))
	for i, topic := range in.Topics {
		sets[i] = s.SetOf(topic)
	}
	var out wit.EncodeResult
	var e rowEncoder
	plan := newDeliveryPlan(s, len(in.Rows))
	for i := range in.Rows {
		row := &in.Rows[i]
		e = rowEncoder{schemas: schemas, lastBodySize: e.lastBodySize, buffer: e.buffer, state: s, row: row,
			data: in.Data}
		if len(in.Hints) > 0 {
			e.hint = parseHint(hints[uint32(i)])
		}
		var topic string
		if int(row.Topic) < len(in.Topics) {
			topic, e.set = in.Topics[row.Topic], sets[row.Topic]
		}
		e.setSourceRecord(i, in.RecordIDs, in.RecordTopics)
		q, err := e.encode(topic)
		switch {
		case err != nil:
			out.Rejected = append(out.Rejected, wit.RowError{RowIndex: uint32(i), ErrorClass: errorClass,
				Error: *fault.As(err)})
		case q == nil:
			out.Ignored = append(out.Ignored, uint32(i))
		case q.NestedUpdates > 0 && s.ServiceCapabilities[q.Set.ServiceIndex].NoBatch:
			out.Rejected = append(out.Rejected, wit.RowError{RowIndex: uint32(i), ErrorClass: errorClass,
				Error: wit.Error{Kind: wit.ErrorConfig, Message: q.Set.Service + " has no $batch, which " +
					sinkconfig.NameNestedUpdates + " = operations needs for updates with nested entities"}})
		default:
			q.row = uint32(i)
			plan.add(q)
		}
	}
	out.Ready = plan.deliveries()
	return out
}

// encode returns the request for a row, nil if the row is ignored.
func (e *rowEncoder) encode(topic string) (*request, error) {
	if e.set == nil {
		return nil, fault.Data("no entity set is configured for topic " + topic + ", the record's topic after the " +
			"transforms: expected one of " + e.state.TopicSettings() +
			"; configure the topic, or change the transforms")
	}
	if err := e.readValues(); err != nil {
		return nil, err
	}
	if !e.hasValue {
		if !e.state.DeleteTombstones {
			return nil, nil
		}
		if !e.hasKey {
			return nil, fault.Data("a tombstone without a key does not identify an entity to delete")
		}
		e.keys, e.keyErr = e.set.Type.KeyValues(&e.state.Config, &e.key, true)
		return e.encodeMode(modeDelete)
	}
	if err := e.findKeys(); err != nil {
		return nil, err
	}
	mode, err := e.mode()
	if err != nil {
		return nil, err
	}
	return e.encodeMode(mode)
}

func (e *rowEncoder) encodeMode(mode string) (*request, error) {
	if e.hint.ProbeSet {
		q := e.newRequest(ReadSet, "GET")
		q.query = "$top=1"
		e.makeRead(q)
		return q, nil
	}
	switch mode {
	case sinkconfig.ModeInsert:
		return e.encodeInsert()
	case modeDelete:
		return e.encodeDelete()
	case sinkconfig.ModeUpsert:
		return e.encodeUpsert()
	}
	return e.encodeUpdate(mode, false)
}

const modeDelete = "delete"

func (e *rowEncoder) mode() (string, error) {
	if e.state.DeleteRecords && encode.IsDeleteRecord(e.set.Type, e.value) {
		return modeDelete, nil
	}
	if e.state.Mode != sinkconfig.ModeDynamic {
		return e.state.Mode, nil
	}
	m, ok := e.value.Field(e.state.ModeProperty)
	text, isText := m.Text()
	if !ok || !isText {
		return "", fault.Data(e.state.ModeProperty + ": expected I, U, M or D (" + sinkconfig.NameModeProperty +
			"), found no string")
	}
	switch strings.ToUpper(strings.TrimSpace(string(text))) {
	case "I":
		return sinkconfig.ModeInsert, nil
	case "U":
		return sinkconfig.ModeUpdate, nil
	case "M":
		return sinkconfig.ModeMerge, nil
	case "D":
		return modeDelete, nil
	}
	return "", fault.Data(e.state.ModeProperty + ": expected I, U, M or D (" + sinkconfig.NameModeProperty +
		"), found " + strconv.Quote(string(text)))
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

func (e *rowEncoder) identity() identity {
	return identity{e.set.Path, e.recordTopic, e.recordID, e.row.Timestamp}
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
		return nil, fault.Data(
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
