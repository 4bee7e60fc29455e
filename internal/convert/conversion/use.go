package conversion

import (
	"context"

	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Options tells a converter what it is for.
type Options struct {
	// IsKey is set for keys, unset for values.
	IsKey bool
	// Schemas registers the schemas of decoded values, and resolves those of encoded ones.
	Schemas *record.Registry
	// OpenRegistry opens a client of the schema registry. With nil, the converter can only be validated.
	OpenRegistry func(registry.Settings) (*registry.Client, error)
	// ReadOnly is set for a sink: settings for writing are ignored.
	ReadOnly bool
}

// ConverterType returns Kafka's converter.type.
func ConverterType(key bool) string {
	if key {
		return "key"
	}
	return "value"
}

// FindSchema returns a registered schema. class names the converter in errors.
func FindSchema(reg *record.Registry, class string, id uint32) (*record.Schema, error) {
	s := reg.Get(id)
	if s == nil {
		return nil, fault.Data("%s: schema %d is not registered", class, id)
	}
	return s, nil
}

// DecodeValue decodes a value, nil for a null, and returns the nodes of its schema. class names the converter in
// errors.
func DecodeValue(reg *record.Registry, class string, form wit.Encoding, schema uint32,
	in []byte) (v any, nodes []wit.SchemaNode, err error) {
	size := 0
	switch form {
	case wit.Absent:
		return nil, nil, nil
	case wit.Schemaless:
		v, size, err = connectdata.ReadSchemaless(in)
	case wit.WithSchema:
		s, unknown := FindSchema(reg, class, schema)
		if unknown != nil {
			return nil, nil, unknown
		}
		nodes = s.Nodes
		v, size, err = connectdata.Read(nodes, 0, in)
	default:
		return nil, nil, fault.Data("%s: expected a value with a schema or a schemaless one, found encoding %d", class,
			form)
	}
	if err == nil && size != len(in) {
		err = fault.Malformed(size, "bytes left over")
	}
	if err != nil {
		return nil, nil, fault.Data("%s: %v", class, err)
	}
	return v, nodes, nil
}

// BoolSetting declares a boolean setting.
func BoolSetting(name string, importance wit.Importance, on, documentation string, rules ...wit.Rule) wit.ConfigKey {
	return setting.Define(name, wit.KindBoolean, importance, &on, documentation, rules...)
}

// DisplayRules returns the display attributes that Kafka's converters declare for a setting.
func DisplayRules(group string, order int32, display string) []wit.Rule {
	medium := uint8(2) // of NONE, SHORT, MEDIUM, LONG
	rules := []wit.Rule{{Width: &medium}, setting.Display(display)}
	if group != "" {
		rules = append(rules, setting.InGroup(group), wit.Rule{Order: &order})
	}
	return rules
}

// Converter converts keys, values or headers. It caches compiled schemas, so it belongs to one goroutine at a time.
type Converter interface {
	// Encode appends a value of b to dst, at most maxBytes; more is a [fault.TooLargeException]. isNull reports that
	// the record has no key or value (a tombstone). After an error out is dst. It ends with ctx's error when ctx ends.
	Encode(ctx context.Context, dst []byte, maxBytes int, topic string, b *record.Batch,
		d wit.ValueSlice) (out []byte, isNull bool, err error)
	// Decode appends the decoded value to b.Data. data is nil for a missing key or value. After an error b is
	// unchanged. It ends with ctx's error when ctx ends.
	Decode(ctx context.Context, topic string, data []byte, b *record.Batch) (wit.ValueSlice, error)
}
