package chain

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/smt/transforms"
	"github.com/culvert-project/culvert/wit"
)

// validation is a configuration of a component, and the beginnings of the errors by setting.
type validation struct {
	component string
	config    []wit.Setting
	want      map[string]string // nil means that the configuration is valid
}

// checkValidations validates each configuration.
func checkValidations(t *testing.T, validations []validation) {
	t.Helper()
	for _, test := range validations {
		values, err := transforms.Validate(test.component, test.config)
		assert.True(t, err == nil && len(values) == len(componentNamed(test.component).Settings),
			"%s: expected values of all settings, found %d, %v", test.component, len(values), err)
		for _, value := range values {
			got := strings.Join(value.Errors, "; ")
			want := test.want[value.Key.Name]
			assert.True(t, strings.HasPrefix(got, want) && (want == "") == (got == ""),
				"%s %v: %s: expected %q, found %q", test.component, test.config, value.Key.Name, want, got)
		}
	}
}

// failure returns the error of one setting.
func failure(setting, message string) map[string]string { return map[string]string{setting: message} }

// invalid returns the error of a value that a setting does not accept.
func invalid(setting, value, reason string) map[string]string {
	return failure(setting, "Invalid value "+value+" for configuration "+setting+": "+reason)
}

// invalidList returns the error of a list that a setting does not accept.
func invalidList(setting, reason string) map[string]string {
	return failure(setting, "Configuration '"+setting+"' "+reason)
}

// missing returns the errors of required settings.
func missing(settings ...string) map[string]string {
	errors := map[string]string{}
	for _, setting := range settings {
		errors[setting] = `Missing required configuration "` + setting + `" which has no default value.`
	}
	return errors
}

// Components reject settings with the messages of Kafka Connect.
func TestValidate(t *testing.T) {
	t.Run("field transforms are validated", checkFieldTransforms)
	t.Run("transforms of headers and topics are validated", checkHeaderAndTopicTransforms)
	t.Run("casts are validated", checkCasts)
	t.Run("timestamp transforms are validated", checkTimestampTransforms)
}

func checkFieldTransforms(t *testing.T) {
	backtick := func(path string) map[string]string {
		return failure("field", "Incomplete backtick pair in path: ["+path+"], consider adding a backslash before "+
			"backtick at position 2 to escape it")
	}
	checkValidations(t, []validation{
		{ClassInsertValue, pairs("topic.field", "t"), nil},
		{ClassInsertValue, pairs("static.field", "a"),
			invalid("static.value", "null", "No value specified for static field: a")},
		{"InsertField$Key", pairs("replace.null.with.default", "maybe"),
			invalid("replace.null.with.default", "maybe", "Expected value to be either true or false")},
		{ClassReplaceValue, pairs("renames", "a"), invalid("renames", "[a]", "Invalid rename mapping: a")},
		{ClassReplaceValue, pairs("renames", "a:b, c:d:e"),
			invalid("renames", "[a:b, c:d:e]", "Invalid rename mapping: c:d:e")},
		{ClassReplaceValue, pairs("renames", ""), nil},
		{ClassReplaceValue, pairs("exclude", "a,"), invalidList("exclude", "values must not be empty.")},
		{ClassReplaceKey, pairs("include", "a,,b"), invalidList("include", "values must not be empty.")},
		{ClassReplaceValue, pairs("exclude", "a,a"), invalidList("exclude", "values must not be duplicated.")},
		{ClassReplaceValue, pairs("exclude", "a", "replace.null.with.default", "1"),
			invalid("replace.null.with.default", "1", "Expected value to be either true or false")},
		{ClassValueToKey, nil, missing("fields")},
		{ClassValueToKey, pairs("fields", " "),
			invalidList("fields", "must not be empty. Valid values include: any non-empty value")},
		{ClassValueToKey, pairs("fields", "a,,b"), invalidList("fields", "values must not be empty.")},
		{ClassValueToKey, pairs("fields", "a, b,a "), invalidList("fields", "values must not be duplicated.")},
		{ClassExtractValue, nil, missing("field")},
		{ClassExtractKey, pairs("field", "a", "field.syntax.version", "v3"),
			invalid("field.syntax.version", "v3", "String must be one of (case insensitive): V1, V2")},
		{ClassExtractKey, pairs("field", "a.`b`c.d", "field.syntax.version", "v2"), backtick("a.`b`c.d")},
		{ClassExtractKey, pairs("field", "a.`b\\`", "field.syntax.version", "V2"), backtick("a.`b\\`")},
		{ClassHoistValue, nil, missing("field")},
		{ClassMetadataValue, pairs("schema.version", "x"), invalid("schema.version", "x", "Not a number of type INT")},
		{ClassMetadataValue, pairs("schema.version", "٣"), nil},
		{ClassMaskValue, nil, missing("fields")},
		{ClassMaskKey, pairs("fields", "a,,b"), invalidList("fields", "values must not be empty.")},
		{ClassMaskKey, pairs("fields", "a", "replacement", " "),
			invalid("replacement", "", "String must be non-empty")},
	})
}

