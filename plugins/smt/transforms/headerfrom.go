package transforms

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

var headerFromKeys = []wit.ConfigKey{
	requiredListKey("fields", "Field names in the record whose values are to be copied or moved to headers."),
	requiredListKey("headers", "Header names, in the same order as the field names listed in the fields "+
		"configuration property."),
	requiredKey("operation", wit.High,
		"Either <code>move</code> if the fields are to be moved to the headers (removed "+
			"from the key/value), or <code>copy</code> if the fields are to be copied to the headers "+
			"(retained in the key/value)."),
	replaceNullKey,
}

// HeaderFrom copies or moves fields of the key or value to headers.
type HeaderFrom struct {
	FieldOptions
	fields  []string
	headers []string
	move    bool // removes the fields
}

func newHeaderFrom(target record.Target, values Settings) (Operation, *wit.Error) {
	transform := &HeaderFrom{FieldOptions: FieldOptions{Target: target, RejectNull: true}}
	for _, option := range []struct {
		name string
		list *[]string
	}{{"fields", &transform.fields}, {"headers", &transform.headers}} {
		if _, err := values.Required(option.name); err != nil {
			return nil, err
		}
		if *option.list = values.List(option.name); len(*option.list) == 0 {
			return nil, invalidSetting(option.name, "[]", "Empty list")
		}
	}
	mode, err := values.Required("operation")
	if err != nil {
		return nil, err
	}
	if mode = setting.Trim(mode); mode != "move" && mode != "copy" {
		return nil, invalidSetting("operation", mode, "String must be one of: move, copy")
	}
	transform.move = mode == "move"
	transform.KeepObject = mode == "copy"
	transform.Purpose = "header " + mode
	if err = transform.configure(values); err != nil {
		return nil, err
	}
	if len(transform.fields) != len(transform.headers) {
		return nil, settingError("headers",
			"'fields' config must have the same number of elements as 'headers' config.")
	}
	return transform, nil
}

func (h *HeaderFrom) Apply(obj *record.Object, step Step) *record.Failure {
	obj.Load(step.Stage)
	if !h.move { // a copy does not change the fields
		originalFields := slices.Clone(obj.Fields)
		wasChanged := obj.Changed
		failure := h.addHeaders(obj, step.Stage)
		obj.Fields = originalFields
		obj.Changed = wasChanged
		return failure
	}
	if failure := h.addHeaders(obj, step.Stage); failure != nil {
		return failure
	}
	if !obj.IsMap {
		obj.ResetRoot()
	}
	obj.Changed = obj.Changed || obj.IsMap
	obj.Fields = slices.DeleteFunc(obj.Fields, func(field record.Field) bool {
		return field.HasTextKey() && slices.Contains(h.fields, field.Name)
	})
	return nil
}

// addHeaders adds the fields to the headers of the object. It may change nulls of its fields.
func (h *HeaderFrom) addHeaders(obj *record.Object, stage int) *record.Failure {
	if h.ReplaceNull && !obj.IsMap {
		obj.ReplaceNulls(stage)
	}
	for i, name := range h.fields {
		field := obj.Find(name)
		switch {
		case field != nil:
			obj.Headers = append(obj.Headers, record.AddedHeader{Name: h.headers[i], Field: *field})
		case obj.IsMap:
			obj.Headers = append(obj.Headers, record.AddedHeader{Name: h.headers[i], Field: record.NullValue})
		default:
			return record.NewFailure(stage, record.NullPointerException,
				`Cannot invoke "org.apache.kafka.connect.data.Field.schema()" because the return value of `+
					`"org.apache.kafka.connect.data.Schema.field(String)" is null`)
		}
	}
	return nil
}
