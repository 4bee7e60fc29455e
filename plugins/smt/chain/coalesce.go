package chain

import (
	"reflect"
	"slices"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

var coalesceSpecs = []wit.SettingSpec{
	needsList("fields", "Fields of which the first that is not null counts, in their order."),
	needs("field", wit.High, "Field that takes the value: a new one at the end, or one of <code>fields</code>."),
	{Name: "remove", Kind: wit.KindBoolean, DefaultValue: wit.Ptr("false"), Importance: wit.Medium,
		Documentation: "If true, the other <code>fields</code> are left out of the result."},
	replaceNullSpec,
}

// coalesce is Coalesce, our own: a field becomes the first of several that is not null.
type coalesce struct {
	onColumn[*coalesceProgram]
	fields              []string
	field               string
	remove, replaceNull bool
}

const coalescePurpose = "coalescing fields"

func newCoalesce(at side, s settings) (operation, *wit.Fault) {
	o := &coalesce{}
	o.onColumn = onColumn[*coalesceProgram]{side: at, compile: o.program, structured: o.choose,
		dynamic: o.chooseEntry}
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
	o.replaceNull, err = s.boolean(replaceNullSpec.Name, true)
	return o, err
}

// coalesceProgram is what Coalesce does for a schema.
type coalesceProgram struct {
	failure *failure
	// sources are fields whose value may be taken, of which defaults counts for a null; target is the result's node.
	sources []*field
	target  wit.Node
	// order are the members of the result: those of the input, -1 for the one that is made.
	order []int
	out   uint32
}

// program finds the fields of a schema.
func (o *coalesce) program(w *work, l *layout, stage int) *coalesceProgram {
	x := &coalesceProgram{}
	y := &object{}
	y.open(w, l, nil, 0)
	wrong := func(text string) *coalesceProgram {
		x.failure = &failure{stage, dataException, text}
		return x
	}
	if !l.isStruct() {
		x.failure = onlyStruct(stage, coalescePurpose, javaClass(&l.nodes[0]))
		return x
	}
	var made field
	optional := true
	for _, name := range o.fields {
		f := y.find(name)
		if f == nil {
			return wrong("Field does not exist: " + name)
		}
		n := f.schema()
		optional = optional && n.Optional && (n.DefaultValue == nil || !o.replaceNull)
		tree := f.subtree()
		tree[0].Optional, tree[0].DefaultValue, tree[0].Doc = false, nil, nil
		if made.nodes == nil {
			made = field{name: o.field, nodes: tree}
		} else if !reflect.DeepEqual(made.nodes, tree) {
			return wrong("Fields of one type expected for [" + coalescePurpose + "], found: " + o.fields[0] + " " +
				javaClass(&made.nodes[0]) + ", " + name + " " + javaClass(&tree[0]))
		}
		x.sources = append(x.sources, f)
	}
	made.nodes[0].Optional = optional
	x.target = made.nodes[0]
	out := &object{root: basics(&l.nodes[0])}
	put := func(f field, member int) { out.fields, x.order = append(out.fields, f), append(x.order, member) }
	for i, f := range y.fields {
		switch listed := slices.Contains(o.fields, f.name); {
		case f.name == o.field && !listed:
			return wrong("Field " + o.field + " is there and none of those that are coalesced")
		case f.name == o.field:
			put(made, -1)
		case !listed || !o.remove:
			put(f, i)
		}
	}
	if !slices.Contains(x.order, -1) {
		put(made, -1)
	}
	x.out, x.failure = w.schemas.declareMade(out.nodes(), stage)
	return x
}

// choose does a column with a schema.
func (o *coalesce) choose(w *work, c *column, l *layout, x *coalesceProgram, stage int) *failure {
	if done, f := w.opened(c, l, x.failure, stage); done {
		return f
	}
	fields := w.object.fields
	var found []byte
	some := false
	for _, s := range x.sources {
		n, b := s.schema(), fields[s.index].bytes
		null, size, ok := datum.IsNull(n, b)
		if !ok {
			return broken(stage, s.index)
		}
		if found, some = b[size:], !null; null && o.replaceNull && n.DefaultValue != nil {
			found, some = *n.DefaultValue, true
		}
		if some {
			break
		}
	}
	if !some {
		found = nil
	}
	w.put(c, wit.Structured, x.out, func(dst []byte) []byte {
		for _, member := range x.order {
			if member >= 0 {
				dst = append(dst, fields[member].bytes...)
			} else {
				dst = append(datum.AppendBranch(dst, &x.target, !some), found...)
			}
		}
		return dst
	})
	return nil
}

// chooseEntry does a column without schema.
func (o *coalesce) chooseEntry(w *work, c *column, stage int) *failure {
	x := &w.object
	if f := x.openMap(w, c.bytes, stage, coalescePurpose); f != nil {
		return f
	}
	if !slices.Contains(o.fields, o.field) && x.find(o.field) != nil {
		return &failure{stage, dataException, "Field " + o.field + " is there and none of those that are coalesced"}
	}
	made := nullValue
	for _, name := range o.fields {
		if f := x.find(name); f != nil && f.bytes[0] != datum.TagNull {
			made.bytes = f.bytes
			break
		}
	}
	x.put(o.field, made)
	if o.remove {
		x.fields = slices.DeleteFunc(x.fields, func(f field) bool {
			return f.isText() && f.name != o.field && slices.Contains(o.fields, f.name)
		})
	}
	w.put(c, wit.Dynamic, 0, x.write)
	return nil
}
