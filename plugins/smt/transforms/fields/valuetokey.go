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

func newValueToKey(s settings.Values) (operation.Operation, *wit.Error) {
	fields, err := s.RequiredList("fields")
	if err != nil {
		return nil, err
	}
	o := &ValueToKey{fields: fields}
	o.FieldOptions = operation.FieldOptions{Target: record.Value, Purpose: "copying fields from value to key",
		RejectNull: true, KeepObject: true}
	return o, o.Configure(s)
}

func (o *ValueToKey) Apply(x *object.Object, s operation.Step) *rowerror.Failure {
	x.Load(s.Stage)
	key := x.NewKey()
	for _, name := range o.fields {
		f := x.Find(name)
		switch {
		case f != nil && x.IsMap:
			key.AddEntry(name, *f)
		case f != nil:
			key.Fields = append(key.Fields, *f)
		case x.IsMap:
			key.AddEntry(name, object.NullValue)
		default:
			return rowerror.Data(s.Stage, "Field does not exist: "+name)
		}
	}
	x.Key = key
	if o.ReplaceNull && !x.IsMap && x.Pending == nil {
		key.ReplaceNulls(s.Stage)
	}
	return nil
}
