package convert

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/convert/avro"
	"github.com/culvert-project/culvert/internal/convert/connectjson"
	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/jsonschema"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Class names of converters. Kafka Connect's aliases are the simple name, with and without Converter at its end.
const (
	ClassAvro       = "io.confluent.connect.avro.AvroConverter"
	ClassJSONSchema = "io.confluent.connect.json.JsonSchemaConverter"
	ClassJSON       = "org.apache.kafka.connect.json.JsonConverter"
	ClassString     = "org.apache.kafka.connect.storage.StringConverter"
	classByteArray  = "org.apache.kafka.connect.converters.ByteArrayConverter"
)

// Declaration describes a converter: its class, settings and defaults, for validation, REST and the reference.
type Declaration struct {
	Class         string
	Documentation string

	table  *setting.Table
	create func(v setting.Values, u conversion.Options) (conversion.Converter, error)
}

// typeSetting is declared by Kafka's converters, and set by the worker rather than by users.
const typeSetting = "converter.type"

var declarations = newDeclarations()

func newDeclarations() []Declaration {
	encoding := func(name, documentation string) wit.ConfigKey {
		return setting.Define(name, wit.KindString, wit.Low, nil, documentation)
	}
	list := []Declaration{
		declare(ClassAvro, "Confluent's Avro: a zero byte, the id that a schema registry has for the schema, and Avro "+
			"binary.", avro.Settings(), avro.New),
		declare(ClassJSONSchema, "JSON with a schema registry: a zero byte, the id that it has for the JSON Schema, "+
			"and JSON.", jsonschema.Settings(), jsonschema.New),
		declare(ClassJSON, "JSON, each record together with its schema unless schemas.enable=false.",
			connectjson.Settings(), connectjson.New),
		declare(ClassString, "Strings; other values are written like Java's toString. The character set is "+
			conversion.CharsetNames()+".", setting.NewTable(
			setting.Define("converter.encoding", wit.KindString, wit.High, setting.Default("UTF-8"),
				"The name of the Java character set to use for encoding strings as byte arrays.",
				conversion.DisplayRules("", 0, "Encoding")...),
			encoding("key.serializer.encoding", "Character set of written keys, instead of converter.encoding."),
			encoding("value.serializer.encoding", "Character set of written values, instead of converter.encoding."),
			encoding("key.deserializer.encoding", "Character set of read keys, instead of converter.encoding."),
			encoding("value.deserializer.encoding", "Character set of read values, instead of converter.encoding."),
		), newString),
		declare(classByteArray, "Bytes, unchanged.", setting.NewTable(), newByteArray),
	}
	for _, p := range primitives {
		list = append(list, declare(p.class, "Values of type "+p.name+" as Kafka's "+p.serde+"Serializer writes them.",
			setting.NewTable(), p.converter))
	}
	slices.SortFunc(list, func(a, b Declaration) int { return strings.Compare(a.Class, b.Class) })
	return list
}

func declare(class, documentation string, table *setting.Table,
	create func(setting.Values, conversion.Options) (conversion.Converter, error)) Declaration {
	table.Declare(setting.Define(typeSetting, wit.KindString, wit.Low, nil, "How this converter will be used.",
		setting.Required()))
	return Declaration{class, documentation, table, create}
}

// Declarations returns the declarations of all converters, sorted by class.
func Declarations() []Declaration { return slices.Clone(declarations) }

// plannedFormats are formats that are not built yet, by the simple name of their class.
var plannedFormats = map[string]string{"ProtobufConverter": "Protobuf"}

// Find returns the declaration of a converter by its class or alias. The error names the kind of converter.
func Find(class string, isKey bool) (Declaration, error) {
	class = setting.Trim(class)
	names := make([]string, len(declarations))
	for i, d := range declarations {
		name := conversion.SimpleName(d.Class)
		if class == d.Class || class == name || class == strings.TrimSuffix(name, converterSuffix) {
			return d, nil
		}
		names[i] = d.Class
	}
	format := plannedFormats[conversion.SimpleName(class)]
	if format == "" {
		format = plannedFormats[class+converterSuffix]
	}
	if format != "" {
		return Declaration{}, fault.Config("%s converter: %s is not built yet, found %q; there are %s",
			conversion.ConverterType(isKey), format, class, strings.Join(names, ", "))
	}
	near := ""
	if classes := setting.NearestClasses(class, names); len(classes) > 0 {
		near = "the nearest one is " + classes[0] + "; "
	}
	return Declaration{}, fault.Config("%s converter: unknown class %q; %sthere are %s",
		conversion.ConverterType(isKey), class, near, strings.Join(names, ", "))
}

// converterSuffix is what Kafka Connect's aliases omit (PluginUtils.prunedName).
const converterSuffix = "Converter"

// Settings returns the declared settings, converter.type first, as Kafka Connect does.
func (d Declaration) Settings() []wit.ConfigKey {
	isType := func(s wit.ConfigKey) bool { return s.Name == typeSetting }
	first := slices.Clone(d.table.Keys())
	last := slices.Clone(d.table.Keys())
	return append(slices.DeleteFunc(first, func(s wit.ConfigKey) bool { return !isType(s) }),
		slices.DeleteFunc(last, isType)...)
}

// UserSettings returns the settings that users may set.
func (d Declaration) UserSettings() []wit.ConfigKey {
	return slices.DeleteFunc(slices.Clone(d.Settings()), func(s wit.ConfigKey) bool { return s.Name == typeSetting })
}

// Validate validates each setting. Names are without the prefix.
func (d Declaration) Validate(settings map[string]string, isKey bool) []wit.ConfigValue {
	return d.table.Validate(d.withType(settings, isKey))
}

// UnknownWarning returns the warning for a setting that the converter ignores, "" for a known one.
func (d Declaration) UnknownWarning(name string) string {
	if _, ok := d.table.Find(name); ok {
		return ""
	}
	return setting.Unknown(d.table.Nearest(name))
}

func (d Declaration) withType(settings map[string]string, isKey bool) []wit.Setting {
	list := make([]wit.Setting, 0, len(settings)+1)
	for name, value := range settings {
		list = append(list, wit.Setting{Name: name, Value: value})
	}
	return append(list, wit.Setting{Name: typeSetting, Value: conversion.ConverterType(isKey)})
}
