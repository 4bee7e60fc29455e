package chain

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// componentClass is a transform or predicate, or the two of them that do one thing to keys and to values.
type componentClass struct {
	name, doc string
	specs     []wit.ConfigKey
	// One of these makes it with settings. A sided one is two components: $Key and $Value stand after the name, and
	// "key" and "value" in the place of {side} in doc.
	transform func(settings) (operation, *wit.Error)
	sided     func(side, settings) (operation, *wit.Error)
	predicate func(settings) (condition, *wit.Error)
}

// Packages of the classes: Kafka Connect's, and that of transforms that Kafka Connect has none of.
const (
	pkg = "org.apache.kafka.connect.transforms."
	own = "org.culvert.transforms."
)

// classes in the order in which describe lists them.
var classes = []componentClass{
	{name: pkg + "Cast", specs: castSpecs, sided: newCast,
		doc: "Cast fields or the entire {side} to a specific type, e.g. to force an integer field to a smaller " +
			"width. Cast from integers, floats, boolean and string to any other type, and cast binary to string " +
			"(base64 encoded)."},
	{name: pkg + "DropHeaders", specs: dropHeadersSpecs, transform: newDropHeaders,
		doc: "Removes one or more headers from each record."},
	{name: pkg + "ExtractField", specs: extractSpecs, sided: newExtract,
		doc: "Extract the specified field from a Struct when schema present, or a Map in the case of schemaless " +
			"data, as the record's {side}. Any null values are passed through unmodified."},
	{name: pkg + "Filter", transform: newFilter,
		doc: "Drops all records, filtering them from subsequent transformations in the chain. This is intended " +
			"to be used conditionally to filter out records matching (or not matching) a particular predicate."},
	{name: pkg + "Flatten", specs: flattenSpecs, sided: newFlatten,
		doc: "Flatten a nested data structure of the record's {side}, generating names for each field by " +
			"concatenating the field names at each level with a configurable delimiter character. Applies to " +
			"Struct when schema present, or a Map in the case of schemaless data. Array fields and their " +
			"contents are not modified."},
	{name: pkg + "HeaderFrom", specs: headerFromSpecs, sided: newHeaderFrom,
		doc: "Moves or copies fields in the {side} of a record into that record's headers. Corresponding " +
			"elements of <code>fields</code> and <code>headers</code> together identify a field and the header " +
			"it should be moved or copied to."},
	{name: pkg + "HoistField", specs: hoistSpecs, sided: newHoist,
		doc: "Wrap the record's {side} using the specified field name in a Struct when schema present, or a Map " +
			"in the case of schemaless data."},
	{name: pkg + "InsertField", specs: insertSpecs, sided: newInsert,
		doc: "Insert field(s) using attributes from the record metadata or a configured static value, into the " +
			"record's {side}."},
	{name: pkg + "InsertHeader", specs: insertHeaderSpecs, transform: newInsertHeader,
		doc: "Add a header to each record."},
	{name: pkg + "MaskField", specs: maskSpecs, sided: newMask,
		doc: "Mask specified fields of the record's {side} with a valid null value for the field type (i.e. 0, " +
			"false, empty string, and so on). For numeric and string fields, an optional replacement value can " +
			"be specified that is converted to the correct type."},
	{name: pkg + "RegexRouter", specs: routerSpecs, transform: newRouter,
		doc: "Update the record topic using the configured regular expression and replacement string. The " +
			"expression must match the whole topic; its syntax, and that of the replacement, are Java's."},
	{name: pkg + "ReplaceField", specs: replaceSpecs, sided: newReplace,
		doc: "Filter or rename fields of the record's {side}."},
	{name: pkg + "SetSchemaMetadata", specs: metadataSpecs, sided: newMetadata,
		doc: "Set the schema name, version or both on the schema of the record's {side}."},
	{name: pkg + "TimestampConverter", specs: timestampSpecs, sided: newTimestampConverter,
		doc: "Convert timestamps between different formats such as Unix epoch, strings, and Connect " +
			"Date/Timestamp types. Applies to individual fields or to the entire value."},
	{name: pkg + "TimestampRouter", specs: stampSpecs, transform: newStampRouter,
		doc: "Update the record's topic field as a function of the original topic value and the record " +
			"timestamp."},
	{name: pkg + "ValueToKey", specs: valueToKeySpecs, transform: newValueToKey,
		doc: "Replace the record key with a new key formed from a subset of fields in the record value."},
	{name: own + "Split", specs: splitSpecs, transform: newSplit,
		doc: "Make a record of each item of an array field of the record's value. Key, topic, headers and time " +
			"are those of the record; ValueToKey after it gives each part a key of its own."},
	{name: own + "Unwrap", specs: unwrapSpecs, sided: newUnwrap,
		doc: "Put the arrays of expanded feeds of the record's {side} in the place of the structures that " +
			"OData's JSON has around them."},
	{name: own + "Coalesce", specs: coalesceSpecs, sided: newCoalesce,
		doc: "Make a field of the record's {side} the first of several that is not null."},
	{name: own + "ToTombstone", specs: tombstoneSpecs, transform: newToTombstone,
		doc: "Make a tombstone of a record that says that an entity was deleted, as the OData source writes it " +
			"with deletes=record."},
	{name: pkg + "predicates.HasHeaderKey", specs: headerKeySpecs, predicate: newHasHeader,
		doc: "A predicate which is true for records with at least one header with the configured name."},
	{name: pkg + "predicates.RecordIsTombstone", predicate: newTombstone,
		doc: "A predicate which is true for records which are tombstones (i.e. have null value)."},
	{name: pkg + "predicates.TopicNameMatches", specs: topicNameSpecs, predicate: newTopicName,
		doc: "A predicate which is true for records with a topic name that matches the configured regular " +
			"expression."},
}

