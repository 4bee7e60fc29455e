package fields

import (
	"reflect"
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/javaclass"
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var coalesceKeys = []wit.ConfigKey{
	settings.RequiredListKey("fields", "Fields in order of precedence: the first one that is not null is used."),
	settings.RequiredKey("field", wit.High,
		"Field for the value: a new one at the end, or one of <code>fields</code>."),
	{Name: "remove", Kind: wit.KindBoolean, DefaultValue: wit.Ptr("false"), Importance: wit.Medium,
		Documentation: "If true, the other <code>fields</code> are removed."},
	settings.ReplaceNull,
}

// coalesce sets a field to the first of several fields that is not null. Kafka Connect has no such transform.
type coalesce struct {
	operation.FieldOptions
	fields []string
	field  string
	remove bool
	types  schemas.Cache[coalescedType]
}

// coalescedType is the common type of the fields, without default, or the failure if there is none.
type coalescedType struct {
	nodes   []wit.SchemaNode
	failure *rowerror.Failure
}

func newCoalesce(at record.Target, s settings.Values) (operation.Operation, *wit.Error) {
	o := &coalesce{FieldOptions: operation.FieldOptions{Target: at, Purpose: "coalescing fields"}}
	text, err := s.Required("field")
	if err != nil {
		return nil, err
	}
	if o.field = setting.Trim(text); o.field == "" {
		return nil, settings.Invalid("field", text, "String must be non-empty")
	}
	if o.fields, err = s.RequiredList("fields"); err != nil {
		return nil, err
	}
	if o.remove, err = s.Bool("remove", false); err != nil {
		return nil, err
	}
	return o, o.Configure(s)
}

func (o *coalesce) Apply(x *object.Object, s operation.Step) *rowerror.Failure {
	if x.Trace != nil { // depends on the row
		return object.NotTraceable
	}
	if !x.Load(s.Stage) {
		return x.Pending
	}
	failed := func(text string) *rowerror.Failure { return rowerror.Data(s.Stage, text) }
	result := object.NullValue
	var sources []*object.Field
	for _, name := range o.fields {
		f := x.Find(name)
		switch {
		case f == nil && !x.IsMap:
			return failed("Field does not exist: " + name)
		case f != nil && x.IsMap && f.Bytes[0] != connectdata.TagNull && result.Bytes[0] == connectdata.TagNull:
			result.Bytes = f.Bytes
		}
		sources = append(sources, f)
	}
	if !x.IsMap {
		x.NewStruct()
		var f *rowerror.Failure
		if result, f = o.firstValue(x, sources, s.Stage); f != nil {
			return f
		}
	}
	to := x.Find(o.field)
	switch {
	case to != nil && !slices.Contains(o.fields, o.field):
		return failed("Field " + o.field + " exists and is not one of the coalesced fields")
	case to != nil:
		to.Set(result)
	case x.IsMap:
		x.AddEntry(o.field, result)
	default:
		result.Name = o.field
		x.Fields = append(x.Fields, result)
	}
	x.Changed = true
	if o.remove {
		x.Fields = slices.DeleteFunc(x.Fields, func(f object.Field) bool {
			return f.HasTextKey() && f.Name != o.field && slices.Contains(o.fields, f.Name)
		})
	}
	return nil
}

func (o *coalesce) firstValue(x *object.Object, sources []*object.Field, stage int) (result object.Field,
	_ *rowerror.Failure) {
	typ, _ := o.types.Get(&x.Scratch.Schemas, x.Layout.ID, func([]wit.SchemaNode) coalescedType {
		return o.typeOf(sources, stage)
	})
	if typ.failure != nil {
		return result, typ.failure
	}
	var value []byte
	null := true
	for _, f := range sources {
		size, ok := 0, false
		if null, size, ok = connectdata.IsNull(f.Schema(), f.Bytes); !ok {
			return result, rowerror.BadValue(stage, f.Index)
		}
		value = f.Bytes[size:]
		if n := f.Schema(); null && o.ReplaceNull && n.DefaultValue != nil {
			null, value = false, *n.DefaultValue
		}
		if !null {
			break
		}
	}
	return object.Field{Nodes: typ.nodes, Bytes: x.Scratch.WithBranch(&typ.nodes[0], null, value),
		Source: object.Source{Kind: object.FromConstant}}, nil
}

// typeOf returns the type of the sources, which is optional if all of them may be null.
func (o *coalesce) typeOf(sources []*object.Field, stage int) (result coalescedType) {
	optional := true
	for _, f := range sources {
		n := f.Schema()
		optional = optional && n.Optional && (n.DefaultValue == nil || !o.ReplaceNull)
		tree := f.Subtree()
		tree[0].Optional, tree[0].DefaultValue, tree[0].Doc = false, nil, nil
		if result.nodes == nil {
			result.nodes = tree
		} else if !reflect.DeepEqual(result.nodes, tree) {
			result.failure = rowerror.Data(stage, "Fields of one type expected for ["+o.Purpose+
				"], found: "+o.fields[0]+" "+javaclass.Of(&result.nodes[0])+", "+f.Name+" "+
				javaclass.Of(&tree[0]))
			return result
		}
	}
	result.nodes[0].Optional = optional
	return result
}
