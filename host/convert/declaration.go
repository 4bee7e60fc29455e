package convert

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/convert/registry"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Classes of converters, by their full names. Every one is also known by the part after its last dot, with Converter
// at its end or without.
const (
	ClassAvro       = "io.confluent.connect.avro.AvroConverter"
	ClassJSONSchema = "io.confluent.connect.json.JsonSchemaConverter"
	ClassJSON       = "org.apache.kafka.connect.json.JsonConverter"
	ClassString     = "org.apache.kafka.connect.storage.StringConverter"
	classByteArray  = "org.apache.kafka.connect.converters.ByteArrayConverter"
)

// Declaration is what a converter says of itself: from it come the check of its settings, their defaults, and what
// REST, `culvert plugins show` and the reference pages say of them.
type Declaration struct {
	Class, Documentation string

	table *setting.Table
	make  func(v setting.Values, u Use) (Converter, error)
}

// typeSetting is declared by Kafka's converters and given by the worker, never by a user.
const typeSetting = "converter.type"

// declarations are all converters, sorted by class.
var declarations = declared()

func declared() []Declaration {
	list := []Declaration{
		declare(ClassAvro, "Confluent's Avro: a zero byte, the id that a schema registry has for the schema, and Avro "+
			"binary.", avroSettings(), newAvro),
		declare(ClassJSONSchema, "JSON with a schema registry: a zero byte, the id that it has for the JSON Schema, "+
			"and JSON.", jsonSchemaSettings(), newJSONSchema),
		declare(ClassJSON, "JSON, each record together with its schema unless schemas.enable=false.", jsonSettings(),
			newJSON),
		declare(ClassString, "Text: what is no text is written as Java's toString has it.", stringSettings(),
			newString),
		declare(classByteArray, "Bytes as they are.", setting.Of(), newByteArray),
	}
	for _, p := range primitives {
		list = append(list, declare(p.class, "Values of type "+p.name+" as Kafka's "+p.serde+"Serializer writes them.",
			setting.Of(), p.converter))
	}
	slices.SortFunc(list, func(a, b Declaration) int { return strings.Compare(a.Class, b.Class) })
	return list
}

func declare(class, documentation string, own *setting.Table,
	make func(setting.Values, Use) (Converter, error)) Declaration {
	own.Declare(setting.Spec(typeSetting, wit.KindText, wit.Low, nil, "How this converter will be used.",
		setting.Required()))
	return Declaration{class, documentation, own, make}
}

// Declarations are those of all converters, sorted by class.
func Declarations() []Declaration { return slices.Clone(declarations) }

// later are formats that are known and not built yet, by the last part of their class.
var later = map[string]string{"ProtobufConverter": "Protobuf"}

// Find returns the declaration of a class, for keys or for values.
func Find(class string, key bool) (Declaration, error) {
	class = setting.Trim(class)
	names := make([]string, len(declarations))
	for i, d := range declarations {
		if class == d.Class || class == simpleName(d.Class) || class == prunedName(d.Class) {
			return d, nil
		}
		names[i] = d.Class
	}
	format := later[simpleName(class)]
	if format == "" {
		format = later[class+converterSuffix]
	}
	if format != "" {
		return Declaration{}, configError("%s converter: %s is not built yet, found %q; there are %s", usedFor(key),
			format, class, strings.Join(names, ", "))
	}
	return Declaration{}, configError("%s converter: unknown class %q; there are %s", usedFor(key), class,
		strings.Join(names, ", "))
}

func simpleName(class string) string { return class[strings.LastIndexByte(class, '.')+1:] }

// converterSuffix is what Kafka Connect's aliases of converters leave out at the end of a class
// (PluginUtils.prunedName).
const converterSuffix = "Converter"

// prunedName is Kafka Connect's shorter alias of a converter: Avro of io.confluent.connect.avro.AvroConverter.
func prunedName(class string) string { return strings.TrimSuffix(simpleName(class), converterSuffix) }

// usedFor is Kafka Connect's word for what a converter converts.
func usedFor(key bool) string {
	if key {
		return "key"
	}
	return "value"
}

