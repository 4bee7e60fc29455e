package transforms

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

var castKeys = []wit.ConfigKey{
	requiredListKey("spec", "List of fields and the type to cast them to of the form "+
		"field1:type,field2:type to cast fields of Maps or Structs. A single type to cast the entire value. "+
		"Valid types are int8, int16, int32, int64, float32, float64, boolean, and string. Note that binary "+
		"fields can only be cast to string."),
	replaceNullKey,
}

// cast converts fields, or the whole key or value, to another type.
type cast struct {
	FieldOptions
	to     wit.Kind // of the whole
	fields []castField
	names  []string      // of the fields
	order  []string      // names in the order of Kafka's loop over maps
	edits  []record.Edit // for maps, in that order; nil until the first map
}

type castField struct {
	name string
	to   wit.Kind
}

func newCast(target record.Target, values Settings) (Operation, *wit.Error) {
	if _, err := values.Required("spec"); err != nil {
		return nil, err
	}
	transform := &cast{FieldOptions: FieldOptions{Target: target, Purpose: "cast types",
		FieldAction: "list", RequireStruct: true}}
	list := values.List("spec")
	if len(list) == 0 {
		return nil, settingError("spec", "Must specify at least one field to cast.")
	}
	for _, item := range list {
		if err := transform.add(item, list); err != nil {
			return nil, err
		}
	}
	if transform.Whole && len(list) > 1 {
		return nil, settingError("spec", "Cast transformations that specify a type to cast the entire value to may "+
			"only specify a single cast in their spec")
	}
	if err := transform.configure(values); err != nil || transform.Whole {
		return transform, err
	}
	for _, field := range transform.fields {
		transform.names = append(transform.names, field.name)
	}
	transform.order = java.HashMapOrder(transform.names, java.Identity)
	return transform, nil
}

// add reads an item of the list: a field with its type, or the type of the whole.
func (c *cast) add(item string, list []string) *wit.Error {
	parts := strings.Split(item, ":")
	for len(parts) > 0 && parts[len(parts)-1] == "" && item != "" {
		parts = parts[:len(parts)-1] // like Java's split
	}
	if len(parts) == 0 {
		return settingError("spec", "expected a type, or a field and its type with a colon between, found "+
			strconv.Quote(item))
	}
	if len(parts) > 2 {
		return settingError("spec", "Invalid value ["+strings.Join(list, ", ")+
			"] for configuration renames: Invalid rename mapping: "+item)
	}
	name := setting.Trim(parts[len(parts)-1])
	index := slices.Index(record.KindNames, strings.ToUpper(name))
	switch {
	case index < 0:
		return settingError("spec", "Invalid value java.lang.IllegalArgumentException: No enum constant "+
			"org.apache.kafka.connect.data.Schema.Type."+strings.ToUpper(name)+
			" for configuration Invalid type found in casting spec: "+name)
	case wit.Kind(index) >= wit.Bytes:
		return settingError("spec", "Cast transformation does not support casting to "+
			record.KindNames[index]+"; supported types are "+kindList(wit.Bytes))
	case len(parts) == 1:
		c.Whole = true
		c.to = wit.Kind(index)
		return nil
	}
	field := castField{name: setting.Trim(parts[0]), to: wit.Kind(index)}
	for i := range c.fields {
		if c.fields[i].name == field.name {
			c.fields[i] = field
			return nil
		}
	}
	c.fields = append(c.fields, field)
	return nil
}

func (c *cast) Apply(obj *record.Object, step Step) *record.Failure {
	if c.Whole {
		return c.applyWhole(obj, step.Stage)
	}
	if obj.IsMap {
		if c.edits == nil { // an operation belongs to one stage
			for _, name := range c.order {
				c.edits = append(c.edits, castEntry(c.fields[slices.Index(c.names, name)].to, step.Stage))
			}
		}
		return obj.EditEntries(c.order, c.names, func(n int) record.Edit { return c.edits[n] }, step.Stage)
	}
	if c.ReplaceNull {
		obj.ReplaceNulls(step.Stage)
	}
	obj.KeepsSchema = false
	for i := range obj.Fields {
		field := &obj.Fields[i]
		index := slices.Index(c.names, field.Name)
		if index < 0 {
			continue
		}
		from := field.Schema()
		targetKind := c.fields[index].to
		result, failure := castType(from, wit.SchemaNode{Kind: targetKind}, step.Stage)
		if failure != nil {
			return failure
		}
		edit := castEdit(from, targetKind, step.Stage)
		if from.Kind == targetKind && targetKind >= wit.Int64 && targetKind < wit.String && !isMisnamedTime(from) {
			edit = record.Edit{} // same bytes, and all are valid, unlike narrower integers out of range
		}
		obj.ChangeType(field, result, edit, step.Stage)
	}
	if obj.Root.DefaultValue != nil {
		return unsupportedFrom(wit.Struct, step.Stage)
	}
	return nil
}

// castType completes the type of the result: optional like the input, with the converted default.
func castType(node *wit.SchemaNode, result wit.SchemaNode, stage int) (wit.SchemaNode, *record.Failure) {
	result.Optional = node.Optional
	if node.DefaultValue != nil {
		b, failure := castWithSchema(nil, *node.DefaultValue, node, result.Kind, stage)
		if failure != nil {
			return result, failure
		}
		result.DefaultValue = &b
	}
	return result, nil
}

func (c *cast) applyWhole(obj *record.Object, stage int) *record.Failure {
	field := &obj.Fields[0]
	class := obj.Class
	obj.Class = ""
	if obj.IsMap { // no schema
		obj.Edit(field, record.Edit{Apply: func(dst, input []byte) ([]byte, *record.Failure) {
			return castSchemaless(dst, input, c.to, stage)
		}}, stage)
		return nil
	}
	from := field.Schema()
	result := record.CopyMetadata(from)
	result.Kind = c.to
	result, failure := castType(from, result, stage)
	edit := castEdit(from, c.to, stage)
	switch {
	case failure != nil:
		return failure
	case result.DefaultValue != nil && record.LogicalJavaClass(&result) != "":
		// The name stays, but its class is no longer that of the default.
		return record.NewFailure(stage, record.SchemaBuilderException, "Invalid default value")
	case class != "" && c.to != wit.String:
		return notADate(class, stage)
	case class != "": // the text of the number
		edit = castEdit(&wit.SchemaNode{Kind: from.Kind}, wit.String, stage)
	}
	if unnamed := (wit.SchemaNode{Kind: result.Kind}); record.JavaClass(&result) != record.JavaClass(&unnamed) {
		obj.Class = record.JavaClass(&unnamed)
	}
	obj.ChangeType(field, result, edit, stage)
	return nil
}
