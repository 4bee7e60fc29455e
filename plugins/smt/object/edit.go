package object

import (
	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Edit computes a new value from the bytes of the old one: with its branch, or in a map with its tag.
type Edit struct {
	// Apply appends the new value.
	Apply func(dst, in []byte) ([]byte, *rowerror.Failure)
	// Conversion, if not nil, returns the kernel's conversion of common values, in maps by their tag.
	Conversion func(tag byte) Conversion
	// Choices holds the results by the first byte of the value. A nil entry fails the row.
	Choices [][]byte
	// NullValue replaces a null, whose first byte is NullByte.
	NullValue []byte
	NullByte  byte
}

// Conversion is a conversion of the kernel; Date is the format of a date text.
type Conversion struct {
	kernel.Conversion
	Date *kernel.Date
}

// Always returns the same conversion for all tags.
func Always(conversion Conversion) func(byte) Conversion {
	return func(byte) Conversion { return conversion }
}

// WithTag returns the conversion of numbers for entries with a tag.
func (c Conversion) WithTag(tag, result byte) Conversion {
	c.HasLead, c.ValueLead, c.ResultLead, c.NullLead, c.ResultNull = true, tag, result, connectdata.TagNull,
		connectdata.TagNull
	return c
}

// Failing returns an edit that fails each row.
func Failing(failure *rowerror.Failure) Edit {
	return Edit{Apply: func(dst, _ []byte) ([]byte, *rowerror.Failure) { return dst, failure }}
}

// OfField adapts an edit of values without branch to a struct's field. A null stays null.
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
	conversion := edit.Conversion(0)
	if conversion.HasLead = from.Optional; conversion.HasLead {
		conversion.ValueLead, conversion.ResultLead = schemas.Branch(from)[0], schemas.Branch(to)[0]
		conversion.NullLead, conversion.ResultNull = connectdata.AppendBranch(nil, from, true)[0],
			connectdata.AppendBranch(nil, to,
				true)[0]
	}
	result.Conversion = Always(conversion)
	return result
}

// OrDefault returns an edit that replaces nulls by the default of a field.
func OrDefault(node *wit.SchemaNode) Edit {
	edit := Edit{NullByte: connectdata.AppendBranch(nil, node, true)[0],
		NullValue: append(connectdata.AppendBranch(nil, node, false), *node.DefaultValue...)}
	edit.Apply = func(dst, input []byte) ([]byte, *rowerror.Failure) {
		if input[0] == edit.NullByte {
			return append(dst, edit.NullValue...), nil
		}
		return append(dst, input...), nil
	}
	return edit
}

// Choosing returns an edit that selects the result by the first byte. A nil result is one of the failures.
func Choosing(choice [][]byte, failures []*rowerror.Failure) Edit {
	return Edit{Choices: choice, Apply: func(dst, input []byte) ([]byte, *rowerror.Failure) {
		if choice[input[0]] == nil {
			return dst, failures[input[0]]
		}
		return append(dst, choice[input[0]]...), nil
	}}
}
