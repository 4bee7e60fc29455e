// Package chain is Kafka Connect's transforms and predicates, compiled: adjacent stages become one plan for each topic
// and schema, which skips and copies bytes. The plugin smt exports it; nothing here knows of WebAssembly, so it is
// tested as it is.
package chain

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Classes of the components, as Kafka Connect names them.
const (
	pkg                  = "org.apache.kafka.connect.transforms."
	ClassInsertKey       = pkg + "InsertField$Key"
	ClassInsertValue     = pkg + "InsertField$Value"
	ClassReplaceKey      = pkg + "ReplaceField$Key"
	ClassReplaceValue    = pkg + "ReplaceField$Value"
	ClassRegexRouter     = pkg + "RegexRouter"
	ClassDropHeaders     = pkg + "DropHeaders"
	ClassExtractKey      = pkg + "ExtractField$Key"
	ClassExtractValue    = pkg + "ExtractField$Value"
	ClassHoistKey        = pkg + "HoistField$Key"
	ClassHoistValue      = pkg + "HoistField$Value"
	ClassMetadataKey     = pkg + "SetSchemaMetadata$Key"
	ClassMetadataValue   = pkg + "SetSchemaMetadata$Value"
	ClassFilter          = pkg + "Filter"
	ClassInsertHeader    = pkg + "InsertHeader"
	ClassMaskKey         = pkg + "MaskField$Key"
	ClassMaskValue       = pkg + "MaskField$Value"
	ClassCastKey         = pkg + "Cast$Key"
	ClassCastValue       = pkg + "Cast$Value"
	ClassFlattenKey      = pkg + "Flatten$Key"
	ClassFlattenValue    = pkg + "Flatten$Value"
	ClassHeaderFromKey   = pkg + "HeaderFrom$Key"
	ClassHeaderFromValue = pkg + "HeaderFrom$Value"
	ClassValueToKey      = pkg + "ValueToKey"
	ClassTimestampKey    = pkg + "TimestampConverter$Key"
	ClassTimestampValue  = pkg + "TimestampConverter$Value"
	ClassTimestampRouter = pkg + "TimestampRouter"
	ClassHasHeaderKey    = pkg + "predicates.HasHeaderKey"
	ClassIsTombstone     = pkg + "predicates.RecordIsTombstone"
	ClassTopicNameMatch  = pkg + "predicates.TopicNameMatches"
)

// Classes of transforms that Kafka Connect has none of.
const (
	own                = "org.culvert.transforms."
	ClassSplit         = own + "Split"
	ClassUnwrapKey     = own + "Unwrap$Key"
	ClassUnwrapValue   = own + "Unwrap$Value"
	ClassCoalesceKey   = own + "Coalesce$Key"
	ClassCoalesceValue = own + "Coalesce$Value"
	ClassToTombstone   = own + "ToTombstone"
)

// Classes of errors, as Kafka Connect's own classes throw them.
const (
	connectException       = "org.apache.kafka.connect.errors.ConnectException"
	dataException          = "org.apache.kafka.connect.errors.DataException"
	schemaBuilderException = "org.apache.kafka.connect.errors.SchemaBuilderException"
	classCastException     = "java.lang.ClassCastException"
	illegalArgument        = "java.lang.IllegalArgumentException"
	nullPointer            = "java.lang.NullPointerException"
	indexOutOfBounds       = "java.lang.IndexOutOfBoundsException"
	invalidTopicException  = "org.apache.kafka.common.errors.InvalidTopicException"
)

// component is a transform or predicate that chains are made of.
type component struct {
	name, doc string
	kind      wit.ComponentKind
	specs     []wit.SettingSpec
	// transform or predicate makes one with settings; the other is nil.
	transform func(settings) (operation, *wit.Fault)
	predicate func(settings) (condition, *wit.Fault)
}

