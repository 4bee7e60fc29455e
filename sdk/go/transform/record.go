package transform

import (
	"errors"
	"slices"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Record is one record in the hands of a [Func], until the Func returns. Topic, Partition (-1: the partitioner
// decides) and Timestamp (milliseconds since 1970, -1: none) may be changed; Offset is Kafka's, -1 in sources. Sinks
// get the Timestamp of the record as it was read. Headers that are not touched pass as they are.
type Record struct {
	Topic      string
	Partition  int32
	Offset     int64
	Timestamp  int64
	Key, Value Data
	headers    headers
	// schemas are those that headers name.
	schemas map[uint32][]wit.SchemaNode
	dropped bool
	emitted []*Record
}

// Drop takes the record out of the stream; what was emitted before stays.
func (r *Record) Drop() { r.dropped = true }

// Emit passes the record on as it is now, to the stages after this one. The Func goes on with a copy: what it changes
// from then on belongs to the next record. So one record becomes several; where one of them fails all do, since they
// come from one record. A list or a map that was given to Set belongs to the record that was emitted: give Set a new
// one instead of changing it.
func (r *Record) Emit() {
	one := *r
	one.dropped, one.emitted, one.headers.all = false, nil, slices.Clone(r.headers.all)
	one.Key.detach(&r.Key)
	one.Value.detach(&r.Value)
	r.emitted = append(r.emitted, &one)
}

// Header returns the value of the last header of that name, as Kafka's lastHeader does: as package connectdata reads
// it, or its bytes, to be read until the Func returns, where no converter has read it. ok is false when there is none.
// What cannot be read fails the record when the Func returns.
func (r *Record) Header(name string) (value any, ok bool) {
	all := r.headers.list()
	for i := len(all) - 1; i >= 0; i-- {
		h := &all[i]
		if h.Name != name {
			continue
		}
		var err error
		switch nodes := h.nodes; h.Encoding {
		case wit.Raw:
			return h.Value, true
		case wit.Schemaless:
			value, _, err = connectdata.ReadSchemaless(h.Value)
		default:
			if nodes == nil {
				nodes = r.schemas[h.Schema]
			}
			value, _, err = connectdata.Read(nodes, 0, h.Value)
		}
		if err != nil {
			r.headers.err = err
			return nil, false
		}
		return value, true
	}
	return nil, false
}

// SetHeader puts a header after the others, in place of all of that name. nodes is its schema, such as
// []wit.Node{{Kind: wit.Text}}; nil: it has none. A value that does not fit the schema is an error.
func (r *Record) SetHeader(name string, nodes []wit.SchemaNode, value any) (err error) {
	one := header{connectdata.Header{Name: name, Encoding: wit.WithSchema}, nodes}
	if nodes == nil {
		one.Encoding = wit.Schemaless
		one.Value, err = connectdata.AppendSchemaless(nil, value)
	} else {
		one.Value, err = connectdata.Append(nil, nodes, 0, value)
	}
	if err != nil {
		return errorIn("header "+name, err)
	}
	r.DropHeader(name)
	r.headers.all, r.headers.changed = append(r.headers.all, one), true
	return nil
}

// DropHeader takes out all headers of that name.
func (r *Record) DropHeader(name string) {
	before := len(r.headers.list())
	r.headers.all = slices.DeleteFunc(r.headers.all, func(h header) bool { return h.Name == name })
	r.headers.changed = r.headers.changed || len(r.headers.all) < before
}

func errorIn(where string, err error) error { return errors.New(where + ": " + err.Error()) }