// checkHeaderAndTopicTransforms also checks predicates.
func checkHeaderAndTopicTransforms(t *testing.T) {
	checkValidations(t, []validation{
		{ClassFilter, pairs("more", "x"), nil},
		{ClassRegexRouter, nil, missing("regex", "replacement")},
		{ClassRegexRouter, pairs("regex", "(", "replacement", ""), invalid("regex", "(", "Invalid regex: ")},
		{ClassRegexRouter, pairs("regex", "(.*)", "replacement", ""), nil},
		{ClassHeaderFromKey, pairs("fields", "", "headers", "h", "operation", "move"),
			invalid("fields", "[]", "Empty list")},
		{ClassHeaderFromValue, pairs("fields", "a", "headers", "h"), missing("operation")},
		{ClassHeaderFromValue, pairs("fields", "a", "headers", "h", "operation", "Move"),
			invalid("operation", "Move", "String must be one of: move, copy")},
		{ClassHeaderFromValue, pairs("fields", "a,b", "headers", "h", "operation", "copy"),
			failure("headers", "'fields' config must have the same number of elements as 'headers' config.")},
		{ClassDropHeaders, pairs("headers", ""),
			invalidList("headers", "must not be empty. Valid values include: any non-empty value")},
		{ClassDropHeaders, pairs("headers", "a,,"), invalidList("headers", "values must not be duplicated.")},
		{ClassInsertHeader, nil, missing("header", "value.literal")},
		{ClassInsertHeader, pairs("header", "", "value.literal", ""), nil},
		{ClassInsertHeader, pairs("header", "h", "value.literal", "1e5000"),
			invalid("value.literal", "1e5000", "a number that is too long")},
		{ClassInsertHeader, pairs("header", "h", "value.literal", strings.Repeat("[", 100000)),
			failure("value.literal", "Invalid value of 100000 characters")},
		{ClassHasHeaderKey, pairs("name", " "), invalid("name", "", "String must be non-empty")},
		{ClassIsTombstone, nil, nil},
		{ClassTopicNameMatch, pairs("pattern", "("), invalid("pattern", "(", "Invalid regex: ")},
	})
}

func checkCasts(t *testing.T) {
	checkValidations(t, []validation{
		{ClassCastKey, nil, missing("spec")},
		{ClassCastKey, pairs("spec", ""), failure("spec", "Must specify at least one field to cast.")},
		{ClassCastKey, pairs("spec", "a:b"),
			map[string]string{"spec": "Invalid value java.lang.IllegalArgumentException: No enum constant " +
				"org.apache.kafka.connect.data.Schema.Type.B for configuration Invalid type found in casting spec: b"}},
		{ClassCastKey, pairs("spec", "a:b:c"),
			failure("spec", "Invalid value [a:b:c] for configuration renames: Invalid rename mapping: a:b:c")},
		{ClassCastKey, pairs("spec", "a:bytes"),
			map[string]string{"spec": "Cast transformation does not support casting to BYTES; " +
				"supported types are [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING]"}},
		{ClassCastKey, pairs("spec", "int8,a:int8"),
			failure("spec", "Cast transformations that specify a type to cast the entire value to may only")},
		{ClassCastKey, pairs("spec", ":"),
			failure("spec", `expected a type, or a field and its type with a colon between, found ":"`)},
		{ClassCastKey, pairs("spec", "a:INT8,a:string,:int8"), nil},
	})
}

func checkTimestampTransforms(t *testing.T) {
	checkValidations(t, []validation{
		{ClassTimestampKey, pairs("field", "at"), missing("target.type")},
		{ClassTimestampValue, pairs("target.type", "timestamp"),
			invalid("target.type", "timestamp", "String must be one of: string, unix, Date, Time, Timestamp")},
		{ClassTimestampValue, pairs("target.type", ""),
			invalid("target.type", "", "String must be one of: string, unix, Date, Time, Timestamp")},
		{ClassTimestampValue, pairs("target.type", "string", "format", " "),
			failure("format", "TimestampConverter requires format option to be specified when using string "+
				"timestamps")},
		{ClassTimestampValue, pairs("target.type", "unix", "format", "bad-format"), map[string]string{
			"format": "Invalid value java.lang.IllegalArgumentException: Illegal pattern character 'b' for " +
				"configuration TimestampConverter requires " +
				"a SimpleDateFormat-compatible pattern for string timestamps: bad-format"}},
		{ClassTimestampValue, pairs("target.type", "unix", "unix.precision", "hours"), invalid("unix.precision",
			"hours", "String must be one of: nanoseconds, microseconds, milliseconds, seconds")},
		{ClassTimestampValue,
			pairs("target.type", " unix ", "unix.precision", " seconds ", "format", " yyyy ", "field", " at "), nil},
		{ClassTimestampRouter, nil, nil},
		{ClassTimestampRouter, pairs("timestamp.format", "yyyy-MM-dd'T'b"), nil}, // each record fails, as in Kafka
	})
}

// Problems of no single setting are errors of the configuration.
func TestValidateReportsProblemsOfNoSetting(t *testing.T) {
	for class, want := range map[string]string{
		ClassInsertKey:     "No field insertion configured",
		ClassMetadataValue: "Neither schema name nor version configured",
	} {
		_, err := transforms.Validate(class, nil)
		assert.True(t, err != nil && err.Message == want, "%s: expected %q, found %v", class, want, err)
	}
	_, err := transforms.Validate("X", nil)
	assert.True(t, err != nil, "expected an unknown component to be rejected")
}
