package transforms

import (
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit"
)

var valueToKeyKeys = []wit.ConfigKey{
	requiredListKey("fields", "Field names on the record value to extract as the record key."),
	replaceNullKey,
}

// ValueToKey replaces the key by a struct or map of fields of the value.
type ValueToKey struct {
	FieldOptions
	fields []string
}

func newValueToKey(values Settings) (Operation, *wit.Error) {
	fields, err := values.RequiredList("fields")
	if err != nil {
		return nil, err
	}
	transform := &ValueToKey{fields: fields}
	transform.FieldOptions = FieldOptions{Target: record.Value, Purpose: "copying fields from value to key",
		RejectNull: true, KeepObject: true}
	return transform, transform.configure(values)
}

func (v *ValueToKey) Apply(obj *record.Object, step Step) *record.Failure {
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
			key.AddEntry(name, record.NullValue)
		default:
			return record.DataFailure(step.Stage, "Field does not exist: "+name)
		}
	}
	obj.Key = key
	if v.ReplaceNull && !obj.IsMap && obj.Pending == nil {
		key.ReplaceNulls(step.Stage)
	}
	return nil
}