// Settings are what the converter declares, after `converter.type`, which Kafka Connect gives to converters itself.
func (d Declaration) Settings() []wit.SettingSpec {
	isType := func(s wit.SettingSpec) bool { return s.Name == typeSetting }
	first, last := slices.Clone(d.table.Specs()), slices.Clone(d.table.Specs())
	return append(slices.DeleteFunc(first, func(s wit.SettingSpec) bool { return !isType(s) }),
		slices.DeleteFunc(last, isType)...)
}

// Own are the settings that users give.
func (d Declaration) Own() []wit.SettingSpec {
	return slices.DeleteFunc(slices.Clone(d.Settings()),
		func(s wit.SettingSpec) bool { return s.Name == typeSetting })
}

// Examine checks settings by their declarations, one by one. settings are those after the prefix.
func (d Declaration) Examine(settings map[string]string, key bool) []wit.Examined {
	return d.table.Examine(d.given(settings, key))
}

// Unknown says of a name that the converter does not declare that it has no effect, "" of others.
func (d Declaration) Unknown(name string) string {
	if _, known := d.table.Find(name); known {
		return ""
	}
	return setting.Unknown(d.table.Nearest(name))
}

// given are the settings as they reach the converter in Kafka Connect.
func (d Declaration) given(settings map[string]string, key bool) []wit.Setting {
	list := make([]wit.Setting, 0, len(settings)+1)
	for name, value := range settings {
		list = append(list, wit.Setting{Name: name, Value: value})
	}
	return append(list, wit.Setting{Name: typeSetting, Value: usedFor(key)})
}

// flag declares a setting that is true or false.
func flag(name string, importance wit.Importance, on, documentation string, rules ...wit.Rule) wit.SettingSpec {
	return setting.Spec(name, wit.KindBoolean, importance, &on, documentation, rules...)
}

// shownAt are the rules for where Kafka's own converters have tools show a setting.
func shownAt(group string, order int32, display string) []wit.Rule {
	medium := uint8(2) // of NONE, SHORT, MEDIUM, LONG
	rules := []wit.Rule{{Width: &medium}, setting.Display(display)}
	if group != "" {
		rules = append(rules, setting.In(group), wit.Rule{Order: &order})
	}
	return rules
}

// idSerializers are the settings that say where ids of schemas are written.
var idSerializers = []string{"key.schema.id.serializer", "value.schema.id.serializer"}

// registeredSettings are those of all converters with a schema registry.
func registeredSettings() *setting.Table {
	t := setting.Of(registry.Declared()...)
	subject := func(what string) wit.SettingSpec {
		return setting.Spec(what+".subject.name.strategy", wit.KindClassName, wit.Medium,
			setting.Is(subjectPackage+"TopicNameStrategy"), "How subjects of "+what+"s are named: by "+
				"TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy.")
	}
	t.Declare(
		flag("auto.register.schemas", wit.Medium, "true", "Register schemas that the registry does not know. Where "+
			"not, they are looked up."),
		flag("use.latest.version", wit.Low, "false", "Write by the newest schema of the subject, where schemas are "+
			"not registered."),
		flag("normalize.schemas", wit.Low, "false", "Have the registry normalize schemas before it compares them."),
		setting.Spec("use.schema.id", wit.KindInt, wit.Low, setting.Is("-1"), "Write by the schema of this id, where "+
			"schemas are not registered; -1: by none."),
		subject("key"), subject("value"),
		setting.Spec("schemas.cache.config", wit.KindInt, wit.Low, setting.Is("1000"),
			"How many schemas are kept in each direction."),
	)
	// What Confluent's serializers do besides: without it values would be laid out otherwise, or go out without the
	// rules, such as those that encrypt fields, that a user believes in force. A schema that has such is refused
	// when a value is to be written or read by it.
	const prefixed = "io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer"
	for n, what := range []string{"key", "value"} {
		t.Later(setting.Spec(idSerializers[n], wit.KindClassName, wit.Low, setting.Is(prefixed),
			"Where the ids of "+what+"s' schemas are written: in front of the "+what+". They are read there and in "+
				"headers."), prefixed)
	}
	// harmless is Confluent's default, which files that were generated write out.
	later := func(name, harmless, documentation string, rules ...wit.Rule) {
		t.Later(setting.Spec(name, wit.KindText, wit.Low, nil, documentation, rules...), harmless)
	}
	later("rule.executors", "", "Rules of schemas to run with each value.")
	later("use.latest.with.metadata", "", "Write by the newest schema of the subject that has these metadata.")
	later("proxy.host", "", "Host of an HTTP proxy in front of the registry.",
		setting.Alias("schema.registry.proxy.host"))
	later("proxy.port", "-1", "Its port.", setting.Alias("schema.registry.proxy.port"))
	return t
}

