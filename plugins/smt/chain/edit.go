package chain

import (
	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// edit makes another value of one, by its bytes alone: those with a branch, or in a map with a tag.
type edit struct {
	// make appends the value.
	make func(dst, in []byte) ([]byte, *failure)
	// The kernel does the same in one of these ways, if any. conversion is for the common values, in maps by the tag.
	conversion func(tag byte) conversion
	// choice has the results by the first byte; nil fails.
	choice [][]byte
	// instead replaces a null, whose first byte is null.
	instead []byte
	null    byte
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
	c.Lead, c.Full, c.Made, c.None, c.Null = true, tag, made, connectdata.TagNull, connectdata.TagNull
	return c
}

// fails is an edit of values that cannot be made.
func fails(wrong *failure) edit {
	return edit{make: func(dst, _ []byte) ([]byte, *failure) { return dst, wrong }}
}

// member makes an edit of values without a branch one of a structure's members. A null stays one.
func member(from, to *wit.SchemaNode, by edit) edit {
	made := edit{make: func(dst, b []byte) ([]byte, *failure) {
		null, size, ok := connectdata.IsNull(from, b)
		if dst = connectdata.AppendBranch(dst, to, null); null && ok {
			return dst, nil
		}
		return by.make(dst, b[size:])
	}}
	if by.conversion == nil {
		return made
	}
	c := by.conversion(0)
	if c.Lead = from.Optional; c.Lead {
		c.Full, c.Made = branchOf(from)[0], branchOf(to)[0]
		c.None, c.Null = connectdata.AppendBranch(nil, from, true)[0], connectdata.AppendBranch(nil, to, true)[0]
	}
	made.conversion = always(c)
	return made
}

// orDefault puts the default of a member in the place of a null.
func orDefault(n *wit.SchemaNode) edit {
	e := edit{null: connectdata.AppendBranch(nil, n, true)[0],
		instead: append(connectdata.AppendBranch(nil, n, false), *n.DefaultValue...)}
	e.make = func(dst, in []byte) ([]byte, *failure) {
		if in[0] == e.null {
			return append(dst, e.instead...), nil
		}
		return append(dst, in...), nil
	}
	return e
}

// choose makes an edit of results by the first byte; wrong has the failures.
func choose(choice [][]byte, wrong []*failure) edit {
	return edit{choice: choice, make: func(dst, in []byte) ([]byte, *failure) {
		if choice[in[0]] == nil {
			return dst, wrong[in[0]]
		}
		return append(dst, choice[in[0]]...), nil
	}}
}
