package transforms

import (
	"strings"

	"github.com/culvert-project/culvert/internal/java/dateformat"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

var timestampConverterKeys = []wit.ConfigKey{
	setting.Define("field", wit.KindString, wit.High, wit.Ptr(""),
		"The field containing the timestamp, or empty if the entire value is a timestamp"),
	setting.Define("target.type", wit.KindString, wit.High, nil,
		"The desired timestamp representation: string, unix, Date, Time, or Timestamp",
		setting.Required(), setting.Allowed(timeTypeNames...)),
	optionalKey("format", wit.KindString, wit.Ptr(""),
		"A SimpleDateFormat-compatible format for the timestamp. Used to generate the output when type=string or used "+
			"to parse the input if the input is a string."),
	setting.Define("unix.precision", wit.KindString, wit.Low, wit.Ptr("milliseconds"),
		"The desired Unix precision for the timestamp: seconds, milliseconds, microseconds, or nanoseconds. Used to "+
			"generate the output when type=unix or used to parse the input if the input is a Long.Note: This SMT will "+
			"cause precision loss during conversions from, and to, values with sub-millisecond components.",
		setting.Allowed(precisionNames...)),
	replaceNullKey,
}

// timestampConverter converts the time in a field, or in the whole key or value, to another representation.
type timestampConverter struct {
	FieldOptions
	timeFormat
	field   string      // if empty, the whole key or value is converted
	entries record.Edit // of map entries, empty until the first map
}

func newTimestampConverter(target record.Target, values Settings) (Operation, *wit.Error) {
	options := FieldOptions{Target: target, Purpose: "converting timestamp formats", FieldAction: "list",
		ConvertNull: true, ConvertDefault: true}
	transform := &timestampConverter{FieldOptions: options,
		timeFormat: timeFormat{to: noTimeType, precision: milliseconds}}
	field, _ := values.Find("field")
	transform.field = setting.Trim(field)
	transform.Whole = transform.field == ""
	targetType, err := values.Required("target.type")
	if err != nil {
		return nil, err
	}
	targetType = setting.Trim(targetType)
	for i, name := range timeTypeNames {
		if name == targetType {
			transform.to = timeType(i)
		}
	}
	if transform.to == noTimeType {
		return nil, invalidSetting("target.type", targetType,
			"String must be one of: "+strings.Join(timeTypeNames, ", "))
	}
	if precision, isSet := values.Find("unix.precision"); isSet {
		var ok bool
		if transform.precision, ok = unixPrecisions[setting.Trim(precision)]; !ok {
			return nil, invalidSetting("unix.precision", setting.Trim(precision),
				"String must be one of: "+strings.Join(precisionNames, ", "))
		}
	}
	// Kafka checks each setting alone before combinations of settings.
	if err = transform.configure(values); err != nil {
		return nil, err
	}
	pattern, _ := values.Find("format")
	if transform.pattern = setting.Trim(pattern); transform.pattern != "" {
		var parseErr error
		if transform.format, parseErr = dateformat.Parse(transform.pattern); parseErr != nil {
			return nil, settingError("format", "Invalid value java.lang.IllegalArgumentException: "+parseErr.Error()+
				" for configuration TimestampConverter requires a SimpleDateFormat-compatible pattern "+
				"for string timestamps: "+transform.pattern)
		}
		transform.parser.Format = transform.format
	} else if transform.to == stringTime {
		return nil, settingError("format", "TimestampConverter requires format option to be specified when "+
			"using string timestamps")
	}
	return transform, nil
}

func (t *timestampConverter) Apply(obj *record.Object, step Step) *record.Failure {
	if t.Whole {
		return t.applyWhole(obj, step.Stage)
	}
	if obj.IsMap {
		if t.entries.Apply == nil { // an operation belongs to one stage
			t.entries = t.entryEdit(step.Stage)
		}
		names := []string{t.field}
		return obj.EditEntries(names, names, func(int) record.Edit { return t.entries }, step.Stage)
	}
	if t.ReplaceNull {
		obj.ReplaceNulls(step.Stage)
	}
	obj.KeepsSchema = false
	for i := range obj.Fields {
		field := &obj.Fields[i]
		if field.Name != t.field {
			continue
		}
		from := field.Schema()
		typ, failure := timeTypeOf(from, step.Stage)
		edit := t.edit(from, typ, step.Stage)
		switch {
		case failure != nil:
			obj.Fail(failure)
			edit = record.FailingEdit(failure)
		case from.Kind == wit.Int64 && from.DefaultValue == nil && t.sameBytes(typ):
			edit = record.Edit{} // same bytes
		}
		obj.ChangeType(field, t.resultType(from.Optional), edit, step.Stage)
	}
	return nil
}

func (t *timestampConverter) applyWhole(obj *record.Object, stage int) *record.Failure {
	field := &obj.Fields[0]
	class := obj.Class
	obj.Class = ""
	if obj.IsMap {
		obj.Edit(field, t.entryEdit(stage), stage)
		if obj.Pending != nil && class != "" { // the message names the class of the tag
			obj.Pending.Message = strings.Replace(obj.Pending.Message, record.TagJavaClasses[field.Bytes[0]], class, 1)
		}
		return nil
	}
	from := field.Schema()
	typ, failure := timeTypeOf(from, stage)
	if failure != nil {
		return failure
	}
	edit := t.edit(from, typ, stage)
	if class != "" {
		_, failure = t.millis(typ, nil, class, stage)
		edit = record.FailingEdit(failure) // a value of another class is no time
	}
	obj.Root = t.resultType(from.Optional)
	obj.ChangeType(field, obj.Root, edit, stage)
	return nil
}
