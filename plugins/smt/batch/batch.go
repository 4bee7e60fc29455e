package batch

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/wit"
)

const MaxData = 1 << 20 // output size at which a call stops, in bytes. The host calls again for the remaining rows.

// Input holds the rows of a call, which are memory of the host.
type Input struct {
	Topics []string
	Rows   []wit.Row
	Data   []byte
}

// Output holds the result of a call so far. Its memory is reused. A row that fails leaves nothing in it.
type Output struct {
	Rows    []wit.Row
	Data    []byte
	Errors  []wit.RowError
	Topics  []string // starts with the topics of the input. If nil, no row has another topic.
	InPlace []byte   // if not nil, replaces Data: the start of the input's data, with results appended to values
}

// Reset empties the output for the rows of another call. Its memory is reused, so the previous result becomes invalid.
func (o *Output) Reset(in Input) {
	if cap(o.Rows) < len(in.Rows) {
		o.Rows = make([]wit.Row, 0, len(in.Rows))
	}
	*o = Output{Rows: o.Rows[:0], Data: o.Data[:0]}
}

// Result returns the output as the result of a call.
func (o *Output) Result(consumed int, schemas []wit.Schema) wit.ApplyResult {
	result := wit.ApplyResult{Schemas: schemas, Topics: o.Topics, Rows: o.Rows, Data: o.Data, Errors: o.Errors,
		Consumed: uint32(consumed)}
	if o.InPlace != nil {
		result.Data = o.InPlace
	}
	return result
}

// Add adds a record that results from a row of the input.
func (o *Output) Add(rec *record.Record, rowIndex int, topics []string) {
	row := rec.Row
	index := len(o.Rows)
	if index == cap(o.Rows) { // a split row
		o.Rows = append(o.Rows, wit.Row{})
	}
	o.Rows = o.Rows[:index+1]
	out := &o.Rows[index]
	out.RowIndex = uint32(rowIndex)
	out.Topic = row.Topic
	out.Partition = row.Partition
	out.Offset = row.Offset
	out.Timestamp = row.Timestamp
	o.put(&out.Key, &rec.Parts[record.Key])
	o.put(&out.Value, &rec.Parts[record.Value])
	o.put(&out.Headers, &rec.Parts[record.Headers])
	if rec.Topic != topics[row.Topic] {
		out.Topic = o.Topic(rec.Topic, topics)
	}
}

// put appends a part to Data unless it is unchanged, and stores its place in slice.
func (o *Output) put(slice *wit.ValueSlice, part *record.Part) {
	switch {
	case !part.Changed:
		*slice = wit.ValueSlice{Encoding: wit.Unchanged, Schema: part.Schema}
	case part.Encoding == wit.Absent:
		*slice = wit.ValueSlice{Encoding: wit.Absent}
	default:
		*slice = wit.ValueSlice{Encoding: part.Encoding, Schema: part.Schema, Start: uint32(len(o.Data)),
			Size: uint32(len(part.Bytes))}
		o.Data = append(o.Data, part.Bytes...)
	}
}

// Fail adds the failure of a row, and removes what was added since snapshot, a copy of the output, was taken.
func (o *Output) Fail(rowIndex int, failure *rowerror.Failure, snapshot *Output) {
	o.Rows = o.Rows[:len(snapshot.Rows)]
	o.Data = o.Data[:len(snapshot.Data)]
	o.Topics = snapshot.Topics
	o.Errors = append(o.Errors, wit.RowError{RowIndex: uint32(rowIndex), Stage: uint32(failure.Stage),
		ErrorClass: failure.Class, Error: wit.Error{Kind: wit.ErrorData, Message: failure.Message}})
}

// Topic returns the index of a topic in Topics, which it extends if necessary.
func (o *Output) Topic(name string, topics []string) uint32 {
	if o.Topics == nil {
		o.Topics = slices.Clone(topics)
	}
	index := slices.Index(o.Topics, name)
	if index < 0 {
		index = len(o.Topics)
		o.Topics = append(o.Topics, name)
	}
	return uint32(index)
}

// MoveInPlace moves results from the input's data to Data. Call it before rows are added that have no place there.
func (o *Output) MoveInPlace() {
	if o.InPlace != nil {
		o.Data = append(o.Data, o.InPlace...)
		o.InPlace = nil
	}
}
