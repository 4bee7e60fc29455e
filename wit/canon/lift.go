package canon

import (
	"encoding/binary"
	"math"
	"reflect"
	"unicode/utf8"
)

// Lifter reads values in the layout of the canonical ABI from the linear memory of a guest, which may be hostile: it
// rejects pointers that are misaligned or outside the memory, lengths that exceed the memory, invalid UTF-8 and unknown
// cases.
type Lifter struct {
	Memory Memory
	// Budget is the number of bytes that lists and strings may still take, in the guest's layout or as Go values,
	// whichever is more; what options and variants point to as Go values is not counted. Without a budget a small
	// memory could describe a value of any size, because many lists may point to the same bytes.
	Budget   int
	elements int // the number of list elements so far
}

// Interruptible is implemented by memories whose owner can cancel the reading of a large value.
type Interruptible interface {
	// CheckCancelled is called after every 4,096 elements of lists. Its error ends the reading.
	CheckCancelled() error
}

const elementsPerCheck = 4096

// Lift reads the value at ptr into dst, a pointer to a Go value. The value's lists and strings reduce the budget.
func (l *Lifter) Lift(ptr uint32, dst any) error {
	value := reflect.ValueOf(dst).Elem()
	t := layoutOf(value.Type())
	b, err := l.view(ptr, uint64(t.size), t.align, "a value")
	if err != nil {
		return err
	}
	return l.lift(t, b, value)
}

// LiftList reads the list or string of n elements at ptr into dst, a pointer to a slice or string.
func (l *Lifter) LiftList(ptr, n uint32, dst any) error {
	value := reflect.ValueOf(dst).Elem()
	return l.liftList(layoutOf(value.Type()), ptr, n, value)
}

// SizeOf returns the size of a type in a linear memory in bytes.
func SizeOf[T any]() int { return int(layoutOf(reflect.TypeFor[T]()).size) }

// view returns size bytes at ptr. label names the value in errors.
func (l *Lifter) view(ptr uint32, size uint64, align uint32, label string) ([]byte, error) {
	if ptr%align != 0 {
		return nil, newError(label, ": expected a pointer that is a multiple of ", align, ", found ", hex(ptr))
	}
	if uint64(ptr)+size > math.MaxUint32+1 || size > math.MaxUint32 {
		return nil, newError(label, ": ", size, " bytes at ", hex(ptr), " run past the memory")
	}
	b, ok := l.Memory.View(ptr, uint32(size))
	if !ok {
		return nil, newError(label, ": ", size, " bytes at ", hex(ptr), " run past the memory")
	}
	return b, nil
}

// spend takes n bytes from the budget, or returns an error if it is used up.
func (l *Lifter) spend(n uint64, label string) error {
	if n > uint64(l.Budget) {
		return newError(label, ": the value is larger than allowed (", n, " bytes more than ", l.Budget, " left)")
	}
	l.Budget -= int(n)
	return nil
}

// lift reads a value from b, whose length is the size of t. It is liftFlat's counterpart for values in memory.
func (l *Lifter) lift(t *typeLayout, b []byte, value reflect.Value) error {
	switch t.shape {
	case shapeString, shapeList:
		return l.liftList(t, binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), value)
	case shapeRecord:
		for _, p := range t.parts {
			if err := l.lift(p.layout, b[p.offset:p.offset+p.layout.size], value.Field(p.index)); err != nil {
				return newError(p.name, ": ", err)
			}
		}
		return nil
	case shapeVariant, shapeOption:
		member, err := t.caseAt(uint32(b[0])) // one byte: no type has more than 256 cases
		if err != nil {
			return err
		}
		target := t.setCase(member, value)
		if member.layout == nil {
			return nil
		}
		return l.lift(member.layout, b[t.payload:t.payload+member.layout.size], target)
	}
	return t.setScalar(littleEndian(b), value)
}

// asUint32s returns a list as a slice if it is a []uint32, which needs no reflection for each element.
func (t *typeLayout) asUint32s(list reflect.Value) (words []uint32, ok bool) {
	if t.shape != shapeUnsigned || t.size != 4 {
		return nil, false
	}
	words, ok = list.Interface().([]uint32)
	return words, ok
}

func littleEndian(b []byte) uint64 {
	var n uint64
	for i, c := range b {
		n |= uint64(c) << (8 * i)
	}
	return n
}

// caseAt returns the case of a discriminant.
func (t *typeLayout) caseAt(n uint32) (*part, error) {
	if n >= uint32(len(t.parts)) {
		return nil, newError("expected one of ", len(t.parts), " cases of ", t.rtype, ", found number ", n)
	}
	return &t.parts[n], nil
}

