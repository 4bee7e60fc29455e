package chain

import (
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// This file is what Cast, TimestampConverter and MaskField share: values of fields that become others, each by itself.

// edit makes another value of one that is not null.
type edit struct {
	// make appends it; in holds the value's bytes: without a branch, or in a map with its tag.
	make func(dst, in []byte) ([]byte, *failure)
	// kernel is how the kernel does so for the common values, of those in maps by the tag; nil: it does not.
	kernel func(tag byte) conversion
}

// conversion is a kernel's, with what texts of times look like.
type conversion struct {
	kernel.Conversion
	date *kernel.Date
}

// always is the same conversion for all values.
func always(c conversion) func(byte) conversion { return func(byte) conversion { return c } }

// entry is a conversion of numbers for entries of a map, of those with a tag.
func (c conversion) entry(tag, made byte) conversion {
	c.Lead, c.Full, c.Made, c.None, c.Null = true, tag, made, datum.TagNull, datum.TagNull
	return c
}

// memberEdit is what becomes of a member.
type memberEdit struct {
	// instead replaces a null, whose branch is then null.
	instead []byte
	null    byte
	// edit makes a value, given without its branch. A null stays one.
	edit edit
	// from and to are the member's schema before and after.
	from, to *wit.Node
}

// append appends what becomes of a member, of which b has all bytes.
func (m *memberEdit) append(dst, b []byte) ([]byte, *failure) {
	if m.instead != nil && b[0] == m.null {
		b = m.instead
	}
	if m.edit.make == nil {
		return append(dst, b...), nil
	}
	if !m.from.Optional {
		return m.edit.make(dst, b)
	}
	null, _, _ := datum.IsNull(m.from, b)
	if dst = datum.AppendBranch(dst, m.to, null); null {
		return dst, nil
	}
	return m.edit.make(dst, b[1:])
}

// whole is the edit of all bytes of a member.
func (m *memberEdit) whole() edit {
	e := edit{make: m.append}
	if m.edit.kernel == nil || m.instead != nil {
		return e
	}
	c := m.edit.kernel(0)
	if c.Lead = m.from.Optional; c.Lead {
		c.Full, c.Made = branchOf(m.from)[0], branchOf(m.to)[0]
		c.None, c.Null = datum.AppendBranch(nil, m.from, true)[0], datum.AppendBranch(nil, m.to, true)[0]
	}
	e.kernel = always(c)
	return e
}

// edited is what the steps of a program make of one member or entry of each row, by edits: of the bytes of a part, its
// branch or tag included.
type edited struct {
	from part
	// tag is what stands in front of an attribute in a map; of a member or entry of the input it is the tag that was
	// met.
	tag   []byte
	edits []edit
}

// append appends what becomes of the member or entry.
func (x *edited) append(dst []byte, ends []uint64, in []byte, row *wit.Row) (_ []byte, f *failure) {
	switch x.from.from {
	case input:
		in = x.from.copied(ends, in)
	case chosen:
		in = x.from.choice[in[int(ends[x.from.first])+x.from.after]]
	default:
		in = x.from.attribute(append([]byte(nil), x.tag...), row)
	}
	for _, edit := range x.edits[:len(x.edits)-1] {
		if in, f = edit.make(nil, in); f != nil {
			return dst, f
		}
	}
	return x.edits[len(x.edits)-1].make(dst, in)
}

// conversion is what the kernel does instead, the zero one: nothing.
func (x *edited) conversion() conversion {
	last := len(x.edits) - 1
	if last > 0 || x.from.from != input || x.from.bytes != nil || x.edits[last].kernel == nil {
		return conversion{}
	}
	tag := byte(0)
	if len(x.tag) > 0 {
		tag = x.tag[0]
	}
	return x.edits[last].kernel(tag)
}

// edit makes the pieces of the row at work, whose members or entries e.ends notes in the call's data, and says so to
// the loop. It is false where an edit fails the row.
func (l *lane) edit(e *Engine, p *fastProgram, row *wit.Row, data []byte) bool {
	b := l.pieces[:0]
	base := unsafe.Pointer(unsafe.SliceData(b))
	for i := range p.edited {
		from := len(b)
		var f *failure
		if b, f = p.edited[i].append(b, e.ends, data, row); f != nil {
			return false
		}
		p.pieces[i] = kernel.Piece{Bytes: unsafe.Add(base, from), Size: len(b) - from}
	}
	if cap(b)-len(b) < kernel.Room || unsafe.Pointer(unsafe.SliceData(b)) != base {
		// there was too little room
		l.pieces = make([]byte, 0, 2*cap(b)+kernel.Room)
		return l.edit(e, p, row, data)
	}
	l.loop.Edited = 1 + len(b)
	return true
}
