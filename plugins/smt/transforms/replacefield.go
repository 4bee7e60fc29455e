package transforms

import (
	"reflect"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit"
)

var replaceFieldKeys = []wit.ConfigKey{
	optionalKey("exclude", wit.KindList, wit.Ptr(""),
		"Fields to exclude. This takes precedence over the fields to include."),
	optionalKey("include", wit.KindList, wit.Ptr(""),
		"Fields to include. If specified, only these fields will be used."),
	optionalKey("renames", wit.KindList, wit.Ptr(""), "Field rename mappings."),
	replaceNullKey,
}

// replaceField removes and renames fields.
type replaceField struct {
	FieldOptions
	exclude []string
	include []string // if empty, all fields
	renames []rename // in the order of Kafka's loop over maps
}

type rename struct {
	from string
	to   string
}

func newReplaceField(target record.Target, values Settings) (Operation, *wit.Error) {
	transform := &replaceField{FieldOptions: FieldOptions{Target: target, Purpose: "field replacement"}}
	err := values.NoDuplicates("exclude", "include") // Kafka checks this first
	if err != nil {
		return nil, err
	}
	if transform.exclude, err = values.OptionalList("exclude"); err != nil {
		return nil, err
	}
	if transform.include, err = values.OptionalList("include"); err != nil {
		return nil, err
	}
	pairs := values.List("renames")
	for _, pair := range pairs {
		parts := strings.Split(pair, ":")
		for len(parts) > 0 && parts[len(parts)-1] == "" {
			parts = parts[:len(parts)-1] // like Java's split
		}
		if len(parts) != 2 {
			return nil, invalidSetting("renames", "["+strings.Join(pairs, ", ")+"]", "Invalid rename mapping: "+pair)
		}
		isSame := func(r rename) bool { return r.from == parts[0] }
		if i := slices.IndexFunc(transform.renames, isSame); i >= 0 {
			transform.renames[i].to = parts[1]
		} else {
			transform.renames = append(transform.renames, rename{parts[0], parts[1]})
		}
	}
	// If two fields get the same name, the order of the renames decides which one ReplaceField finds.
	transform.renames = java.HashMapOrder(transform.renames, func(r rename) string { return r.from })
	return transform, transform.configure(values)
}

// isIncluded reports whether a field of the input is in the result.
func (f *replaceField) isIncluded(name string) bool {
	return !slices.Contains(f.exclude, name) && (len(f.include) == 0 || slices.Contains(f.include, name))
}

func (f *replaceField) newName(name string) string {
	for _, r := range f.renames {
		if r.from == name {
			return r.to
		}
	}
	return name
}

// sourceOf returns the field whose value is written to a field of the result. The last rename counts.
func (f *replaceField) sourceOf(name string) string {
	for i := len(f.renames) - 1; i >= 0; i-- {
		if f.renames[i].to == name {
			return f.renames[i].from
		}
	}
	return name
}

func (f *replaceField) Apply(obj *record.Object, step Step) *record.Failure {
	if obj.IsMap {
		return f.applyToMap(obj, step)
	}
	// As in Kafka, the schema comes from the renamed field and the value from the field that the rename names.
	obj.ResetRoot()
	inputFields := slices.Clone(obj.Fields)
	obj.Fields = obj.Fields[:0]
	for _, field := range inputFields {
		if !f.isIncluded(field.Name) {
			continue
		}
		name := f.newName(field.Name)
		if source := f.sourceOf(name); source != field.Name {
			i := slices.IndexFunc(inputFields, func(field record.Field) bool { return field.Name == source })
			if i < 0 {
				obj.Fail(record.DataFailure(step.Stage, source+" is not a valid field name"))
			} else if result, failure := assignSchema(inputFields[i], field, name, step.Stage); failure != nil {
				obj.Fail(failure)
			} else {
				field = result
			}
		}
		field.Name = name
		if failure := obj.AddField(field, step.Stage); failure != nil {
			return failure
		}
	}
	if f.ReplaceNull {
		obj.ReplaceNulls(step.Stage)
	}
	return nil
}

// assignSchema assigns a value to a field with another schema, with the checks of Kafka's Struct.put. Unlike Kafka, it
// fails if the union branches of the schemas differ.
func assignSchema(value, schema record.Field, name string, stage int) (record.Field, *record.Failure) {
	from := value.Schema()
	to := schema.Schema()
	fail := func(message string) (record.Field, *record.Failure) {
		return record.Field{}, record.DataFailure(stage, message)
	}
	switch {
	case reflect.DeepEqual(value.Subtree(), schema.Subtree()):
		return value, nil
	case from.Optional && !value.NeverNull: // checked per row
	case record.JavaClass(from) != record.JavaClass(to):
		message := "Invalid Java object for schema"
		if to.Name != nil {
			message += " \"" + *to.Name + "\""
		}
		return fail(message + " with type " + record.KindNames[to.Kind] + ": class " + record.JavaClass(from) +
			" for field: \"" + name + "\"")
	case to.Kind == wit.Struct:
		return fail("Struct schemas do not match.")
	}
	if from.Optional != to.Optional || (from.Optional && (from.DefaultValue != nil || to.DefaultValue != nil)) ||
		record.JavaClass(from) != record.JavaClass(to) || to.Kind >= wit.Array ||
		record.JavaClass(to) == "java.math.BigDecimal" {
		return fail("cannot use the value of a field for another, their schemas differ: of " + value.Name + " for " +
			name)
	}
	value.Nodes = schema.Nodes
	value.Node = schema.Node
	return value, nil
}

// applyToMap removes and renames entries. If several get the same name, the one that Kafka's loop writes last counts.
func (f *replaceField) applyToMap(obj *record.Object, step Step) *record.Failure {
	for i := range obj.Fields {
		if !obj.Fields[i].HasTextKey() {
			return record.NewFailure(step.Stage, record.ClassCastException,
				"a map whose keys are not all of class java.lang.String")
		}
	}
	inputFields := obj.Fields
	if len(f.renames) > 0 {
		inputFields = slices.Clone(inputFields)
	}
	obj.Fields = obj.Fields[:0]
	hasCollision := false
	for _, field := range inputFields {
		name := f.newName(field.Name)
		switch {
		case !f.isIncluded(field.Name):
			obj.Changed = true
		case f.sourceOf(name) != name && obj.Find(name) != nil:
			hasCollision = true
		case name == field.Name:
			obj.Fields = append(obj.Fields, field)
		default:
			obj.Changed = true
			obj.AddEntry(name, field)
		}
	}
	if hasCollision {
		obj.Changed = true
		for _, field := range java.HashMapOrder(inputFields, func(field record.Field) string { return field.Name }) {
			if f.isIncluded(field.Name) {
				obj.Find(f.newName(field.Name)).Set(field)
			}
		}
	}
	return nil
}
