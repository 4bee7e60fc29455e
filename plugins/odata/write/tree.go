package write

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// schemas are those that the host has declared, by their numbers.
type schemas map[uint32][]wit.Node

// tree is a value with its node, where it has one: the members of structs and of maps with text keys are found the same
// way.
type tree struct {
	value any
	// schemas are those of structs inside schemaless data.
	schemas schemas
	nodes   []wit.Node
	// node is the value's place in nodes, which are nil for dynamic values.
	node uint32
}

func (t tree) null() bool { return t.value == nil }

// schema is the value's node, nil for dynamic values.
func (t tree) schema() *wit.Node {
	if t.nodes == nil {
		return nil
	}
	return &t.nodes[t.node]
}

// learn keeps schemas that the host tells; what the host hands in lies in memory that the next call uses again.
func (s schemas) learn(declared []wit.Schema) {
	for i := range declared {
		nodes := make([]wit.Node, len(declared[i].Nodes))
		for j := range nodes {
			nodes[j] = cloneNode(&declared[i].Nodes[j])
		}
		s[declared[i].ID] = nodes
	}
}

func cloneNode(n *wit.Node) wit.Node {
	c := wit.Node{Kind: n.Kind, Optional: n.Optional, Key: n.Key, Element: n.Element}
	if n.Name != nil {
		c.Name = wit.Ptr(strings.Clone(*n.Name))
	}
	for _, p := range n.Parameters {
		c.Parameters = append(c.Parameters, wit.Setting{Name: strings.Clone(p.Name), Value: strings.Clone(p.Value)})
	}
	for _, m := range n.Members {
		c.Members = append(c.Members, wit.Member{Name: strings.Clone(m.Name), Node: m.Node})
	}
	if n.DefaultValue != nil {
		// It counts for the order of branches.
		c.DefaultValue = wit.Ptr(slices.Clone(*n.DefaultValue))
	}
	return c
}

// read reads a datum; ok is false for one that isn't there.
func (s schemas) read(d wit.Datum, data []byte) (t tree, ok bool, err error) {
	t.schemas = s
	b := data[d.Start : d.Start+d.Size]
	switch d.Form {
	case wit.Structured:
		t.nodes = s[d.Schema]
		if t.nodes == nil {
			return t, false, &wit.Fault{Kind: wit.FaultInternal, Message: "a row's schema was never declared"}
		}
		t.value, _, err = datum.Read(t.nodes, 0, b)
	case wit.Dynamic:
		t.value, _, err = datum.ReadDynamic(b)
	default:
		return t, false, nil
	}
	if err != nil {
		return t, false, &wit.Fault{Kind: wit.FaultData, Message: err.Error()}
	}
	return t.resolve(), t.value != nil, nil
}

// resolve turns a struct inside schemaless data into a tree with its schema.
func (t tree) resolve() tree {
	nested, ok := t.value.(datum.Nested)
	if !ok {
		return t
	}
	nodes := t.schemas[nested.Schema]
	if nodes == nil {
		return t
	}
	if v, _, err := datum.Read(nodes, 0, nested.Bytes); err == nil {
		return tree{value: v, schemas: t.schemas, nodes: nodes}
	}
	return t
}

// members visits the members of a struct or of a map with text keys, in order; false: it is neither. A visit that
// returns false ends it.
func (t tree) members(visit func(name string, member tree) bool) bool {
	switch v := t.value.(type) {
	case datum.Record:
		for i, m := range t.nodes[t.node].Members {
			if !visit(m.Name, tree{v[i], t.schemas, t.nodes, m.Node}) {
				break
			}
		}
		return true
	case datum.Map:
		for _, e := range v {
			name, ok := e.Key.(string)
			if !ok {
				return false
			}
			if !visit(name, t.element(e.Value)) {
				break
			}
		}
		return true
	}
	return false
}

// member finds a member by its name.
func (t tree) member(name string) (found tree, ok bool) {
	t.members(func(n string, m tree) bool {
		if n == name {
			found, ok = m, true
		}
		return !ok
	})
	return found, ok
}

// items are the items of an array; ok is false where there is none.
func (t tree) items() (items []tree, ok bool) {
	list, ok := t.value.(datum.List)
	for _, v := range list {
		items = append(items, t.element(v))
	}
	return items, ok
}

// element is a value of the array or map.
func (t tree) element(v any) tree {
	of := tree{value: v, schemas: t.schemas}
	if t.nodes != nil {
		of.nodes, of.node = t.nodes, t.nodes[t.node].Element
	}
	return of.resolve()
}
