package convert

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/internal/java/values"
	"github.com/culvert-project/culvert/plugins/smt/javaclass"
	"github.com/culvert-project/culvert/plugins/smt/kernel"
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

// Classes lists the transforms of the package.
var Classes = []operation.Class{
	{Name: operation.KafkaPackage + "Cast", Keys: castKeys, PerTarget: newCast,
		Doc: "Cast fields or the entire {target} to a specific type, e.g. to force an integer field to a smaller " +
			"width. Cast from integers, floats, boolean and string to any other type, and cast binary to string " +
			"(base64 encoded)."},
	{Name: operation.KafkaPackage + "TimestampConverter", Keys: timestampConverterKeys,
		PerTarget: newTimestampConverter,
		Doc: "Convert timestamps between different formats such as Unix epoch, strings, and Connect " +
			"Date/Timestamp types. Applies to individual fields or to the entire value."},
}

var castKeys = []wit.ConfigKey{
	settings.RequiredListKey("spec", "List of fields and the type to cast them to of the form "+
		"field1:type,field2:type to "+
		"cast fields of Maps or Structs. A single type to cast the entire value. Valid types are int8, int16, int32, "+
		"int64, float32, float64, boolean, and string. Note that binary fields can only be cast to string."),
	settings.ReplaceNull,
}

// cast converts fields, or the whole key or value, to another type.
type cast struct {
	operation.FieldOptions
	to     wit.Kind
	fields []castField
	// names holds the field names, order the same in the order of Kafka's loop over maps, edits the edits in that
	// order.
	order, names []string
	edits        []object.Edit
}

type castField struct {
	name string
	to   wit.Kind
}

func newCast(target record.Target, values settings.Values) (operation.Operation, *wit.Error) {
	if _, err := values.Required("spec"); err != nil {
		return nil, err
	}
	transform, list := &cast{FieldOptions: operation.FieldOptions{Target: target, Purpose: "cast types",
		FieldAction:   "list",
		RequireStruct: true}}, values.List("spec")
	if len(list) == 0 {
		return nil, settings.Error("spec", "Must specify at least one field to cast.")
	}
	var whole *wit.Kind
	for _, item := range list {
		if err := transform.add(item, list, &whole); err != nil {
			return nil, err
		}
	}
	if whole != nil && len(list) > 1 {
		return nil, settings.Error("spec",
			"Cast transformations that specify a type to cast the entire value to may only "+
				"specify a single cast in their spec")
	}
	if err := transform.Configure(values); err != nil {
		return nil, err
	}
	if whole != nil {
		transform.Whole, transform.to = true, *whole
		return transform, nil
	}
	for _, field := range transform.fields {
		transform.names = append(transform.names, field.name)
	}
	transform.order = java.HashMapOrder(transform.names, java.Identity)
	return transform, nil
}

// add reads an item of the list: a field with its type, or the type of the whole.
func (o *cast) add(item string, list []string, whole **wit.Kind) *wit.Error {
	parts := strings.Split(item, ":")
	for len(parts) > 0 && parts[len(parts)-1] == "" && item != "" {
		parts = parts[:len(parts)-1] // like Java's split
	}
	if len(parts) == 0 {
		return settings.Error("spec", "expected a type, or a field and its type with a colon between, found "+
			strconv.Quote(item))
	}
	if len(parts) > 2 {
		return settings.Error("spec", "Invalid value ["+strings.Join(list,
			", ")+"] for configuration renames: Invalid rename mapping: "+item)
	}
	name := setting.Trim(parts[len(parts)-1])
	index := slices.Index(javaclass.KindNames, strings.ToUpper(name))
	switch {
	case index < 0:
		return settings.Error("spec", "Invalid value java.lang.IllegalArgumentException: No enum constant "+
			"org.apache.kafka.connect.data.Schema.Type."+
			strings.ToUpper(name)+" for configuration Invalid type found in casting spec: "+name)
	case wit.Kind(index) >= wit.Bytes:
		return settings.Error("spec", "Cast transformation does not support casting to "+
			javaclass.KindNames[index]+"; supported types are "+
			kindList(wit.Bytes))
	}
	targetKind := wit.Kind(index)
	if len(parts) == 1 {
		*whole = &targetKind
		return nil
	}
	field := castField{name: setting.Trim(parts[0]), to: targetKind}
	if i := slices.IndexFunc(o.fields, func(f castField) bool { return f.name == field.name }); i >= 0 {
		o.fields[i] = field
		return nil
	}
	o.fields = append(o.fields, field)
	return nil
}

