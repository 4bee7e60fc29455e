// Package canon implements the canonical ABI of the component model for the types of package wit, by reflection: the
// layout of Go values in a guest's linear memory, and their representation as core Wasm values. Host and SDK share it.
// It is used for rare calls (describe, open, next); rows and data are passed without it.
//
// Layouts follow the component model's CanonicalABI.md: records in order with natural alignment, variants as a
// discriminant and a payload at the payloads' largest alignment, lists and strings as pointer and length, results of
// more than one core value through a pointer. Parameters of more than 16 core values would need a pointer too; the
// contract has none, and [FuncOf] panics for them.
package canon

import (
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/culvert-project/culvert/wit"
)

// Memory is a linear memory. View returns size bytes at ptr, valid until it grows; ok is false outside the memory.
type Memory interface {
	View(ptr, size uint32) (view []byte, ok bool)
}

// ValueType is a core Wasm value type, as encoded in a module.
type ValueType = byte

// Core Wasm value types.
const (
	I32 ValueType = 0x7f
	I64 ValueType = 0x7e
	F32 ValueType = 0x7d
	F64 ValueType = 0x7c
)

type shape uint8

const (
	shapeBool shape = iota
	shapeUnsigned
	shapeSigned
	shapeFloat
	shapeString
	shapeList
	shapeRecord
	shapeVariant
	shapeOption
	shapeEnum
	shapeResult
)

// typeLayout is the canonical layout of a type.
type typeLayout struct {
	shape shape
	// size and align are the size and alignment in a linear memory, in bytes.
	size  uint32
	align uint32
	flat  []ValueType // the core types of a parameter or result of this type
	// parts are fields of a record, cases of a variant, the element of an option or list, or ok and error of a result.
	parts []part
	// payload is the offset of the payload of a variant, option or result, after a discriminant of one byte.
	payload uint32
	cases   int          // the number of an enum's cases
	rtype   reflect.Type // the Go type
}

// part is a field, case or element of a [typeLayout].
type part struct {
	name   string      // the name in the contract
	index  int         // the number of the Go field
	offset uint32      // the offset in a record, in bytes
	layout *typeLayout // nil for a case without payload
}

var (
	layouts         sync.Map // reflect.Type → *typeLayout
	variantMark     = reflect.TypeFor[wit.Variant]()
	unitType        = reflect.TypeFor[struct{}]()
	errorType       = reflect.TypeFor[error]()
	errorRecordType = reflect.TypeFor[wit.Error]()
)

// layoutOf returns the layout of a Go type. It panics for types that the contract does not support.
func layoutOf(t reflect.Type) *typeLayout {
	if l, ok := layouts.Load(t); ok {
		return l.(*typeLayout)
	}
	l := computeLayout(t)
	l.rtype = t
	layouts.Store(t, l)
	return l
}

// computeLayout is layoutOf without the cache. It leaves rtype to its caller.
func computeLayout(t reflect.Type) *typeLayout {
	simple := func(s shape, size uint32, v ValueType) *typeLayout {
		return &typeLayout{shape: s, size: size, align: size, flat: []ValueType{v}}
	}
	switch t.Kind() {
	case reflect.Bool:
		return simple(shapeBool, 1, I32)
	case reflect.Uint8:
		if e, ok := reflect.Zero(t).Interface().(interface{ Cases() int }); ok {
			l := simple(shapeEnum, 1, I32)
			l.cases = e.Cases()
			return l
		}
		return simple(shapeUnsigned, 1, I32)
	case reflect.Uint16:
		return simple(shapeUnsigned, 2, I32)
	case reflect.Uint32:
		return simple(shapeUnsigned, 4, I32)
	case reflect.Int32:
		return simple(shapeSigned, 4, I32)
	case reflect.Uint64:
		return simple(shapeUnsigned, 8, I64)
	case reflect.Int64:
		return simple(shapeSigned, 8, I64)
	case reflect.Float64:
		return simple(shapeFloat, 8, F64)
	case reflect.String:
		return &typeLayout{shape: shapeString, size: 8, align: 4, flat: []ValueType{I32, I32}}
	case reflect.Slice:
		return &typeLayout{shape: shapeList, size: 8, align: 4, flat: []ValueType{I32, I32},
			parts: []part{{layout: layoutOf(t.Elem())}}}
	case reflect.Pointer:
		l := &typeLayout{shape: shapeOption}
		return l.setVariant([]part{{name: "none"}, {name: "some", layout: layoutOf(t.Elem())}})
	case reflect.Struct:
		return structLayout(t)
	}
	panic("canon: no canonical ABI for " + t.String())
}

