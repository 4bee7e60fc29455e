package chain

import (
	"reflect"
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// schemas holds the schemas that the plugin knows by their numbers.
type schemas struct {
	// known holds the schemas of the host, which declares each once per instance, and the plugin's own.
	known map[uint32][]wit.SchemaNode
	// made holds the plugin's own schemas by their number minus first; pending those that the host does not know yet.
	made    [][]wit.SchemaNode
	first   uint32
	pending []wit.Schema
}

// newSchemas returns an empty registry.
func newSchemas() schemas {
	return schemas{known: map[uint32][]wit.SchemaNode{}, first: wit.GuestSchemas}
}

// maxMade is the number of own schemas from which on forget discards them.
const maxMade = 1000

// forget discards the plugin's own schemas if there are too many, and reports whether it did. All that was compiled
// with their numbers is invalid then. A schema that is made again gets a new number; the host translates both.
func (s *schemas) forget() bool {
	if len(s.made) < maxMade {
		return false
	}
	for i := range s.made {
		delete(s.known, s.first+uint32(i))
	}
	s.first += uint32(len(s.made))
	s.made = nil
	return true
}

// add adds schemas that the host declared.
func (s *schemas) add(list []wit.Schema) {
	for i := range list {
		s.known[list[i].ID] = list[i].Nodes
	}
}

// takePending returns the schemas that the host does not know yet; it knows them afterwards.
func (s *schemas) takePending() []wit.Schema {
	list := s.pending
	s.pending = nil
	return list
}

// nodes returns a schema, nil if it is unknown.
func (s *schemas) nodes(id uint32) []wit.SchemaNode { return s.known[id] }

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
	if _, err := connectdata.CheckSchema(nodes); err != nil {
		return 0, &failure{stage, dataException, "the transforms result in an invalid schema: " + err.Error()}
	}
	return s.declare(nodes), nil
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

// latest returns what the last call of of returned, and its schema; ok is false before the first call.
func (p *programs[P]) latest() (schema uint32, made P, ok bool) { return p.lastID, p.last, p.any }

// graft appends a node and what is below it, numbered again, parents first.
func graft(dst, nodes []wit.SchemaNode, node uint32) []wit.SchemaNode {
	return graftBy(dst, node, "", func(node uint32, _ string) wit.SchemaNode { return nodes[node] })
}

// graftBy is graft for nodes that of gives, by number and the name of the member that they are, "" for others.
func graftBy(dst []wit.SchemaNode, node uint32, name string, of func(node uint32, name string) wit.SchemaNode) []wit.SchemaNode {
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
