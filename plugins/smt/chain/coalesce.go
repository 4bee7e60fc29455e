package chain

import (
	"reflect"
	"slices"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var coalesceSpecs = []wit.ConfigKey{
	needsList("fields", "Fields of which the first that is not null counts, in their order."),
	needs("field", wit.High, "Field that takes the value: a new one at the end, or one of <code>fields</code>."),
	{Name: "remove", Kind: wit.KindBoolean, DefaultValue: wit.Ptr("false"), Importance: wit.Medium,
		Documentation: "If true, the other <code>fields</code> are left out of the result."},
	replaceNullSpec,
}

// coalesce is Coalesce, our own: a field becomes the first of several that is not null.
type coalesce struct {
	target
	fields []string
	field  string
	remove bool
	// types are those of the field, by the schema of the structure.
	types programs[coalescedType]
}

// coalescedType is the type of the fields that are coalesced, without a default, or why they have none.
type coalescedType struct {
	nodes   []wit.SchemaNode
	failure *failure
}

func newCoalesce(at side, s settings) (operation, *wit.Error) {
	o := &coalesce{target: target{at: at, purpose: "coalescing fields"}}
	text, err := s.needed("field")
	if err != nil {
		return nil, err
	}
	if o.field = setting.Trim(text); o.field == "" {
		return nil, invalid("field", text, "String must be non-empty")
	}
	if o.fields, err = s.distinct("fields"); err != nil {
		return nil, err
	}
	if o.remove, err = s.boolean("remove", false); err != nil {
		return nil, err
	}
	return o, o.configure(s)
}

func (o *coalesce) apply(x *object, s step) *failure {
	if x.trace != nil { // each row has another field
		return unfit
	}
	if !x.load(s.stage) {
		return x.pending
	}
	wrong := func(text string) *failure { return &failure{s.stage, dataException, text} }
	made := nullValue
	var sources []*field
	for _, name := range o.fields {
		f := x.find(name)
		switch {
		case f == nil && !x.isMap:
			return wrong("Field does not exist: " + name)
		case f != nil && x.isMap && f.bytes[0] != connectdata.TagNull && made.bytes[0] == connectdata.TagNull:
			made.bytes = f.bytes
		}
		sources = append(sources, f)
	}
	if !x.isMap {
		x.renew()
		var f *failure
		if made, f = o.choose(x, sources, s.stage); f != nil {
			return f
		}
	}
	to := x.find(o.field)
	switch {
	case to != nil && !slices.Contains(o.fields, o.field):
		return wrong("Field " + o.field + " is there and none of those that are coalesced")
	case to != nil:
		to.set(made)
	case x.isMap:
		x.add(o.field, made)
	default:
		made.name = o.field
		x.fields = append(x.fields, made)
	}
	x.changed = true
	if o.remove {
		x.fields = slices.DeleteFunc(x.fields, func(f field) bool {
			return f.isText() && f.name != o.field && slices.Contains(o.fields, f.name)
		})
	}
	return nil
}

// choose creates the field of a structure that contains the first value of the sources.
func (o *coalesce) choose(x *object, sources []*field, stage int) (made field, _ *failure) {
	of, _ := o.types.of(&x.w.schemas, x.layout.id,
		func([]wit.SchemaNode) coalescedType { return o.typeOf(sources, stage) })
	if of.failure != nil {
		return made, of.failure
	}
	var value []byte
	null := true
	for _, f := range sources {
		size, ok := 0, false
		if null, size, ok = connectdata.IsNull(f.schema(), f.bytes); !ok {
			return made, broken(stage, f.index)
		}
		value = f.bytes[size:]
		if n := f.schema(); null && o.replaceNull && n.DefaultValue != nil {
			null, value = false, *n.DefaultValue
		}
		if !null {
			break
		}
	}
	return field{nodes: of.nodes, bytes: x.w.branched(&of.nodes[0], null, value), origin: origin{from: constant}}, nil
}

// typeOf returns the type of the sources: optional if all of them may be null.
func (o *coalesce) typeOf(sources []*field, stage int) (made coalescedType) {
	optional := true
	for _, f := range sources {
		n := f.schema()
		optional = optional && n.Optional && (n.DefaultValue == nil || !o.replaceNull)
		tree := f.subtree()
		tree[0].Optional, tree[0].DefaultValue, tree[0].Doc = false, nil, nil
		if made.nodes == nil {
			made.nodes = tree
		} else if !reflect.DeepEqual(made.nodes, tree) {
			made.failure = &failure{stage, dataException, "Fields of one type expected for [" + o.purpose +
				"], found: " + o.fields[0] + " " + javaClass(&made.nodes[0]) + ", " + f.name + " " +
				javaClass(&tree[0])}
			return made
		}
	}
	made.nodes[0].Optional = optional
	return made
}
