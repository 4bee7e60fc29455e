package write

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// tree is a value with its node, where it has one: the members of structs and of maps with text keys are found the same
// way.
type tree struct {
	value any
	nodes []wit.Node
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

// read reads a datum; ok is false for one that isn't there.
func (p *Plugin) read(d wit.Datum, data []byte) (t tree, ok bool, err error) {
	b := data[d.Start : d.Start+d.Size]
	switch d.Form {
	case wit.Structured:
		t.nodes = p.schemas[d.Schema]
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
	return t, t.value != nil, nil
}

// resolve turns a struct inside schemaless data into a tree with its schema.
func (p *Plugin) resolve(t tree) tree {
	nested, ok := t.value.(datum.Nested)
	if !ok {
		return t
	}
	nodes := p.schemas[nested.Schema]
	if nodes == nil {
		return t
	}
	if v, _, err := datum.Read(nodes, 0, nested.Bytes); err == nil {
		return tree{v, nodes, 0}
	}
	return t
}

// members visits the members of a struct or of a map with text keys, in order; false: it is neither. A visit that
// returns false ends it.
func (p *Plugin) members(t tree, visit func(name string, member tree) bool) bool {
	switch v := t.value.(type) {
	case datum.Record:
		for i, m := range t.nodes[t.node].Members {
			if !visit(m.Name, tree{v[i], t.nodes, m.Node}) {
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
			member := tree{value: e.Value}
			if t.nodes != nil {
				member.nodes, member.node = t.nodes, t.nodes[t.node].Element
			}
			if !visit(name, p.resolve(member)) {
				break
			}
		}
		return true
	}
	return false
}

// member finds a member by its name.
func (p *Plugin) member(t tree, name string) (found tree, ok bool) {
	p.members(t, func(n string, m tree) bool {
		if n == name {
			found, ok = m, true
		}
		return !ok
	})
	return found, ok
}

// items are the items of an array; ok is false where there is none.
func (p *Plugin) items(t tree) (items []tree, ok bool) {
	list, ok := t.value.(datum.List)
	for _, v := range list {
		item := tree{value: v}
		if t.nodes != nil {
			item.nodes, item.node = t.nodes, t.nodes[t.node].Element
		}
		items = append(items, p.resolve(item))
	}
	return items, ok
}
