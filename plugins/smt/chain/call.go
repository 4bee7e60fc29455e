package chain

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// maxData is how much Apply writes before it stops early, in bytes.
const maxData = 1 << 20

// call is what an engine was called with.
type call struct {
	topics []string
	rows   []wit.Row
	data   []byte
}

// callResult is what a call has come to so far.
type callResult struct {
	wit.Applied
	rows []wit.Row
	data []byte
	// here, where it is not nil, is what of the call's data the result has, and nothing else: what is appended to
	// values stands after them. That begins with the call's first byte, so keys, headers and the room between values go
	// back to the host, too.
	here []byte
}

// put writes a column as the result has it.
func (o *callResult) put(d *wit.Datum, c *column) {
	switch {
	case !c.changed:
		*d = wit.Datum{Form: wit.Unchanged, Schema: c.schema}
	case c.form == wit.Absent:
		*d = wit.Datum{Form: wit.Absent}
	default:
		*d = wit.Datum{Form: c.form, Schema: c.schema, Start: uint32(len(o.data)), Size: uint32(len(c.bytes))}
		o.data = append(o.data, c.bytes...)
	}
}

// topic returns the index of a topic in the result's list, which begins with the call's.
func (o *callResult) topic(name string, topics []string) uint32 {
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

// settle moves what was written after the call's values to where other results are written.
func (o *callResult) settle() {
	if o.here != nil {
		o.data = append(o.data, o.here...)
		o.here = nil
	}
}
