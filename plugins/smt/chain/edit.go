package chain

import (
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// This file is what MaskField, Cast and TimestampConverter share: fields change, each by itself. By phases a whole
// structure is written anew (edits); among rows that are alike the loop asks for what becomes of one field (edited).

// edits is what such a transform comes to for one schema.
type edits struct {
	// program reads values; its failure is that of every value that is not null.
	*program
	members []memberEdit
	// joined: the runs of members that stay are known.
	joined bool
	root   *wit.Node
	out    uint32
}

// memberEdit is what becomes of a member.
type memberEdit struct {
	// instead replaces a null, whose branch is then null.
	instead []byte
	null    byte
	// edit appends what becomes of a value, given without its branch; nil: the member stays as it is. A null stays one.
	edit edit
	// run is how many members from this one on stay as they are, and so are copied at once.
	run int
	// from and to are the member's schema before and after.
	from, to *wit.Node
}

// edit makes another value of one that is not null. in holds its bytes without a branch.
type edit func(dst, in []byte) ([]byte, *failure)

// append appends what becomes of a member, of which b has all bytes.
func (m *memberEdit) append(dst, b []byte) ([]byte, *failure) {
	if m.instead != nil && b[0] == m.null {
		b = m.instead
	}
	if m.edit == nil {
		return append(dst, b...), nil
	}
	if !m.from.Optional {
		return m.edit(dst, b)
	}
	null, _, _ := datum.IsNull(m.from, b)
	if dst = datum.AppendBranch(dst, m.to, null); null {
		return dst, nil
	}
	return m.edit(dst, b[1:])
}

// edited is what the fused stages of a chain make of one member or entry of each row, by edits: of the bytes of a part,
// its branch or tag included.
type edited struct {
	from part
	// tag is what stands in front of an attribute in a map.
	tag   []byte
	edits []edit
}

// edit makes the pieces of the row at work, whose members or entries e.ends notes in the call's data, and says so to
// the loop. It is false where an edit fails the row.
func (e *Engine) edit(p *fastProgram, row *wit.Row, data []byte) bool {
	b := e.scratch[:0]
	base := unsafe.Pointer(unsafe.SliceData(b))
	for i := range p.edited {
		x := &p.edited[i]
		from := len(b)
		in := data
		switch part := &x.from; part.from {
		case input:
			if in = in[int(e.ends[part.first])+part.behind : e.ends[part.last+1]]; part.bytes != nil &&
				in[0] == part.null {
				in = part.bytes
			}
		case chosen:
			in = part.choice[in[int(e.ends[part.first])+part.behind]]
		default:
			b = part.attribute(append(b, x.tag...), row)
			in = b[from:]
		}
		for _, edit := range x.edits {
			var f *failure
			from = len(b)
			if b, f = edit(b, in); f != nil {
				return false
			}
			in = b[from:]
		}
		p.pieces[i] = kernel.Piece{Bytes: unsafe.Add(base, from), Size: len(in)}
	}
	if cap(b)-len(b) < kernel.Room || unsafe.Pointer(unsafe.SliceData(b)) != base {
		// there was too little room
		e.scratch = make([]byte, 0, 2*cap(b)+kernel.Room)
		return e.edit(p, row, data)
	}
	e.loop.Edited = 1 + len(b)
	return true
}

// beginEdits makes edits that change nothing; the layout is nil when the root is no structure.
func beginEdits(e *Engine, nodes []wit.Node, replaceNull bool) (*edits, *structDraft) {
	p, l := beginProgram(nodes)
	x := &edits{program: p, root: &nodes[0]}
	e.room(p)
	if l == nil {
		return x, nil
	}
	if replaceNull {
		l.replaceNulls()
	}
	for i := range l.fields {
		f := &l.fields[i]
		m := memberEdit{from: &nodes[f.node], to: &nodes[f.node]}
		if f.orDefault {
			m.null, m.instead = f.nullAndDefault()
		}
		x.members = append(x.members, m)
	}
	return x, l
}

// apply edits a column whose members are noted in e.ends.
func (x *edits) apply(e *Engine, c *column) *failure {
	from := len(e.scratch)
	dst, f := x.edited(e, datum.AppendBranch(e.scratch, x.root, false), c.bytes)
	if f != nil {
		return f
	}
	e.scratch = dst
	c.set(wit.Structured, x.out, dst[from:], -1)
	return nil
}

// applyFields edits the members of a column's value, which begins at start.
func (x *edits) applyFields(e *Engine, c *column, start, stage int) *failure {
	if bad := e.offsets(x.program, c.bytes, start); bad >= 0 {
		return broken(stage, bad)
	}
	return x.apply(e, c)
}

// applyWhole edits a column's value as a whole, which begins at start.
func (x *edits) applyWhole(e *Engine, c *column, start int) *failure {
	from := len(e.scratch)
	b, f := x.members[0].edit(datum.AppendBranch(e.scratch, x.root, false), c.bytes[start:])
	if f == nil {
		e.scratch = b
		c.set(wit.Structured, x.out, b[from:], -1)
	}
	return f
}

// join finds the runs of members that stay.
func (x *edits) join() {
	x.joined = true
	run := 0
	for i := len(x.members) - 1; i >= 0; i-- {
		m := &x.members[i]
		if run++; m.edit != nil || m.instead != nil {
			run = 0
		}
		m.run = run
	}
}

// edited appends the members of a value, noted in e.ends, as they become.
func (x *edits) edited(e *Engine, dst, in []byte) (_ []byte, f *failure) {
	if !x.joined {
		x.join()
	}
	for i := 0; i < len(x.members); i++ {
		m := &x.members[i]
		if m.run > 0 {
			dst = append(dst, in[e.ends[i]:e.ends[i+m.run]]...)
			i += m.run - 1
			continue
		}
		if dst, f = m.append(dst, in[e.ends[i]:e.ends[i+1]]); f != nil {
			return dst, f
		}
	}
	return dst, nil
}
