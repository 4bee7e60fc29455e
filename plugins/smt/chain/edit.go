package chain

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// This file is what MaskField, Cast and TimestampConverter share: fields of a structure change, each by itself.

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
		b := in[e.ends[i]:e.ends[i+1]]
		if m.instead != nil && b[0] == m.null {
			b = m.instead
		}
		if m.edit == nil {
			dst = append(dst, b...)
			continue
		}
		null, size, _ := datum.IsNull(m.from, b)
		dst = datum.AppendBranch(dst, m.to, null)
		if null {
			continue
		}
		if dst, f = m.edit(dst, b[size:]); f != nil {
			return dst, f
		}
	}
	return dst, nil
}