func avroSettings() *setting.Table {
	t := registeredSettings()
	t.Declare(
		flag("enhanced.avro.schema.support", wit.Medium, "false",
			"Keep enumerations apart from texts, and packages of records apart from each other."),
		flag("connect.meta.data", wit.Low, "true",
			"Add Kafka Connect's own attributes of schemas (connect.name, connect.version, …) to those of Avro."),
		flag("scrub.invalid.names", wit.Low, "false", "Replace in names what Avro does not allow there."),
		flag("allow.optional.map.keys", wit.Low, "false", "Write maps whose keys are optional as maps, too."),
		flag("flatten.singleton.unions", wit.Low, "true", "Read a union of one type as that type."),
		flag("ignore.default.for.nullables", wit.Low, "false", "Write null as null where the field has a default."),
		flag("latest.compatibility.strict", wit.Low, "true", "Makes no difference here: the newest schema of "+
			"use.latest.version has to lay values out as that of the record does, also with false, where Confluent's "+
			"serializer writes by it without looking."),
	)
	for _, name := range []string{"generalized.sum.type.support", "discard.type.doc.default"} {
		t.Later(flag(name, wit.Low, "false", "Of Confluent's converter."), "false")
	}
	return t
}

func jsonSettings() *setting.Table {
	return setting.Of(
		flag("schemas.enable", wit.High, "true", "Include schemas within each of the serialized values and keys.",
			shownAt("Schemas", 0, "Enable Schemas")...),
		setting.Spec("schemas.cache.size", wit.KindInt, wit.High, setting.Is("1000"), "The maximum number of schemas "+
			"that can be cached in this converter instance.", shownAt("Schemas", 1, "Schema Cache Size")...),
		setting.Spec("schema.content", wit.KindText, wit.High, nil, "When set, this is used as the schema for all "+
			"messages, and the schemas within each of the message will be ignored.Otherwise, the schema will be "+
			"included in the content of each message. This configuration applies only 'schemas.enable' is true, and "+
			"it exclusively affects the sink connector.", shownAt("Schemas", 2, "Schema Content")...),
		setting.Spec("decimal.format", wit.KindText, wit.Low, setting.Is("BASE64"), "Controls which format this "+
			"converter will serialize decimals in. This value is case insensitive and can be either 'BASE64' "+
			"(default) or 'NUMERIC'", append(shownAt("Serialization", 0, "Decimal Format"),
			setting.Allowed("BASE64", "NUMERIC"))...),
		flag("replace.null.with.default", wit.Low, "true", "Whether to replace fields that have a default value and "+
			"that are null to the default value. When set to true, the default value is used, otherwise null is used.",
			shownAt("Serialization", 1, "Replace null with default")...),
	)
}

func stringSettings() *setting.Table {
	encoding := func(name, documentation string) wit.SettingSpec {
		return setting.Spec(name, wit.KindText, wit.Low, nil, documentation)
	}
	return setting.Of(
		setting.Spec("converter.encoding", wit.KindText, wit.High, setting.Is("UTF-8"), "The name of the Java "+
			"character set to use for encoding strings as byte arrays.", shownAt("", 0, "Encoding")...),
		encoding("key.serializer.encoding", "Character set of written keys, instead of converter.encoding."),
		encoding("value.serializer.encoding", "Character set of written values, instead of converter.encoding."),
		encoding("key.deserializer.encoding", "Character set of read keys, instead of converter.encoding."),
		encoding("value.deserializer.encoding", "Character set of read values, instead of converter.encoding."),
	)
}
