package fields

import (
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/wit"
)

var valueToKeyKeys = []wit.ConfigKey{
	settings.RequiredListKey("fields", "Field names on the record value to extract as the record key."),
	settings.ReplaceNull,
}

// ValueToKey replaces the key by a struct or map of fields of the value.
type ValueToKey struct {
	operation.FieldOptions
	fields []string
}

func newValueToKey(values settings.Values) (operation.Operation, *wit.Error) {
	fields, err := values.RequiredList("fields")
	if err != nil {
		return nil, err
	}
	transform := &ValueToKey{fields: fields}
	transform.FieldOptions = operation.FieldOptions{Target: record.Value, Purpose: "copying fields from value to key",
		RejectNull: true, KeepObject: true}
	return transform, transform.Configure(values)
}

func (v *ValueToKey) Apply(obj *object.Object, step operation.Step) *rowerror.Failure {
	obj.Load(step.Stage)
	key := obj.NewKey()
	for _, name := range v.fields {
		field := obj.Find(name)
		switch {
		case field != nil && obj.IsMap:
			key.AddEntry(name, *field)
		case field != nil:
			key.Fields = append(key.Fields, *field)
		case obj.IsMap:
			key.AddEntry(name, object.NullValue)
		default:
			return rowerror.Data(step.Stage, "Field does not exist: "+name)
		}
	}
	obj.Key = key
	if v.ReplaceNull && !obj.IsMap && obj.Pending == nil {
		key.ReplaceNulls(step.Stage)
	}
	return nil
}
