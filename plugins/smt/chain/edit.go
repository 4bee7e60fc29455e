package chain

import (
	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// edit makes another value of one that is not null, for Cast, TimestampConverter and MaskField.
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

// tagged is a conversion of numbers for entries of a map, of those with a tag.
func (c conversion) tagged(tag, made byte) conversion {
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