// component is a transform or predicate that chains are made of.
type component struct {
	name, doc string
	kind      wit.ComponentKind
	specs     []wit.ConfigKey
	// transform or predicate makes one with settings; the other is nil.
	transform func(settings) (operation, *wit.Error)
	predicate func(settings) (condition, *wit.Error)
}

// components are those of all classes.
var components = func() (list []component) {
	for _, c := range classes {
		one := component{c.name, c.doc, wit.ComponentTransformation, c.specs, c.transform, c.predicate}
		switch {
		case c.predicate != nil:
			one.kind = wit.ComponentPredicate
			list = append(list, one)
		case c.sided == nil:
			list = append(list, one)
		default:
			for at, suffix := range [...]string{keySide: "$Key", valueSide: "$Value"} {
				one.name = c.name + suffix
				one.transform = func(s settings) (operation, *wit.Error) { return c.sided(side(at), s) }
				one.doc = strings.ReplaceAll(c.doc, "{side}", strings.ToLower(suffix[1:]))
				list = append(list, one)
			}
		}
	}
	return list
}()

// alias is the short name of a component: the part of the class after its package.
func (c *component) alias() string { return c.name[strings.LastIndexByte(c.name, '.')+1:] }

// componentOf returns a component by name or alias, nil if there is none.
func componentOf(name string) *component {
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
func Examine(name string, given []wit.Setting) ([]wit.ConfigValue, *wit.Error) {
	c := componentOf(name)
	if c == nil {
		return nil, fail("", "unknown component "+strconv.Quote(name))
	}
	table := setting.NewTable(c.specs...)
	table.Check.Empty = true // for Kafka what is required may be empty
	list := table.Validate(given)
	if setting.FirstError(list) != nil {
		return list, nil
	}
	if err := c.check(settings{given}); err != nil {
		if err.Setting == nil {
			return nil, err
		}
		setting.AddError(list, *err.Setting, err.Message)
	}
	return list, nil
}

func (c *component) check(s settings) *wit.Error {
	var err *wit.Error
	if c.transform != nil {
		_, err = c.transform(s)
	} else {
		_, err = c.predicate(s)
	}
	return err
}
