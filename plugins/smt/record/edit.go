package record

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Edit computes a new value from the bytes of the old one, both with their union branch, or in a map with their tag.
// Apply appends the new value. The other fields, if set, describe the same to the kernel.
type Edit struct {
	Apply      func(dst, input []byte) ([]byte, *Failure)
	Conversion func(tag byte) Conversion // of frequent values, in maps by their tag
	Choices    [][]byte                  // results by the first byte of the value; a nil one fails the row
	NullValue  []byte                    // replaces a null
	NullByte   byte                      // first byte of a null
}

// Conversion is a conversion of the kernel.
type Conversion struct {
	kernel.Conversion
	Date *kernel.Date // format of a date text
}

// SameConversion returns an Edit.Conversion that is the same for all tags.
func SameConversion(conversion Conversion) func(byte) Conversion {
	return func(byte) Conversion { return conversion }
}

// WithTag adapts the conversion of a number to the entries of a map that have a tag.
func (c Conversion) WithTag(tag, result byte) Conversion {
	c.HasLead = true
	c.ValueLead = tag
	c.ResultLead = result
	c.NullLead = connectdata.TagNull
	c.ResultNull = connectdata.TagNull
	return c
}

// FailingEdit returns an edit that fails each row.
func FailingEdit(failure *Failure) Edit {
	return Edit{Apply: func(dst, _ []byte) ([]byte, *Failure) { return dst, failure }}
}

// FieldEdit adapts an edit of values without union branch to a struct's field. A null stays null.
func FieldEdit(from, to *wit.SchemaNode, edit Edit) Edit {
	result := Edit{Apply: func(dst, b []byte) ([]byte, *Failure) {
		isNull, size, ok := connectdata.IsNull(from, b)
		dst = connectdata.AppendBranch(dst, to, isNull)
		if isNull && ok {
			return dst, nil
		}
		return edit.Apply(dst, b[size:])
	}}
	if edit.Conversion == nil {
		return result
	}
	conversion := edit.Conversion(0)
	if conversion.HasLead = from.Optional; conversion.HasLead {
		conversion.ValueLead = Branch(from)[0]
		conversion.ResultLead = Branch(to)[0]
		conversion.NullLead = NullBranch(from)[0]
		conversion.ResultNull = NullBranch(to)[0]
	}
	result.Conversion = SameConversion(conversion)
	return result
}

// DefaultEdit returns an edit that replaces nulls by the default of a field.
func DefaultEdit(node *wit.SchemaNode) Edit {
	edit := Edit{NullByte: NullBranch(node)[0], NullValue: append(Branch(node), *node.DefaultValue...)}
	edit.Apply = func(dst, input []byte) ([]byte, *Failure) {
		if input[0] == edit.NullByte {
			return append(dst, edit.NullValue...), nil
		}
		return append(dst, input...), nil
	}
	return edit
}

// ChoiceEdit returns an edit that selects one of choices by the first byte of the value. A nil choice fails the row
// with the failure of that byte.
func ChoiceEdit(choices [][]byte, failures []*Failure) Edit {
	return Edit{Choices: choices, Apply: func(dst, input []byte) ([]byte, *Failure) {
		if choices[input[0]] == nil {
			return dst, failures[input[0]]
		}
		return append(dst, choices[input[0]]...), nil
	}}
}

// Edit applies an edit to the value of a field, and records it if the object is traced. A failure of the edit is
// recorded with [Object.Fail].
func (o *Object) Edit(field *Field, edit Edit, stage int) {
	if o.IsNull || !o.Load(stage) {
		return
	}
	scratch := o.Scratch
	from := len(scratch.Buf)
	b, failure := edit.Apply(scratch.Buf, field.Bytes)
	if failure != nil {
		o.Fail(failure)
		return
	}
	scratch.Buf = b
	o.Changed = true
	field.Bytes = b[from:len(b):len(b)]
	if o.Trace != nil && field.Kind != FromConstant {
		field.Edits = append(slices.Clip(field.Edits), &edit)
		o.Trace.Edited = append(o.Trace.Edited, field.Source)
	}
}

// EditEntries edits entries of a map in the order of Kafka's loop. It adds missing entries as nulls.
func (o *Object) EditEntries(order, names []string, edit func(n int) Edit, stage int) *Failure {
	for i, name := range order {
		if field := o.Find(name); field != nil {
			o.Edit(field, edit(i), stage)
		}
	}
	for _, name := range names {
		if o.Find(name) == nil {
			o.Put(name, NullValue)
		}
	}
	return nil
}

// ChangeType changes the schema of a struct's field and edits its value.
func (o *Object) ChangeType(field *Field, to wit.SchemaNode, edit Edit, stage int) {
	from := field.Schema()
	field.Nodes = []wit.SchemaNode{to}
	field.Node = 0
	if edit.Apply != nil {
		o.Edit(field, FieldEdit(from, field.Schema(), edit), stage)
	}
}

// ReplaceNulls replaces nulls by defaults in all fields of a struct.
func (o *Object) ReplaceNulls(stage int) {
	for i := range o.Fields {
		field := &o.Fields[i]
		node := field.Schema()
		if field.Kind != FromInput || field.NeverNull || !node.Optional || node.DefaultValue == nil || !o.Load(stage) {
			continue
		}
		if edit := DefaultEdit(node); o.Trace != nil || (!o.IsNull && field.Bytes[0] == edit.NullByte) {
			o.Edit(field, edit, stage)
		}
		field.NeverNull = true
	}
}
