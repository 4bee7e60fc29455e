package chain

import (
	"reflect"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// This file is transforms that Kafka Connect has none of: ToTombstone and Coalesce.

var tombstoneSpecs = []wit.SettingSpec{
	{Name: "field", Kind: wit.KindText, DefaultValue: wit.Ptr("RECORDMODE,ODQ_CHANGEMODE"), Importance: wit.Medium,
		Documentation: "Fields of the value that say whether the entity was deleted, with commas: the first one that " +
			"is there counts. The defaults are those of the OData source."},
	{Name: "values", Kind: wit.KindListOfText, DefaultValue: wit.Ptr("D"), Importance: wit.Medium,
		Documentation: "Texts of the field that mean a deletion."},
}

// toTombstone is ToTombstone: a record that says that an entity was deleted becomes a key without a value.
type toTombstone struct {
	onColumn[*tombstoneProgram]
	fields, values []string
}

// tombstoneProgram is the field's member in a schema, -1: there is none.
type tombstoneProgram struct {
	*program
	member int
	node   wit.Node
}

func newToTombstone(s settings) (operation, *wit.Fault) {
	o := &toTombstone{fields: []string{"RECORDMODE", "ODQ_CHANGEMODE"}, values: []string{"D"}}
	o.onColumn = onColumn[*tombstoneProgram]{side: valueSide, compile: o.program, structured: o.look,
		dynamic: o.lookInMap}
	for name, list := range map[string]*[]string{"field": &o.fields, "values": &o.values} {
		if _, given := s.find(name); !given {
			continue
		}
		if *list = s.list(name); len(*list) == 0 || slices.Contains(*list, "") {
			return nil, invalid(name, strings.Join(*list, ","), "expected at least one text, none of them empty")
		}
	}
	return o, nil
}

// lookInMap does a column without schema.
func (o *toTombstone) lookInMap(e *Engine, c *column, stage int) *failure {
	class, bad := e.entries.read(c.bytes)
	switch {
	case bad:
		return broken(stage, 0)
	case class != "":
		return nil
	}
	for _, name := range o.fields {
		if x := e.entries.find(name); x != nil {
			if x.value[0] != datum.TagText {
				break
			}
			text, _ := datum.Block(x.value[1:])
			return o.bury(e, c, text, stage)
		}
	}
	return nil
}

// look does a column with a schema.
func (o *toTombstone) look(e *Engine, c *column, x *tombstoneProgram, stage int) *failure {
	if x.member < 0 {
		return nil
	}
	if done, f := e.opened(x.program, c, stage); done {
		return f
	}
	b := c.bytes[e.ends[x.member]:e.ends[x.member+1]]
	null, size, ok := datum.IsNull(&x.node, b)
	if !ok {
		return broken(stage, x.member)
	}
	if null {
		return nil
	}
	text, _ := datum.Block(b[size:])
	return o.bury(e, c, text, stage)
}

// bury makes a tombstone of the row where the field's text says so.
func (o *toTombstone) bury(e *Engine, c *column, text []byte, stage int) *failure {
	if !slices.Contains(o.values, string(text)) {
		return nil
	}
	null, err := e.view.columns[keySide].null(&e.schemas)
	switch {
	case err != nil:
		return &failure{stage, dataException, err.Error()}
	case null:
		return &failure{stage, dataException, "A tombstone needs a key: nobody could tell which entity was deleted"}
	}
	c.set(wit.Absent, 0, nil)
	return nil
}

// program finds the field in a schema.
func (o *toTombstone) program(_ *Engine, nodes []wit.Node, _ int) *tombstoneProgram {
	p, l := beginProgram(nodes)
	x := &tombstoneProgram{program: p, member: -1}
	if l == nil {
		return x
	}
	for _, name := range o.fields {
		at := l.find(name)
		if at < 0 {
			continue
		}
		if n := nodes[l.fields[at].node]; n.Kind == wit.Text {
			x.member, x.node = at, n
		}
		break
	}
	return x
}

var coalesceSpecs = []wit.SettingSpec{
	needsList("fields", "Fields of which the first that is not null counts, in their order."),
	needs("field", wit.High, "Field that takes the value: a new one at the end, or one of <code>fields</code>."),
	{Name: "remove", Kind: wit.KindBoolean, DefaultValue: wit.Ptr("false"), Importance: wit.Medium,
		Documentation: "If true, the other <code>fields</code> are left out of the result."},
	replaceNullSpec,
}

// coalesce is Coalesce: a field becomes the first of several that is not null.
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
	if o.remove, err = s.flag("remove", false); err != nil {
		return nil, err
	}
	o.replaceNull, err = s.boolean(replaceNullSpec.Name)
	return o, err
}

// coalesceProgram is what Coalesce comes to for a schema.
type coalesceProgram struct {
	*program
	// sources are members of the input; target is the result's node.
	sources []source
	target  wit.Node
	// order are the members of the result: those of the input, -1: the one that is made.
	order []int
	out   uint32
}

// source is a member whose value may be taken.
type source struct {
	member int
	node   wit.Node
	// instead are the bytes of a default that counts for a null, without a branch.
	instead []byte
}

// program finds the fields of a schema.
func (o *coalesce) program(e *Engine, nodes []wit.Node, stage int) *coalesceProgram {
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
		s := source{member: at, node: f.nodes[f.node]}
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
	x.out, p.failure = new(output).write(&e.schemas, out, stage)
	return x
}

// choose does a column with a schema.
func (o *coalesce) choose(e *Engine, c *column, x *coalesceProgram, stage int) *failure {
	if done, f := e.opened(x.program, c, stage); done {
		return f
	}
	var found []byte
	some := false
	for i := range x.sources {
		s := &x.sources[i]
		b := c.bytes[e.ends[s.member]:e.ends[s.member+1]]
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
	from := len(e.scratch)
	for _, member := range x.order {
		if member >= 0 {
			e.scratch = append(e.scratch, c.bytes[e.ends[member]:e.ends[member+1]]...)
			continue
		}
		e.scratch = append(datum.AppendBranch(e.scratch, &x.target, !some), found...)
	}
	c.set(wit.Structured, x.out, e.scratch[from:])
	return nil
}

// chooseEntry does a column without schema.
func (o *coalesce) chooseEntry(e *Engine, c *column, stage int) *failure {
	m := &e.entries
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
	from := len(e.scratch)
	e.scratch = m.write(e.scratch)
	c.set(wit.Dynamic, 0, e.scratch[from:])
	return nil
}
