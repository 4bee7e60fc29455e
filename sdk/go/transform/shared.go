package transform

import (
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
)

// shared is what the records of an instance share; nil: nothing is kept.
type shared struct {
	// texts is memory for many short texts: an allocation for each is what reading them costs most in a guest. What was
	// handed out is never written again; a text that is kept keeps at most textsSize bytes.
	texts []byte
	// extensions are those of the schemas that there are.
	extensions map[extension]*extended
}

const textsSize = 16 << 10

// text copies b.
func (s *shared) text(b []byte) string {
	if s == nil || len(b) > textsSize/16 {
		return string(b)
	}
	if len(b) > cap(s.texts)-len(s.texts) {
		s.texts = make([]byte, 0, textsSize)
	}
	at := len(s.texts)
	s.texts = append(s.texts, b...)
	return unsafe.String(unsafe.SliceData(s.texts[at:]), len(b))
}

// maxExtensions is how many schemas with a field more are found again by the field, without making and comparing them.
const maxExtensions = 1_000

// extension is one field more to a schema, which is the host's or, where that is 0, one that was extended before.
type extension struct {
	schema uint32
	of     *extended
	name   string
}

// extended is a schema with one field more; id is 0 until it was declared. It is kept in [shared.extensions] unless it
// is of a schema that one record alone has, by [Data.Set].
type extended struct {
	id           uint32
	field, nodes []wit.SchemaNode
	kept         bool
}

// extend makes a schema one with a field more: that of the record before, where that was made so too.
func (s *shared) extend(by extension, nodes, field []wit.SchemaNode) *extended {
	if s == nil || by.schema == 0 && (by.of == nil || !by.of.kept) {
		return &extended{field: slices.Clone(field), nodes: withField(nodes, by.name, field)}
	}
	before := s.extensions[by]
	if before != nil && slices.EqualFunc(before.field, field, sameNode) {
		return before
	}
	to := &extended{field: slices.Clone(field), nodes: withField(nodes, by.name, field)}
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
