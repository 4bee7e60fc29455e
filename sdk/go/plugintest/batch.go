package plugintest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// batch contains records as a plugin receives them.
type batch struct {
	topics  []string
	rows    []wit.Row
	data    []byte
	schemas []wit.Schema
	// schemasByID contains all schemas, including the plugin's schemas.
	schemasByID map[uint32][]wit.SchemaNode
}

func newBatch() *batch { return &batch{schemasByID: map[uint32][]wit.SchemaNode{}} }

func (b *batch) addSchemas(schemas []wit.Schema) {
	for _, s := range schemas {
		b.schemasByID[s.ID] = s.Nodes
	}
}

// add appends a record.
func (b *batch) add(r Record) error {
	row := wit.Row{RowIndex: uint32(len(b.rows)), Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp}
	topicIndex := slices.Index(b.topics, r.Topic)
	if topicIndex < 0 {
		topicIndex = len(b.topics)
		b.topics = append(b.topics, r.Topic)
	}
	row.Topic = uint32(topicIndex)
	var err error
	if row.Key, err = b.append(r.Key); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if row.Value, err = b.append(r.Value); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	var list []connectdata.Header
	for _, h := range r.Headers {
		header := connectdata.Header{Name: h.Name, Encoding: wit.Raw, Value: h.Raw}
		if h.Raw == nil {
			start := len(b.data)
			d, err := b.append(h.Value)
			if err != nil {
				return fmt.Errorf("header %s: %w", h.Name, err)
			}
			header.Encoding = d.Encoding
			header.Schema = d.Schema
			header.Value = slices.Clone(b.data[start:])
			b.data = b.data[:start]
			if d.Encoding == wit.Absent {
				header.Encoding = wit.Schemaless
				header.Value, _ = connectdata.AppendSchemaless(nil, nil)
			}
		}
		list = append(list, header)
	}
	if list != nil {
		row.Headers = wit.ValueSlice{Encoding: wit.Raw, Start: uint32(len(b.data))}
		b.data = connectdata.AppendHeaders(b.data, list)
		row.Headers.Size = uint32(len(b.data)) - row.Headers.Start
	}
	b.rows = append(b.rows, row)
	return nil
}

// append encodes a key or value.
func (b *batch) append(v Value) (d wit.ValueSlice, err error) {
	d.Start = uint32(len(b.data))
	switch {
	case v.Schema != nil:
		d.Schema = b.schema(v.Schema)
		d.Encoding = wit.WithSchema
		b.data, err = connectdata.Append(b.data, v.Schema, 0, v.Data)
	case v.Data == nil:
		return wit.ValueSlice{}, nil
	default:
		d.Encoding = wit.Schemaless
		b.data, err = connectdata.AppendSchemaless(b.data, v.Data)
	}
	d.Size = uint32(len(b.data)) - d.Start
	return d, err
}

// schema returns the number of a schema. Like in the host, equal schemas have one number.
func (b *batch) schema(nodes []wit.SchemaNode) uint32 {
	for _, s := range b.schemas {
		if cmp.Equal(s.Nodes, nodes) {
			return s.ID
		}
	}
	s := wit.Schema{ID: uint32(len(b.schemas) + 1), Nodes: nodes}
	b.schemas = append(b.schemas, s)
	b.addSchemas([]wit.Schema{s})
	return s.ID
}

