package transforms

import (
	"reflect"
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var coalesceKeys = []wit.ConfigKey{
	requiredListKey("fields", "Fields in order of precedence: the first one that is not null is used."),
	requiredKey("field", wit.High, "Field for the value: a new one at the end, or one of <code>fields</code>."),
	{Name: "remove", Kind: wit.KindBoolean, DefaultValue: wit.Ptr("false"), Importance: wit.Medium,
		Documentation: "If true, the other <code>fields</code> are removed."},
	replaceNullKey,
}

// coalesce sets a field to the first of several fields that is not null. Kafka Connect has no such transform.
type coalesce struct {
	FieldOptions
	fields []string
	field  string
	remove bool
	types  record.SchemaCache[coalescedType]
}

// coalescedType is the common type of the fields, without default, or the failure if there is none.
type coalescedType struct {
	nodes   []wit.SchemaNode
	failure *record.Failure
}

func newCoalesce(target record.Target, values Settings) (Operation, *wit.Error) {
	transform := &coalesce{FieldOptions: FieldOptions{Target: target, Purpose: "coalescing fields"}}
	fieldName, err := values.Required("field")
	if err != nil {
		return nil, err
	}
	if transform.field = setting.Trim(fieldName); transform.field == "" {
		return nil, invalidSetting("field", fieldName, "String must be non-empty")
	}
	if transform.fields, err = values.RequiredList("fields"); err != nil {
		return nil, err
	}
	if transform.remove, err = values.Bool("remove", false); err != nil {
		return nil, err
	}
	return transform, transform.configure(values)
}

func (c *coalesce) Apply(obj *record.Object, step Step) *record.Failure {
	if obj.Trace != nil { // the result depends on the row
		return record.NotTraceable
	}
	if !obj.Load(step.Stage) {
		return obj.Pending
	}
	fail := func(text string) *record.Failure { return record.DataFailure(step.Stage, text) }
	result := record.NullValue
	var sources []*record.Field
	for _, name := range c.fields {
		field := obj.Find(name)
		switch {
		case field == nil && !obj.IsMap:
			return fail("Field does not exist: " + name)
		case field != nil && obj.IsMap && field.Bytes[0] != connectdata.TagNull &&
			result.Bytes[0] == connectdata.TagNull:
			result.Bytes = field.Bytes
		}
		sources = append(sources, field)
	}
	if !obj.IsMap {
		obj.ResetRoot()
		var failure *record.Failure
		if result, failure = c.firstValue(obj, sources, step.Stage); failure != nil {
			return failure
		}
	}
	target := obj.Find(c.field)
	switch {
	case target != nil && !slices.Contains(c.fields, c.field):
		return fail("Field " + c.field + " exists and is not one of the coalesced fields")
	case target != nil:
		target.Set(result)
	case obj.IsMap:
		obj.AddEntry(c.field, result)
	default:
		result.Name = c.field
		obj.Fields = append(obj.Fields, result)
	}
	obj.Changed = true
	if c.remove {
		obj.Fields = slices.DeleteFunc(obj.Fields, func(field record.Field) bool {
			return field.HasTextKey() && field.Name != c.field && slices.Contains(c.fields, field.Name)
		})
	}
	return nil
}

// firstValue returns a field with the first value of the sources that is not null, or a null.
func (c *coalesce) firstValue(obj *record.Object, sources []*record.Field,
	stage int) (result record.Field, _ *record.Failure) {
	typ, _ := c.types.Get(&obj.Scratch.Schemas, obj.Reader.ID, func([]wit.SchemaNode) coalescedType {
		return c.typeOf(sources, stage)
	})
	if typ.failure != nil {
		return result, typ.failure
	}
	var value []byte
	isNull := true
	for _, field := range sources {
		size := 0
		ok := false
		if isNull, size, ok = connectdata.IsNull(field.Schema(), field.Bytes); !ok {
			return result, record.BadValue(stage, field.Index)
		}
		value = field.Bytes[size:]
		if node := field.Schema(); isNull && c.ReplaceNull && node.DefaultValue != nil {
			isNull = false
			value = *node.DefaultValue
		}
		if !isNull {
			break
		}
	}
	return record.Field{Nodes: typ.nodes, Bytes: obj.Scratch.WithBranch(&typ.nodes[0], isNull, value),
		Source: record.Source{Kind: record.FromConstant}}, nil
}

// typeOf returns the type of the sources, which is optional if all of them may be null.
func (c *coalesce) typeOf(sources []*record.Field, stage int) (result coalescedType) {
	optional := true
	for _, field := range sources {
		node := field.Schema()
		optional = optional && node.Optional && (node.DefaultValue == nil || !c.ReplaceNull)
		tree := field.Subtree()
		tree[0].Optional = false
		tree[0].DefaultValue = nil
		tree[0].Doc = nil
		if result.nodes == nil {
			result.nodes = tree
		} else if !reflect.DeepEqual(result.nodes, tree) {
			result.failure = record.DataFailure(stage, "Fields of one type expected for ["+c.Purpose+
				"], found: "+c.fields[0]+" "+record.JavaClass(&result.nodes[0])+", "+field.Name+" "+
				record.JavaClass(&tree[0]))
			return result
		}
	}
	result.nodes[0].Optional = optional
	return result
}
