package convert

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/culvert-project/culvert/host/convert/registry"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// Converter is one converter with its settings. It compiles what it needs for a schema when the schema first appears
// and keeps it, so it belongs to one goroutine at a time; tasks have converters of their own.
type Converter interface {
	// Encode appends the bytes of a datum of b to dst, at most `most` of them: more is an error of the class
	// [TooLargeException]. null tells that the record has no key or value at all (a tombstone): out is dst then. On an
	// error out is dst too. A long conversion ends when ctx does, with ctx's error.
	Encode(ctx context.Context, dst []byte, most int, topic string, b *record.Batch, d wit.Datum) (out []byte,
		null bool, err error)
	// Decode appends what data says to b.Data and returns where. data nil is an absent datum. On an error b is as it
	// was. A long conversion ends when ctx does, with ctx's error.
	Decode(ctx context.Context, topic string, data []byte, b *record.Batch) (wit.Datum, error)
}

// Names of the exception classes that Kafka Connect would give; they go into the headers of dead letters.
const (
	dataException   = "org.apache.kafka.connect.errors.DataException"
	configException = "org.apache.kafka.common.config.ConfigException"
	// TooLargeException is of what a producer would not send.
	TooLargeException = "org.apache.kafka.common.errors.RecordTooLargeException"
)

// Stop is an error that is no record's fault and that no tolerance passes over: a schema registry that refuses a schema
// or its user, for example. What was not converted stays where it is until that is mended.
type Stop struct{ Err error }

func (e *Stop) Error() string { return e.Err.Error() }

func (e *Stop) Unwrap() error { return e.Err }

// Stops tells whether an error of a converter is a [Stop].
func Stops(err error) bool {
	_, stops := errors.AsType[*Stop](err)
	return stops
}

// Error is a value that cannot be converted, or a setting that makes no sense.
type Error struct {
	// Class is the Java class that Kafka Connect would report.
	Class string
	Text  string
}

func (e *Error) Error() string { return e.Text }

func dataError(format string, args ...any) error {
	return &Error{dataException, fmt.Sprintf(format, args...)}
}

func configError(format string, args ...any) error {
	return &Error{configException, fmt.Sprintf(format, args...)}
}

// ErrorClass is the Java class that stands for an error of this package, or "" for another error.
func ErrorClass(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return ""
}

// Use is what a converter is made for.
type Use struct {
	// Key: it converts keys, else values.
	Key bool
	// Schemas numbers the schemas of what is read, and knows those of what is written.
	Schemas *record.Registry
	// Registry makes the client of a schema registry. nil: the converter is made to see whether its settings are right,
	// and converts nothing.
	Registry func(registry.Settings) (*registry.Client, error)
	// Reading: it only reads, for a sink. What is given for writing ([ForWriting]) is passed over.
	Reading bool
}

// ForWriting tells of a setting of a converter that it says nothing but how values are written. What of it is not built
// does not matter to a sink, whose converters only read.
func ForWriting(name string) bool { return slices.Contains(idSerializers, name) }

// New makes the converter of a class. settings are those after the prefix (`key.converter.`, `value.converter.`);
// names that the converter does not declare are ignored, as in Kafka Connect.
func New(class string, settings map[string]string, u Use) (Converter, error) {
	d, err := Find(class, u.Key)
	if err != nil {
		return nil, err
	}
	if u.Reading {
		settings = maps.Clone(settings)
		maps.DeleteFunc(settings, func(name, _ string) bool { return ForWriting(name) })
	}
	given := d.given(settings, u.Key)
	if wrong := setting.First(d.table.Examine(given)); wrong != nil {
		return nil, configError("%s", wrong.Message)
	}
	return d.make(d.table.Values(given), u)
}

// schemaOf is the schema of a number; class is the converter's, for the error.
func schemaOf(reg *record.Registry, class string, id uint32) (*record.Schema, error) {
	s := reg.Get(id)
	if s == nil {
		return nil, dataError("%s: schema %d is not registered", class, id)
	}
	return s, nil
}

// valueOf is what bytes of a form and a schema say, as package datum has it, with the nodes of the schema; nil is a
// null. class is the converter's, for errors.
func valueOf(reg *record.Registry, class string, form wit.Form, schema uint32, in []byte) (v any, nodes []wit.Node,
	err error) {
	size := 0
	switch form {
	case wit.Absent:
		return nil, nil, nil
	case wit.Dynamic:
		v, size, err = datum.ReadDynamic(in)
	case wit.Structured:
		s, unknown := schemaOf(reg, class, schema)
		if unknown != nil {
			return nil, nil, unknown
		}
		nodes = s.Nodes
		v, size, err = datum.Read(nodes, 0, in)
	default:
		return nil, nil, dataError("%s: expected a structured or dynamic datum, found form %d", class, form)
	}
	if err == nil && size != len(in) {
		err = broken(size, "bytes left over")
	}
	if err != nil {
		return nil, nil, dataError("%s: %v", class, err)
	}
	return v, nodes, nil
}

// typeName is a kind's name in Kafka Connect, upper case as its messages have it.
func typeName(k wit.Kind) string {
	return [...]string{"INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64", "BOOLEAN", "STRING", "BYTES", "ARRAY",
		"MAP", "STRUCT"}[k]
}
