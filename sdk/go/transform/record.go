package transform

import (
	"errors"
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// Record is one record in the hands of a [Func]. Topic, Partition (-1: the partitioner decides) and Timestamp (milliseconds since
// 1970, -1: none) may be changed; Offset is Kafka's, -1 in sources. Headers pass as they are.
type Record struct {
	Topic      string
	Partition  int32
	Offset     int64
	Timestamp  int64
	Key, Value Data
	dropped    bool
}

// Drop takes the record out of the stream.
func (r *Record) Drop() { r.dropped = true }

// Data is a record's key or value: with a schema, without one, or absent (a tombstone's value). It is read when it is first asked
// for; what is not changed costs nothing.
type Data struct {
	form    wit.Form
	schema  uint32
	nodes   []wit.Node
	bytes   []byte
	tree    any
	read    bool
	changed bool
	err     error
}

// Absent tells whether there is nothing.
func (d *Data) Absent() bool { return d.form == wit.Absent }

// Nodes is the schema, nil for data without one. It must not be changed.
func (d *Data) Nodes() []wit.Node { return d.nodes }

// Tree is the value as package datum reads it. Bytes that cannot be read give nil, and fail the record when the Func returns.
func (d *Data) Tree() any {
	if d.read || d.form == wit.Absent {
		return d.tree
	}
	d.read = true
	if d.form == wit.Structured {
		d.tree, _, d.err = datum.Read(d.nodes, 0, d.bytes)
	} else {
		d.tree, _, d.err = datum.ReadDynamic(d.bytes)
	}
	return d.tree
}

// Set replaces schema and value; nodes nil: without a schema. A nil tree without a schema makes it absent.
func (d *Data) Set(nodes []wit.Node, tree any) {
	*d = Data{form: wit.Structured, nodes: nodes, tree: tree, read: true, changed: true}
	if nodes == nil {
		d.form = wit.Dynamic
		if tree == nil {
			d.form = wit.Absent
		}
	}
}

// Field returns a field of a structure or of a schemaless map; ok is false when there is none of that name, or no such thing as
// fields.
func (d *Data) Field(name string) (value any, ok bool) {
	slot := d.slot(name)
	if slot == nil {
		return nil, false
	}
	return *slot, true
}

// SetField changes a field that is there. It returns an error when there is none; a value that does not fit the field's schema
// fails the record when the Func returns.
func (d *Data) SetField(name string, value any) error {
	slot := d.slot(name)
	if slot == nil {
		return errors.New("no field " + strconv.Quote(name))
	}
	*slot, d.changed = value, true
	return nil
}

func (d *Data) slot(name string) *any {
	switch tree := d.Tree().(type) {
	case datum.Record:
		for i, m := range d.nodes[0].Members {
			if m.Name == name {
				return &tree[i]
			}
		}
	case datum.Map:
		for i := range tree {
			if tree[i].Key == name {
				return &tree[i].Value
			}
		}
	}
	return nil
}
