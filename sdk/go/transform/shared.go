package transform

import (
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
)

// shared is what the records of an instance share; nil: nothing is kept.
type shared struct {
	// buffer is memory for many short texts: an allocation for each is what reading them costs most in a guest. What
	// was handed out is never written again; a text that is kept keeps at most textsSize bytes.
	buffer []byte
	// extensions are those of the schemas that there are.
	extensions map[extensionKey]*extendedSchema
}

const bufferSize = 16 << 10

// copyText copies b.
func (s *shared) copyText(b []byte) string {
	if s == nil || len(b) > bufferSize/16 {
		return string(b)
	}
	if len(b) > cap(s.buffer)-len(s.buffer) {
		s.buffer = make([]byte, 0, bufferSize)
	}
	at := len(s.buffer)
	s.buffer = append(s.buffer, b...)
	return unsafe.String(unsafe.SliceData(s.buffer[at:]), len(b))
}

// maxExtensions is how many schemas with a field more are found again by the field, without making and comparing them.
const maxExtensions = 1_000

// extensionKey is one field more to a schema, which is the host's or, where that is 0, one that was extended before.
type extensionKey struct {
	schema uint32
	of     *extendedSchema
	name   string
}

// extendedSchema is a schema with one field more; id is 0 until it was declared. It is kept in [shared.extensions]
// unless it is of a schema that one record alone has, by [Data.Set].
type extendedSchema struct {
	id           uint32
	field, nodes []wit.SchemaNode
	kept         bool
}

// extend makes a schema one with a field more: that of the record before, where that was made so too.
func (s *shared) extend(by extensionKey, nodes, field []wit.SchemaNode) *extendedSchema {
	if s == nil || by.schema == 0 && (by.of == nil || !by.of.kept) {
		return &extendedSchema{field: slices.Clone(field), nodes: withField(nodes, by.name, field)}
	}
	before := s.extensions[by]
	if before != nil && slices.EqualFunc(before.field, field, sameNode) {
		return before
	}
	to := &extendedSchema{field: slices.Clone(field), nodes: withField(nodes, by.name, field)}
	if to.kept = before != nil || len(s.extensions) < maxExtensions; to.kept {
		s.extensions[by] = to
	}
	return to
}

// withField is a schema of a structure with a field after its others.
func withField(nodes []wit.SchemaNode, name string, field []wit.SchemaNode) []wit.SchemaNode {
	base := uint32(len(nodes))
	out := slices.Concat(nodes, field)
	out[0].Fields = append(slices.Clip(out[0].Fields), wit.Field{Name: name, Node: base})
	for i := base; i < uint32(len(out)); i++ {
		n := &out[i]
		n.Fields = slices.Clone(n.Fields)
		for j := range n.Fields {
			n.Fields[j].Node += base
		}
		if n.Key != 0 {
			n.Key += base
		}
		if n.Element != 0 {
			n.Element += base
		}
	}
	return out
}
