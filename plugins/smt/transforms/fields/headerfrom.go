package fields

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

var headerFromKeys = []wit.ConfigKey{
	settings.RequiredListKey("fields", "Field names in the record whose values are to be copied or moved to headers."),
	settings.RequiredListKey("headers", "Header names, in the same order as the field names listed in the fields "+
		"configuration property."),
	settings.RequiredKey("operation", wit.High,
		"Either <code>move</code> if the fields are to be moved to the headers (removed "+
			"from the key/value), or <code>copy</code> if the fields are to be copied to the headers "+
			"(retained in the key/value)."),
	settings.ReplaceNull,
}

// HeaderFrom copies or moves fields of the key or value to headers.
type HeaderFrom struct {
	operation.FieldOptions
	fields, headers []string
	move            bool
}

func newHeaderFrom(at record.Target, s settings.Values) (operation.Operation, *wit.Error) {
	o := &HeaderFrom{FieldOptions: operation.FieldOptions{Target: at, RejectNull: true}}
	for _, x := range []struct {
		name string
		list *[]string
	}{{"fields", &o.fields}, {"headers", &o.headers}} {
		if _, err := s.Required(x.name); err != nil {
			return nil, err
		}
		if *x.list = s.List(x.name); len(*x.list) == 0 {
			return nil, settings.Invalid(x.name, "[]", "Empty list")
		}
	}
	mode, err := s.Required("operation")
	if err != nil {
		return nil, err
	}
	if mode = setting.Trim(mode); mode != "move" && mode != "copy" {
		return nil, settings.Invalid("operation", mode, "String must be one of: move, copy")
	}
	o.move, o.KeepObject, o.Purpose = mode == "move", mode == "copy", "header "+mode
	if err = o.Configure(s); err != nil {
		return nil, err
	}
	if len(o.fields) != len(o.headers) {
		return nil, settings.Error("headers",
			"'fields' config must have the same number of elements as 'headers' config.")
	}
	return o, nil
}

func (o *HeaderFrom) Apply(x *object.Object, s operation.Step) *rowerror.Failure {
	x.Load(s.Stage)
	if !o.move { // a copy does not change the fields
		before, changed := slices.Clone(x.Fields), x.Changed
		f := o.add(x, s.Stage)
		x.Fields, x.Changed = before, changed
		return f
	}
	if f := o.add(x, s.Stage); f != nil {
		return f
	}
	if !x.IsMap {
		x.NewStruct()
	}
	x.Changed = x.Changed || x.IsMap
	x.Fields = slices.DeleteFunc(x.Fields, func(f object.Field) bool {
		return f.HasTextKey() && slices.Contains(o.fields, f.Name)
	})
	return nil
}

func (o *HeaderFrom) add(x *object.Object, stage int) *rowerror.Failure {
	if o.ReplaceNull && !x.IsMap {
		x.ReplaceNulls(stage)
	}
	for i, name := range o.fields {
		f := x.Find(name)
		switch {
		case f != nil:
			x.Headers = append(x.Headers, object.AddedHeader{Name: o.headers[i], Field: *f})
		case x.IsMap:
			x.Headers = append(x.Headers, object.AddedHeader{Name: o.headers[i], Field: object.NullValue})
		default:
			return rowerror.New(stage, rowerror.NullPointerException,
				`Cannot invoke "org.apache.kafka.connect.data.Field.schema()" because the return value of `+
					`"org.apache.kafka.connect.data.Schema.field(String)" is null`)
		}
	}
	return nil
}
