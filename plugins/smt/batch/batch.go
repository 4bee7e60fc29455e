package batch

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/wit"
)

// MaxData is the size of the output from which on no row is begun, in bytes.
const MaxData = 1 << 20

// Input is the input of a call.
type Input struct {
	Topics []string
	Rows   []wit.Row
	Data   []byte
}

// Output is the output of a call so far. It is reused.
type Output struct {
	Rows   []wit.Row
	Data   []byte
	Errors []wit.RowError
	// Topics begins with the topics of the call; nil if no row got another one.
	Topics []string
	// InPlace, if not nil, is the part of the call's data that is the result's data, and nothing else is: what was appended
	// to values follows them in place. It begins with the call's first byte, so keys, headers and the room between
	// values are part of it.
	InPlace []byte
}

// Reset empties the output for a call.
func (o *Output) Reset(in Input) {
	if cap(o.Rows) < len(in.Rows) {
		o.Rows = make([]wit.Row, 0, len(in.Rows))
	}
	*o = Output{Rows: o.Rows[:0], Data: o.Data[:0]}
}

// Result returns the output as the plugin's result, for the first n rows of the call.
func (o *Output) Result(n int, schemas []wit.Schema) wit.ApplyResult {
	done := wit.ApplyResult{Schemas: schemas, Topics: o.Topics, Rows: o.Rows, Data: o.Data, Errors: o.Errors,
		Consumed: uint32(n)}
	if o.InPlace != nil {
		done.Data = o.InPlace
	}
	return done
}

// Add adds a record as a result of row n of the call.
func (o *Output) Add(v *record.Record, n int, topics []string) {
	in := v.Row
	at := len(o.Rows)
	if at == cap(o.Rows) { // a row that was split
		o.Rows = append(o.Rows, wit.Row{})
	}
	o.Rows = o.Rows[:at+1]
	out := &o.Rows[at]
	out.RowIndex, out.Topic, out.Partition = uint32(n), in.Topic, in.Partition
	out.Offset, out.Timestamp = in.Offset, in.Timestamp
	o.put(&out.Key, &v.Parts[record.Key])
	o.put(&out.Value, &v.Parts[record.Value])
	o.put(&out.Headers, &v.Parts[record.Headers])
	if v.Topic != topics[in.Topic] {
		out.Topic = o.Topic(v.Topic, topics)
	}
}

// put writes a column as the result has it.
func (o *Output) put(d *wit.ValueSlice, c *record.Part) {
	switch {
	case !c.Changed:
		*d = wit.ValueSlice{Encoding: wit.Unchanged, Schema: c.Schema}
	case c.Encoding == wit.Absent:
		*d = wit.ValueSlice{Encoding: wit.Absent}
	default:
		*d = wit.ValueSlice{Encoding: c.Encoding, Schema: c.Schema, Start: uint32(len(o.Data)), Size: uint32(len(c.Bytes))}
		o.Data = append(o.Data, c.Bytes...)
	}
}

// Fail adds the failure of row n. What was added for it since before, a copy of the output, is removed.
func (o *Output) Fail(n int, f *rowerror.Failure, before *Output) {
	o.Rows, o.Data, o.Topics = o.Rows[:len(before.Rows)], o.Data[:len(before.Data)], before.Topics
	o.Errors = append(o.Errors, wit.RowError{RowIndex: uint32(n), Stage: uint32(f.Stage), ErrorClass: f.Class,
		Error: wit.Error{Kind: wit.ErrorData, Message: f.Message}})
}

// Topic returns the index of a topic in the result's list.
func (o *Output) Topic(name string, topics []string) uint32 {
	if o.Topics == nil {
		o.Topics = slices.Clone(topics)
	}
	at := slices.Index(o.Topics, name)
	if at < 0 {
		at = len(o.Topics)
		o.Topics = append(o.Topics, name)
	}
	return uint32(at)
}

// MoveInPlace moves what was written in place to where other results are written.
func (o *Output) MoveInPlace() {
	if o.InPlace != nil {
		o.Data = append(o.Data, o.InPlace...)
		o.InPlace = nil
	}
}
