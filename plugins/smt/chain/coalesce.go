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

// coalesceProgram is what Coalesce comes to for a schema.
type coalesceProgram struct {
	*program
	// sources are members of the input; target is the result's node.
	sources []coalesceSource
	target  wit.Node
	// order are the members of the result: those of the input, -1: the one that is made.
	order []int
	out   uint32
}

// coalesceSource is a member whose value may be taken.
type coalesceSource struct {
	member int
	node   wit.Node
	// instead are the bytes of a default that counts for a null, without a branch.
	instead []byte
}

// program finds the fields of a schema.
func (o *coalesce) program(w *work, nodes []wit.Node, stage int) *coalesceProgram {
	p, l := beginProgram(nodes)
	x := &coalesceProgram{program: p}
	if l == nil {
		p.failure = onlyStruct(stage, coalescePurpose, javaClass(&nodes[0]))
		return x
	}
	var made field
	optional := true
	for _, name := range o.fields {
		at := l.find(name)
		if at < 0 {
			p.failure = &failure{stage, dataException, "Field does not exist: " + name}
			return x
		}
		f := l.fields[at]
		s := coalesceSource{member: at, node: f.nodes[f.node]}
		if o.replaceNull && s.node.DefaultValue != nil {
			s.instead = *s.node.DefaultValue
		}
		optional = optional && s.node.Optional && s.instead == nil
		tree := subtree(f)
		tree[0].Optional, tree[0].DefaultValue, tree[0].Doc = false, nil, nil
		if made.nodes == nil {
			made = field{name: o.field, nodes: tree, from: constant}
		} else if !reflect.DeepEqual(made.nodes, tree) {
			p.failure = &failure{stage, dataException, "Fields of one type expected for [" + coalescePurpose +
				"], found: " +
				o.fields[0] + " " + javaClass(&made.nodes[0]) + ", " + name + " " + javaClass(&tree[0])}
			return x
		}
		x.sources = append(x.sources, s)
	}
	made.nodes[0].Optional = optional
	x.target = made.nodes[0]
	out, placed := &structDraft{}, false
	for i, f := range l.fields {
		switch listed := slices.Contains(o.fields, f.name); {
		case f.name == o.field && !listed:
			p.failure = &failure{stage, dataException,
				"Field " + o.field + " is there and none of those that are coalesced"}
			return x
		case f.name == o.field:
			out.fields, x.order, placed = append(out.fields, made), append(x.order, -1), true
		case listed && o.remove:
		default:
			out.fields, x.order = append(out.fields, f), append(x.order, i)
		}
	}
	if !placed {
		out.fields, x.order = append(out.fields, made), append(x.order, -1)
	}
	out.root = basics(&nodes[0])
	x.out, p.failure = new(output).write(&w.schemas, out, stage)
	return x
}

// choose does a column with a schema.
func (o *coalesce) choose(w *work, c *column, x *coalesceProgram, stage int) *failure {
	if done, f := x.opened(w, c, stage); done {
		return f
	}
	var found []byte
	some := false
	for i := range x.sources {
		s := &x.sources[i]
		b := c.bytes[w.ends[s.member]:w.ends[s.member+1]]
		null, size, ok := datum.IsNull(&s.node, b)
		if !ok {
			return broken(stage, s.member)
		}
		if !null {
			found, some = b[size:], true
			break
		}
		if s.instead != nil {
			found, some = s.instead, true
			break
		}
	}
	from := len(w.scratch)
	for _, member := range x.order {
		if member >= 0 {
			w.scratch = append(w.scratch, c.bytes[w.ends[member]:w.ends[member+1]]...)
			continue
		}
		w.scratch = append(datum.AppendBranch(w.scratch, &x.target, !some), found...)
	}
	c.set(wit.Structured, x.out, w.scratch[from:])
	return nil
}

// chooseEntry does a column without schema.
func (o *coalesce) chooseEntry(w *work, c *column, stage int) *failure {
	m := &w.entries
	if f := m.take(c.bytes, stage, coalescePurpose); f != nil {
		return f
	}
	if !slices.Contains(o.fields, o.field) && m.find(o.field) != nil {
		return &failure{stage, dataException, "Field " + o.field + " is there and none of those that are coalesced"}
	}
	made := entry{value: []byte{datum.TagNull}, valueAt: -1}
	for _, name := range o.fields {
		if x := m.find(name); x != nil && x.value[0] != datum.TagNull {
			made.value = x.value
			break
		}
	}
	m.put(o.field, made)
	if o.remove {
		m.list = slices.DeleteFunc(m.list, func(x entry) bool {
			return x.name != nil && string(x.name) != o.field && slices.Contains(o.fields, string(x.name))
		})
	}
	from := len(w.scratch)
	w.scratch = m.write(w.scratch)
	c.set(wit.Dynamic, 0, w.scratch[from:])
	return nil
}
