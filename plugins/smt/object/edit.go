package object

import (
	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Edit makes another value of one, by its bytes alone: those with a branch, or in a map with a tag.
type Edit struct {
	// Apply appends the value.
	Apply func(dst, in []byte) ([]byte, *rowerror.Failure)
	// The kernel does the same in one of these ways, if any. conversion is for the common values, in maps by the tag.
	Conversion func(tag byte) Conversion
	// Choices has the results by the first byte; nil fails.
	Choices [][]byte
	// NullValue replaces a null, whose first byte is null.
	NullValue []byte
	NullByte  byte
}

// Conversion is a kernel's, with what texts of times look like.
type Conversion struct {
	kernel.Conversion
	Date *kernel.Date
}

// Always is the same conversion for all values.
func Always(c Conversion) func(byte) Conversion { return func(byte) Conversion { return c } }

// WithTag is a conversion of numbers for entries of a map, of those with a tag.
func (c Conversion) WithTag(tag, result byte) Conversion {
	c.Lead, c.Full, c.Made, c.None, c.Null = true, tag, result, connectdata.TagNull, connectdata.TagNull
	return c
}

// Failing is an edit of values that cannot be made.
func Failing(failure *rowerror.Failure) Edit {
	return Edit{Apply: func(dst, _ []byte) ([]byte, *rowerror.Failure) { return dst, failure }}
}

// OfField makes an edit of values without a branch one of a structure's members. A null stays one.
func OfField(from, to *wit.SchemaNode, edit Edit) Edit {
	result := Edit{Apply: func(dst, b []byte) ([]byte, *rowerror.Failure) {
		null, size, ok := connectdata.IsNull(from, b)
		if dst = connectdata.AppendBranch(dst, to, null); null && ok {
			return dst, nil
		}
		return edit.Apply(dst, b[size:])
	}}
	if edit.Conversion == nil {
		return result
	}
	c := edit.Conversion(0)
	if c.Lead = from.Optional; c.Lead {
		c.Full, c.Made = schemas.Branch(from)[0], schemas.Branch(to)[0]
		c.None, c.Null = connectdata.AppendBranch(nil, from, true)[0], connectdata.AppendBranch(nil, to, true)[0]
	}
	result.Conversion = Always(c)
	return result
}

// OrDefault puts the default of a member in the place of a null.
func OrDefault(n *wit.SchemaNode) Edit {
	e := Edit{NullByte: connectdata.AppendBranch(nil, n, true)[0],
		NullValue: append(connectdata.AppendBranch(nil, n, false), *n.DefaultValue...)}
	e.Apply = func(dst, in []byte) ([]byte, *rowerror.Failure) {
		if in[0] == e.NullByte {
			return append(dst, e.NullValue...), nil
		}
		return append(dst, in...), nil
	}
	return e
}

// Choosing makes an edit of results by the first byte; wrong has the failures.
func Choosing(choice [][]byte, failures []*rowerror.Failure) Edit {
	return Edit{Choices: choice, Apply: func(dst, in []byte) ([]byte, *rowerror.Failure) {
		if choice[in[0]] == nil {
			return dst, failures[in[0]]
		}
		return append(dst, choice[in[0]]...), nil
	}}
}
