package convert

import (
	"context"
	"maps"
	"slices"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registered"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Converter is one converter with its settings.
type Converter = conversion.Converter

// Use is what a converter is made for.
type Use = conversion.Use

// ForWriting tells of a setting of a converter that it says nothing but how values are written. What of it is not built
// does not matter to a sink, whose converters only read.
func ForWriting(name string) bool { return slices.Contains(registered.IDSerializers, name) }

// New makes the converter of a class. settings are those after the prefix (`key.converter.`, `value.converter.`);
// names that the converter does not declare are ignored, as in Kafka Connect.
func New(class string, settings map[string]string, u conversion.Use) (conversion.Converter, error) {
	d, err := Find(class, u.Key)
	if err != nil {
		return nil, err
	}
	if u.Reading {
		settings = maps.Clone(settings)
		maps.DeleteFunc(settings, func(name, _ string) bool { return ForWriting(name) })
	}
	given := d.given(settings, u.Key)
	if wrong := setting.FirstError(d.table.Validate(given)); wrong != nil {
		return nil, fault.Config("%s", wrong.Message)
	}
	return d.make(d.table.Values(given), u)
}

// SchemaHeader is the header in which Confluent's serializers put the schema of a key or value where they put nothing
// in front of it.
func SchemaHeader(key bool) string { return "__" + conversion.UsedFor(key) + "_schema_id" }

// HeaderDecoder is a [Converter] that reads such headers.
type HeaderDecoder interface {
	// DecodeBy is Decode of a record with that header.
	DecodeBy(ctx context.Context, topic string, header, data []byte, b *record.Batch) (wit.ValueSlice, error)
}