func kindList(end wit.Kind) string { return "[" + strings.Join(javaclass.KindNames[:end], ", ") + "]" }

func (o *cast) Apply(obj *object.Object, step operation.Step) *rowerror.Failure {
	if o.Whole {
		return o.applyWhole(obj, step.Stage)
	}
	if obj.IsMap {
		if o.edits == nil { // an operation belongs to one stage
			for _, name := range o.order {
				o.edits = append(o.edits, castEntry(o.fields[slices.Index(o.names, name)].to, step.Stage))
			}
		}
		return obj.EditEntries(o.order, o.names, func(n int) object.Edit { return o.edits[n] }, step.Stage)
	}
	if o.ReplaceNull {
		obj.ReplaceNulls(step.Stage)
	}
	obj.KeepsSchema = false
	for i := range obj.Fields {
		field := &obj.Fields[i]
		index := slices.Index(o.names, field.Name)
		if index < 0 {
			continue
		}
		from, targetKind := field.Schema(), o.fields[index].to
		result, failure := castType(from, wit.SchemaNode{Kind: targetKind}, step.Stage)
		if failure != nil {
			return failure
		}
		edit := castEdit(from, targetKind, step.Stage)
		if from.Kind == targetKind && targetKind >= wit.Int64 && targetKind < wit.String && !misnamedTime(from) {
			edit = object.Edit{} // same bytes, and all are valid
		}
		obj.ChangeType(field, result, edit, step.Stage)
	}
	if obj.Root.DefaultValue != nil {
		return unsupportedFrom(wit.Struct, step.Stage)
	}
	return nil
}

