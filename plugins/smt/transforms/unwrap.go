package transforms

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/record"
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

// unwrap replaces the struct around an expanded feed of OData's JSON, the wrapper, by its array. The wrapper may also
// contain `__count`, and `__next` if it is null.
type unwrap struct {
	FieldOptions
	fields  []string
	wrapper string
	schemas record.SchemaCache[[]wit.SchemaNode]
}

const (
	feedCount = "__count"
	feedNext  = "__next"
)

func newUnwrap(target record.Target, values Settings) (Operation, *wit.Error) {
	transform := &unwrap{FieldOptions: FieldOptions{Target: target, Whole: true, ConvertNull: true},
		wrapper: "results", fields: values.List("fields")}
	if wrapper, isSet := values.Find("wrapper"); isSet {
		if transform.wrapper = setting.Trim(wrapper); transform.wrapper == "" {
			return nil, invalidSetting("wrapper", wrapper, "String must be non-empty")
		}
	}
	return transform, nil
}

// isSelected reports whether fields with a name are unwrapped.
func (u *unwrap) isSelected(name string) bool {
	return len(u.fields) == 0 || slices.Contains(u.fields, name)
}

// arrayField returns the index of the array in a wrapper, -1 if the node is no wrapper.
func (u *unwrap) arrayField(nodes []wit.SchemaNode, node *wit.SchemaNode) int {
	if node.Kind != wit.Struct {
		return -1
	}
	index := -1
	for i, field := range node.Fields {
		switch {
		case field.Name == u.wrapper && nodes[field.Node].Kind == wit.Array:
			index = i
		case field.Name == feedCount, field.Name == feedNext:
			// a wrapper may have these fields
		default:
			return -1
		}
	}
	return index
}

// node returns a node of the result. Defaults of structs, maps and arrays are removed, because they contain wrappers.
func (u *unwrap) node(nodes []wit.SchemaNode, node uint32, name string) wit.SchemaNode {
	schemaNode := nodes[node]
	if index := u.arrayField(nodes, &schemaNode); index >= 0 && name != "" && u.isSelected(name) {
		optional := schemaNode.Optional
		node = schemaNode.Fields[index].Node
		schemaNode = nodes[node]
		schemaNode.Optional = schemaNode.Optional || optional
	}
	switch schemaNode.Kind {
	case wit.Struct, wit.Array, wit.Map:
		schemaNode.DefaultValue = nil
	}
	return schemaNode
}

// unwrapSchema returns the schema without wrappers, nil if it has none.
func (u *unwrap) unwrapSchema(nodes []wit.SchemaNode) []wit.SchemaNode {
	if !slices.ContainsFunc(nodes, func(schemaNode wit.SchemaNode) bool { return u.hasWrapper(nodes, &schemaNode) }) {
		return nil
	}
	return record.AppendNodeFunc(nil, 0, "", func(node uint32, name string) wit.SchemaNode {
		return u.node(nodes, node, name)
	})
}

// hasWrapper reports whether a field of the node is a wrapper to remove.
func (u *unwrap) hasWrapper(nodes []wit.SchemaNode, node *wit.SchemaNode) bool {
	return node.Kind == wit.Struct && slices.ContainsFunc(node.Fields, func(field wit.Field) bool {
		return u.isSelected(field.Name) && u.arrayField(nodes, &nodes[field.Node]) >= 0
	})
}

func (u *unwrap) Apply(obj *record.Object, step Step) *record.Failure {
	field := &obj.Fields[0]
	fail := func(err error) *record.Failure { return record.DataFailure(step.Stage, err.Error()) }
	if obj.IsMap {
		tree, _, err := connectdata.ReadSchemaless(field.Bytes)
		if err != nil {
			return fail(err)
		}
		result, hasWrapper, failure := u.unwrapValue(nil, 0, tree, "", step.Stage)
		if failure != nil || !hasWrapper {
			return failure
		}
		if field.Bytes, err = connectdata.AppendSchemaless(nil, result); err != nil {
			return fail(err)
		}
		return nil
	}
	nodes, _ := u.schemas.Get(&obj.Scratch.Schemas, obj.Reader.ID, u.unwrapSchema)
	obj.KeepsSchema = nodes == nil
	if obj.KeepsSchema {
		return nil
	}
	tree, _, err := connectdata.Read(obj.Reader.Nodes, 0, field.Bytes)
	if err != nil {
		return fail(err)
	}
	result, _, failure := u.unwrapValue(obj.Reader.Nodes, 0, tree, "", step.Stage)
	if failure != nil {
		return failure
	}
	obj.Root = nodes[0]
	field.Nodes = nodes
	if field.Bytes, err = connectdata.Append(nil, nodes, 0, result); err != nil {
		return fail(err)
	}
	return nil
}

