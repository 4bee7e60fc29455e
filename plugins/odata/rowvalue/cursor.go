package rowvalue

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Cursor iterates over the fields of a struct, the entries of a map or the items of an array.
type Cursor struct {
	Name     string // name of the current field or entry
	Value    Value
	Mismatch bool // the value has another kind than requested, or a map has a key that is not a string

	parent Value
	kind   wit.Kind
	fields []wit.Field // fields of a struct
	starts []int       // offsets of fields or entries, see content
	names  []string    // keys of a map, see content; nil if each entry must be skipped to find the next one
	pos    int         // offset of the next field or item
	count  int64       // fields or names read; without names, items left in the current block
	isLast bool        // no block follows
}

// Next moves to the next field or item. It returns false at the end.
func (c *Cursor) Next() bool {
	if c.Mismatch {
		return false
	}
	if c.kind == wit.Struct { // its fields are in the order of the schema
		if c.count >= int64(len(c.fields)) {
			return false
		}
		field := &c.fields[c.count]
		c.Name = field.Name
		if c.count < int64(len(c.starts)) {
			c.Value.open(field.Node, c.starts[c.count])
		} else {
			c.readValue(field.Node)
		}
		c.count++
		return true
	}
	if c.names != nil { // a map whose entries were found by findEntries
		if c.count >= int64(len(c.names)) {
			return false
		}
		c.Name = c.names[c.count]
		c.Value.content = c.parent.content // the previous value may have been unwrapped
		c.Value.open(0, c.starts[c.count])
		if c.parent.bytes[c.Value.pos] == connectdata.TagStruct {
			c.Value = c.Value.unwrapStruct()
		}
		c.count++
		return true
	}
	// An array, or a map whose entries must be skipped one by one.
	if c.count == 0 && !c.isLast {
		if c.count = c.readInt(); c.count < 0 { // the size of the block follows
			c.count = -c.count
			c.readInt() // the size
		}
		c.isLast = c.count == 0
	}
	if c.count == 0 {
		return false
	}
	c.count--
	var key, element uint32
	if node := c.parent.Schema(); node != nil {
		key = node.Key
		element = node.Element
	}
	if c.kind == wit.Map {
		c.readValue(key)
		name, ok := c.Value.Text()
		if !ok {
			c.Mismatch = true
			return false
		}
		c.Name = string(name)
	}
	c.readValue(element)
	if c.parent.nodes == nil {
		c.Value = c.Value.unwrapStruct()
	}
	return true
}

// CanPeek reports whether the start of the next field or entry is known. It returns false for a null field of a struct.
func (c *Cursor) CanPeek() bool {
	if c.names != nil {
		return c.count < int64(len(c.names))
	}
	// A struct with a field that has a default has no starts, so that branch 0 is null.
	return c.count < int64(len(c.starts)) &&
		(!c.parent.nodes[c.fields[c.count].Node].Optional || c.parent.bytes[c.starts[c.count]] != 0)
}

// Peek returns the bytes of the next value after its union branch or tag, if [Cursor.CanPeek].
func (c *Cursor) Peek() []byte {
	if c.names != nil {
		return c.parent.bytes[c.starts[c.count]+1:]
	}
	start := c.starts[c.count]
	if c.parent.nodes[c.fields[c.count].Node].Optional {
		start++
	}
	return c.parent.bytes[start:]
}

// PeekEntry returns the name and the kind of the next entry of a map, if [Cursor.CanPeek]. A null has a kind that
// package wit does not define.
func (c *Cursor) PeekEntry() (name string, kind wit.Kind) {
	return c.names[c.count], kindOf(c.parent.bytes[c.starts[c.count]])
}

// Skip moves past the value that [Cursor.Peek] returned.
func (c *Cursor) Skip() { c.count++ }

// Index returns the index of the next field of a struct, or of the next entry of a map. For a map whose entries are
// skipped one by one, it counts down.
func (c *Cursor) Index() int { return int(c.count) }

func (c *Cursor) readInt() int64 {
	n, size := connectdata.Number(c.parent.bytes[c.pos:])
	c.pos += size
	return n
}

// readValue sets Value to the value at pos and moves pos past it.
func (c *Cursor) readValue(node uint32) {
	start := c.pos
	if c.parent.nodes == nil {
		c.Value = c.parent // the previous value may have been unwrapped
		size, _ := connectdata.SkipSchemaless(c.parent.bytes[start:])
		c.pos += size
	} else if c.pos = connectdata.SkipFast(&c.parent.nodes[node], c.parent.bytes, start); c.pos == 0 {
		size, _ := connectdata.Skip(c.parent.nodes, node, c.parent.bytes[start:])
		c.pos = start + size
	}
	c.Value.open(node, start)
}
