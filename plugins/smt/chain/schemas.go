package chain

import (
	"reflect"
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// schemas are those that an engine knows.
type schemas struct {
	// known are those that the host declared (each once per instance; it replaces an instance that has too many) and
	// the plugin's own.
	known map[uint32][]wit.SchemaNode
	// made are the plugin's own, by number less first; pending those that the host does not know yet.
	made    [][]wit.SchemaNode
	first   uint32
	pending []wit.Schema
}

// of returns a schema.
func (s *schemas) of(id uint32) ([]wit.SchemaNode, error) {
	nodes := s.known[id]
	if nodes == nil {
		return nil, &wit.Error{Kind: wit.ErrorInternal,
			Message: "schema " + strconv.FormatUint(uint64(id), 10) + " was never given to this instance"}
	}
	return nodes, nil
}

// declare gives a schema of ours its number: that of an equal one where there is one.
func (s *schemas) declare(nodes []wit.SchemaNode) uint32 {
	for i := range s.made {
		if reflect.DeepEqual(s.made[i], nodes) {
			return s.first + uint32(i)
		}
	}
	id := s.first + uint32(len(s.made))
	s.made = append(s.made, nodes)
	s.known[id] = nodes
	s.pending = append(s.pending, wit.Schema{ID: id, Nodes: nodes})
	return id
}

// declareMade is declare for a schema that transforms have made, which may be none.
func (s *schemas) declareMade(nodes []wit.SchemaNode, stage int) (uint32, *failure) {
	if f := checkMade(nodes, stage); f != nil {
		return 0, f
	}
	return s.declare(nodes), nil
}

func checkMade(nodes []wit.SchemaNode, stage int) *failure {
	if _, err := connectdata.CheckSchema(nodes); err != nil {
		return &failure{stage, dataException, "what the transforms make of the schema is none: " + err.Error()}
	}
	return nil
}

// maxCached is how many chains of an engine, routes of a chain, and programs of a stage or route are kept.
const maxCached = 1000

// programs are what an operation compiled, by schema.
type programs[P any] struct {
	known  map[uint32]P
	last   P
	lastID uint32
	any    bool
}

// of returns what was compiled for a schema; compile makes it.
func (p *programs[P]) of(s *schemas, schema uint32, compile func([]wit.SchemaNode) P) (P, error) {
	if p.any && p.lastID == schema {
		return p.last, nil
	}
	made, ok := p.known[schema]
	if !ok {
		nodes, err := s.of(schema)
		if err != nil {
			return made, err
		}
		if p.known == nil || len(p.known) >= maxCached {
			p.known = map[uint32]P{}
		}
		made = compile(nodes)
		p.known[schema] = made
	}
	p.last, p.lastID, p.any = made, schema, true
	return made, nil
}

// graft appends a node and what is below it, numbered again, parents first.
func graft(dst, nodes []wit.SchemaNode, node uint32) []wit.SchemaNode {
	return graftBy(dst, node, "", func(node uint32, _ string) wit.SchemaNode { return nodes[node] })
}

// graftBy is graft for nodes that of gives, by number and the name of the member that they are, "" for others.
func graftBy(dst []wit.SchemaNode, node uint32, name string, of func(node uint32,
	name string) wit.SchemaNode) []wit.SchemaNode {
	at := len(dst)
	n := of(node, name)
	dst = append(dst, n)
	below := func(child uint32, name string) uint32 {
		id := uint32(len(dst))
		dst = graftBy(dst, child, name, of)
		return id
	}
	switch n.Kind {
	case wit.Array:
		n.Element = below(n.Element, "")
	case wit.Map:
		n.Key = below(n.Key, "")
		n.Element = below(n.Element, "")
	case wit.Struct:
		n.Fields = append([]wit.Field(nil), n.Fields...)
		for i := range n.Fields {
			n.Fields[i].Node = below(n.Fields[i].Node, n.Fields[i].Name)
		}
	}
	dst[at] = n
	return dst
}

// basics is what a structure's schema is besides its fields; that it is optional, and its default, are no part of that.
func basics(root *wit.SchemaNode) wit.SchemaNode {
	return wit.SchemaNode{Kind: wit.Struct, Name: root.Name, Version: root.Version, Doc: root.Doc,
		Parameters: root.Parameters}
}

// branchOf is what stands in front of a value that is not null.
func branchOf(n *wit.SchemaNode) []byte { return connectdata.AppendBranch(nil, n, false) }
