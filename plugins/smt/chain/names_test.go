package chain

// Packages of the classes.
const (
	kafkaPackage = "org.apache.kafka.connect.transforms."
	ownPackage   = "org.culvert.transforms."
)

// Classes of Kafka Connect.
const (
	ClassInsertKey       = kafkaPackage + "InsertField$Key"
	ClassInsertValue     = kafkaPackage + "InsertField$Value"
	ClassReplaceKey      = kafkaPackage + "ReplaceField$Key"
	ClassReplaceValue    = kafkaPackage + "ReplaceField$Value"
	ClassRegexRouter     = kafkaPackage + "RegexRouter"
	ClassDropHeaders     = kafkaPackage + "DropHeaders"
	ClassExtractKey      = kafkaPackage + "ExtractField$Key"
	ClassExtractValue    = kafkaPackage + "ExtractField$Value"
	ClassHoistKey        = kafkaPackage + "HoistField$Key"
	ClassHoistValue      = kafkaPackage + "HoistField$Value"
	ClassMetadataKey     = kafkaPackage + "SetSchemaMetadata$Key"
	ClassMetadataValue   = kafkaPackage + "SetSchemaMetadata$Value"
	ClassFilter          = kafkaPackage + "Filter"
	ClassInsertHeader    = kafkaPackage + "InsertHeader"
	ClassMaskKey         = kafkaPackage + "MaskField$Key"
	ClassMaskValue       = kafkaPackage + "MaskField$Value"
	ClassCastKey         = kafkaPackage + "Cast$Key"
	ClassCastValue       = kafkaPackage + "Cast$Value"
	ClassFlattenKey      = kafkaPackage + "Flatten$Key"
	ClassFlattenValue    = kafkaPackage + "Flatten$Value"
	ClassHeaderFromKey   = kafkaPackage + "HeaderFrom$Key"
	ClassHeaderFromValue = kafkaPackage + "HeaderFrom$Value"
	ClassValueToKey      = kafkaPackage + "ValueToKey"
	ClassTimestampKey    = kafkaPackage + "TimestampConverter$Key"
	ClassTimestampValue  = kafkaPackage + "TimestampConverter$Value"
	ClassTimestampRouter = kafkaPackage + "TimestampRouter"
	ClassHasHeaderKey    = kafkaPackage + "predicates.HasHeaderKey"
	ClassIsTombstone     = kafkaPackage + "predicates.RecordIsTombstone"
	ClassTopicNameMatch  = kafkaPackage + "predicates.TopicNameMatches"
)

// Classes that only Culvert has.
const (
	ClassSplit         = ownPackage + "Split"
	ClassUnwrapKey     = ownPackage + "Unwrap$Key"
	ClassUnwrapValue   = ownPackage + "Unwrap$Value"
	ClassCoalesceKey   = ownPackage + "Coalesce$Key"
	ClassCoalesceValue = ownPackage + "Coalesce$Value"
	ClassToTombstone   = ownPackage + "ToTombstone"
)
