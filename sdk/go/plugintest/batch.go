package plugintest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// batch is records as a plugin gets them.
type batch struct {
	topics  []string
	rows    []wit.Row
	data    []byte
	schemas []wit.Schema
	// known are schemas by number, the plugin's own among them.
	known map[uint32][]wit.Node
}

func newBatch() *batch { return &batch{known: map[uint32][]wit.Node{}} }

func (b *batch) learn(schemas []wit.Schema) {
	for _, s := range schemas {
		b.known[s.ID] = s.Nodes
	}
}

// record is a record as golden files have it.
type record struct {
	Topic     string
	Partition *int32
	Offset    *int64
	Timestamp *int64
	Headers   []header
	Key       json.RawMessage
	Value     json.RawMessage
}

// header is a record's header as golden files have it; raw is one that no converter has read, in base64.
type header struct {
	Name  string
	Value json.RawMessage
	Raw   []byte
}

// add reads a record and appends it.
func (b *batch) add(line string) error {
	var r record
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return err
	}
	or := func(p *int64) int64 {
		if p == nil {
			return -1
		}
		return *p
	}
	row := wit.Row{Origin: uint32(len(b.rows)), Partition: -1, Offset: or(r.Offset), Timestamp: or(r.Timestamp)}
	if r.Partition != nil {
		row.Partition = *r.Partition
	}
	if at := slices.Index(b.topics, r.Topic); at >= 0 {
		row.Topic = uint32(at)
	} else {
		row.Topic = uint32(len(b.topics))
		b.topics = append(b.topics, r.Topic)
	}
	var err error
	if row.Key, err = b.datum(r.Key); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if row.Value, err = b.datum(r.Value); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	if row.Headers, err = b.headers(r.Headers); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	b.rows = append(b.rows, row)
	return nil
}

// headers writes a block of headers into the batch's data.
func (b *batch) headers(all []header) (d wit.Datum, err error) {
	if len(all) == 0 {
		return wit.Datum{}, nil
	}
	var list []datum.Header
	for _, h := range all {
		one := datum.Header{Name: h.Name, Form: wit.Raw, Value: h.Raw}
		if h.Raw == nil {
			at := len(b.data)
			v, err := b.datum(h.Value)
			if err != nil {
				return d, err
			}
			one.Form, one.Schema, one.Value = v.Form, v.Schema, slices.Clone(b.data[at:])
			if b.data = b.data[:at]; v.Form == wit.Absent {
				one.Form = wit.Dynamic
				one.Value, _ = datum.AppendDynamic(nil, nil)
			}
		}
		list = append(list, one)
	}
	d = wit.Datum{Form: wit.Raw, Start: uint32(len(b.data))}
	b.data = datum.AppendHeaders(b.data, list)
	d.Size = uint32(len(b.data)) - d.Start
	return d, nil
}

// datum writes a key or value into the batch's data.
func (b *batch) datum(text json.RawMessage) (d wit.Datum, err error) {
	if len(text) == 0 || string(text) == "null" {
		return wit.Datum{}, nil
	}
	d.Start = uint32(len(b.data))
	var envelope map[string]json.RawMessage
	if json.Unmarshal(text, &envelope) == nil && len(envelope) == 2 && envelope["schema"] != nil &&
		envelope["payload"] != nil {
		nodes, err := readSchema(envelope["schema"])
		if err != nil {
			return d, err
		}
		v, err := readValue(nodes, 0, envelope["payload"])
		if err != nil {
			return d, err
		}
		d.Form, d.Schema = wit.Structured, b.schema(nodes)
		b.data, err = datum.Append(b.data, nodes, 0, v)
		d.Size = uint32(len(b.data)) - d.Start
		return d, err
	}
	v, err := readDynamic(text)
	if err != nil {
		return d, err
	}
	d.Form = wit.Dynamic
	b.data, err = datum.AppendDynamic(b.data, v)
	d.Size = uint32(len(b.data)) - d.Start
	return d, err
}

