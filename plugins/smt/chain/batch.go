package chain

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit"
)

const maxData = 1 << 20 // output size at which a call stops, in bytes. The host calls again for the remaining rows.

// input holds the rows of a call, which are memory of the host.
type input struct {
	topics []string
	rows   []wit.Row
	data   []byte
}

// output holds the result of a call so far. Its memory is reused. A row that fails leaves nothing in it.
type output struct {
	rows    []wit.Row
	data    []byte
	errors  []wit.RowError
	topics  []string // starts with the topics of the input. If nil, no row has another topic.
	inPlace []byte   // if not nil, replaces data: the start of the input's data, with results appended to values
}

// reset empties the output for the rows of another call. Its memory is reused, so the previous result becomes invalid.
func (o *output) reset(in input) {
	if cap(o.rows) < len(in.rows) {
		o.rows = make([]wit.Row, 0, len(in.rows))
	}
	*o = output{rows: o.rows[:0], data: o.data[:0]}
}

// result returns the output as the result of a call.
func (o *output) result(consumed int, schemas []wit.Schema) wit.ApplyResult {
	result := wit.ApplyResult{Schemas: schemas, Topics: o.topics, Rows: o.rows, Data: o.data, Errors: o.errors,
		Consumed: uint32(consumed)}
	if o.inPlace != nil {
		result.Data = o.inPlace
	}
	return result
}

// add adds a record that results from a row of the input.
func (o *output) add(rec *record.Record, rowIndex int, topics []string) {
	row := rec.Row
	index := len(o.rows)
	if index == cap(o.rows) { // a split row
		o.rows = append(o.rows, wit.Row{})
	}
	o.rows = o.rows[:index+1]
	out := &o.rows[index]
	out.RowIndex = uint32(rowIndex)
	out.Topic = row.Topic
	out.Partition = row.Partition
	out.Offset = row.Offset
	out.Timestamp = row.Timestamp
	o.put(&out.Key, &rec.Parts[record.Key])
	o.put(&out.Value, &rec.Parts[record.Value])
	o.put(&out.Headers, &rec.Parts[record.Headers])
	if rec.Topic != topics[row.Topic] {
		out.Topic = o.topic(rec.Topic, topics)
	}
}

// put appends a part to data unless it is unchanged, and stores its place in slice.
func (o *output) put(slice *wit.ValueSlice, part *record.Part) {
	switch {
	case !part.Changed:
		*slice = wit.ValueSlice{Encoding: wit.Unchanged, Schema: part.Schema}
	case part.Encoding == wit.Absent:
		*slice = wit.ValueSlice{Encoding: wit.Absent}
	default:
		*slice = wit.ValueSlice{Encoding: part.Encoding, Schema: part.Schema, Start: uint32(len(o.data)),
			Size: uint32(len(part.Bytes))}
		o.data = append(o.data, part.Bytes...)
	}
}

// fail adds the failure of a row, and removes what was added since snapshot, a copy of the output, was taken.
func (o *output) fail(rowIndex int, failure *record.Failure, snapshot *output) {
	o.rows = o.rows[:len(snapshot.rows)]
	o.data = o.data[:len(snapshot.data)]
	o.topics = snapshot.topics
	o.errors = append(o.errors, wit.RowError{RowIndex: uint32(rowIndex), Stage: uint32(failure.Stage),
		ErrorClass: failure.Class, Error: wit.Error{Kind: wit.ErrorData, Message: failure.Message}})
}

// topic returns the index of a topic in topics, which it extends if necessary.
func (o *output) topic(name string, topics []string) uint32 {
	if o.topics == nil {
		o.topics = slices.Clone(topics)
	}
	index := slices.Index(o.topics, name)
	if index < 0 {
		index = len(o.topics)
		o.topics = append(o.topics, name)
	}
	return uint32(index)
}

// moveInPlace moves results from the input's data to data. Call it before rows are added that have no place there.
func (o *output) moveInPlace() {
	if o.inPlace != nil {
		o.data = append(o.data, o.inPlace...)
		o.inPlace = nil
	}
}