func structLayout(t reflect.Type) *typeLayout {
	if t.NumField() > 0 && t.Field(0).Type == variantMark {
		var cases []part
		for i := 1; i < t.NumField(); i++ { // field 0 is the mark
			f := t.Field(i)
			c := part{name: Kebab(f.Name), index: i}
			if f.Type.Elem() != unitType {
				c.layout = layoutOf(f.Type.Elem())
			}
			cases = append(cases, c)
		}
		return (&typeLayout{shape: shapeVariant}).setVariant(cases)
	}
	l := &typeLayout{shape: shapeRecord, align: 1}
	for i := 0; i < t.NumField(); i++ {
		f := layoutOf(t.Field(i).Type)
		l.size = alignTo(l.size, f.align)
		l.parts = append(l.parts, part{name: Kebab(t.Field(i).Name), index: i, offset: l.size, layout: f})
		l.size += f.size
		l.align = max(l.align, f.align)
		l.flat = append(l.flat, f.flat...)
	}
	l.size = alignTo(l.size, l.align)
	return l
}

// setVariant sets the layout of a variant with these cases: its discriminant and payloads. Core values of payloads are
// joined, since all cases use the same ones. It returns t.
func (t *typeLayout) setVariant(cases []part) *typeLayout {
	t.parts = cases
	t.align = 1
	t.flat = []ValueType{I32}
	var size uint32
	for _, c := range cases {
		if c.layout == nil {
			continue
		}
		t.align = max(t.align, c.layout.align)
		size = max(size, c.layout.size)
		for i, v := range c.layout.flat {
			if index := i + 1; index == len(t.flat) {
				t.flat = append(t.flat, v)
			} else {
				t.flat[index] = joinTypes(t.flat[index], v)
			}
		}
	}
	t.payload = alignTo(1, t.align)
	t.size = alignTo(t.payload+size, t.align)
	return t
}

// joinTypes returns the core type that can represent values of both types.
func joinTypes(a, b ValueType) ValueType {
	switch {
	case a == b:
		return a
	case (a == I32 || a == F32) && (b == I32 || b == F32):
		return I32
	}
	return I64
}

// alignTo rounds n up to a multiple of align, a power of two.
func alignTo(n, align uint32) uint32 { return (n + align - 1) &^ (align - 1) }

// Kebab returns the contract's name for a Go name: check-offset for CheckOffset, id for ID.
func Kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		isUpper := r >= 'A' && r <= 'Z'
		if isUpper && i > 0 && !(name[i-1] >= 'A' && name[i-1] <= 'Z') {
			b.WriteByte('-')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}

// hex is a number that is written in base 16.
type hex uint32

// newError concatenates strings, numbers and errors. Package fmt would be a tenth of a small guest.
func newError(parts ...any) error {
	var message []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			message = append(message, p...)
		case error:
			message = append(message, p.Error()...)
		case reflect.Type:
			message = append(message, p.String()...)
		case int:
			message = strconv.AppendInt(message, int64(p), 10)
		case uint32:
			message = strconv.AppendUint(message, uint64(p), 10)
		case uint64:
			message = strconv.AppendUint(message, p, 10)
		case hex:
			message = strconv.AppendUint(append(message, "0x"...), uint64(p), 16)
		}
	}
	return &Error{string(message)}
}

// Error is a violation of the canonical ABI, with its place in the value.
type Error struct{ text string }

func (e *Error) Error() string { return e.text }
