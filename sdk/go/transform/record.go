package transform

import (
	"errors"
	"slices"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Record is a record that a [Func] processes, valid until the Func returns. Unchanged headers are passed on as bytes.
type Record struct {
	// Topic may be changed.
	Topic string
	// Partition may be changed. -1 means that the partitioner decides.
	Partition int32
	Offset    int64 // the offset in Kafka, or -1 in a source
	// Timestamp is in milliseconds since 1970, or -1 if there is none. It may be changed in a source; a sink receives
	// the timestamp that was read.
	Timestamp int64
	// Key and Value are read and changed by their methods.
	Key            Data
	Value          Data
	headers        headers
	schemas        map[uint32][]wit.SchemaNode // the schemas that headers refer to
	isDropped      bool
	emittedRecords []*Record
}

// Drop removes the record from the stream. Records that were emitted before stay.
func (r *Record) Drop() { r.isDropped = true }

// Emit passes a copy of the record, as it is now, to the following stages. The Func continues with the original, whose
// later changes do not affect the copy, so one record can become several. If one of them fails, all fail. A list or map
// that was passed to [Data.Set] belongs to the copy: set a new one instead of changing it.
func (r *Record) Emit() {
	clone := *r
	clone.isDropped = false
	clone.emittedRecords = nil
	clone.headers.decoded = slices.Clone(r.headers.decoded)
	clone.Key.detach(&r.Key)
	clone.Value.detach(&r.Value)
	r.emittedRecords = append(r.emittedRecords, &clone)
}

// Header returns the value of the last header with that name, like Kafka's lastHeader: as package connectdata reads it,
// or its bytes if no converter has read it. The bytes are valid until the Func returns. ok is false if there is no such
// header. A value that cannot be read fails the record when the Func returns.
func (r *Record) Header(name string) (value any, ok bool) {
	list := r.headers.list()
	for i := len(list) - 1; i >= 0; i-- {
		header := &list[i]
		if header.Name != name {
			continue
		}
		var err error
		switch nodes := header.nodes; header.Encoding {
		case wit.Raw:
			return header.Value, true
		case wit.Schemaless:
			value, _, err = connectdata.ReadSchemaless(header.Value)
		default:
			if nodes == nil {
				nodes = r.schemas[header.Schema]
			}
			value, _, err = connectdata.Read(nodes, 0, header.Value)
		}
		if err != nil {
			r.headers.err = err
			return nil, false
		}
		return value, true
	}
	return nil, false
}

// SetHeader removes all headers with that name and appends one. nodes is its schema, such as []wit.SchemaNode{{Kind:
// wit.String}}, or nil for a schemaless value. It returns an error if the value does not match the schema.
func (r *Record) SetHeader(name string, nodes []wit.SchemaNode, value any) (err error) {
	newHeader := header{connectdata.Header{Name: name, Encoding: wit.WithSchema}, nodes}
	if nodes == nil {
		newHeader.Encoding = wit.Schemaless
		newHeader.Value, err = connectdata.AppendSchemaless(nil, value)
	} else {
		newHeader.Value, err = connectdata.Append(nil, nodes, 0, value)
	}
	if err != nil {
		return errorIn("header "+name, err)
	}
	r.DropHeader(name)
	r.headers.decoded = append(r.headers.decoded, newHeader)
	r.headers.isChanged = true
	return nil
}

// DropHeader removes all headers with that name.
func (r *Record) DropHeader(name string) {
	count := len(r.headers.list())
	r.headers.decoded = slices.DeleteFunc(r.headers.decoded, func(h header) bool { return h.Name == name })
	r.headers.isChanged = r.headers.isChanged || len(r.headers.decoded) < count
}

func errorIn(where string, err error) error { return errors.New(where + ": " + err.Error()) }
