package transform

import (
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
)

// shared is the state that the records of an instance share. Nil means that nothing is cached.
type shared struct {
	// buffer is memory for many short strings, since one allocation for each would be the largest cost of reading them
	// in a guest. Bytes that were handed out are never written again; a string that is kept keeps at most bufferSize
	// bytes.
	buffer []byte
	// extensions caches the schemas with an added field.
	extensions map[extensionKey]*extendedSchema
}

const bufferSize = 16 << 10

// copyText returns b as a string.
func (s *shared) copyText(b []byte) string {
	if s == nil || len(b) > bufferSize/16 {
		return string(b) // a long string has its own memory
	}
	if len(b) > cap(s.buffer)-len(s.buffer) {
		s.buffer = make([]byte, 0, bufferSize)
	}
	start := len(s.buffer)
	s.buffer = append(s.buffer, b...)
	return unsafe.String(unsafe.SliceData(s.buffer[start:]), len(b))
}

const maxExtensions = 1_000 // bounds [shared.extensions]

// extensionKey identifies a schema with one more field, which extends the host's schema, or base if schema is 0.
type extensionKey struct {
	schema uint32
	base   *extendedSchema
	name   string
}

// extendedSchema is a schema with one more field. id is 0 until it was declared. isCached means that it is in
// [shared.extensions], which excludes schemas of [Data.Set], which only one record has.
type extendedSchema struct {
	id       uint32
	field    []wit.SchemaNode
	nodes    []wit.SchemaNode
	isCached bool
}

// extend returns the schema with one more field, from the cache if possible.
func (s *shared) extend(key extensionKey, nodes, field []wit.SchemaNode) *extendedSchema {
	if s == nil || (key.schema == 0 && (key.base == nil || !key.base.isCached)) { // a schema of Data.Set has no key
		return &extendedSchema{field: slices.Clone(field), nodes: withField(nodes, key.name, field)}
	}
	cached := s.extensions[key]
	if cached != nil && slices.EqualFunc(cached.field, field, sameNode) { // not another type with this name
		return cached
	}
	extended := &extendedSchema{field: slices.Clone(field), nodes: withField(nodes, key.name, field)}
	if extended.isCached = cached != nil || len(s.extensions) < maxExtensions; extended.isCached {
		s.extensions[key] = extended
	}
	return extended
}

// withField returns a struct schema with an appended field.
func withField(nodes []wit.SchemaNode, name string, field []wit.SchemaNode) []wit.SchemaNode {
	base := uint32(len(nodes))
	out := slices.Concat(nodes, field)
	out[0].Fields = append(slices.Clip(out[0].Fields), wit.Field{Name: name, Node: base})
	for i := base; i < uint32(len(out)); i++ {
		node := &out[i]
		node.Fields = slices.Clone(node.Fields)
		for j := range node.Fields {
			node.Fields[j].Node += base
		}
		if node.Key != 0 {
			node.Key += base
		}
		if node.Element != 0 {
			node.Element += base
		}
	}
	return out
}
