package transforms

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/internal/java/values"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var maskFieldKeys = []wit.ConfigKey{
	requiredListKey("fields", "Names of fields to mask."),
	setting.Define("replacement", wit.KindString, wit.Low, nil,
		"Custom value replacement, that will be applied to all 'fields' values (numeric or "+
			"non-empty string values only)."),
	replaceNullKey,
}

// maskField replaces values by the empty value of their type, or by a fixed one. Nulls stay.
type maskField struct {
	FieldOptions
	fields      []string
	order       []string    // the fields in the order of Kafka's loop over maps
	entries     record.Edit // of map entries, empty until the first map
	replacement *string
	number      *values.Decimal // the replacement, if it is one
}

func newMaskField(target record.Target, config Settings) (Operation, *wit.Error) {
	fields, err := config.RequiredList("fields")
	if err != nil {
		return nil, err
	}
	options := FieldOptions{Target: target, Purpose: "mask fields", RejectNull: true}
	transform := &maskField{FieldOptions: options, fields: fields, order: java.HashSetOrder(fields)}
	if replacement, isSet := config.Find("replacement"); isSet {
		if replacement = setting.Trim(replacement); replacement == "" {
			return nil, invalidSetting("replacement", "", "String must be non-empty")
		}
		transform.replacement = &replacement
		if decimal, ok := values.ParseDecimal(replacement); ok {
			transform.number = &decimal
		}
	}
	return transform, transform.configure(config)
}

func (m *maskField) Apply(obj *record.Object, step Step) *record.Failure {
	if obj.IsMap {
		if m.entries.Apply == nil { // an operation belongs to one stage
			m.entries = m.entryEdit(step.Stage)
		}
		return obj.EditEntries(m.order, m.fields, func(int) record.Edit { return m.entries }, step.Stage)
	}
	if m.ReplaceNull {
		obj.ReplaceNulls(step.Stage)
	}
	for i := range obj.Fields {
		field := &obj.Fields[i]
		if !slices.Contains(m.fields, field.Name) {
			continue
		}
		node := field.Schema()
		value, failure := m.maskWithSchema(node, step.Stage)
		masked := append(record.Branch(node), value...)
		switch {
		case failure != nil:
			obj.Edit(field, record.FieldEdit(node, node, record.FailingEdit(failure)), step.Stage)
		case field.Kind == record.FromConstant, !node.Optional && field.Kind != record.FromAttribute, field.NeverNull:
			obj.Changed = true
			field.Kind = record.FromConstant
			field.Bytes = masked
		case !node.Optional: // the program would not check the required attribute
			return record.NotTraceable
		default:
			choices := [][]byte{masked, nil, masked} // by branch, of which one is null
			null := connectdata.AppendBranch(nil, node, true)
			choices[null[0]] = null
			obj.Edit(field, record.ChoiceEdit(choices, nil), step.Stage)
		}
	}
	return nil
}

// entryEdit returns the edit for the entries of maps.
func (m *maskField) entryEdit(stage int) record.Edit {
	choices := make([][]byte, len(record.TagJavaClasses))
	failures := make([]*record.Failure, len(record.TagJavaClasses))
	choices[connectdata.TagNull] = []byte{connectdata.TagNull}
	for tag := connectdata.TagNull + 1; int(tag) < len(record.TagJavaClasses); tag++ {
		value, failure := m.maskSchemaless(tag, stage)
		if failure != nil {
			value = nil
		}
		choices[tag] = value
		failures[tag] = failure
	}
	return record.ChoiceEdit(choices, failures)
}

// maskWithSchema returns the masked value of a schema, without union branch.
func (m *maskField) maskWithSchema(node *wit.SchemaNode, stage int) ([]byte, *record.Failure) {
	if class := record.JavaClass(node); class != "java.math.BigDecimal" {
		return m.maskedValue(class, stage)
	}
	decimal, failure := m.replacementDecimal(stage)
	if failure != nil {
		return nil, failure
	}
	if scale, _ := values.ScaleOf(node); int64(scale) != decimal.Scale {
		return nil, record.DataFailure(stage, fmt.Sprintf(
			"Decimal value has mismatching scale for given Decimal schema. "+
				"Schema has scale %d, value has scale %d.", scale, decimal.Scale))
	}
	return connectdata.AppendDecimal(nil, decimal.Unscaled), nil
}

// maskSchemaless returns the masked value for a tag, with the tag.
func (m *maskField) maskSchemaless(tag byte, stage int) ([]byte, *record.Failure) {
	class := record.TagJavaClasses[tag]
	if class == "java.math.BigDecimal" {
		decimal, failure := m.replacementDecimal(stage)
		if failure != nil {
			return nil, failure
		}
		return connectdata.AppendDecimal(connectdata.AppendNumber([]byte{tag}, decimal.Scale), decimal.Unscaled), nil
	}
	if tag == connectdata.TagTrue {
		tag = connectdata.TagFalse
	}
	b, failure := m.maskedValue(class, stage)
	if tag == connectdata.TagFalse {
		b = nil // the tag is the value
	}
	return append([]byte{tag}, b...), failure
}

// maskedValue returns the masked value for a Java class.
func (m *maskField) maskedValue(class string, stage int) ([]byte, *record.Failure) {
	var integer int64
	var number float64
	var text string
	if m.number != nil {
		integer = m.number.Long()
		number = m.number.Float(64)
	}
	if m.replacement != nil {
		text = *m.replacement
	}
	acceptsReplacement := true
	var b []byte
	switch class {
	case "java.lang.Byte":
		b = connectdata.AppendNumber(nil, int64(int8(integer)))
	case "java.lang.Short":
		b = connectdata.AppendNumber(nil, int64(int16(integer)))
	case "java.lang.Integer":
		b = connectdata.AppendNumber(nil, int64(int32(integer)))
	case "java.lang.Long":
		b = connectdata.AppendNumber(nil, integer)
	case "java.lang.Float":
		b = connectdata.AppendFloat32(nil, float32(number))
	case "java.lang.Double":
		b = connectdata.AppendFloat64(nil, number)
	case "java.lang.String":
		return connectdata.AppendString(nil, text), nil
	case "java.lang.Boolean", "java.util.Date", "java.util.ArrayList", "java.util.HashMap":
		b = []byte{0}
		acceptsReplacement = false
	default:
		if m.replacement == nil {
			return nil, record.DataFailure(stage, "Cannot mask value of type: class "+class)
		}
		acceptsReplacement = false
	}
	switch {
	case m.replacement != nil && !acceptsReplacement:
		return nil, record.DataFailure(stage, "Cannot mask value of type class "+class+" with custom replacement.")
	case m.replacement != nil && m.number == nil:
		return nil, record.DataFailure(stage, "Unable to convert "+text+" (class java.lang.String) to a number")
	}
	return b, nil
}

// replacementDecimal returns the replacement as a Decimal, zero if there is no replacement.
func (m *maskField) replacementDecimal(stage int) (values.Decimal, *record.Failure) {
	switch {
	case m.replacement == nil:
		return values.Decimal{Unscaled: new(big.Int)}, nil
	case m.number == nil:
		return values.Decimal{}, record.DataFailure(stage,
			"Unable to convert "+*m.replacement+" (class java.lang.String) to number")
	case !m.number.Fits():
		return values.Decimal{}, record.DataFailure(stage,
			"a decimal that is too long, or whose scale is too large: "+*m.replacement)
	}
	return *m.number, nil
}