// components in the order in which describe lists them.
var components = []component{
	{ClassCastKey, "Cast fields or the entire key to a specific type, e.g. to force an integer field to a smaller " +
		"width. Cast from integers, floats, boolean and string to any other type, and cast binary to " +
		"string (base64 encoded).",
		wit.ComponentTransformation, castSpecs, newCast(keySide), nil},
	{ClassCastValue, "Cast fields or the entire value to a specific type, e.g. to force an integer field to a " +
		"smaller width. Cast from integers, floats, boolean and string to any other type, and cast binary to " +
		"string (base64 encoded).",
		wit.ComponentTransformation, castSpecs, newCast(valueSide), nil},
	{ClassDropHeaders, "Removes one or more headers from each record.", wit.ComponentTransformation, dropHeadersSpecs,
		newDropHeaders, nil},
	{ClassExtractKey, "Extract the specified field from a Struct when schema present, or a Map in the case of " +
		"schemaless data, as the record's key. Any null values are passed through unmodified.",
		wit.ComponentTransformation, extractSpecs, newExtract(keySide), nil},
	{ClassExtractValue, "Extract the specified field from a Struct when schema present, or a Map in the case of " +
		"schemaless data, as the record's value. Any null values are passed through unmodified.",
		wit.ComponentTransformation, extractSpecs, newExtract(valueSide), nil},
	{ClassFilter, "Drops all records, filtering them from subsequent transformations in the chain. This is intended " +
		"to be used conditionally to filter out records matching (or not matching) a particular predicate.",
		wit.ComponentTransformation, nil, newFilter, nil},
	{ClassFlattenKey, "Flatten a nested data structure of the record's key, generating names for each field by " +
		"concatenating the field names at each level with a configurable delimiter character. Applies to Struct when " +
		"schema present, or a Map in the case of schemaless data. Array fields and their contents are not modified.",
		wit.ComponentTransformation, flattenSpecs, newFlatten(keySide), nil},
	{ClassFlattenValue, "Flatten a nested data structure of the record's value, generating names for each field by " +
		"concatenating the field names at each level with a configurable delimiter character. Applies to Struct when " +
		"schema present, or a Map in the case of schemaless data. Array fields and their contents are not modified.",
		wit.ComponentTransformation, flattenSpecs, newFlatten(valueSide), nil},
	{ClassHeaderFromKey, "Moves or copies fields in the key of a record into that record's headers. Corresponding " +
		"elements of <code>fields</code> and <code>headers</code> together identify a field and the header it " +
		"should be moved or copied to.",
		wit.ComponentTransformation, headerFromSpecs, newHeaderFrom(keySide), nil},
	{ClassHeaderFromValue, "Moves or copies fields in the value of a record into that record's headers. " +
		"Corresponding elements of <code>fields</code> and <code>headers</code> together identify a field and the " +
		"header it should be moved or copied to.",
		wit.ComponentTransformation, headerFromSpecs, newHeaderFrom(valueSide), nil},
	{ClassHoistKey, "Wrap the record's key using the specified field name in a Struct when schema present, or a Map " +
		"in the case of schemaless data.",
		wit.ComponentTransformation, hoistSpecs, newHoist(keySide), nil},
	{ClassHoistValue, "Wrap the record's value using the specified field name in a Struct when schema present, or a " +
		"Map in the case of schemaless data.",
		wit.ComponentTransformation, hoistSpecs, newHoist(valueSide), nil},
	{ClassInsertKey, "Insert field(s) using attributes from the record metadata or a configured static " +
		"value, into the record's key.",
		wit.ComponentTransformation, insertSpecs, newInsert(keySide), nil},
	{ClassInsertValue, "Insert field(s) using attributes from the record metadata or a configured static value, " +
		"into the record's value.",
		wit.ComponentTransformation, insertSpecs, newInsert(valueSide), nil},
	{ClassInsertHeader, "Add a header to each record.", wit.ComponentTransformation, insertHeaderSpecs, newInsertHeader,
		nil},
	{ClassMaskKey, "Mask specified fields of the record's key with a valid null value for the field type (i.e. 0, " +
		"false, empty string, and so on). For numeric and string fields, an optional replacement value can be " +
		"specified that is converted to the correct type.",
		wit.ComponentTransformation, maskSpecs, newMask(keySide), nil},
	{ClassMaskValue, "Mask specified fields of the record's value with a valid null value for the field type (i.e. " +
		"0, false, empty string, and so on). For numeric and string fields, an optional replacement value can be " +
		"specified that is converted to the correct type.",
		wit.ComponentTransformation, maskSpecs, newMask(valueSide), nil},
	{ClassRegexRouter, "Update the record topic using the configured regular expression and replacement string. The " +
		"expression must match the whole topic; its syntax, and that of the replacement, are Java's.",
		wit.ComponentTransformation, routerSpecs, newRouter, nil},
	{ClassReplaceKey, "Filter or rename fields of the record's key.", wit.ComponentTransformation, replaceSpecs,
		newReplace(keySide), nil},
	{ClassReplaceValue, "Filter or rename fields of the record's value.", wit.ComponentTransformation, replaceSpecs,
		newReplace(valueSide), nil},
	{ClassMetadataKey, "Set the schema name, version or both on the schema of the record's key.",
		wit.ComponentTransformation, metadataSpecs, newMetadata(keySide), nil},
	{ClassMetadataValue, "Set the schema name, version or both on the schema of the record's value.",
		wit.ComponentTransformation, metadataSpecs, newMetadata(valueSide), nil},
	{ClassTimestampKey, "Convert timestamps between different formats such as Unix epoch, strings, and Connect " +
		"Date/Timestamp types. Applies to individual fields or to the entire value.",
		wit.ComponentTransformation, timestampSpecs, newTimestampConverter(keySide), nil},
	{ClassTimestampValue, "Convert timestamps between different formats such as Unix epoch, strings, and Connect " +
		"Date/Timestamp types. Applies to individual fields or to the entire value.",
		wit.ComponentTransformation, timestampSpecs, newTimestampConverter(valueSide), nil},
	{ClassTimestampRouter, "Update the record's topic field as a function of the original topic value " +
		"and the record timestamp.",
		wit.ComponentTransformation, stampSpecs, newStampRouter, nil},
	{ClassValueToKey, "Replace the record key with a new key formed from a subset of fields in the record value.",
		wit.ComponentTransformation, valueToKeySpecs, newValueToKey, nil},
	{ClassSplit, "Make a record of each item of an array field of the record's value. Key, topic, headers and time " +
		"are those of the record; ValueToKey behind it gives each part a key of its own.",
		wit.ComponentTransformation, splitSpecs, newSplit, nil},
	{ClassUnwrapKey, "Put the arrays of expanded feeds of the record's key in the place of the structures that " +
		"OData's JSON has around them.",
		wit.ComponentTransformation, unwrapSpecs, newUnwrap(keySide), nil},
	{ClassUnwrapValue, "Put the arrays of expanded feeds of the record's value in the place of the structures that " +
		"OData's JSON has around them.",
		wit.ComponentTransformation, unwrapSpecs, newUnwrap(valueSide), nil},
	{ClassCoalesceKey, "Make a field of the record's key the first of several that is not null.",
		wit.ComponentTransformation, coalesceSpecs, newCoalesce(keySide), nil},
	{ClassCoalesceValue, "Make a field of the record's value the first of several that is not null.",
		wit.ComponentTransformation, coalesceSpecs, newCoalesce(valueSide), nil},
	{ClassToTombstone, "Make a tombstone of a record that says that an entity was deleted, as the OData source " +
		"writes it with deletes=record.",
		wit.ComponentTransformation, tombstoneSpecs, newToTombstone, nil},
	{ClassHasHeaderKey, "A predicate which is true for records with at least one header with the configured name.",
		wit.ComponentPredicate, headerKeySpecs, nil, newHasHeader},
	{ClassIsTombstone, "A predicate which is true for records which are tombstones (i.e. have null value).",
		wit.ComponentPredicate, nil, nil, newTombstone},
	{ClassTopicNameMatch, "A predicate which is true for records with a topic name that matches the " +
		"configured regular expression.",
		wit.ComponentPredicate, topicNameSpecs, nil, newTopicName},
}

