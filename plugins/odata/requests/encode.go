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

// Input is the rows of a call, as [wit.Sink] describes them.
type Input struct {
	Topics       []string
	Rows         []wit.Row
	Data         []byte
	RecordIDs    []wit.RecordID
	RecordTopics []string
	Hints        []wit.Hint
}

// Encode returns the deliveries that write the rows. It fails if the metadata must be read again first.
func Encode(state *capabilities.State, schemas rowvalue.Schemas, input *Input) (wit.EncodeResult, error) {
	var hints []string // by row. Nil means that no row has a hint.
	if len(input.Hints) > 0 {
		hints = make([]string, len(input.Rows))
		for _, hint := range input.Hints {
			hints[hint.Row] = hint.Text
		}
	}
	sets := make([]*entityset.EntitySet, len(input.Topics))
	for i, topic := range input.Topics {
		sets[i] = state.SetOf(topic)
	}
	reject := func(row int, failure wit.Error) wit.RowError {
		return wit.RowError{RowIndex: uint32(row), ErrorClass: errorClass, Error: failure}
	}
	var out wit.EncodeResult
	encoder := rowEncoder{state: state, keyReader: rowvalue.NewReader(schemas),
		valueReader: rowvalue.NewReader(schemas), sourceRow: sourceRow{data: input.Data},
		undeclared: undeclaredFields{state: state}}
	encoder.writer.NeedsMetadata = encoder.undeclared.needsMetadata
	plan := &deliveryPlan{state: state, orderedIndexes: newNumberMap(min(len(input.Rows), state.OrderingKeyCount())),
		lastGroups: newNumberMap(len(input.Rows))}
	for i := range input.Rows {
		// Describe the row to the encoder.
		row := &input.Rows[i]
		encoder.row = row
		encoder.entityKeys = entityKeys{}
		encoder.rowsLeft = len(input.Rows) - 1 - i
		encoder.set = nil
		if hints != nil {
			encoder.hint = parseHint(hints[i])
			encoder.hasHint = hints[i] != ""
		}
		var topic string
		if int(row.Topic) < len(input.Topics) {
			topic = input.Topics[row.Topic]
			encoder.set = sets[row.Topic]
		}
		// The host may not pass the Kafka record of a row.
		encoder.recordID = wit.RecordID{}
		encoder.recordTopic = ""
		if i < len(input.RecordIDs) && int(input.RecordIDs[i].Topic) < len(input.RecordTopics) {
			encoder.recordID = input.RecordIDs[i]
			encoder.recordTopic = input.RecordTopics[input.RecordIDs[i].Topic]
		}
		// Encode it, and add its request to a delivery.
		req, err := encoder.encode(topic)
		switch {
		case err != nil:
			out.Rejected = append(out.Rejected, reject(i, *odataerror.As(err)))
		case req == nil:
			out.Ignored = append(out.Ignored, uint32(i))
		case req.NestedUpdates > 0 && state.ServiceCapabilities[req.Set.ServiceIndex].NoBatch:
			out.Rejected = append(out.Rejected, reject(i, wit.Error{Kind: wit.ErrorConfig,
				Message: req.Set.Service + " has no $batch, which " + sinkconfig.NameNestedUpdates +
					" = operations needs for updates with nested entities"}))
		default:
			req.row = uint32(i)
			plan.add(req)
		}
	}
	if encoder.undeclared.isStale {
		encoder.staleReason = "records have fields that $metadata did not declare when they were read"
	}
	if encoder.staleReason != "" {
		return wit.EncodeResult{}, state.StaleError(encoder.staleReason)
	}
	out.Ready = plan.deliveries()
	return out, nil
}

const errorClass = "org.apache.kafka.connect.errors.DataException" // of rejected rows, in the headers of dead letters

// encode returns the next request for a row, nil if the row is ignored.
func (e *rowEncoder) encode(topic string) (*request, error) {
	if e.set == nil {
		return nil, odataerror.DataError("no entity set is configured for topic " + topic +
			", the record's topic after the transforms: expected one of " + e.state.TopicSettings() +
			"; configure the topic, or change the transforms")
	}
	var err error
	if e.hasKey, err = e.keyReader.Read(&e.key, e.row.Key, e.data); err != nil {
		return nil, err
	}
	if e.hasValue, err = e.valueReader.Read(&e.value, e.row.Value, e.data); err != nil {
		return nil, err
	}
	if !e.hasValue {
		if !e.state.DeleteTombstones {
			return nil, nil
		}
		if !e.hasKey {
			return nil, odataerror.DataError("a tombstone without a key does not identify an entity to delete")
		}
		e.readKeys(&e.key, encode.RecordKey)
		return e.encodeMode(modeDelete)
	}
	if err := e.findKeys(); err != nil {
		return nil, err
	}
	if err := e.set.Type.DraftError(&e.state.Config, &e.value); err != nil {
		return nil, err
	}
	mode, err := e.mode()
	if err != nil {
		return nil, err
	}
	return e.encodeMode(mode)
}

// encodeMode returns the request for an operation mode, or a read that must come first.
func (e *rowEncoder) encodeMode(mode string) (*request, error) {
	if e.hint.ProbeSet {
		req := e.newRequest(ReadSet)
		req.query = "$top=1"
		e.setReadHeaders(req)
		return req, nil
	}
	switch mode {
	case sinkconfig.ModeInsert:
		return e.encodeInsert()
	case modeDelete:
		return e.encodeDelete()
	case sinkconfig.ModeUpsert:
		return e.encodeUpsert()
	}
	return e.encodeUpdate(updateFor(mode))
}

const modeDelete = "delete"

// mode returns the operation mode of the row: delete, or a mode of the settings other than dynamic.
func (e *rowEncoder) mode() (string, error) {
	if e.state.DeleteRecords && encode.IsDeleteRecord(e.set.Type, e.value) {
		return modeDelete, nil
	}
	if e.state.Mode != sinkconfig.ModeDynamic {
		return e.state.Mode, nil
	}
	var field rowvalue.Value
	ok := e.value.Field(&field, e.state.ModeProperty)
	letter, isText := field.Text()
	if !ok || !isText {
		return "", odataerror.DataError(e.state.ModeProperty + ": expected I, U, M or D (" + sinkconfig.NameModeProperty +
			"), found no string")
	}
	switch strings.ToUpper(strings.TrimSpace(string(letter))) {
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
		"), found " + strconv.Quote(string(letter)))
}
