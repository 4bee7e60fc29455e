package transforms

import (
	"strings"

	"github.com/culvert-project/culvert/internal/java/values"
	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// castEntry returns the edit for the entries of maps.
func castEntry(targetKind wit.Kind, stage int) record.Edit {
	return record.Edit{
		Apply: func(dst, input []byte) ([]byte, *record.Failure) {
			if input[0] == connectdata.TagNull {
				return append(dst, connectdata.TagNull), nil
			}
			return castSchemaless(dst, input, targetKind, stage)
		},
		Conversion: func(tag byte) (conversion record.Conversion) {
			if tag >= connectdata.TagInt8 && tag <= connectdata.TagFloat64 {
				kind := wit.Int8 + wit.Kind(tag-connectdata.TagInt8) // tags of numbers have the order of kinds
				edit := castEdit(&wit.SchemaNode{Kind: kind}, targetKind, stage)
				if edit.Conversion != nil {
					conversion = edit.Conversion(0).WithTag(tag, castTag(targetKind, &number{}))
				}
			}
			return conversion
		},
	}
}

func unsupportedFrom(kind wit.Kind, stage int) *record.Failure {
	return record.DataFailure(stage, "Cast transformation does not support casting from "+record.KindNames[kind]+
		"; supported types are "+kindList(wit.Array))
}

// notADate returns the failure of a value named like a date type that an earlier Cast gave another type.
func notADate(class string, stage int) *record.Failure {
	return record.NewFailure(stage, record.ClassCastException,
		"class "+class+" cannot be cast to class java.util.Date ("+
			class+" and java.util.Date are in module java.base of loader 'bootstrap')")
}

// castEdit returns the edit for values of one schema, with the kernel's conversion if there is one.
func castEdit(node *wit.SchemaNode, targetKind wit.Kind, stage int) record.Edit {
	edit := record.Edit{Apply: func(dst, input []byte) ([]byte, *record.Failure) {
		return castWithSchema(dst, input, node, targetKind, stage)
	}}
	// The bits have a meaning for integers only.
	conversion := kernel.Conversion{UnusedBits: (64 - 8<<node.Kind) & 63, LostBits: (64 - 8<<targetKind) & 63}
	switch {
	case node.Kind <= wit.Int64 && targetKind == wit.String && node.Name == nil:
		conversion.Kind = kernel.Digits
	case node.Kind <= wit.Int64 && targetKind <= wit.Int64 && node.Name == nil:
		conversion.Kind = kernel.Integer
	case node.Kind == wit.Float64 && targetKind == wit.Float32:
		conversion.Kind = kernel.Single
	default:
		return edit
	}
	edit.Conversion = record.SameConversion(record.Conversion{Conversion: conversion})
	return edit
}

// isMisnamedTime reports whether a schema has the name of a date type but another type.
func isMisnamedTime(node *wit.SchemaNode) bool {
	return record.LogicalJavaClass(node) == "java.util.Date" && record.JavaClass(node) != "java.util.Date"
}

// castWithSchema appends a value as another type. Logical types are converted by the values that they represent.
func castWithSchema(dst, input []byte, node *wit.SchemaNode, targetKind wit.Kind, stage int) ([]byte, *record.Failure) {
	if node.Kind >= wit.Array {
		return dst, unsupportedFrom(node.Kind, stage)
	}
	if targetKind != wit.String && isMisnamedTime(node) {
		return dst, notADate(record.JavaClass(node), stage)
	}
	if node.Name == nil || node.Kind == wit.Int8 || node.Kind == wit.Int16 {
		if number, ok := readNumber(node.Kind, input); ok {
			return number.append(dst, targetKind), nil
		}
	}
	required := *node
	required.Optional = false
	required.DefaultValue = nil
	value, _, err := connectdata.Read([]wit.SchemaNode{required}, 0, input)
	if err != nil {
		return dst, record.BadValue(stage, 0)
	}
	switch record.JavaClass(node) {
	case "java.util.Date":
		if targetKind != wit.String {
			break
		}
		switch n := value.(type) {
		case int32:
			value = connectdata.Instant(n)
			if *node.Name == wit.NameDate {
				value = connectdata.Instant(int64(n) * msPerDay)
			}
		case int64:
			value = connectdata.Instant(n)
		}
	case "java.math.BigDecimal":
		if b, ok := value.([]byte); ok {
			scale, _ := values.ScaleOf(node)
			value = connectdata.Decimal{Scale: int32(scale), Unscaled: connectdata.Unscaled(b)}
		}
	}
	return appendCast(dst, value, targetKind, stage, withSchema)
}

// castSchemaless appends a value without schema as another type, with its tag.
func castSchemaless(dst, input []byte, targetKind wit.Kind, stage int) ([]byte, *record.Failure) {
	switch input[0] {
	case connectdata.TagArray:
		return dst, unsupportedFrom(wit.Array, stage)
	case connectdata.TagMap:
		return dst, unsupportedFrom(wit.Map, stage)
	case connectdata.TagStruct:
		return dst, unsupportedFrom(wit.Struct, stage)
	case connectdata.TagInstant:
		return dst, record.DataFailure(stage, "Cast transformation was passed a value of type class "+
			record.TagJavaClasses[input[0]]+" which is not supported by Connect's data API")
	}
	if number, ok := readSchemalessNumber(input); ok {
		dst = append(dst, castTag(targetKind, &number))
		if targetKind != wit.Boolean { // only a tag
			dst = number.append(dst, targetKind)
		}
		return dst, nil
	}
	value, _, err := connectdata.ReadSchemaless(input)
	if err != nil {
		return dst, record.BadSchemaless(stage)
	}
	return appendCast(dst, value, targetKind, stage, schemaless)
}

func kindList(end wit.Kind) string { return "[" + strings.Join(record.KindNames[:end], ", ") + "]" }
