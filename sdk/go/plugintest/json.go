package plugintest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// object is a JSON object that keeps its order.
type object []pair

type pair struct {
	name  string
	value any
}

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(encode(p.name) + ":" + encode(p.value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return strconv.Quote(err.Error())
	}
	return strings.TrimSpace(b.String())
}

// schemaJSON is a schema as the JSON converter writes it.
type schemaJSON struct {
	Type, Field, Name, Doc string
	Optional               bool
	Version                *int32
	Parameters             map[string]string
	Default                json.RawMessage
	Fields                 []schemaJSON
	Items, Keys, Values    *schemaJSON
}

var kinds = [...]string{"int8", "int16", "int32", "int64", "float", "double", "boolean", "string", "bytes", "array",
	"map", "struct"}

func readSchema(text []byte) ([]wit.Node, error) {
	var s schemaJSON
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	var nodes []wit.Node
	_, err := s.node(&nodes)
	return nodes, err
}

// node appends the schema's node, then those below it, so that references go up only.
func (s *schemaJSON) node(nodes *[]wit.Node) (uint32, error) {
	kind := slices.Index(kinds[:], s.Type)
	if kind < 0 {
		return 0, fmt.Errorf("schema: expected one of the types %s, found %q", strings.Join(kinds[:], " "), s.Type)
	}
	at := uint32(len(*nodes))
	n := wit.Node{Kind: wit.Kind(kind), Optional: s.Optional, Version: s.Version}
	if s.Name != "" {
		n.Name = &s.Name
	}
	if s.Doc != "" {
		n.Doc = &s.Doc
	}
	for _, name := range slices.Sorted(maps.Keys(s.Parameters)) {
		n.Parameters = append(n.Parameters, wit.Setting{Name: name, Value: s.Parameters[name]})
	}
	*nodes = append(*nodes, n)
	below := func(to *uint32, child *schemaJSON) (err error) {
		if child == nil {
			return fmt.Errorf("schema: a %s lacks the schema of its items", s.Type)
		}
		*to, err = child.node(nodes)
		return err
	}
	var err error
	switch n.Kind {
	case wit.Array:
		err = below(&n.Element, s.Items)
	case wit.Mapping:
		if err = below(&n.Key, s.Keys); err == nil {
			err = below(&n.Element, s.Values)
		}
	case wit.Structure:
		for i := range s.Fields {
			m := wit.Member{Name: s.Fields[i].Field}
			if m.Node, err = s.Fields[i].node(nodes); err != nil {
				return 0, err
			}
			n.Members = append(n.Members, m)
		}
	}
	(*nodes)[at] = n
	if err == nil && len(s.Default) > 0 && string(s.Default) != "null" {
		var v any
		if v, err = readValue(*nodes, at, s.Default); err == nil {
			var b []byte
			b, err = datum.AppendDefault(nil, *nodes, at, v)
			(*nodes)[at].DefaultValue = &b
		}
	}
	return at, err
}

func writeSchema(nodes []wit.Node, node uint32) object {
	n := &nodes[node]
	o := object{{"type", kinds[n.Kind]}}
	switch n.Kind {
	case wit.Array:
		o = append(o, pair{"items", writeSchema(nodes, n.Element)})
	case wit.Mapping:
		o = append(o, pair{"keys", writeSchema(nodes, n.Key)}, pair{"values", writeSchema(nodes, n.Element)})
	case wit.Structure:
		fields := []object{}
		for _, m := range n.Members {
			fields = append(fields, append(writeSchema(nodes, m.Node), pair{"field", m.Name}))
		}
		o = append(o, pair{"fields", fields})
	}
	o = append(o, pair{"optional", n.Optional})
	if n.Name != nil {
		o = append(o, pair{"name", *n.Name})
	}
	if n.Version != nil {
		o = append(o, pair{"version", *n.Version})
	}
	if n.Doc != nil {
		o = append(o, pair{"doc", *n.Doc})
	}
	if len(n.Parameters) > 0 {
		var p object
		for _, s := range n.Parameters {
			p = append(p, pair{s.Name, s.Value})
		}
		o = append(o, pair{"parameters", p})
	}
	if n.DefaultValue != nil {
		plain := slices.Clone(nodes)
		plain[node].Optional = false
		if v, _, err := datum.Read(plain, node, *n.DefaultValue); err == nil {
			o = append(o, pair{"default", writeValue(nodes, node, v)})
		}
	}
	return o
}

// readValue reads a payload by its schema.
func readValue(nodes []wit.Node, node uint32, text json.RawMessage) (any, error) {
	n := &nodes[node]
	if string(text) == "null" {
		return nil, nil
	}
	if scalar := scalars[n.Kind]; scalar != nil {
		v, err := scalar(text)
		if err != nil {
			return nil, fmt.Errorf("expected a %s, found %s", kinds[n.Kind], text)
		}
		return v, nil
	}
	return readItems(nodes, n, text)
}

