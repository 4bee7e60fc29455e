package convert

import (
	"context"
	"maps"
	"slices"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Converter converts the keys, values or headers of a connector.
type Converter = conversion.Converter

// Options tells [New] what the converter is for.
type Options = conversion.Options

// IsWriteSetting reports whether a converter setting only affects writing, so that a sink may ignore its value.
func IsWriteSetting(name string) bool { return slices.Contains(conversion.IDSerializers, name) }

// New creates a converter by its class. settings are named without their prefix (key.converter., value.converter.);
// unknown names are ignored, as in Kafka Connect.
func New(class string, settings map[string]string, options conversion.Options) (conversion.Converter, error) {
	d, err := Find(class, options.IsKey)
	if err != nil {
		return nil, err
	}
	if options.ReadOnly {
		settings = maps.Clone(settings)
		maps.DeleteFunc(settings, func(name, _ string) bool { return IsWriteSetting(name) })
	}
	settingList := d.withType(settings, options.IsKey)
	if invalid := setting.FirstError(d.table.Validate(settingList)); invalid != nil {
		return nil, fault.Config("%s", invalid.Message)
	}
	return d.create(d.table.Values(settingList), options)
}

// SchemaHeader returns the record header in which Confluent's serializers store the schema ID of a key or value that
// has no prefix.
func SchemaHeader(key bool) string { return "__" + conversion.ConverterType(key) + "_schema_id" }

// HeaderDecoder is a [Converter] that reads schema IDs from record headers.
type HeaderDecoder interface {
	// DecodeBy decodes data with the schema whose ID is in header.
	DecodeBy(ctx context.Context, topic string, header, data []byte, b *record.Batch) (wit.ValueSlice, error)
}
