package fields

import "github.com/culvert-project/culvert/plugins/smt/operation"

// Classes lists the transforms of the package.
var Classes = []operation.Class{
	{Name: operation.KafkaPackage + "ExtractField", Keys: extractFieldKeys, PerTarget: newExtractField,
		Doc: "Extract the specified field from a Struct when schema present, or a Map in the case of schemaless " +
			"data, as the record's {target}. Any null values are passed through unmodified."},
	{Name: operation.KafkaPackage + "Flatten", Keys: flattenKeys, PerTarget: newFlatten,
		Doc: "Flatten a nested data structure of the record's {target}, generating names for each field by " +
			"concatenating the field names at each level with a configurable delimiter character. Applies to " +
			"Struct when schema present, or a Map in the case of schemaless data. Array fields and their " +
			"contents are not modified."},
	{Name: operation.KafkaPackage + "HeaderFrom", Keys: headerFromKeys, PerTarget: newHeaderFrom,
		Doc: "Moves or copies fields in the {target} of a record into that record's headers. Corresponding " +
			"elements of <code>fields</code> and <code>headers</code> together identify a field and the header " +
			"it should be moved or copied to."},
	{Name: operation.KafkaPackage + "InsertField", Keys: insertFieldKeys, PerTarget: newInsertField,
		Doc: "Insert field(s) using attributes from the record metadata or a configured static value, into the " +
			"record's {target}."},
	{Name: operation.KafkaPackage + "MaskField", Keys: maskFieldKeys, PerTarget: newMaskField,
		Doc: "Mask specified fields of the record's {target} with a valid null value for the field type (i.e. 0, " +
			"false, empty string, and so on). For numeric and string fields, an optional replacement value can " +
			"be specified that is converted to the correct type."},
	{Name: operation.KafkaPackage + "ReplaceField", Keys: replaceFieldKeys, PerTarget: newReplaceField,
		Doc: "Filter or rename fields of the record's {target}."},
	{Name: operation.KafkaPackage + "SetSchemaMetadata", Keys: setSchemaMetadataKeys, PerTarget: newSetSchemaMetadata,
		Doc: "Set the schema name, version or both on the schema of the record's {target}."},
	{Name: operation.KafkaPackage + "ValueToKey", Keys: valueToKeyKeys, Transform: newValueToKey,
		Doc: "Replace the record key with a new key formed from a subset of fields in the record value."},
	{Name: operation.CulvertPackage + "Unwrap", Keys: unwrapKeys, PerTarget: newUnwrap,
		Doc: "Replace the structs that OData's JSON puts around expanded feeds in the record's {target} by their " +
			"arrays."},
	{Name: operation.CulvertPackage + "Coalesce", Keys: coalesceKeys, PerTarget: newCoalesce,
		Doc: "Set a field of the record's {target} to the first of several fields that is not null."},
}
