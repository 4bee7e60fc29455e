package transform

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// maxDeclared is the host's limit for the schemas of an instance. A record that needs another schema fails.
const maxDeclared = 10_000

// declarations contains the declared schemas, whose numbers are [wit.GuestSchemas] plus the index in list.
type declarations struct {
	list []wit.Schema
	// byHash contains the indexes of the schemas from firstHashed on. Earlier schemas are compared without a hash.
	byHash map[uint64][]int
}

// firstHashed is the index from which schemas are found by a hash: comparing is faster for few schemas.
const firstHashed = 8

// declare returns the number of a schema; isNew means that it was added. It rejects schemas that the host would reject.
func (d *declarations) declare(nodes []wit.SchemaNode) (id uint32, isNew bool, err error) {
	for i := range min(len(d.list), firstHashed) {
		if slices.EqualFunc(d.list[i].Nodes, nodes, sameNode) {
			return d.list[i].ID, false, nil
		}
	}
	hash := uint64(0)
	if len(d.list) >= firstHashed {
		hash = hashOf(nodes)
		for _, index := range d.byHash[hash] {
			if slices.EqualFunc(d.list[index].Nodes, nodes, sameNode) {
				return d.list[index].ID, false, nil
			}
		}
	}
	if len(d.list) == maxDeclared {
		return 0, false, fmt.Errorf("expected at most %d schemas that a plugin makes, found one more: fields whose "+
			"names come out of the data belong into a map", maxDeclared)
	}
	if _, err := connectdata.CheckSchema(nodes); err != nil {
		return 0, false, err
	}
	index := len(d.list)
	id = wit.GuestSchemas + uint32(index)
	d.list = append(d.list, wit.Schema{ID: id, Nodes: nodes})
	if index >= firstHashed {
		if d.byHash == nil {
			d.byHash = map[uint64][]int{}
		}
		d.byHash[hash] = append(d.byHash[hash], index)
	}
	return id, true, nil
}

// hashOf returns a hash of kinds, names and references between the nodes.
func hashOf(nodes []wit.SchemaNode) uint64 {
	const offsetBasis, prime = 14695981039346656037, 1099511628211 // of FNV-1a
	h := uint64(offsetBasis)
	mix := func(n uint64) { h = (h ^ n) * prime }
	mixString := func(s string) {
		for i := range len(s) {
			mix(uint64(s[i]))
		}
		mix(uint64(len(s)))
	}
	for i := range nodes {
		node := &nodes[i]
		kind := uint64(node.Kind) << 1
		if node.Optional {
			kind |= 1
		}
		mix(kind)
		if node.Name != nil {
			mixString(*node.Name)
		}
		for _, m := range node.Fields {
			mixString(m.Name)
			mix(uint64(m.Node))
		}
		mix(uint64(node.Key)<<32 | uint64(node.Element))
	}
	return h
}

// sameNode reports whether two nodes are equal. For a scalar it is much faster than reflect.DeepEqual.
func sameNode(a, b wit.SchemaNode) bool {
	isPlain := func(node *wit.SchemaNode) bool {
		return node.Name == nil && node.Version == nil && node.Doc == nil && node.Parameters == nil &&
			node.DefaultValue == nil && node.Fields == nil && node.Key == 0 && node.Element == 0
	}
	return (isPlain(&a) && isPlain(&b) && a.Kind == b.Kind && a.Optional == b.Optional) || reflect.DeepEqual(a, b)
}
