package chain

// Classes of the components, as Kafka Connect names them.
const (
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
	ClassSplit         = own + "Split"
	ClassUnwrapKey     = own + "Unwrap$Key"
	ClassUnwrapValue   = own + "Unwrap$Value"
	ClassCoalesceKey   = own + "Coalesce$Key"
	ClassCoalesceValue = own + "Coalesce$Value"
	ClassToTombstone   = own + "ToTombstone"
)
