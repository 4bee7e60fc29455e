package fields

import (
	"slices"

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

var unwrapKeys = []wit.ConfigKey{
	{Name: "fields", Kind: wit.KindList, DefaultValue: wit.Ptr(""), Importance: wit.Medium,
		Documentation: "Fields to unwrap, at any level. If empty, all fields that contain only a wrapper."},
	{Name: "wrapper", Kind: wit.KindString, DefaultValue: wit.Ptr("results"), Importance: wit.Low,
		Documentation: "Name of the array in a wrapper: OData's JSON writes an expanded feed as " +
			"<code>{\"results\": […]}</code>."},
}

// unwrap replaces the struct around an expanded feed of OData's JSON by its array. The struct may also contain
// `__count`, and `__next` if it is null.
type unwrap struct {
	operation.FieldOptions
	fields  []string
	wrapper string
	schemas schemas.Cache[[]wit.SchemaNode]
}

const (
	feedCount = "__count"
	feedNext  = "__next"
)

func newUnwrap(at record.Target, s settings.Values) (operation.Operation, *wit.Error) {
	o := &unwrap{FieldOptions: operation.FieldOptions{Target: at, Whole: true, ConvertNull: true}, wrapper: "results",
		fields: s.List("fields")}
	if text, isSet := s.Find("wrapper"); isSet {
		if o.wrapper = setting.Trim(text); o.wrapper == "" {
			return nil, settings.Invalid("wrapper", text, "String must be non-empty")
		}
	}
	return o, nil
}

func (o *unwrap) selected(name string) bool {
	return len(o.fields) == 0 || slices.Contains(o.fields, name)
}

func (o *unwrap) arrayField(nodes []wit.SchemaNode, n *wit.SchemaNode) int {
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

func (o *unwrap) node(nodes []wit.SchemaNode, node uint32, name string) wit.SchemaNode {
	n := nodes[node]
	if at := o.arrayField(nodes, &n); at >= 0 && name != "" && o.selected(name) {
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

// unwrapSchema returns the schema without wrappers, nil if it has none.
func (o *unwrap) unwrapSchema(nodes []wit.SchemaNode) []wit.SchemaNode {
	if !slices.ContainsFunc(nodes, func(n wit.SchemaNode) bool { return o.hasWrapper(nodes, &n) }) {
		return nil
	}
	return schemas.AppendNodeFunc(nil, 0, "", func(node uint32, name string) wit.SchemaNode {
		return o.node(nodes, node, name)
	})
}

func (o *unwrap) hasWrapper(nodes []wit.SchemaNode, n *wit.SchemaNode) bool {
	return n.Kind == wit.Struct && slices.ContainsFunc(n.Fields, func(m wit.Field) bool {
		return o.selected(m.Name) && o.arrayField(nodes, &nodes[m.Node]) >= 0
	})
}

func (o *unwrap) Apply(x *object.Object, s operation.Step) *rowerror.Failure {
	f := &x.Fields[0]
	failed := func(err error) *rowerror.Failure { return rowerror.Data(s.Stage, err.Error()) }
	if x.IsMap {
		tree, _, err := connectdata.ReadSchemaless(f.Bytes)
		if err != nil {
			return failed(err)
		}
		result, changed, failure := o.unwrapValue(nil, 0, tree, "", s.Stage)
		if failure != nil || !changed {
			return failure
		}
		if f.Bytes, err = connectdata.AppendSchemaless(nil, result); err != nil {
			return failed(err)
		}
		return nil
	}
	nodes, _ := o.schemas.Get(&x.Scratch.Schemas, x.Layout.ID, o.unwrapSchema)
	if x.KeepsSchema = nodes == nil; x.KeepsSchema {
		return nil
	}
	tree, _, err := connectdata.Read(x.Layout.Nodes, 0, f.Bytes)
	if err != nil {
		return failed(err)
	}
	result, _, failure := o.unwrapValue(x.Layout.Nodes, 0, tree, "", s.Stage)
	if failure != nil {
		return failure
	}
	x.Root, f.Nodes = nodes[0], nodes
	if f.Bytes, err = connectdata.Append(nil, nodes, 0, result); err != nil {
		return failed(err)
	}
	return nil
}

// unwrapValue returns the value without wrappers. nodes is nil for a value without schema.
func (o *unwrap) unwrapValue(nodes []wit.SchemaNode, node uint32, v any, name string, stage int) (_ any, changed bool,
	f *rowerror.Failure) {
	if list, arrayNode, ok, f := o.feedArray(nodes, node, v, name, stage); ok || f != nil {
		if f == nil {
			list, _, f = o.unwrapValue(nodes, arrayNode, list, "", stage)
		}
		return list, true, f
	}
	element := uint32(0)
	if nodes != nil {
		element = nodes[node].Element
	}
	unwrapField := func(v *any, node uint32, name string) bool {
		unwrapped := false
		*v, unwrapped, f = o.unwrapValue(nodes, node, *v, name, stage)
		changed = changed || unwrapped
		return f == nil
	}
	switch v := v.(type) {
	case connectdata.Struct:
		for i, m := range nodes[node].Fields {
			if !unwrapField(&v[i], m.Node, m.Name) {
				return nil, false, f
			}
		}
	case connectdata.List:
		for i := range v {
			if !unwrapField(&v[i], element, "") {
				return nil, false, f
			}
		}
	case connectdata.Map:
		for i := range v {
			key := ""
			if nodes == nil {
				key, _ = v[i].Key.(string)
			}
			if !unwrapField(&v[i].Value, element, key) {
				return nil, false, f
			}
		}
	}
	return v, changed, nil
}

// feedArray returns the array of a wrapper and its node. It fails if the feed continues on another page.
func (o *unwrap) feedArray(nodes []wit.SchemaNode, node uint32, v any, name string, stage int) (list any,
	arrayNode uint32,
	ok bool,
	_ *rowerror.Failure) {
	if name == "" || !o.selected(name) {
		return nil, 0, false, nil
	}
	hasMore := false
	switch v := v.(type) {
	case nil:
		return nil, 0, nodes != nil && o.arrayField(nodes, &nodes[node]) >= 0, nil
	case connectdata.Struct:
		members := nodes[node].Fields
		at := o.arrayField(nodes, &nodes[node])
		if at < 0 {
			return nil, 0, false, nil
		}
		for i, m := range members {
			hasMore = hasMore || m.Name == feedNext && v[i] != nil
		}
		list, arrayNode, ok = v[at], members[at].Node, true
	case connectdata.Map:
		if nodes == nil {
			list, ok, hasMore = o.wrapperArray(v)
		}
	}
	if ok && hasMore {
		return nil, 0, false, rowerror.Data(stage, "The feed in "+name+" continues after "+feedNext+
			": only its first entities are present")
	}
	return list, arrayNode, ok, nil
}

func (o *unwrap) wrapperArray(m connectdata.Map) (list connectdata.List, ok, hasMore bool) {
	for _, e := range m {
		switch e.Key {
		case o.wrapper:
			if list, ok = e.Value.(connectdata.List); !ok {
				return nil, false, false
			}
		case feedCount:
		case feedNext:
			hasMore = e.Value != nil
		default:
			return nil, false, false
		}
	}
	return list, ok, hasMore
}
