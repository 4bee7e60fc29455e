package schemas

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// AppendNode appends a node and what is below it, numbered again, parents first.
func AppendNode(dst, nodes []wit.SchemaNode, node uint32) []wit.SchemaNode {
	return AppendNodeFunc(dst, node, "", func(node uint32, _ string) wit.SchemaNode { return nodes[node] })
}

// AppendNodeFunc is graft for nodes that of gives, by number and the name of the member that they are, "" for others.
func AppendNodeFunc(dst []wit.SchemaNode, node uint32, name string, nodeOf func(node uint32, name string) wit.SchemaNode) []wit.SchemaNode {
	at := len(dst)
	n := nodeOf(node, name)
	dst = append(dst, n)
	copyChild := func(child uint32, name string) uint32 {
		id := uint32(len(dst))
		dst = AppendNodeFunc(dst, child, name, nodeOf)
		return id
	}
	switch n.Kind {
	case wit.Array:
		n.Element = copyChild(n.Element, "")
	case wit.Map:
		n.Key = copyChild(n.Key, "")
		n.Element = copyChild(n.Element, "")
	case wit.Struct:
		n.Fields = append([]wit.Field(nil), n.Fields...)
		for i := range n.Fields {
			n.Fields[i].Node = copyChild(n.Fields[i].Node, n.Fields[i].Name)
		}
	}
	dst[at] = n
	return dst
}

// CopyMetadata is what a structure's schema is besides its fields; that it is optional, and its default, are no part of that.
func CopyMetadata(root *wit.SchemaNode) wit.SchemaNode {
	return wit.SchemaNode{Kind: wit.Struct, Name: root.Name, Version: root.Version, Doc: root.Doc,
		Parameters: root.Parameters}
}

// Branch is what stands in front of a value that is not null.
func Branch(n *wit.SchemaNode) []byte { return connectdata.AppendBranch(nil, n, false) }
