package chain

import (
	"slices"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var unwrapSpecs = []wit.ConfigKey{
	{Name: "fields", Kind: wit.KindList, DefaultValue: wit.Ptr(""), Importance: wit.Medium,
		Documentation: "Fields to unwrap, at whatever level; empty: all that hold nothing but a wrapper."},
	{Name: "wrapper", Kind: wit.KindString, DefaultValue: wit.Ptr("results"), Importance: wit.Low,
		Documentation: "Name inside of a wrapper: OData's JSON writes an expanded feed as " +
			"<code>{\"results\": […]}</code>."},
}

// unwrap is Unwrap: where a field holds an expanded feed as OData's JSON has it, the array takes the place of the
// structure around it. Beside the array may stand what tells of the feed and not of its entities: `__count`, and a
// `__next` that is null.
type unwrap struct {
	target
	fields  []string
	wrapper string
	// schemas are the schemas without wrappers; nil for one that has none.
	schemas programs[[]wit.SchemaNode]
}

const (
	feedCount = "__count"
	feedNext  = "__next"
)

func newUnwrap(at side, s settings) (operation, *wit.Error) {
	o := &unwrap{target: target{at: at, whole: true, nulls: true}, wrapper: "results", fields: s.list("fields")}
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
func (o *unwrap) inner(nodes []wit.SchemaNode, n *wit.SchemaNode) int {
	if n.Kind != wit.Struct {
		return -1
	}
	at := -1
	for i, m := range n.Fields {
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

// node is a node of a schema without wrappers: in the place of a wrapper its array.
func (o *unwrap) node(nodes []wit.SchemaNode, node uint32, name string) wit.SchemaNode {
	n := nodes[node]
	if at := o.inner(nodes, &n); at >= 0 && name != "" && o.meant(name) {
		optional := n.Optional
		node = n.Fields[at].Node
		if n = nodes[node]; optional && !n.Optional {
			n.Optional, n.DefaultValue = true, nil
		}
	}
	n.DefaultValue = nil
	if n.Kind != wit.Struct && n.Kind != wit.Array && n.Kind != wit.Map {
		n.DefaultValue = nodes[node].DefaultValue
	}
	return n
}

// without returns a schema without wrappers, nil if it has none.
func (o *unwrap) without(nodes []wit.SchemaNode) []wit.SchemaNode {
	if !slices.ContainsFunc(nodes, func(n wit.SchemaNode) bool { return o.holds(nodes, &n) }) {
		return nil
	}
	return graftBy(nil, 0, "", func(node uint32, name string) wit.SchemaNode { return o.node(nodes, node, name) })
}

// holds tells whether a structure has a field that is to be unwrapped.
func (o *unwrap) holds(nodes []wit.SchemaNode, n *wit.SchemaNode) bool {
	return n.Kind == wit.Struct && slices.ContainsFunc(n.Fields, func(m wit.Field) bool {
		return o.meant(m.Name) && o.inner(nodes, &nodes[m.Node]) >= 0
	})
}

func (o *unwrap) apply(x *object, s step) *failure {
	f := &x.fields[0]
	wrong := func(err error) *failure { return &failure{s.stage, dataException, err.Error()} }
	if x.isMap {
		tree, _, err := connectdata.ReadSchemaless(f.bytes)
		if err != nil {
			return wrong(err)
		}
		made, changed, bad := o.value(nil, 0, tree, "", s.stage)
		if bad != nil || !changed {
			return bad
		}
		if f.bytes, err = connectdata.AppendSchemaless(nil, made); err != nil {
			return wrong(err)
		}
		return nil
	}
	nodes, _ := o.schemas.of(&x.w.schemas, x.layout.id, o.without)
	if x.stays = nodes == nil; x.stays {
		return nil
	}
	tree, _, err := connectdata.Read(x.layout.nodes, 0, f.bytes)
	if err != nil {
		return wrong(err)
	}
	made, _, bad := o.value(x.layout.nodes, 0, tree, "", s.stage)
	if bad != nil {
		return bad
	}
	x.root, f.nodes = nodes[0], nodes
	if f.bytes, err = connectdata.Append(nil, nodes, 0, made); err != nil {
		return wrong(err)
	}
	return nil
}

// value is a value without wrappers; nodes are nil for one without schema. changed: there were some.
func (o *unwrap) value(nodes []wit.SchemaNode, node uint32, v any, name string, stage int) (_ any, changed bool,
	f *failure) {
	if list, below, ok, f := o.feed(nodes, node, v, name, stage); ok || f != nil {
		if f == nil {
			list, _, f = o.value(nodes, below, list, "", stage)
		}
		return list, true, f
	}
	element := uint32(0)
	if nodes != nil {
		element = nodes[node].Element
	}
	inside := func(v *any, node uint32, name string) bool {
		is := false
		*v, is, f = o.value(nodes, node, *v, name, stage)
		changed = changed || is
		return f == nil
	}
	switch v := v.(type) {
	case connectdata.Struct:
		for i, m := range nodes[node].Fields {
			if !inside(&v[i], m.Node, m.Name) {
				return nil, false, f
			}
		}
	case connectdata.List:
		for i := range v {
			if !inside(&v[i], element, "") {
				return nil, false, f
			}
		}
	case connectdata.Map:
		for i := range v {
			key := ""
			if nodes == nil {
				key, _ = v[i].Key.(string)
			}
			if !inside(&v[i].Value, element, key) {
				return nil, false, f
			}
		}
	}
	return v, changed, nil
}

// feed is the array in a field that holds a wrapper, and the array's node; ok is false of other fields. It fails where
// only the feed's first entities are there.
func (o *unwrap) feed(nodes []wit.SchemaNode, node uint32, v any, name string, stage int) (list any, below uint32,
	ok bool,
	_ *failure) {
	if name == "" || !o.meant(name) {
		return nil, 0, false, nil
	}
	goesOn := false
	switch v := v.(type) {
	case nil:
		return nil, 0, nodes != nil && o.inner(nodes, &nodes[node]) >= 0, nil
	case connectdata.Struct:
		members := nodes[node].Fields
		at := o.inner(nodes, &nodes[node])
		if at < 0 {
			return nil, 0, false, nil
		}
		for i, m := range members {
			goesOn = goesOn || m.Name == feedNext && v[i] != nil
		}
		list, below, ok = v[at], members[at].Node, true
	case connectdata.Map:
		if nodes == nil {
			list, ok, goesOn = o.wrapped(v)
		}
	}
	if ok && goesOn {
		return nil, 0, false, &failure{stage, dataException, "The feed in " + name + " goes on after " + feedNext +
			": only its first entities are here"}
	}
	return list, below, ok, nil
}

// wrapped is the array of a map that is a wrapper, and whether the feed goes on after it.
func (o *unwrap) wrapped(m connectdata.Map) (list connectdata.List, ok, goesOn bool) {
	for _, e := range m {
		switch e.Key {
		case o.wrapper:
			if list, ok = e.Value.(connectdata.List); !ok {
				return nil, false, false
			}
		case feedCount:
		case feedNext:
			goesOn = e.Value != nil
		default:
			return nil, false, false
		}
	}
	return list, ok, goesOn
}