// sameCase reports whether two encoded variants have the same case, one without a payload. Such values are equal and
// never changed, so elements of a list may share one.
func (t *typeLayout) sameCase(previous, b []byte) bool {
	return t.shape == shapeVariant && b[0] == previous[0] && int(b[0]) < len(t.parts) && t.parts[b[0]].layout == nil
}

// setCase sets value to a case and returns the place of its payload.
func (t *typeLayout) setCase(member *part, value reflect.Value) reflect.Value {
	if t.shape == shapeOption {
		if member.layout == nil {
			value.SetZero()
			return value
		}
		value.Set(reflect.New(t.rtype.Elem()))
		return value.Elem()
	}
	value.SetZero()
	f := value.Field(member.index)
	f.Set(reflect.New(f.Type().Elem()))
	return f.Elem()
}

// setScalar sets value from the bits of a core value, or from the bytes of t in memory. Signed numbers have 4 or 8
// bytes and floats have 8, see [computeLayout].
func (t *typeLayout) setScalar(bits uint64, value reflect.Value) error {
	switch t.shape {
	case shapeBool:
		// in the canonical ABI every number except 0 is true
		value.SetBool(uint32(bits) != 0)
	case shapeEnum:
		if uint32(bits) >= uint32(t.cases) {
			return newError("expected one of ", t.cases, " cases of ", t.rtype, ", found number ", uint32(bits))
		}
		value.SetUint(bits & 0xff)
	case shapeUnsigned:
		value.SetUint(bits & (1<<(8*t.size) - 1)) // all bits for a size of 8
	case shapeSigned:
		if t.size == 4 {
			bits = uint64(int64(int32(uint32(bits))))
		}
		value.SetInt(int64(bits))
	case shapeFloat:
		value.SetFloat(math.Float64frombits(bits))
	}
	return nil
}

func (l *Lifter) liftList(t *typeLayout, ptr, n uint32, value reflect.Value) error {
	if t.shape == shapeString {
		return l.liftText(ptr, n, value)
	}
	elem := t.parts[0].layout
	b, err := l.view(ptr, uint64(n)*uint64(elem.size), elem.align, "list")
	if err != nil {
		return err
	}
	if err := l.spend(uint64(n)*uint64(max(elem.size, uint32(elem.rtype.Size()))), "list"); err != nil {
		return err
	}
	if n == 0 {
		value.SetZero()
		return nil
	}
	s := reflect.MakeSlice(value.Type(), int(n), int(n))
	if elem.shape == shapeUnsigned && elem.size == 1 { // bytes
		copy(s.Bytes(), b)
		value.Set(s)
		return nil
	}
	numbers, isUint32s := elem.asUint32s(s)
	for i := range int(n) {
		if err := l.countElement(); err != nil {
			return err
		}
		offset := uint32(i) * elem.size
		if isUint32s {
			numbers[i] = binary.LittleEndian.Uint32(b[offset:])
			continue
		}
		if i > 0 && elem.sameCase(b[offset-elem.size:], b[offset:]) {
			s.Index(i).Set(s.Index(i - 1))
			continue
		}
		if err := l.lift(elem, b[offset:offset+elem.size], s.Index(i)); err != nil {
			return newError("element ", i, ": ", err)
		}
	}
	value.Set(s)
	return nil
}

func (l *Lifter) liftText(ptr, n uint32, value reflect.Value) error {
	b, err := l.view(ptr, uint64(n), 1, "text")
	if err != nil {
		return err
	}
	if err := l.spend(uint64(n), "text"); err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return newError("text at ", hex(ptr), " is not UTF-8")
	}
	value.SetString(string(b))
	return nil
}

// countElement counts an element of a list, and returns an error if the memory's owner has cancelled the reading.
func (l *Lifter) countElement() error {
	l.elements++
	if l.elements%elementsPerCheck != 0 {
		return nil
	}
	if memory, ok := l.Memory.(Interruptible); ok {
		return memory.CheckCancelled()
	}
	return nil
}

// liftFlat reads a value from core values: one for each field, discriminant and payload.
func (l *Lifter) liftFlat(t *typeLayout, flats []uint64, value reflect.Value) error {
	switch t.shape {
	case shapeString, shapeList:
		return l.liftList(t, uint32(flats[0]), uint32(flats[1]), value)
	case shapeRecord:
		for _, p := range t.parts {
			n := len(p.layout.flat)
			if err := l.liftFlat(p.layout, flats[:n], value.Field(p.index)); err != nil {
				return newError(p.name, ": ", err)
			}
			flats = flats[n:]
		}
		return nil
	case shapeVariant, shapeOption:
		member, err := t.caseAt(uint32(flats[0]))
		if err != nil {
			return err
		}
		target := t.setCase(member, value)
		if member.layout == nil {
			return nil
		}
		return l.liftFlat(member.layout, flats[1:], target)
	}
	return t.setScalar(flats[0], value)
}
