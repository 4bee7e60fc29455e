package schemas

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// AppendNode appends a copy of a node with its children, parents first.
func AppendNode(dst, nodes []wit.SchemaNode, node uint32) []wit.SchemaNode {
	return AppendNodeFunc(dst, node, "", func(node uint32, _ string) wit.SchemaNode { return nodes[node] })
}

// AppendNodeFunc is AppendNode for nodes that nodeOf returns by number and field name, "" for items, keys and the root.
func AppendNodeFunc(dst []wit.SchemaNode, node uint32, name string,
	nodeOf func(node uint32, name string) wit.SchemaNode) []wit.SchemaNode {
	index := len(dst)
	schemaNode := nodeOf(node, name)
	dst = append(dst, schemaNode)
	copyChild := func(child uint32, name string) uint32 {
		id := uint32(len(dst))
		dst = AppendNodeFunc(dst, child, name, nodeOf)
		return id
	}
	switch schemaNode.Kind {
	case wit.Array:
		schemaNode.Element = copyChild(schemaNode.Element, "")
	case wit.Map:
		schemaNode.Key = copyChild(schemaNode.Key, "")
		schemaNode.Element = copyChild(schemaNode.Element, "")
	case wit.Struct:
		schemaNode.Fields = append([]wit.Field(nil), schemaNode.Fields...)
		for i := range schemaNode.Fields {
			schemaNode.Fields[i].Node = copyChild(schemaNode.Fields[i].Node, schemaNode.Fields[i].Name)
		}
	}
	dst[index] = schemaNode
	return dst
}

// CopyMetadata returns a required struct without fields and default that has the name, version and parameters of root.
func CopyMetadata(root *wit.SchemaNode) wit.SchemaNode {
	return wit.SchemaNode{Kind: wit.Struct, Name: root.Name, Version: root.Version, Doc: root.Doc,
		Parameters: root.Parameters}
}

// Branch returns the union branch before values that are not null, empty for required types.
func Branch(node *wit.SchemaNode) []byte { return connectdata.AppendBranch(nil, node, false) }

// NullBranch returns the encoding of a null.
func NullBranch(node *wit.SchemaNode) []byte { return connectdata.AppendBranch(nil, node, true) }