// schema numbers a schema as the host would: equal ones have one number.
func (b *batch) schema(nodes []wit.Node) uint32 {
	text := writeSchema(nodes, 0)
	for _, s := range b.schemas {
		if encode(writeSchema(s.Nodes, 0)) == encode(text) {
			return s.ID
		}
	}
	s := wit.Schema{ID: uint32(len(b.schemas) + 1), Nodes: nodes}
	b.schemas = append(b.schemas, s)
	b.learn([]wit.Schema{s})
	return s.ID
}

// line writes a row that came out; what it left unchanged is the input's.
func (b *batch) line(row, input wit.Row, topics []string, data []byte) (string, error) {
	if int(row.Topic) >= len(topics) {
		return "", fmt.Errorf("topic %d of %d", row.Topic, len(topics))
	}
	out := object{{"topic", topics[row.Topic]}}
	if row.Partition >= 0 {
		out = append(out, pair{"partition", row.Partition})
	}
	if row.Offset >= 0 {
		out = append(out, pair{"offset", row.Offset})
	}
	if row.Timestamp >= 0 {
		out = append(out, pair{"timestamp", row.Timestamp})
	}
	for _, part := range []struct {
		name    string
		d, from wit.Datum
	}{{"key", row.Key, input.Key}, {"value", row.Value, input.Value}} {
		v, err := b.show(part.d, part.from, data)
		if err != nil {
			return "", fmt.Errorf("%s: %w", part.name, err)
		}
		if v != nil {
			out = append(out, pair{part.name, v})
		}
	}
	headers, err := b.showHeaders(row.Headers, input.Headers, data)
	if err != nil {
		return "", fmt.Errorf("headers: %w", err)
	}
	if len(headers) > 0 {
		out = append(out, pair{"headers", headers})
	}
	return encode(out) + "\n", nil
}

// content are the bytes of a datum that came out; what it left unchanged is the input's.
func (b *batch) content(d, from wit.Datum, data []byte) (of wit.Datum, content []byte, err error) {
	if d.Form == wit.Unchanged {
		d, data = from, b.data
	}
	if d.Form == wit.Absent {
		return d, nil, nil
	}
	if uint64(d.Start)+uint64(d.Size) > uint64(len(data)) {
		return d, nil, fmt.Errorf("%d bytes at %d run past %d bytes of data", d.Size, d.Start, len(data))
	}
	return d, data[d.Start : d.Start+d.Size], nil
}

// showHeaders are a row's headers as JSON.
func (b *batch) showHeaders(d, from wit.Datum, data []byte) (list []any, err error) {
	d, content, err := b.content(d, from, data)
	if err != nil || d.Form == wit.Absent {
		return nil, err
	}
	all, err := datum.Headers(nil, content)
	if err != nil {
		return nil, err
	}
	for _, h := range all {
		if h.Form == wit.Raw {
			list = append(list, object{{"name", h.Name}, {"raw", h.Value}})
			continue
		}
		v, err := b.shown(wit.Datum{Form: h.Form, Schema: h.Schema}, h.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
		list = append(list, object{{"name", h.Name}, {"value", v}})
	}
	return list, nil
}

// show is a datum as JSON; nil for none.
func (b *batch) show(d, from wit.Datum, data []byte) (any, error) {
	d, content, err := b.content(d, from, data)
	if err != nil || d.Form == wit.Absent {
		return nil, err
	}
	return b.shown(d, content)
}

// shown is a value as JSON.
func (b *batch) shown(d wit.Datum, content []byte) (any, error) {
	if d.Form == wit.Dynamic {
		if err := datum.CheckDynamic(content); err != nil {
			return nil, err
		}
		v, _, err := datum.ReadDynamic(content)
		return writeValue(nil, 0, v), err
	}
	nodes, known := b.known[d.Schema]
	if !known {
		return nil, fmt.Errorf("schema %#x was never declared", d.Schema)
	}
	if err := datum.Check(nodes, content); err != nil {
		return nil, err
	}
	v, _, err := datum.Read(nodes, 0, content)
	return object{{"schema", writeSchema(nodes, 0)}, {"payload", writeValue(nodes, 0, v)}}, err
}
