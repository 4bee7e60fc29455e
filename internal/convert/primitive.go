package convert

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// primitive describes a converter of numbers or booleans.
type primitive struct {
	class string
	name  string // the type in Kafka's messages
	serde string // the prefix of its serializer and deserializer classes
	kind  wit.Kind
	size  int // of an encoded value in bytes
}

var primitives = []primitive{
	{"org.apache.kafka.connect.converters.BooleanConverter", "boolean", "Boolean", wit.Boolean, 1},
	{"org.apache.kafka.connect.converters.DoubleConverter", "double", "Double", wit.Float64, 8},
	{"org.apache.kafka.connect.converters.FloatConverter", "float", "Float", wit.Float32, 4},
	{"org.apache.kafka.connect.converters.IntegerConverter", "integer", "Integer", wit.Int32, 4},
	{"org.apache.kafka.connect.converters.LongConverter", "long", "Long", wit.Int64, 8},
	{"org.apache.kafka.connect.converters.ShortConverter", "short", "Short", wit.Int16, 2},
}

func (p primitive) converter(_ setting.Values, options conversion.Options) (conversion.Converter, error) {
	schema, err := options.Schemas.Intern([]wit.SchemaNode{{Kind: p.kind, Optional: true}})
	return &primitiveConverter{p, options.Schemas, schema}, err
}

// primitiveConverter is BooleanConverter or one of the NumberConverters: it writes a value as Kafka's serializer of its
// type does, numbers as big-endian. Values of other types are rejected, never widened.
type primitiveConverter struct {
	primitive
	reg    *record.Registry
	schema *record.Schema // of decoded values
}

// Encode implements [conversion.Converter].
func (c *primitiveConverter) Encode(_ context.Context, dst []byte, maxBytes int, _ string, b *record.Batch,
	d wit.ValueSlice) ([]byte, bool, error) {
	v, nodes, err := conversion.DecodeValue(c.reg, c.serde+"Converter", d.Encoding, d.Schema, b.Bytes(d))
	var root *wit.SchemaNode
	if len(nodes) > 0 {
		root = &nodes[0]
	}
	switch {
	case c.kind == wit.Boolean && root != nil && root.Kind != wit.Boolean:
		return dst, false, fault.Data("Invalid schema type for BooleanConverter: %s", conversion.TypeName(root.Kind))
	case err != nil:
		return dst, false, err
	case v == nil:
		return dst, true, nil
	case maxBytes < c.size:
		var k conversion.Budget
		k.Start(context.Background(), dst, maxBytes)
		return dst, false, k.CheckRoom(dst, c.size)
	}
	if class := conversion.JavaClass(v, root); class != "java.lang."+c.serde {
		if c.kind == wit.Boolean {
			return dst, false, fault.Data("BooleanConverter is not compatible with objects of type class %s", class)
		}
		return dst, false, fault.Data("Failed to serialize to %s (was class %s): expected a java.lang.%s", c.name,
			class, c.serde)
	}
	dst, err = binary.Append(dst, binary.BigEndian, v)
	return dst, false, err
}

// Decode implements [conversion.Converter].
func (c *primitiveConverter) Decode(_ context.Context, _ string, data []byte, b *record.Batch) (wit.ValueSlice, error) {
	if data == nil {
		return appendNull(b, c.schema), nil
	}
	if len(data) != c.size {
		return wit.ValueSlice{}, fault.Data(
			"Failed to deserialize %s: Size of data received by %sDeserializer is not %d (it is %d)", c.name, c.serde,
			c.size, len(data))
	}
	var v any
	switch c.kind {
	case wit.Boolean:
		if data[0] > 1 {
			return wit.ValueSlice{}, fault.Data("Failed to deserialize boolean: Unexpected byte received by "+
				"BooleanDeserializer: %d", int8(data[0]))
		}
		v = data[0] == 1
	case wit.Int16:
		v = int16(binary.BigEndian.Uint16(data))
	case wit.Int32:
		v = int32(binary.BigEndian.Uint32(data))
	case wit.Int64:
		v = int64(binary.BigEndian.Uint64(data))
	case wit.Float32:
		v = math.Float32frombits(binary.BigEndian.Uint32(data))
	case wit.Float64:
		v = math.Float64frombits(binary.BigEndian.Uint64(data))
	}
	b.Retain(c.schema)
	start := len(b.Data)
	out, err := connectdata.Append(b.Data, c.schema.Nodes, 0, v)
	if err != nil {
		return wit.ValueSlice{}, fault.Data("%sConverter: %v", c.serde, err)
	}
	b.Data = out
	return wit.ValueSlice{Encoding: wit.WithSchema, Schema: c.schema.ID, Start: uint32(start),
		Size: uint32(len(out) - start)}, nil
}
