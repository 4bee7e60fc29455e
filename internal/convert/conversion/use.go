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

// Use is what a converter is made for.
type Use struct {
	// Key: it converts keys, else values.
	Key bool
	// Schemas numbers the schemas of what is read, and knows those of what is written.
	Schemas *record.Registry
	// Registry makes the client of a schema registry. nil: the converter is made to see whether its settings are right,
	// and converts nothing.
	Registry func(registry.Settings) (*registry.Client, error)
	// Reading: it only reads, for a sink. What is given for writing is passed over.
	Reading bool
}

// UsedFor is Kafka Connect's word for what a converter converts.
func UsedFor(key bool) string {
	if key {
		return "key"
	}
	return "value"
}

// SchemaOf is the schema of a number; class is the converter's, for the error.
func SchemaOf(reg *record.Registry, class string, id uint32) (*record.Schema, error) {
	s := reg.Get(id)
	if s == nil {
		return nil, fault.Data("%s: schema %d is not registered", class, id)
	}
	return s, nil
}

// ValueOf is what bytes of a form and a schema say, as package connectdata has it, with the nodes of the schema; nil is
// a null. class is the converter's, for errors.
func ValueOf(reg *record.Registry, class string, form wit.Encoding, schema uint32, in []byte) (v any,
	nodes []wit.SchemaNode,
	err error) {
	size := 0
	switch form {
	case wit.Absent:
		return nil, nil, nil
	case wit.Schemaless:
		v, size, err = connectdata.ReadSchemaless(in)
	case wit.WithSchema:
		s, unknown := SchemaOf(reg, class, schema)
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
		err = fault.Broken(size, "bytes left over")
	}
	if err != nil {
		return nil, nil, fault.Data("%s: %v", class, err)
	}
	return v, nodes, nil
}

// Flag declares a setting that is true or false.
func Flag(name string, importance wit.Importance, on, documentation string, rules ...wit.Rule) wit.ConfigKey {
	return setting.Define(name, wit.KindBoolean, importance, &on, documentation, rules...)
}

// ShownAt are the rules for where Kafka's own converters have tools show a setting.
func ShownAt(group string, order int32, display string) []wit.Rule {
	medium := uint8(2) // of NONE, SHORT, MEDIUM, LONG
	rules := []wit.Rule{{Width: &medium}, setting.Display(display)}
	if group != "" {
		rules = append(rules, setting.InGroup(group), wit.Rule{Order: &order})
	}
	return rules
}

// Converter is one converter with its settings. It compiles what it needs for a schema when the schema first appears
// and keeps it, so it belongs to one goroutine at a time; tasks have converters of their own.
type Converter interface {
	// Encode appends the bytes of a datum of b to dst, at most `most` of them: more is an error of the class
	// [fault.TooLargeException]. null tells that the record has no key or value at all (a tombstone): out is dst then.
	// On an error out is dst too. A long conversion ends when ctx does, with ctx's error.
	Encode(ctx context.Context, dst []byte, most int, topic string, b *record.Batch, d wit.ValueSlice) (out []byte,
		null bool, err error)
	// Decode appends what data says to b.Data and returns where. data nil is an absent datum. On an error b is as it
	// was. A long conversion ends when ctx does, with ctx's error.
	Decode(ctx context.Context, topic string, data []byte, b *record.Batch) (wit.ValueSlice, error)
}