func castType(node *wit.SchemaNode, result wit.SchemaNode, stage int) (wit.SchemaNode, *rowerror.Failure) {
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

func (o *cast) applyWhole(obj *object.Object, stage int) *rowerror.Failure {
	field, class := &obj.Fields[0], obj.Class
	if obj.Class = ""; obj.IsMap {
		obj.Edit(field, object.Edit{Apply: func(dst, input []byte) ([]byte, *rowerror.Failure) {
			return castSchemaless(dst, input, o.to, stage)
		}},
			stage)
		return nil
	}
	from := field.Schema()
	result := schemas.CopyMetadata(from)
	result.Kind = o.to
	result, failure := castType(from, result, stage)
	edit := castEdit(from, o.to, stage)
	switch {
	case failure != nil:
		return failure
	case result.DefaultValue != nil && javaclass.OfName(&result) != "":
		// The name stays, but its class is no longer that of the default.
		return rowerror.New(stage, rowerror.SchemaBuilderException, "Invalid default value")
	case class != "" && o.to != wit.String:
		return notADate(class, stage)
	case class != "": // the text of the number
		edit = castEdit(&wit.SchemaNode{Kind: from.Kind}, wit.String, stage)
	}
	if plain := (wit.SchemaNode{Kind: result.Kind}); javaclass.Of(&result) != javaclass.Of(&plain) {
		obj.Class = javaclass.Of(&plain)
	}
	obj.ChangeType(field, result, edit, stage)
	return nil
}

func castEntry(targetKind wit.Kind, stage int) object.Edit {
	return object.Edit{
		Apply: func(dst, input []byte) ([]byte, *rowerror.Failure) {
			if input[0] == connectdata.TagNull {
				return append(dst, connectdata.TagNull), nil
			}
			return castSchemaless(dst, input, targetKind, stage)
		},
		Conversion: func(tag byte) (conversion object.Conversion) {
			if tag >= connectdata.TagInt8 && tag <= connectdata.TagFloat64 {
				edit := castEdit(&wit.SchemaNode{Kind: wit.Int8 + wit.Kind(tag-connectdata.TagInt8)}, targetKind, stage)
				if edit.Conversion != nil {
					conversion = edit.Conversion(0).WithTag(tag, castTag(targetKind, &number{}))
				}
			}
			return conversion
		},
	}
}

func unsupportedFrom(kind wit.Kind, stage int) *rowerror.Failure {
	return rowerror.Data(stage, "Cast transformation does not support casting from "+javaclass.KindNames[kind]+
		"; supported types are "+kindList(wit.Array))
}

// notADate returns the failure of a value named like a date type that an earlier Cast gave another type.
func notADate(class string, stage int) *rowerror.Failure {
	return rowerror.New(stage, rowerror.ClassCastException, "class "+class+" cannot be cast to class java.util.Date ("+
		class+
		" and java.util.Date are in module java.base of loader 'bootstrap')")
}

// castEdit returns the edit for values of one schema, with the kernel's conversion if there is one.
func castEdit(node *wit.SchemaNode, targetKind wit.Kind, stage int) object.Edit {
	edit := object.Edit{Apply: func(dst, input []byte) ([]byte, *rowerror.Failure) {
		return castWithSchema(dst, input, node, targetKind, stage)
	}}
	conversion := kernel.Conversion{UnusedBits: (64 - 8<<node.Kind) & 63, LostBits: (64 - 8<<targetKind) & 63}
	switch {
	case node.Kind <= wit.Int64 && targetKind == wit.String && node.Name == nil:
		conversion.Kind = kernel.Digits
	case node.Kind <= wit.Int64 && targetKind <= wit.Int64 && node.Name == nil:
		conversion.Kind = kernel.Integer
	case node.Kind == wit.Float64 && targetKind == wit.Float32:
		conversion.Kind = kernel.Single
	default:
		return edit
	}
	edit.Conversion = object.Always(object.Conversion{Conversion: conversion})
	return edit
}

// misnamedTime reports whether a schema has the name of a date type but another type.
func misnamedTime(node *wit.SchemaNode) bool {
	return javaclass.OfName(node) == "java.util.Date" && javaclass.Of(node) != "java.util.Date"
}

func castWithSchema(dst, input []byte, node *wit.SchemaNode, targetKind wit.Kind, stage int) ([]byte,
	*rowerror.Failure) {
	if node.Kind >= wit.Array {
		return dst, unsupportedFrom(node.Kind, stage)
	}
	if targetKind != wit.String && misnamedTime(node) {
		return dst, notADate(javaclass.Of(node), stage)
	}
	if node.Name == nil || node.Kind == wit.Int8 || node.Kind == wit.Int16 {
		if number, ok := readNumber(node.Kind, input); ok {
			return number.append(dst, targetKind), nil
		}
	}
	required := *node
	required.Optional, required.DefaultValue = false, nil
	value, _, err := connectdata.Read([]wit.SchemaNode{required}, 0, input)
	if err != nil {
		return dst, rowerror.BadValue(stage, 0)
	}
	switch javaclass.Of(node) {
	case "java.util.Date":
		if targetKind != wit.String {
			break
		}
		switch x := value.(type) {
		case int32:
			value = connectdata.Instant(x)
			if *node.Name == wit.NameDate {
				value = connectdata.Instant(int64(x) * msPerDay)
			}
		case int64:
			value = connectdata.Instant(x)
		}
	case "java.math.BigDecimal":
		if b, ok := value.([]byte); ok {
			scale, _ := values.ScaleOf(node)
			value = connectdata.Decimal{Scale: int32(scale), Unscaled: connectdata.Unscaled(b)}
		}
	}
	return appendCast(dst, value, targetKind, stage, false)
}

func castSchemaless(dst, input []byte, targetKind wit.Kind, stage int) ([]byte, *rowerror.Failure) {
	switch input[0] {
	case connectdata.TagArray:
		return dst, unsupportedFrom(wit.Array, stage)
	case connectdata.TagMap:
		return dst, unsupportedFrom(wit.Map, stage)
	case connectdata.TagStruct:
		return dst, unsupportedFrom(wit.Struct, stage)
	case connectdata.TagInstant:
		return dst, rowerror.Data(stage, "Cast transformation was passed a value of type class "+
			javaclass.OfTag[input[0]]+
			" which is not supported by Connect's data API")
	}
	if number, ok := readSchemalessNumber(input); ok {
		if dst = append(dst, castTag(targetKind, &number)); targetKind != wit.Boolean { // only a tag
			dst = number.append(dst, targetKind)
		}
		return dst, nil
	}
	value, _, err := connectdata.ReadSchemaless(input)
	if err != nil {
		return dst, rowerror.BadSchemaless(stage)
	}
	return appendCast(dst, value, targetKind, stage, true)
}
