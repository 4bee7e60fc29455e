package fields

import (
	"reflect"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/plugins/smt/javaclass"
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/wit"
)

var replaceFieldKeys = []wit.ConfigKey{
	settings.Key("exclude", wit.KindList, wit.Ptr(""),
		"Fields to exclude. This takes precedence over the fields to include."),
	settings.Key("include", wit.KindList, wit.Ptr(""),
		"Fields to include. If specified, only these fields will be used."),
	settings.Key("renames", wit.KindList, wit.Ptr(""), "Field rename mappings."),
	settings.ReplaceNull,
}

// replaceField removes and renames fields.
type replaceField struct {
	operation.FieldOptions
	exclude, include []string
	renames          []rename
}

type rename struct{ from, to string }

func newReplaceField(at record.Target, s settings.Values) (operation.Operation, *wit.Error) {
	o := &replaceField{FieldOptions: operation.FieldOptions{Target: at, Purpose: "field replacement"}}
	err := s.NoDuplicates("exclude", "include") // Kafka checks this first
	if err != nil {
		return nil, err
	}
	if o.exclude, err = s.OptionalList("exclude"); err != nil {
		return nil, err
	}
	if o.include, err = s.OptionalList("include"); err != nil {
		return nil, err
	}
	pairs := s.List("renames")
	for _, pair := range pairs {
		parts := strings.Split(pair, ":")
		for len(parts) > 0 && parts[len(parts)-1] == "" {
			parts = parts[:len(parts)-1] // like Java's split
		}
		if len(parts) != 2 {
			return nil, settings.Invalid("renames", "["+strings.Join(pairs, ", ")+"]", "Invalid rename mapping: "+pair)
		}
		o.rename(parts[0], parts[1])
	}
	// If two fields get the same name, the order decides which one ReplaceField finds.
	o.renames = java.HashMapOrder(o.renames, func(r rename) string { return r.from })
	return o, o.Configure(s)
}

func (o *replaceField) rename(from, to string) {
	for i := range o.renames {
		if o.renames[i].from == from {
			o.renames[i].to = to
			return
		}
	}
	o.renames = append(o.renames, rename{from, to})
}

func (o *replaceField) keeps(name string) bool {
	return !slices.Contains(o.exclude, name) && (len(o.include) == 0 || slices.Contains(o.include, name))
}

func (o *replaceField) newName(name string) string {
	for _, r := range o.renames {
		if r.from == name {
			return r.to
		}
	}
	return name
}

// sourceOf returns the field whose value is written to a field of the result. The last rename counts.
func (o *replaceField) sourceOf(name string) string {
	for i := len(o.renames) - 1; i >= 0; i-- {
		if o.renames[i].to == name {
			return o.renames[i].from
		}
	}
	return name
}

func (o *replaceField) Apply(x *object.Object, s operation.Step) *rowerror.Failure {
	if x.IsMap {
		return o.applyToMap(x, s)
	}
	// As in Kafka, the schema comes from the renamed field and the value from the field that the rename names.
	x.NewStruct()
	before := slices.Clone(x.Fields)
	x.Fields = x.Fields[:0]
	for _, f := range before {
		if !o.keeps(f.Name) {
			continue
		}
		name := o.newName(f.Name)
		if source := o.sourceOf(name); source != f.Name {
			i := slices.IndexFunc(before, func(f object.Field) bool { return f.Name == source })
			if i < 0 {
				x.Fail(rowerror.Data(s.Stage, source+" is not a valid field name"))
			} else if result, failure := assignSchema(before[i], f, name, s.Stage); failure != nil {
				x.Fail(failure)
			} else {
				f = result
			}
		}
		f.Name = name
		if f := x.AddField(f, s.Stage); f != nil {
			return f
		}
	}
	if o.ReplaceNull {
		x.ReplaceNulls(s.Stage)
	}
	return nil
}

// assignSchema checks like Kafka's Struct.put. Unlike Kafka, it fails if the branches of the schemas differ.
func assignSchema(value, schema object.Field, name string, stage int) (object.Field, *rowerror.Failure) {
	from, to := value.Schema(), schema.Schema()
	fail := func(message string) (object.Field, *rowerror.Failure) {
		return object.Field{}, rowerror.Data(stage, message)
	}
	switch {
	case reflect.DeepEqual(value.Subtree(), schema.Subtree()):
		return value, nil
	case from.Optional && !value.NeverNull: // checked per row
	case javaclass.Of(from) != javaclass.Of(to):
		message := "Invalid Java object for schema"
		if to.Name != nil {
			message += " \"" + *to.Name + "\""
		}
		return fail(message + " with type " + javaclass.KindNames[to.Kind] + ": class " + javaclass.Of(from) +
			" for field: \"" +
			name + "\"")
	case to.Kind == wit.Struct:
		return fail("Struct schemas do not match.")
	}
	if from.Optional != to.Optional || from.Optional && (from.DefaultValue != nil || to.DefaultValue != nil) ||
		javaclass.Of(from) != javaclass.Of(to) || to.Kind >= wit.Array || javaclass.Of(to) == "java.math.BigDecimal" {
		return fail("cannot use the value of a field for another, their schemas differ: of " + value.Name + " for " +
			name)
	}
	value.Nodes, value.Node = schema.Nodes, schema.Node
	return value, nil
}

// applyToMap removes and renames entries. If several get the same name, the one that Kafka's loop writes last counts.
func (o *replaceField) applyToMap(x *object.Object, s operation.Step) *rowerror.Failure {
	for i := range x.Fields {
		if !x.Fields[i].HasTextKey() {
			return rowerror.New(s.Stage, rowerror.ClassCastException,
				"a map whose keys are not all of class java.lang.String")
		}
	}
	before := x.Fields
	if len(o.renames) > 0 {
		before = slices.Clone(before)
	}
	x.Fields = x.Fields[:0]
	collided := false
	for _, f := range before {
		name := o.newName(f.Name)
		switch {
		case !o.keeps(f.Name):
			x.Changed = true
		case o.sourceOf(name) != name && x.Find(name) != nil:
			collided = true
		case name == f.Name:
			x.Fields = append(x.Fields, f)
		default:
			x.Changed = true
			x.AddEntry(name, f)
		}
	}
	if collided {
		x.Changed = true
		for _, f := range java.HashMapOrder(before, func(f object.Field) string { return f.Name }) {
			if o.keeps(f.Name) {
				x.Find(o.newName(f.Name)).Set(f)
			}
		}
	}
	return nil
}
