package chain

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
	"github.com/culvert-project/culvert/wit/java"
	"github.com/culvert-project/culvert/wit/java/values"
)

var maskSpecs = []wit.ConfigKey{
	needsList("fields", "Names of fields to mask."),
	setting.Define("replacement", wit.KindString, wit.Low, nil,
		"Custom value replacement, that will be applied to all 'fields' values (numeric or "+
			"non-empty string values only)."),
	replaceNullSpec,
}

// masking is MaskField: values of some fields become the empty one of their type, or a fixed one. Nulls stay.
type masking struct {
	target
	fields []string
	// order is the fields in the order in which Kafka comes to them in maps.
	order []string
	// entries is the edit of entries; its make is nil until one came.
	entries     edit
	replacement *string
	// number is the replacement where that is one.
	number *values.Decimal
}

func newMask(at side, s settings) (operation, *wit.Error) {
	fields, err := s.distinct("fields")
	if err != nil {
		return nil, err
	}
	o := &masking{target: target{at: at, purpose: "mask fields", needed: true}, fields: fields,
		order: java.InHashSet(fields)}
	if text, given := s.find("replacement"); given {
		if text = setting.Trim(text); text == "" {
			return nil, invalid("replacement", "", "String must be non-empty")
		}
		o.replacement = &text
		if d, ok := values.ParseDecimal(text); ok {
			o.number = &d
		}
	}
	return o, o.configure(s)
}

func (o *masking) apply(x *object, s step) *failure {
	if x.isMap {
		if o.entries.make == nil { // an operation has one stage
			o.entries = o.ofEntries(s.stage)
		}
		return x.editEntries(o.order, o.fields, func(int) edit { return o.entries }, s.stage)
	}
	if o.replaceNull {
		x.replaceNulls(s.stage)
	}
	for i := range x.fields {
		f := &x.fields[i]
		if !slices.Contains(o.fields, f.name) {
			continue
		}
		n := f.schema()
		value, wrong := o.structured(n, s.stage)
		masked := append(branchOf(n), value...)
		switch {
		case wrong != nil:
			x.edit(f, member(n, n, fails(wrong)), s.stage)
		case f.from == constant, !n.Optional && f.from != attribute, f.full:
			x.changed = true
			f.from, f.bytes = constant, masked
		case !n.Optional: // a required attribute: the program would not check that the row has it
			return unfit
		default:
			choice := [][]byte{masked, nil, masked}
			null := connectdata.AppendBranch(nil, n, true)
			choice[null[0]] = null
			x.edit(f, choose(choice, nil), s.stage)
		}
	}
	return nil
}

// editEntries edits the entries of a map in the order of Kafka's loop; those that are not there become nulls, in the
// order of the settings.
func (x *object) editEntries(order, names []string, by func(n int) edit, stage int) *failure {
	for i, name := range order {
		if f := x.find(name); f != nil {
			x.edit(f, by(i), stage)
		}
	}
	for _, name := range names {
		if x.find(name) == nil {
			x.put(name, nullValue)
		}
	}
	return nil
}

// ofEntries makes the edit of values without schema, by their tags.
func (o *masking) ofEntries(stage int) edit {
	choice, wrong := make([][]byte, len(dynamicClasses)), make([]*failure, len(dynamicClasses))
	choice[connectdata.TagNull] = []byte{connectdata.TagNull}
	for tag := connectdata.TagNull + 1; int(tag) < len(dynamicClasses); tag++ {
		value, f := o.dynamic(tag, stage)
		if f != nil {
			value = nil
		}
		choice[tag], wrong[tag] = value, f
	}
	return choose(choice, wrong)
}

// structured is the masked value of a field with a schema.
func (o *masking) structured(n *wit.SchemaNode, stage int) ([]byte, *failure) {
	class := javaClass(n)
	if class != "java.math.BigDecimal" {
		return o.masked(class, stage)
	}
	d, f := o.decimal(stage)
	if f != nil {
		return nil, f
	}
	scale, _ := values.ScaleOf(n)
	if int64(scale) != d.Scale {
		return nil, &failure{stage, dataException,
			fmt.Sprintf("Decimal value has mismatching scale for given Decimal schema. "+
				"Schema has scale %d, value has scale %d.", scale, d.Scale)}
	}
	return connectdata.AppendDecimal(nil, d.Unscaled), nil
}

// dynamic is the masked value of an entry without schema, in the place of one with this tag.
func (o *masking) dynamic(tag byte, stage int) ([]byte, *failure) {
	class := dynamicClasses[tag]
	if class == "java.math.BigDecimal" {
		d, f := o.decimal(stage)
		if f != nil {
			return nil, f
		}
		return connectdata.AppendDecimal(connectdata.AppendNumber([]byte{tag}, d.Scale), d.Unscaled), nil
	}
	if tag == connectdata.TagTrue {
		tag = connectdata.TagFalse
	}
	b, f := o.masked(class, stage)
	if tag == connectdata.TagFalse {
		b = nil // the tag says it
	}
	return append([]byte{tag}, b...), f
}

// masked is the bytes of the masked value of a class.
func (o *masking) masked(class string, stage int) ([]byte, *failure) {
	var n int64
	var f float64
	var text string
	if o.number != nil {
		n, f = o.number.Long(), o.number.Float(64)
	}
	if o.replacement != nil {
		text = *o.replacement
	}
	custom := true
	var b []byte
	switch class {
	case "java.lang.Byte":
		b = connectdata.AppendNumber(nil, int64(int8(n)))
	case "java.lang.Short":
		b = connectdata.AppendNumber(nil, int64(int16(n)))
	case "java.lang.Integer":
		b = connectdata.AppendNumber(nil, int64(int32(n)))
	case "java.lang.Long":
		b = connectdata.AppendNumber(nil, n)
	case "java.lang.Float":
		b = connectdata.AppendFloat32(nil, float32(f))
	case "java.lang.Double":
		b = connectdata.AppendFloat64(nil, f)
	case "java.lang.String":
		return connectdata.AppendString(nil, text), nil
	case "java.lang.Boolean", "java.util.Date", "java.util.ArrayList", "java.util.HashMap":
		b, custom = []byte{0}, false
	default:
		if o.replacement == nil {
			return nil, &failure{stage, dataException, "Cannot mask value of type: class " + class}
		}
		custom = false
	}
	switch {
	case o.replacement != nil && !custom:
		return nil, &failure{stage, dataException, "Cannot mask value of type class " + class +
			" with custom replacement."}
	case o.replacement != nil && o.number == nil:
		return nil, &failure{stage, dataException,
			"Unable to convert " + text + " (class java.lang.String) to a number"}
	}
	return b, nil
}

// decimal is the masked value of a BigDecimal.
func (o *masking) decimal(stage int) (values.Decimal, *failure) {
	switch {
	case o.replacement == nil:
		return values.Decimal{Unscaled: new(big.Int)}, nil
	case o.number == nil:
		return values.Decimal{}, &failure{stage, dataException,
			"Unable to convert " + *o.replacement + " (class java.lang.String) to number"}
	case !o.number.Fits():
		return values.Decimal{}, &failure{stage, dataException,
			"a decimal that is too long, or whose scale is too large: " + *o.replacement}
	}
	return *o.number, nil
}
