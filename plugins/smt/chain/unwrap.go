package chain

import (
	"reflect"
	"slices"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

var unwrapSpecs = []wit.SettingSpec{
	{Name: "fields", Kind: wit.KindListOfText, DefaultValue: wit.Ptr(""), Importance: wit.Medium,
		Documentation: "Fields to unwrap, at whatever level; empty: all that hold nothing but a wrapper."},
	{Name: "wrapper", Kind: wit.KindText, DefaultValue: wit.Ptr("results"), Importance: wit.Low,
		Documentation: "Name inside of a wrapper: OData's JSON writes an expanded feed as " +
			"<code>{\"results\": […]}</code>."},
}

// unwrap is Unwrap: where a field holds an expanded feed as OData's JSON has it, the array takes the place of the
// structure around it. Beside the array may stand what tells of the feed and not of its entities: `__count`, and a
// `__next` that is null.
type unwrap struct {
	at       side
	fields   []string
	wrapper  string
	programs programs[*unwrapped]
}

// unwrapped is the schema that comes out.
type unwrapped struct {
	failure *failure
	nodes   []wit.Node
	result  []wit.Node
	out     uint32
	same    bool
}

const (
	feedCount = "__count"
	feedNext  = "__next"
)

func newUnwrap(at side, s settings) (operation, *wit.Fault) {
	o := &unwrap{at: at, wrapper: "results", fields: s.list("fields")}
	if text, given := s.find("wrapper"); given {
		if o.wrapper = setting.Trim(text); o.wrapper == "" {
			return nil, invalid("wrapper", text, "String must be non-empty")
		}
	}
	return o, nil
}

// meant tells whether a field of the name is to be unwrapped where it is a wrapper.
func (o *unwrap) meant(name string) bool {
	return len(o.fields) == 0 || slices.Contains(o.fields, name)
}

// inner is the member of a structure that a wrapper holds, -1: it is none.
func (o *unwrap) inner(nodes []wit.Node, n *wit.Node) int {
	if n.Kind != wit.Structure {
		return -1
	}
	at := -1
	for i, m := range n.Members {
		switch {
		case m.Name == o.wrapper && nodes[m.Node].Kind == wit.Array:
			at = i
		case m.Name == feedCount, m.Name == feedNext:
		default:
			return -1
		}
	}
	return at
}

// build appends the schema of a node without wrappers.
func (o *unwrap) build(dst, nodes []wit.Node, node uint32, name string) []wit.Node {
	n := nodes[node]
	if at := o.inner(nodes, &n); at >= 0 && name != "" && o.meant(name) {
		optional := n.Optional
		node = n.Members[at].Node
		if n = nodes[node]; optional && !n.Optional {
			n.Optional, n.DefaultValue = true, nil
		}
	}
	n.DefaultValue = nil
	if n.Kind != wit.Structure && n.Kind != wit.Array && n.Kind != wit.Mapping {
		n.DefaultValue = nodes[node].DefaultValue
	}
	at := len(dst)
	dst = append(dst, n)
	below := func(child uint32, name string) uint32 {
		id := uint32(len(dst))
		dst = o.build(dst, nodes, child, name)
		return id
	}
	switch n.Kind {
	case wit.Array:
		n.Element = below(n.Element, "")
	case wit.Mapping:
		n.Key = below(n.Key, "")
		n.Element = below(n.Element, "")
	case wit.Structure:
		n.Members = slices.Clone(n.Members)
		for i := range n.Members {
			n.Members[i].Node = below(n.Members[i].Node, n.Members[i].Name)
		}
	}
	dst[at] = n
	return dst
}

func (o *unwrap) compile(e *Engine, nodes []wit.Node, stage int) *unwrapped {
	x := &unwrapped{nodes: nodes, result: o.build(nil, nodes, 0, "")}
	if x.same = !slices.ContainsFunc(nodes, func(n wit.Node) bool { return o.holds(nodes, &n) }); x.same {
		return x
	}
	if _, err := datum.CheckSchema(x.result); err != nil {
		x.failure = &failure{stage, dataException, "what the transforms make of the schema is none: " + err.Error()}
		return x
	}
	x.out = e.schemas.declare(x.result)
	return x
}

// holds tells whether a structure has a field that is to be unwrapped.
func (o *unwrap) holds(nodes []wit.Node, n *wit.Node) bool {
	return n.Kind == wit.Structure && slices.ContainsFunc(n.Members, func(m wit.Member) bool {
		return o.meant(m.Name) && o.inner(nodes, &nodes[m.Node]) >= 0
	})
}

func (o *unwrap) apply(e *Engine, v *view, stage int) (*failure, error) {
	c := &v.columns[o.at]
	from := len(e.scratch)
	switch c.form {
	case wit.Absent:
		return nil, nil
	case wit.Dynamic:
		tree, _, err := datum.ReadDynamic(c.bytes)
		if err != nil {
			return &failure{stage, dataException, err.Error()}, nil
		}
		tree, changed, f := o.dynamic(tree, "", stage)
		if f != nil || !changed {
			return f, nil
		}
		if e.scratch, err = datum.AppendDynamic(e.scratch, tree); err != nil {
			return &failure{stage, dataException, err.Error()}, nil
		}
		c.set(wit.Dynamic, 0, e.scratch[from:])
		return nil, nil
	}
	x, err := o.programs.of(e, c.schema, func(nodes []wit.Node) *unwrapped { return o.compile(e, nodes, stage) })
	if err != nil || x.failure != nil || x.same {
		return x.failure, err
	}
	tree, _, err := datum.Read(x.nodes, 0, c.bytes)
	if err != nil {
		return &failure{stage, dataException, err.Error()}, nil
	}
	tree, f := o.structured(x.nodes, 0, tree, "", stage)
	if f != nil {
		return f, nil
	}
	if e.scratch, err = datum.Append(e.scratch, x.result, 0, tree); err != nil {
		return &failure{stage, dataException, err.Error()}, nil
	}
	c.set(wit.Structured, x.out, e.scratch[from:])
	return nil, nil
}

// cutOff is the failure of a feed of which only the first entities are there.
func cutOff(stage int, name string) *failure {
	return &failure{stage, dataException, "The feed in " + name + " goes on behind " + feedNext +
		": only its first entities are here"}
}

// structured is a value with schema without wrappers.
func (o *unwrap) structured(nodes []wit.Node, node uint32, v any, name string, stage int) (any, *failure) {
	n := &nodes[node]
	if at := o.inner(nodes, n); at >= 0 && name != "" && o.meant(name) {
		record, ok := v.(datum.Record)
		if !ok {
			return nil, nil
		}
		for i, m := range n.Members {
			if m.Name == feedNext && record[i] != nil {
				return nil, cutOff(stage, name)
			}
		}
		return o.structured(nodes, n.Members[at].Node, record[at], "", stage)
	}
	var f *failure
	switch v := v.(type) {
	case datum.Record:
		for i, m := range n.Members {
			if v[i], f = o.structured(nodes, m.Node, v[i], m.Name, stage); f != nil {
				return nil, f
			}
		}
	case datum.List:
		for i := range v {
			if v[i], f = o.structured(nodes, n.Element, v[i], "", stage); f != nil {
				return nil, f
			}
		}
	case datum.Map:
		for i := range v {
			if v[i].Value, f = o.structured(nodes, n.Element, v[i].Value, "", stage); f != nil {
				return nil, f
			}
		}
	}
	return v, nil
}

// dynamic is a value without schema without wrappers.
func (o *unwrap) dynamic(v any, name string, stage int) (_ any, changed bool, f *failure) {
	switch v := v.(type) {
	case datum.List:
		for i := range v {
			inside := false
			if v[i], inside, f = o.dynamic(v[i], "", stage); f != nil {
				return nil, false, f
			}
			changed = changed || inside
		}
	case datum.Map:
		if list, ok, f := o.feed(v, name, stage); f != nil {
			return nil, false, f
		} else if ok && name != "" && o.meant(name) {
			inner, _, f := o.dynamic(list, "", stage)
			return inner, true, f
		}
		for i := range v {
			inside := false
			key, _ := v[i].Key.(string)
			if v[i].Value, inside, f = o.dynamic(v[i].Value, key, stage); f != nil {
				return nil, false, f
			}
			changed = changed || inside
		}
	}
	return v, changed, nil
}

// feed is the array of a map that is a wrapper.
func (o *unwrap) feed(m datum.Map, name string, stage int) (list datum.List, ok bool, _ *failure) {
	goesOn := false
	for _, e := range m {
		switch e.Key {
		case o.wrapper:
			if list, ok = e.Value.(datum.List); !ok {
				return nil, false, nil
			}
		case feedCount:
		case feedNext:
			goesOn = e.Value != nil
		default:
			return nil, false, nil
		}
	}
	if ok && goesOn && name != "" && o.meant(name) {
		return nil, false, cutOff(stage, name)
	}
	return list, ok, nil
}

// sameNodes tells whether two schemas are equal.
func sameNodes(a, b []wit.Node) bool { return reflect.DeepEqual(a, b) }