// record decodes a row of the result. input is the row that it was made of.
func (b *batch) record(row, input wit.Row, topics []string, data []byte) (r Record, err error) {
	if int(row.Topic) >= len(topics) {
		return r, fmt.Errorf("topic %d of %d", row.Topic, len(topics))
	}
	r = Record{Topic: topics[row.Topic], Partition: row.Partition, Offset: row.Offset, Timestamp: row.Timestamp}
	if r.Key, err = b.read(row.Key, input.Key, data); err != nil {
		return r, fmt.Errorf("key: %w", err)
	}
	if r.Value, err = b.read(row.Value, input.Value, data); err != nil {
		return r, fmt.Errorf("value: %w", err)
	}
	d, content, err := b.content(row.Headers, input.Headers, data)
	if err != nil || d.Encoding == wit.Absent {
		return r, err
	}
	headers, err := connectdata.Headers(nil, content)
	for _, h := range headers {
		if h.Encoding == wit.Raw {
			r.Headers = append(r.Headers, Header{Name: h.Name, Raw: h.Value})
			continue
		}
		v, err := b.value(wit.ValueSlice{Encoding: h.Encoding, Schema: h.Schema}, h.Value)
		if err != nil {
			return r, fmt.Errorf("header %s: %w", h.Name, err)
		}
		r.Headers = append(r.Headers, Header{Name: h.Name, Value: v})
	}
	return r, err
}

// content returns the bytes of a value of the result, and the slice that they have; from is the value of the input row.
func (b *batch) content(d, from wit.ValueSlice, data []byte) (source wit.ValueSlice, content []byte, err error) {
	if d.Encoding == wit.Unchanged {
		d = from
		data = b.data
	}
	if d.Encoding == wit.Absent {
		return d, nil, nil
	}
	if uint64(d.Start)+uint64(d.Size) > uint64(len(data)) {
		return d, nil, fmt.Errorf("%d bytes at %d run past %d bytes of data", d.Size, d.Start, len(data))
	}
	return d, data[d.Start : d.Start+d.Size], nil
}

// read decodes a value of the result; from is the value of the input row.
func (b *batch) read(d, from wit.ValueSlice, data []byte) (Value, error) {
	d, content, err := b.content(d, from, data)
	if err != nil || d.Encoding == wit.Absent {
		return Value{}, err
	}
	return b.value(d, content)
}

func (b *batch) value(d wit.ValueSlice, content []byte) (v Value, err error) {
	content = slices.Clone(content) // the plugin owns the memory
	if d.Encoding == wit.Schemaless {
		if err := connectdata.CheckSchemaless(content); err != nil {
			return v, err
		}
		v.Data, _, err = connectdata.ReadSchemaless(content)
		return v, err
	}
	nodes, ok := b.schemasByID[d.Schema]
	if !ok {
		return v, fmt.Errorf("schema %#x was never declared", d.Schema)
	}
	if err := connectdata.Check(nodes, content); err != nil {
		return v, err
	}
	v.Schema = nodes
	v.Data, _, err = connectdata.Read(nodes, 0, content)
	return v, err
}

// apply calls Apply until all rows are consumed, and adds the records and errors to the results.
func (b *batch) apply(t *testing.T, p wit.Transform, context []byte, rows []wit.Row, schemas []wit.Schema,
	results []Result) {
	t.Helper()
	for len(rows) > 0 {
		out, err := p.Apply(context, schemas, b.topics, slices.Clone(rows), slices.Clone(b.data))
		if err != nil {
			t.Fatalf("apply: %v", err)
		}
		if out.Consumed == 0 || int(out.Consumed) > len(rows) {
			t.Fatalf("apply: consumed %d of %d rows", out.Consumed, len(rows))
		}
		b.addSchemas(out.Schemas)
		topics := out.Topics
		if len(topics) == 0 {
			topics = b.topics
		}
		last := uint32(0)
		for _, row := range out.Rows {
			if row.RowIndex >= out.Consumed || row.RowIndex < last {
				t.Fatalf("row of origin %d after %d, of %d consumed", row.RowIndex, last, out.Consumed)
			}
			last = row.RowIndex
			r, err := b.record(row, rows[row.RowIndex], topics, out.Data)
			if err != nil {
				t.Fatalf("record %d: %v", row.RowIndex, err)
			}
			results[row.RowIndex].Records = append(results[row.RowIndex].Records, r)
		}
		for _, f := range out.Errors {
			results[f.RowIndex].Error = &Error{Message: f.Error.Message, Class: f.ErrorClass, Stage: f.Stage}
		}
		rows = rows[out.Consumed:]
		results = results[out.Consumed:]
		schemas = nil
	}
}