// alias is the short name of a component: the part of the class behind its package.
func (c *component) alias() string { return c.name[strings.LastIndexByte(c.name, '.')+1:] }

// find returns a component by name or alias, nil if there is none.
func find(name string) *component {
	for i := range components {
		if c := &components[i]; c.name == name || c.alias() == name {
			return c
		}
	}
	return nil
}

// Components describes what chains can be made of.
func Components() []wit.Component {
	list := make([]wit.Component, len(components))
	for i := range components {
		c := &components[i]
		list[i] = wit.Component{Name: c.name, Kind: c.kind, Aliases: []string{c.alias()}, Documentation: c.doc,
			Settings: c.specs}
	}
	return list
}

// Examine checks a component's settings as Kafka's ConfigDef, the class's own validators and its configure do. What
// configure refuses in no setting's name is a fault without one.
func Examine(name string, given []wit.Setting) ([]wit.Examined, *wit.Fault) {
	c := find(name)
	if c == nil {
		return nil, fail("", "unknown component "+strconv.Quote(name))
	}
	table := setting.Of(c.specs...)
	table.Check.Empty = true // for Kafka what is required may be empty
	list := table.Examine(given)
	if setting.First(list) != nil {
		return list, nil
	}
	if err := c.check(settings{given}); err != nil {
		if err.Setting == nil {
			return nil, err
		}
		setting.Complain(list, *err.Setting, err.Message)
	}
	return list, nil
}