// scalars read values without others in them, by their kind.
var scalars = [...]func(json.RawMessage) (any, error){wit.Int8: scalar[int8], wit.Int16: scalar[int16],
	wit.Int32: scalar[int32], wit.Int64: scalar[int64], wit.Float32: scalar[float32], wit.Float64: scalar[float64],
	wit.Boolean: scalar[bool], wit.Text: scalar[string], wit.Bytes: scalar[[]byte], wit.Structure: nil}

func scalar[T any](text json.RawMessage) (any, error) {
	var v T
	err := json.Unmarshal(text, &v)
	return v, err
}

func readItems(nodes []wit.Node, n *wit.Node, text json.RawMessage) (any, error) {
	if n.Kind == wit.Array {
		var items []json.RawMessage
		if err := json.Unmarshal(text, &items); err != nil {
			return nil, err
		}
		list := datum.List{}
		for _, item := range items {
			v, err := readValue(nodes, n.Element, item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	members, err := readObject(text)
	if err != nil {
		return nil, err
	}
	if n.Kind == wit.Mapping {
		m := datum.Map{}
		for _, p := range members {
			v, err := readValue(nodes, n.Element, p.value.(json.RawMessage))
			if err != nil {
				return nil, err
			}
			m = append(m, datum.Entry{Key: p.name, Value: v})
		}
		return m, nil
	}
	rec := make(datum.Record, len(n.Members))
	for i, m := range n.Members {
		for _, p := range members {
			if p.name == m.Name {
				if rec[i], err = readValue(nodes, m.Node, p.value.(json.RawMessage)); err != nil {
					return nil, fmt.Errorf("%s: %w", m.Name, err)
				}
			}
		}
	}
	return rec, nil
}

// readObject reads an object in its order.
func readObject(text json.RawMessage) (o object, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("expected an object, found %s", text)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		o = append(o, pair{name.(string), value})
	}
	return o, nil
}

// writeValue is a value as JSON has it; nodes are nil for one without a schema.
func writeValue(nodes []wit.Node, node uint32, v any) any {
	var n wit.Node
	if nodes != nil {
		n = nodes[node]
	}
	switch x := v.(type) {
	case []byte:
		if n.Name != nil && *n.Name == wit.NameDecimal {
			return decimalText(&n, x)
		}
		return base64.StdEncoding.EncodeToString(x)
	case float32:
		return float(float64(x))
	case float64:
		return float(x)
	case datum.List:
		out := []any{}
		for _, item := range x {
			out = append(out, writeValue(nodes, n.Element, item))
		}
		return out
	case datum.Map:
		out := object{}
		for _, e := range x {
			out = append(out, pair{fmt.Sprint(e.Key), writeValue(nodes, n.Element, e.Value)})
		}
		return out
	case datum.Record:
		out := object{}
		for i, m := range n.Members {
			out = append(out, pair{m.Name, writeValue(nodes, m.Node, x[i])})
		}
		return out
	case datum.Decimal:
		return fmt.Sprintf("%v (unscaled, scale %d)", x.Unscaled, x.Scale)
	case datum.Nested:
		return fmt.Sprintf("% x (schema %d)", x.Bytes, x.Schema)
	}
	return v
}

// decimalText shows a Decimal as people read it: `{"decimal":"-1.29"}` would hide that it is bytes, so it stays a text
// with the unscaled value's scale applied.
func decimalText(n *wit.Node, b []byte) string {
	scale := 0
	for _, p := range n.Parameters {
		if p.Name == wit.ParameterScale {
			scale, _ = strconv.Atoi(p.Value)
		}
	}
	return new(big.Rat).SetFrac(datum.Unscaled(b), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)),
		nil)).FloatString(scale) + " (decimal)"
}

// float writes what JSON has no number for as a text.
func float(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return f
}

// readDynamic reads JSON without a schema: integers as int64, other numbers as float64.
func readDynamic(text json.RawMessage) (any, error) {
	switch text[0] {
	case '{':
		members, err := readObject(text)
		m := datum.Map{}
		for _, p := range members {
			v, err := readDynamic(p.value.(json.RawMessage))
			if err != nil {
				return nil, err
			}
			m = append(m, datum.Entry{Key: p.name, Value: v})
		}
		return m, err
	case '[':
		var items []json.RawMessage
		err := json.Unmarshal(text, &items)
		list := datum.List{}
		for _, item := range items {
			v, err := readDynamic(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, err
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if n, ok := v.(json.Number); ok {
		if i, err := n.Int64(); err == nil {
			return i, nil
		}
		return n.Float64()
	}
	return v, nil
}
