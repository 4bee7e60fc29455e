package requests

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
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
				Error: *odataerror.As(err)})
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

// errorClass is the exception class of rejected rows in the headers of dead letters.
const errorClass = "org.apache.kafka.connect.errors.DataException"

// encode returns the request for a row, nil if the row is ignored.
func (e *rowEncoder) encode(topic string) (*request, error) {
	if e.set == nil {
		return nil, odataerror.DataError("no entity set is configured for topic " + topic +
			", the record's topic after the " +
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
			return nil, odataerror.DataError("a tombstone without a key does not identify an entity to delete")
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
		return "", odataerror.DataError(e.state.ModeProperty + ": expected I, U, M or D (" + sinkconfig.NameModeProperty +
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
	return "", odataerror.DataError(e.state.ModeProperty + ": expected I, U, M or D (" + sinkconfig.NameModeProperty +
		"), found " + strconv.Quote(string(text)))
}
