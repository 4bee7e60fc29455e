package chain

import (
	"reflect"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java"
)

var replaceSpecs = []wit.ConfigKey{
	spec("exclude", wit.KindList, wit.Ptr(""),
		"Fields to exclude. This takes precedence over the fields to include."),
	spec("include", wit.KindList, wit.Ptr(""),
		"Fields to include. If specified, only these fields will be used."),
	spec("renames", wit.KindList, wit.Ptr(""), "Field rename mappings."),
	replaceNullSpec,
}

// replace is ReplaceField: which fields stay, and under which names.
type replace struct {
	target
	exclude, include []string
	renames          []rename
}

type rename struct{ from, to string }

func newReplace(at side, s settings) (operation, *wit.Error) {
	o := &replace{target: target{at: at, purpose: "field replacement"}}
	err := s.once("exclude", "include") // of all lists before anything else
	if err != nil {
		return nil, err
	}
	if o.exclude, err = s.items("exclude"); err != nil {
		return nil, err
	}
	if o.include, err = s.items("include"); err != nil {
		return nil, err
	}
	pairs := s.list("renames")
	for _, pair := range pairs {
		parts := strings.Split(pair, ":")
		for len(parts) > 0 && parts[len(parts)-1] == "" {
			parts = parts[:len(parts)-1] // Java's split drops them
		}
		if len(parts) != 2 {
			return nil, invalid("renames", "["+strings.Join(pairs, ", ")+"]", "Invalid rename mapping: "+pair)
		}
		o.rename(parts[0], parts[1])
	}
	// Where two fields get one name the order decides which of them ReplaceField looks for.
	o.renames = java.InHashMap(o.renames, func(r rename) string { return r.from })
	return o, o.configure(s)
}

// rename adds a mapping; the last of a name counts.
func (o *replace) rename(from, to string) {
	for i := range o.renames {
		if o.renames[i].from == from {
			o.renames[i].to = to
			return
		}
	}
	o.renames = append(o.renames, rename{from, to})
}

func (o *replace) stays(name string) bool {
	return !slices.Contains(o.exclude, name) && (len(o.include) == 0 || slices.Contains(o.include, name))
}

func (o *replace) renamed(name string) string {
	for _, r := range o.renames {
		if r.from == name {
			return r.to
		}
	}
	return name
}

// source is the field whose value goes into a field of the result: with two renames to one name, the last one's.
func (o *replace) source(name string) string {
	for i := len(o.renames) - 1; i >= 0; i-- {
		if o.renames[i].to == name {
			return o.renames[i].from
		}
	}
	return name
}

func (o *replace) apply(x *object, s step) *failure {
	if x.isMap {
		return o.applyToMap(x, s)
	}
	// As in Kafka, the schema of a field comes from the field that was renamed, its value from the field that the
	// rename names: they differ where a field that is not renamed has the name of a rename's result.
	x.renew()
	before := slices.Clone(x.fields)
	x.fields = x.fields[:0]
	for _, f := range before {
		if !o.stays(f.name) {
			continue
		}
		name := o.renamed(f.name)
		if source := o.source(name); source != f.name {
			i := slices.IndexFunc(before, func(f field) bool { return f.name == source })
			if i < 0 {
				x.fail(&failure{s.stage, dataException, source + " is not a valid field name"})
			} else if made, wrong := assigned(before[i], f, name, s.stage); wrong != nil {
				x.fail(wrong)
			} else {
				f = made
			}
		}
		f.name = name
		if f := x.addMember(f, s.stage); f != nil {
			return f
		}
	}
	if o.replaceNull {
		x.replaceNulls(s.stage)
	}
	return nil
}

// assigned is the value of one field under the schema of another, which it has to be of, as Kafka's Struct.put says.
// Where only one of the two schemas has values with a branch, or their branches differ, it fails, which Kafka does not.
func assigned(value, schema field, name string, stage int) (field, *failure) {
	from, to := value.schema(), schema.schema()
	fail := func(message string) (field, *failure) { return field{}, &failure{stage, dataException, message} }
	switch {
	case reflect.DeepEqual(value.subtree(), schema.subtree()):
		return value, nil
	case from.Optional && !value.full: // each row tells whether it is null
	case javaClass(from) != javaClass(to):
		message := "Invalid Java object for schema"
		if to.Name != nil {
			message += " \"" + *to.Name + "\""
		}
		return fail(message + " with type " + kindNames[to.Kind] + ": class " + javaClass(from) + " for field: \"" +
			name + "\"")
	case to.Kind == wit.Struct:
		return fail("Struct schemas do not match.")
	}
	if from.Optional != to.Optional || from.Optional && (from.DefaultValue != nil || to.DefaultValue != nil) ||
		javaClass(from) != javaClass(to) || to.Kind >= wit.Array || javaClass(to) == "java.math.BigDecimal" {
		return fail("the value of a field under the schema of another, which differs: of " + value.name + " under " +
			name)
	}
	value.nodes, value.node = schema.nodes, schema.node
	return value, nil
}

// applyToMap takes entries out and renames them. Of several that get one name the one counts that Kafka's loop writes
// last; the names stay in their order.
func (o *replace) applyToMap(x *object, s step) *failure {
	for i := range x.fields {
		if !x.fields[i].isText() {
			return &failure{s.stage, classCastException, "a map whose keys are not all of class java.lang.String"}
		}
	}
	before := x.fields
	if len(o.renames) > 0 {
		before = slices.Clone(before)
	}
	x.fields = x.fields[:0]
	collided := false
	for _, f := range before {
		name := o.renamed(f.name)
		switch {
		case !o.stays(f.name):
			x.changed = true
		case o.source(name) != name && x.find(name) != nil:
			collided = true
		case name == f.name:
			x.fields = append(x.fields, f)
		default:
			x.changed = true
			x.add(name, f)
		}
	}
	if collided {
		x.changed = true
		for _, f := range java.InHashMap(before, func(f field) string { return f.name }) {
			if o.stays(f.name) {
				x.find(o.renamed(f.name)).set(f)
			}
		}
	}
	return nil
}
