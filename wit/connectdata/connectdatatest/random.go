// Package connectdatatest generates random schemas and values for fuzz tests, both valid and invalid ones. The same
// seed generates the same schemas and values.
package connectdatatest

import (
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Random generates schemas and values.
type Random struct {
	*rand.Rand
	// remaining is the number of nodes or values that may still be generated.
	remaining int
}

// New returns a generator with a seed.
func New(seed uint64) *Random { return &Random{Rand: rand.New(rand.NewPCG(seed, 1))} }

// Schema returns a schema of up to some dozens of nodes, with shared nodes, defaults and logical types.
func (r *Random) Schema() []wit.SchemaNode {
	r.remaining = 1 + r.IntN(40)
	var nodes []wit.SchemaNode
	r.node(&nodes, 0)
	return nodes
}

// node appends a node and its children, and returns its number.
func (r *Random) node(nodes *[]wit.SchemaNode, depth int) uint32 {
	id := len(*nodes)
	*nodes = append(*nodes, wit.SchemaNode{})
	r.remaining--
	kind := wit.Kind(r.IntN(int(wit.Struct) + 1))
	if depth > 8 || r.remaining <= 0 {
		kind %= wit.Array
	}
	n := wit.SchemaNode{Kind: kind, Optional: r.IntN(3) == 0}
	if r.IntN(10) == 0 {
		n.Doc = wit.Ptr(r.text())
	}
	switch kind {
	case wit.Bytes:
		if r.IntN(2) == 0 {
			n.Name = wit.Ptr(wit.NameDecimal)
			n.Parameters = []wit.Setting{{Name: wit.ParameterScale,
				Value: strconv.Itoa(r.IntN(2*connectdata.MaxScale+1) - connectdata.MaxScale)}}
		}
	case wit.Int32:
		n.Name = [...]*string{nil, wit.Ptr(wit.NameDate), wit.Ptr(wit.NameTime)}[r.IntN(3)]
	case wit.Int64:
		n.Name = [...]*string{nil, wit.Ptr(wit.NameTimestamp)}[r.IntN(2)]
	case wit.Array:
		n.Element = r.node(nodes, depth+1)
	case wit.Map:
		n.Key = r.node(nodes, depth+1)
		n.Element = r.node(nodes, depth+1)
	case wit.Struct:
		shared := uint32(0)
		for m := range r.IntN(6) {
			if shared == 0 || r.IntN(4) > 0 {
				shared = r.node(nodes, depth+1)
			}
			n.Fields = append(n.Fields, wit.Field{Name: strconv.Itoa(m) + r.text(), Node: shared})
		}
	}
	(*nodes)[id] = n
	if r.IntN(4) == 0 {
		remaining := r.remaining
		r.remaining = 20
		value, err := connectdata.AppendDefault(nil, *nodes, uint32(id), r.value(*nodes, uint32(id), depth))
		r.remaining = remaining
		if err == nil {
			if value == nil {
				value = []byte{}
			}
			(*nodes)[id].DefaultValue = &value
		}
	}
	return uint32(id)
}

// Nodes returns nodes with random references, most of them valid.
func (r *Random) Nodes() []wit.SchemaNode {
	nodes := make([]wit.SchemaNode, r.IntN(1+1<<r.IntN(13)))
	// reference returns the number of a node that node i refers to.
	reference := func(i int) uint32 {
		switch r.IntN(2000) {
		case 0:
			return r.Uint32()
		case 1:
			return uint32(i)
		}
		return uint32(min(i+1+r.IntN(1+r.IntN(3)), len(nodes)-1))
	}
	for i := range nodes {
		n := &nodes[i]
		n.Kind = wit.Kind(r.IntN(int(wit.Struct) + 1))
		if i == len(nodes)-1 {
			n.Kind %= wit.Array
		}
		n.Key = reference(i)
		n.Element = reference(i)
		for m := range r.IntN(4) {
			n.Fields = append(n.Fields, wit.Field{Name: strconv.Itoa(m), Node: reference(i)})
		}
		if r.IntN(100) == 0 {
			n.Name = wit.Ptr(wit.NameDecimal)
			n.Parameters = []wit.Setting{{Name: wit.ParameterScale, Value: strconv.Itoa(int(r.Int32()))}}
		}
		if r.IntN(500) == 0 {
			n.Doc = wit.Ptr(strings.Repeat("d", r.IntN(1<<21)))
		}
	}
	return nodes
}

// Value returns a value of a node.
func (r *Random) Value(nodes []wit.SchemaNode, node uint32) any {
	r.remaining = 2000
	if n := &nodes[node]; n.Optional && r.IntN(3) == 0 {
		return nil
	}
	return r.value(nodes, node, 0)
}

// value returns a value of a node that is not null.
func (r *Random) value(nodes []wit.SchemaNode, node uint32, depth int) any {
	r.remaining--
	n := &nodes[node]
	child := func(node uint32) any {
		if nodes[node].Optional && (r.remaining <= 0 || r.IntN(3) == 0) {
			return nil
		}
		return r.value(nodes, node, depth+1)
	}
	count := 0
	if r.remaining > 0 {
		count = r.IntN(5)
	}
	switch n.Kind {
	case wit.Array:
		list := connectdata.List{}
		for range count {
			list = append(list, child(n.Element))
		}
		return list
	case wit.Map:
		m := connectdata.Map{}
		for range count {
			m = append(m, connectdata.Entry{Key: child(n.Key), Value: child(n.Element)})
		}
		return m
	case wit.Struct:
		record := make(connectdata.Struct, len(n.Fields))
		for i := range n.Fields {
			record[i] = child(n.Fields[i].Node)
		}
		return record
	case wit.Bytes:
		if n.Name != nil && *n.Name == wit.NameDecimal {
			return r.decimal()
		}
		return []byte(r.text())
	}
	return r.scalar(n.Kind)
}

func (r *Random) scalar(kind wit.Kind) any {
	switch kind {
	case wit.Int8:
		return int8(r.Int64())
	case wit.Int16:
		return int16(r.Int64())
	case wit.Int32:
		return int32(r.Int64())
	case wit.Int64:
		return r.Int64() >> r.IntN(64)
	case wit.Float32:
		return float32(r.NormFloat64())
	case wit.Float64:
		return r.NormFloat64()
	case wit.Boolean:
		return r.IntN(2) == 0
	}
	return r.text()
}

func (r *Random) decimal() *big.Int {
	n := big.NewInt(r.Int64() >> r.IntN(64))
	if r.IntN(20) == 0 {
		n.Lsh(n, uint(r.IntN(1000)))
	}
	if r.IntN(2) == 0 {
		n.Neg(n)
	}
	return n
}

var texts = [...]string{"", "a", "Größe", "quote\"\\", "\x00\x1f\n", "😀", "long "}

func (r *Random) text() string {
	s := texts[r.IntN(len(texts))]
	if s == "long " {
		s = strings.Repeat(s, r.IntN(100))
	}
	return s
}

// Dynamic returns a schemaless value: an array or map of up to some hundred values, or a scalar.
func (r *Random) Dynamic(depth int) any {
	if depth == 0 {
		r.remaining = 300
	}
	r.remaining--
	kind := r.IntN(14) // below 8 a scalar of this wit.Kind
	if depth > 20 || r.remaining <= 0 {
		kind %= 10
	}
	switch kind {
	case 9:
		return nil
	case 10:
		return connectdata.Decimal{Scale: int32(r.IntN(2*connectdata.MaxScale+1) - connectdata.MaxScale),
			Unscaled: r.decimal()}
	case 11:
		return connectdata.Instant(r.Int64() >> 20)
	case 12:
		list := connectdata.List{}
		for range r.IntN(6) {
			list = append(list, r.Dynamic(depth+1))
		}
		return list
	case 13:
		m := connectdata.Map{}
		for range r.IntN(6) {
			key := any(r.text())
			if r.IntN(8) == 0 {
				key = r.Dynamic(depth + 1)
			}
			m = append(m, connectdata.Entry{Key: key, Value: r.Dynamic(depth + 1)})
		}
		return m
	case 8:
		return []byte(r.text())
	}
	return r.scalar(wit.Kind(kind))
}