// unwrapValue returns the value without wrappers, and whether it had one. It may change value. nodes is nil for a value
// without schema.
func (u *unwrap) unwrapValue(nodes []wit.SchemaNode, node uint32, value any, name string,
	stage int) (_ any, hasWrapper bool, failure *record.Failure) {
	if list, arrayNode, ok, failure := u.feedArray(nodes, node, value, name, stage); ok || failure != nil {
		if failure == nil {
			list, _, failure = u.unwrapValue(nodes, arrayNode, list, "", stage)
		}
		return list, true, failure
	}
	element := uint32(0)
	if nodes != nil {
		element = nodes[node].Element
	}
	unwrapField := func(value *any, node uint32, name string) bool {
		isUnwrapped := false
		*value, isUnwrapped, failure = u.unwrapValue(nodes, node, *value, name, stage)
		hasWrapper = hasWrapper || isUnwrapped
		return failure == nil
	}
	switch v := value.(type) {
	case connectdata.Struct:
		for i, field := range nodes[node].Fields {
			if !unwrapField(&v[i], field.Node, field.Name) {
				return nil, false, failure
			}
		}
	case connectdata.List:
		for i := range v {
			if !unwrapField(&v[i], element, "") {
				return nil, false, failure
			}
		}
	case connectdata.Map:
		for i := range v {
			key := ""
			if nodes == nil {
				key, _ = v[i].Key.(string)
			}
			if !unwrapField(&v[i].Value, element, key) {
				return nil, false, failure
			}
		}
	}
	return value, hasWrapper, nil
}

// feedArray returns the array of a wrapper and its node. ok is false for other values. A link to more is a failure.
func (u *unwrap) feedArray(nodes []wit.SchemaNode, node uint32, value any, name string,
	stage int) (list any, arrayNode uint32, ok bool, _ *record.Failure) {
	if name == "" || !u.isSelected(name) {
		return nil, 0, false, nil
	}
	hasMore := false
	switch v := value.(type) {
	case nil: // a null wrapper becomes a null array
		return nil, 0, nodes != nil && u.arrayField(nodes, &nodes[node]) >= 0, nil
	case connectdata.Struct:
		members := nodes[node].Fields
		index := u.arrayField(nodes, &nodes[node])
		if index < 0 {
			return nil, 0, false, nil
		}
		for i, field := range members {
			hasMore = hasMore || (field.Name == feedNext && v[i] != nil)
		}
		list = v[index]
		arrayNode = members[index].Node
		ok = true
	case connectdata.Map:
		if nodes == nil {
			list, ok, hasMore = u.wrapperArray(v)
		}
	}
	if ok && hasMore {
		return nil, 0, false, record.DataFailure(stage, "The feed in "+name+" continues after "+feedNext+
			": only its first entities are present")
	}
	return list, arrayNode, ok, nil
}

// wrapperArray returns the array of a wrapper without schema. hasMore reports that the feed continues on another page.
func (u *unwrap) wrapperArray(entries connectdata.Map) (list connectdata.List, ok, hasMore bool) {
	for _, entry := range entries {
		switch entry.Key {
		case u.wrapper:
			if list, ok = entry.Value.(connectdata.List); !ok {
				return nil, false, false
			}
		case feedCount:
			// a wrapper may have this entry, whatever its value
		case feedNext:
			hasMore = entry.Value != nil
		default:
			return nil, false, false
		}
	}
	return list, ok, hasMore
}
