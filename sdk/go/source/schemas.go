package source

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// schemas contains the schemas of Go types, each declared with the first row that uses it.
type schemas struct{ byType map[reflect.Type]*typeSchema }

type typeSchema struct {
	id    uint32
	nodes []wit.SchemaNode
}

var (
	timeType = reflect.TypeFor[time.Time]()
	byteType = reflect.TypeFor[[]byte]()
)

// append encodes v after out.Data and declares its schema if it is new.
func (s *schemas) append(out *wit.DecodeResult, v any) (wit.ValueSlice, []byte, error) {
	start := uint32(len(out.Data))
	encoding := wit.WithSchema
	b := out.Data
	var schema uint32
	var err error
	switch v := v.(type) {
	case nil:
		return wit.ValueSlice{}, b, nil
	case connectdata.Map, connectdata.List:
		encoding = wit.Schemaless
		b, err = connectdata.AppendSchemaless(b, v)
	default:
		var k *typeSchema
		if k, err = s.schemaOf(out, reflect.TypeOf(v)); err == nil {
			schema = k.id
			b, err = connectdata.Append(b, k.nodes, 0, toTree(reflect.ValueOf(v)))
		}
	}
	if err != nil {
		return wit.ValueSlice{}, out.Data, err
	}
	return wit.ValueSlice{Encoding: encoding, Schema: schema, Start: start, Size: uint32(len(b)) - start}, b, nil
}

// schemaOf returns the schema of a type and declares it in out if it is new.
func (s *schemas) schemaOf(out *wit.DecodeResult, t reflect.Type) (*typeSchema, error) {
	if k := s.byType[t]; k != nil {
		return k, nil
	}
	nodes, err := appendNodes(nil, t, nil)
	if err != nil {
		return nil, err
	}
	if _, err := connectdata.CheckSchema(nodes); err != nil {
		return nil, err
	}
	if s.byType == nil {
		s.byType = map[reflect.Type]*typeSchema{}
	}
	k := &typeSchema{id: wit.GuestSchemas + uint32(len(s.byType)), nodes: nodes}
	s.byType[t] = k
	out.Schemas = append(out.Schemas, wit.Schema{ID: k.id, Nodes: nodes})
	return k, nil
}

// forget removes schemas that the host does not receive because their page failed.
func (s *schemas) forget(list []wit.Schema) {
	for t, k := range s.byType {
		if slices.ContainsFunc(list, func(schema wit.Schema) bool { return schema.ID == k.id }) {
			delete(s.byType, t)
		}
	}
}

var kinds = map[reflect.Kind]wit.Kind{
	reflect.Bool:    wit.Boolean,
	reflect.Int8:    wit.Int8,
	reflect.Int16:   wit.Int16,
	reflect.Int32:   wit.Int32,
	reflect.Int64:   wit.Int64,
	reflect.Int:     wit.Int64,
	reflect.Float32: wit.Float32,
	reflect.Float64: wit.Float64,
	reflect.String:  wit.String,
}

// appendNodes appends the nodes of a type, starting with its own. enclosing contains the structs around it.
func appendNodes(nodes []wit.SchemaNode, t reflect.Type, enclosing []reflect.Type) ([]wit.SchemaNode, error) {
	var node wit.SchemaNode
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
		node.Optional = true
	}
	index := len(nodes)
	nodes = append(nodes, node)
	var err error
	kind, ok := kinds[t.Kind()]
	switch {
	case t == timeType:
		node.Kind = wit.Int64
		node.Name = wit.Ptr(wit.NameTimestamp)
		node.Version = wit.Ptr(int32(1))
	case t == byteType:
		node.Kind = wit.Bytes
	case ok:
		node.Kind = kind
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		node.Kind = wit.Array
		if t.Kind() == reflect.Map {
			node.Kind = wit.Map
			node.Key = uint32(len(nodes))
			nodes = append(nodes, wit.SchemaNode{Kind: wit.String})
		}
		node.Element = uint32(len(nodes))
		nodes, err = appendNodes(nodes, t.Elem(), enclosing)
	case t.Kind() == reflect.Struct:
		node.Kind = wit.Struct
		if t.Name() != "" {
			node.Name = wit.Ptr(t.Name())
		}
		if slices.Contains(enclosing, t) {
			return nil, errors.New(t.String() + ": a recursive type has no schema")
		}
		for i := range t.NumField() {
			name := fieldName(t.Field(i))
			if name == "" {
				continue
			}
			node.Fields = append(node.Fields, wit.Field{Name: name, Node: uint32(len(nodes))})
			if nodes, err = appendNodes(nodes, t.Field(i).Type, append(enclosing, t)); err != nil {
				return nil, errors.New(name + ": " + err.Error())
			}
		}
	default:
		return nil, errors.New("a value of type " + t.String() + " has no schema: expected structs, pointers, " +
			"slices, maps with string keys, time.Time, signed integers, floats, strings, booleans or []byte")
	}
	nodes[index] = node
	return nodes, err
}

// fieldName returns the name of a struct field in records, or "" if it is left out.
func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case !f.IsExported() || name == "-":
		return ""
	case name == "":
		return f.Name
	}
	return name
}

// toTree returns a Go value as package connectdata writes it.
func toTree(value reflect.Value) any {
	if value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return nil
		}
		value = value.Elem()
	}
	switch x := value.Interface().(type) {
	case time.Time:
		return x.UnixMilli()
	case []byte:
		return x
	}
	switch value.Kind() {
	case reflect.Slice:
		list := make(connectdata.List, value.Len())
		for i := range list {
			list[i] = toTree(value.Index(i))
		}
		return list
	case reflect.Map:
		m := connectdata.Map{}
		// Equal maps are encoded equally: their keys are in order.
		keys := value.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			m = append(m, connectdata.Entry{Key: key.String(), Value: toTree(value.MapIndex(key))})
		}
		return m
	case reflect.Struct:
		record := connectdata.Struct{}
		for i := range value.NumField() {
			if fieldName(value.Type().Field(i)) != "" {
				record = append(record, toTree(value.Field(i)))
			}
		}
		return record
	case reflect.Bool:
		return value.Bool()
	case reflect.String:
		return value.String()
	case reflect.Int8:
		return int8(value.Int())
	case reflect.Int16:
		return int16(value.Int())
	case reflect.Int32:
		return int32(value.Int())
	case reflect.Int, reflect.Int64:
		return value.Int()
	case reflect.Float32:
		return float32(value.Float())
	case reflect.Float64:
		return value.Float()
	}
	panic("source: a value of kind " + strconv.Quote(value.Kind().String()) + ", which has no schema")
}