func (c *component) check(s settings) *wit.Fault {
	var err *wit.Fault
	if c.transform != nil {
		_, err = c.transform(s)
	} else {
		_, err = c.predicate(s)
	}
	return err
}

// fail makes a fault of kind config.
func fail(setting, message string) *wit.Fault {
	f := &wit.Fault{Kind: wit.FaultConfig, Message: message}
	if setting != "" {
		f.Setting = &setting
	}
	return f
}

func invalid(name, value, why string) *wit.Fault {
	return fail(name, setting.Invalid(name, value, why))
}

// settings reads values as Kafka's ConfigDef does.
type settings struct{ given []wit.Setting }

// find returns a setting; of one that is there twice the last counts.
func (s settings) find(name string) (string, bool) { return noDefaults.Values(s.given).Given(name) }

// noDefaults declares nothing: the components know their defaults.
var noDefaults setting.Table

// needed returns a setting without a default.
func (s settings) needed(name string) (string, *wit.Fault) {
	text, ok := s.find(name)
	if !ok {
		return "", fail(name, setting.Missing(name))
	}
	return text, nil
}

// boolean reads a flag; the default of all of them here is true. Of 1 and 0, which our own settings take, Kafka's
// classes take none.
func (s settings) boolean(name string) (bool, *wit.Fault) {
	text, ok := s.find(name)
	if !ok {
		return true, nil
	}
	switch {
	case strings.EqualFold(text, "true"):
		return true, nil
	case strings.EqualFold(text, "false"):
		return false, nil
	}
	return false, invalid(name, s.asGiven(name), "Expected value to be either true or false")
}

// asGiven is a setting with the blanks around it, which Kafka repeats where it is of another type than expected.
func (s settings) asGiven(name string) string {
	for _, one := range slices.Backward(s.given) {
		if one.Name == name {
			return one.Value
		}
	}
	return ""
}

// list reads texts between commas, without the blanks around them.
func (s settings) list(name string) []string {
	text, _ := s.find(name)
	return setting.List(text)
}

// spec declares a setting with a default, or of type text without a value.
func spec(name string, kind wit.SettingKind, value *string, doc string) wit.SettingSpec {
	return setting.Spec(name, kind, wit.Medium, value, doc)
}

// needs declares a setting of type text without a default.
func needs(name string, importance wit.Importance, doc string) wit.SettingSpec {
	return setting.Spec(name, wit.KindText, importance, nil, doc, setting.Required())
}

// needsList declares a setting of type list without a default.
func needsList(name, doc string) wit.SettingSpec {
	s := needs(name, wit.High, doc)
	s.Kind = wit.KindListOfText
	return s
}

var replaceNullSpec = spec("replace.null.with.default", wit.KindBoolean, wit.Ptr("true"),
	"Whether to replace fields that have a default value and that are null to the default value. When set to true, "+
		"the default value is used, otherwise null is used.")
