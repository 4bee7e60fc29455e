package chain

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// maxData is the size of the output from which on no row is begun, in bytes.
const maxData = 1 << 20

// call is the input of a call.
type call struct {
	topics []string
	rows   []wit.Row
	data   []byte
}

// callResult is the output of a call so far. It is reused.
type callResult struct {
	rows   []wit.Row
	data   []byte
	faults []wit.RowError
	// topics begins with the topics of the call; nil if no row got another one.
	topics []string
	// here, if not nil, is the part of the call's data that is the result's data, and nothing else is: what was appended
	// to values follows them in place. It begins with the call's first byte, so keys, headers and the room between
	// values are part of it.
	here []byte
}

// reset empties the output for a call.
func (o *callResult) reset(in call) {
	if cap(o.rows) < len(in.rows) {
		o.rows = make([]wit.Row, 0, len(in.rows))
	}
	*o = callResult{rows: o.rows[:0], data: o.data[:0]}
}

// applied returns the output as the plugin's result, for the first n rows of the call.
func (o *callResult) applied(n int, schemas []wit.Schema) wit.ApplyResult {
	done := wit.ApplyResult{Schemas: schemas, Topics: o.topics, Rows: o.rows, Data: o.data, Errors: o.faults,
		Consumed: uint32(n)}
	if o.here != nil {
		done.Data = o.here
	}
	return done
}

// add adds a record as a result of row n of the call.
func (o *callResult) add(v *view, n int, topics []string) {
	in := v.row
	at := len(o.rows)
	if at == cap(o.rows) { // a row that was split
		o.rows = append(o.rows, wit.Row{})
	}
	o.rows = o.rows[:at+1]
	out := &o.rows[at]
	out.RowIndex, out.Topic, out.Partition = uint32(n), in.Topic, in.Partition
	out.Offset, out.Timestamp = in.Offset, in.Timestamp
	o.put(&out.Key, &v.columns[keySide])
	o.put(&out.Value, &v.columns[valueSide])
	o.put(&out.Headers, &v.columns[headerSide])
	if v.topic != topics[in.Topic] {
		out.Topic = o.topic(v.topic, topics)
	}
}

// put writes a column as the result has it.
func (o *callResult) put(d *wit.ValueSlice, c *column) {
	switch {
	case !c.changed:
		*d = wit.ValueSlice{Encoding: wit.Unchanged, Schema: c.schema}
	case c.form == wit.Absent:
		*d = wit.ValueSlice{Encoding: wit.Absent}
	default:
		*d = wit.ValueSlice{Encoding: c.form, Schema: c.schema, Start: uint32(len(o.data)), Size: uint32(len(c.bytes))}
		o.data = append(o.data, c.bytes...)
	}
}

// fail adds the failure of row n. What was added for it since before, a copy of the output, is removed.
func (o *callResult) fail(n int, f *failure, before *callResult) {
	o.rows, o.data, o.topics = o.rows[:len(before.rows)], o.data[:len(before.data)], before.topics
	o.faults = append(o.faults, wit.RowError{RowIndex: uint32(n), Stage: uint32(f.stage), ErrorClass: f.class,
		Error: wit.Error{Kind: wit.ErrorData, Message: f.text}})
}

// topic returns the index of a topic in the result's list.
func (o *callResult) topic(name string, topics []string) uint32 {
	if o.topics == nil {
		o.topics = slices.Clone(topics)
	}
	at := slices.Index(o.topics, name)
	if at < 0 {
		at = len(o.topics)
		o.topics = append(o.topics, name)
	}
	return uint32(at)
}

// settle moves what was written in place to where other results are written.
func (o *callResult) settle() {
	if o.here != nil {
		o.data = append(o.data, o.here...)
		o.here = nil
	}
}
