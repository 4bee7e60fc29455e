package transforms

import (
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit"
)

const (
	kafkaPackage   = "org.apache.kafka.connect.transforms."
	culvertPackage = "org.culvert.transforms." // of the transforms that Kafka Connect does not have
)

// class describes a transform or predicate by the name of its Java class.
type class struct {
	name string
	doc  string
	keys []wit.ConfigKey
	// One of the following creates it. perTarget creates two classes, $Key and $Value; then doc contains {target}.
	transform func(Settings) (Operation, *wit.Error)
	perTarget func(record.Target, Settings) (Operation, *wit.Error)
	predicate func(Settings) (Predicate, *wit.Error)
}

// classes lists the transforms and then the predicates, each by class name, as the plugin describes them.
var classes = []class{
	{name: kafkaPackage + "Cast", keys: castKeys, perTarget: newCast,
		doc: "Cast fields or the entire {target} to a specific type, e.g. to force an integer field to a smaller " +
			"width. Cast from integers, floats, boolean and string to any other type, and cast binary to string " +
			"(base64 encoded)."},
	{name: kafkaPackage + "DropHeaders", keys: dropHeadersKeys, transform: newDropHeaders,
		doc: "Removes one or more headers from each record."},
	{name: kafkaPackage + "ExtractField", keys: extractFieldKeys, perTarget: newExtractField,
		doc: "Extract the specified field from a Struct when schema present, or a Map in the case of schemaless " +
			"data, as the record's {target}. Any null values are passed through unmodified."},
	{name: kafkaPackage + "Filter", transform: func(Settings) (Operation, *wit.Error) { return Filter{}, nil },
		doc: "Drops all records, filtering them from subsequent transformations in the chain. This is intended " +
			"to be used conditionally to filter out records matching (or not matching) a particular predicate."},
	{name: kafkaPackage + "Flatten", keys: flattenKeys, perTarget: newFlatten,
		doc: "Flatten a nested data structure of the record's {target}, generating names for each field by " +
			"concatenating the field names at each level with a configurable delimiter character. Applies to " +
			"Struct when schema present, or a Map in the case of schemaless data. Array fields and their " +
			"contents are not modified."},
	{name: kafkaPackage + "HeaderFrom", keys: headerFromKeys, perTarget: newHeaderFrom,
		doc: "Moves or copies fields in the {target} of a record into that record's headers. Corresponding " +
			"elements of <code>fields</code> and <code>headers</code> together identify a field and the header " +
			"it should be moved or copied to."},
	{name: kafkaPackage + "HoistField", keys: hoistFieldKeys, perTarget: newHoistField,
		doc: "Wrap the record's {target} using the specified field name in a Struct when schema present, or a Map " +
			"in the case of schemaless data."},
	{name: kafkaPackage + "InsertField", keys: insertFieldKeys, perTarget: newInsertField,
		doc: "Insert field(s) using attributes from the record metadata or a configured static value, into the " +
			"record's {target}."},
	{name: kafkaPackage + "InsertHeader", keys: insertHeaderKeys, transform: newInsertHeader,
		doc: "Add a header to each record."},
	{name: kafkaPackage + "MaskField", keys: maskFieldKeys, perTarget: newMaskField,
		doc: "Mask specified fields of the record's {target} with a valid null value for the field type (i.e. 0, " +
			"false, empty string, and so on). For numeric and string fields, an optional replacement value can " +
			"be specified that is converted to the correct type."},
	{name: kafkaPackage + "RegexRouter", keys: regexRouterKeys, transform: newRegexRouter,
		doc: "Update the record topic using the configured regular expression and replacement string. The " +
			"expression must match the whole topic; its syntax, and that of the replacement, are Java's."},
	{name: kafkaPackage + "ReplaceField", keys: replaceFieldKeys, perTarget: newReplaceField,
		doc: "Filter or rename fields of the record's {target}."},
	{name: kafkaPackage + "SetSchemaMetadata", keys: setSchemaMetadataKeys, perTarget: newSetSchemaMetadata,
		doc: "Set the schema name, version or both on the schema of the record's {target}."},
	{name: kafkaPackage + "TimestampConverter", keys: timestampConverterKeys,
		perTarget: newTimestampConverter,
		doc: "Convert timestamps between different formats such as Unix epoch, strings, and Connect " +
			"Date/Timestamp types. Applies to individual fields or to the entire value."},
	{name: kafkaPackage + "TimestampRouter", keys: timestampRouterKeys, transform: newTimestampRouter,
		doc: "Update the record's topic field as a function of the original topic value and the record " +
			"timestamp."},
	{name: kafkaPackage + "ValueToKey", keys: valueToKeyKeys, transform: newValueToKey,
		doc: "Replace the record key with a new key formed from a subset of fields in the record value."},
	{name: culvertPackage + "Coalesce", keys: coalesceKeys, perTarget: newCoalesce,
		doc: "Set a field of the record's {target} to the first of several fields that is not null."},
	{name: culvertPackage + "Split", keys: splitKeys, transform: newSplit,
		doc: "Create a record from each item of an array in the record's value. Key, topic, headers and " +
			"timestamp are copied; use ValueToKey after it for keys of the new records."},
	{name: culvertPackage + "ToTombstone", keys: toTombstoneKeys, transform: newToTombstone,
		doc: "Create a tombstone from a record that reports a deletion, as the OData source writes it with " +
			"deletes=record."},
	{name: culvertPackage + "Unwrap", keys: unwrapKeys, perTarget: newUnwrap,
		doc: "Replace the structs that OData's JSON puts around expanded feeds in the record's {target} by their " +
			"arrays."},
	{name: kafkaPackage + "predicates.HasHeaderKey", keys: hasHeaderKeyKeys, predicate: newHasHeaderKey,
		doc: "A predicate which is true for records with at least one header with the configured name."},
	{name: kafkaPackage + "predicates.RecordIsTombstone",
		predicate: func(Settings) (Predicate, *wit.Error) { return RecordIsTombstone{}, nil },
		doc:       "A predicate which is true for records which are tombstones (i.e. have null value)."},
	{name: kafkaPackage + "predicates.TopicNameMatches", keys: topicNameMatchesKeys,
		predicate: newTopicNameMatches,
		doc: "A predicate which is true for records with a topic name that matches the configured regular " +
			"expression."},
}
