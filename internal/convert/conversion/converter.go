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

// Converter converts keys, values or headers. It caches compiled schemas, so it belongs to one goroutine at a time.
type Converter interface {
	// Encode encodes the key or value d of b and appends at most maxBytes to dst; more is a [fault.TooLargeException].
	// isNull means no key or value (a tombstone). After an error out is dst. If ctx ends, the error is its error.
	Encode(ctx context.Context, dst []byte, maxBytes int, topic string, b *record.Batch,
		d wit.ValueSlice) (out []byte, isNull bool, err error)
	// Decode decodes data, which is nil for a missing key or value, and appends the result to b.Data. After an error b
	// is unchanged. If ctx ends, the error is its error.
	Decode(ctx context.Context, topic string, data []byte, b *record.Batch) (wit.ValueSlice, error)
}

// Options are the options of a new converter that do not come from its settings.
type Options struct {
	// IsKey is true for keys, false for values.
	IsKey bool
	// Schemas registers the schemas of decoded values, and contains the schemas of values to encode.
	Schemas *record.Registry
	// OpenRegistry opens a client of the schema registry. With nil, a converter can only validate its settings.
	OpenRegistry func(registry.Settings) (*registry.Client, error)
	// ReadOnly is set for a sink, which only decodes: settings for encoding are ignored.
	ReadOnly bool
}

// ConverterType returns the value of Kafka Connect's setting converter.type.
func ConverterType(isKey bool) string {
	if isKey {
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

// DecodeValue decodes all of data, a record's key, value or header, for a converter that writes it in another format.
// v is nil for a null or an absent value. nodes are the nodes of its schema, nil for a schemaless value. class is the
// converter's, for errors.
func DecodeValue(reg *record.Registry, class string, encoding wit.Encoding, schema uint32,
	data []byte) (v any, nodes []wit.SchemaNode, err error) {
	size := 0
	switch encoding {
	case wit.Absent:
		return nil, nil, nil
	case wit.Schemaless:
		v, size, err = connectdata.ReadSchemaless(data)
	case wit.WithSchema:
		s, schemaErr := FindSchema(reg, class, schema)
		if schemaErr != nil {
			return nil, nil, schemaErr
		}
		nodes = s.Nodes
		v, size, err = connectdata.Read(nodes, 0, data) // node 0 is the root
	default:
		return nil, nil, fault.Data("%s: expected a value with a schema or a schemaless one, found encoding %d", class,
			encoding)
	}
	if err == nil && size != len(data) {
		err = fault.Malformed(size, "bytes left over")
	}
	if err != nil {
		return nil, nil, fault.Data("%s: %v", class, err)
	}
	return v, nodes, nil
}

// BoolSetting declares a boolean setting, whose defaultValue is "true" or "false".
func BoolSetting(name string, importance wit.Importance, defaultValue, documentation string,
	rules ...wit.Rule) wit.ConfigKey {
	return setting.Define(name, wit.KindBoolean, importance, &defaultValue, documentation, rules...)
}

// DisplayRules returns the rules that describe how a form shows a setting: Kafka's Width MEDIUM, the display name and,
// unless group is empty, the group and the position in it.
func DisplayRules(group string, order int32, displayName string) []wit.Rule {
	widthMedium := uint8(2) // the index in Kafka's ConfigDef.Width: NONE, SHORT, MEDIUM, LONG
	rules := []wit.Rule{{Width: &widthMedium}, setting.Display(displayName)}
	if group != "" {
		rules = append(rules, setting.InGroup(group), wit.Rule{Order: &order})
	}
	return rules
}
