package chain

import (
	"encoding/binary"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// littleEndian reports whether rows are in memory as the kernel expects them.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// layout is a schema, prepared to read its values.
type layout struct {
	id    uint32
	nodes []wit.SchemaNode
	// optional: a value begins with a branch, full being the one of a value that is not null.
	optional bool
	full     byte
	// fields are the members of a structure, nil for other schemas.
	fields []field
	skips  []skip
	// codes are the members as the kernel takes them, unread if it need not find them; root is 0 or one more than full.
	codes, unread unsafe.Pointer
	root          uint64
	// inner are the layouts of members, nil until one is needed.
	inner []*layout
}

// isStruct reports whether the schema is one of structures.
func (l *layout) isStruct() bool { return l.nodes[0].Kind == wit.Struct }

// inside returns the layout of a member.
func (l *layout) inside(member int) *layout {
	if l.inner == nil {
		l.inner = make([]*layout, len(l.fields))
	}
	if l.inner[member] == nil {
		l.inner[member] = newLayout(0, l.fields[member].subtree())
	}
	return l.inner[member]
}

// layout returns the layout of a schema.
func (w *work) layout(schema uint32) (*layout, error) {
	return w.layouts.of(&w.schemas, schema, func(nodes []wit.SchemaNode) *layout { return newLayout(schema, nodes) })
}

func newLayout(id uint32, nodes []wit.SchemaNode) *layout {
	root := &nodes[0]
	l := &layout{id: id, nodes: nodes, optional: root.Optional, full: 2}
	if root.DefaultValue != nil {
		l.full = 0
	}
	if root.Optional {
		l.root = uint64(l.full) + 1
	}
	if !l.isStruct() {
		return l
	}
	for i, m := range root.Fields {
		l.fields = append(l.fields, field{name: m.Name, nodes: nodes, node: m.Node, origin: origin{index: i}})
		l.skips = append(l.skips, newSkip(nodes, m.Node))
	}
	l.codes = kernelCodes(l.skips)
	l.unread = unsafe.Pointer(&[]uint64{kernel.Rest | uint64(len(l.skips))<<8}[0])
	return l
}

// null reads the branch of a value: whether it is null, and where the value begins. ok is false for bad bytes.
func (l *layout) null(in []byte) (null bool, start int, ok bool) {
	return connectdata.IsNull(&l.nodes[0], in)
}

// offsets notes where the members of a structure begin, and where the last ends. It returns the member at which the
// bytes are bad, or -1.
func (l *layout) offsets(in []byte, i int, ends []uint64) int {
	for m := range l.skips {
		ends[m] = uint64(i)
		s := &l.skips[m]
		end := connectdata.SkipFast(&s.nodes[s.node], in, i)
		if end == 0 {
			size, err := connectdata.Skip(s.nodes, s.node, in[i:])
			if err != nil {
				return m
			}
			end = i + size
		}
		i = end
	}
	if ends[len(l.skips)] = uint64(i); i != len(in) {
		return len(l.skips)
	}
	return -1
}

// skip finds the end of a member of a structure.
type skip struct {
	code  uint64 // the kernel's
	nodes []wit.SchemaNode
	node  uint32
}

func newSkip(nodes []wit.SchemaNode, node uint32) skip {
	n := &nodes[node]
	s := skip{code: kernel.Other, nodes: nodes, node: node}
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		s.code = kernel.Number
		// Whether a number fits its kind is checked by those who read it, as in the kernel.
		s.nodes, s.node = []wit.SchemaNode{{Kind: wit.Int64, Optional: n.Optional, DefaultValue: n.DefaultValue}}, 0
	case wit.Float32:
		s.code = kernel.Four
	case wit.Float64:
		s.code = kernel.Eight
	case wit.Boolean:
		s.code = kernel.Boolean
	case wit.String, wit.Bytes:
		s.code = kernel.Block
	}
	if n.Optional && s.code != kernel.Other {
		s.code |= kernel.Optional
		if n.DefaultValue == nil {
			s.code |= 2 << 8 // the branch of a value
		}
	}
	return s
}

// kernelCodes are the codes of all members.
func kernelCodes(skips []skip) unsafe.Pointer {
	codes := make([]uint64, 0, len(skips)+1)
	for i := range skips {
		codes = append(codes, skips[i].code)
	}
	run := uint64(0)
	for i := len(codes) - 1; i >= 0; i-- {
		if run++; codes[i] != kernel.OptionalText {
			run = 0
			continue
		}
		codes[i] |= run << kernel.Run
	}
	return unsafe.Pointer(unsafe.SliceData(append(codes, kernel.Last)))
}
