package canon

import (
	"encoding/binary"
	"math"
	"reflect"
	"unicode/utf8"
)

// Lifter reads values out of a linear memory. It refuses pointers outside the memory or out of alignment, lengths that
// run past it, text that is no UTF-8, and unknown cases.
type Lifter struct {
	Memory Memory
	// Budget is what is left of the bytes that may be read; it falls with every list and text. It is needed because
	// lists may point to the same memory many times over, so a small memory can describe a value of any size.
	Budget int
	// elements counts elements of lists.
	elements int
}

// Interruptible is a memory whose owner can end the reading of a large value: Watch is called every 4,096 elements of
// lists, and its error ends it.
type Interruptible interface{ Watch() error }

const watchEvery = 4096

// Lift reads the value of dst's type, which is not nil, at ptr, and takes what it comes to off the budget.
func (l *Lifter) Lift(ptr uint32, dst any) error {
	v := reflect.ValueOf(dst).Elem()
	t := layoutOf(v.Type())
	b, err := l.view(ptr, uint64(t.size), t.align, "a value")
	if err != nil {
		return err
	}
	return l.value(t, b, v)
}

// LiftList reads the list or text of n elements at ptr into dst, a pointer to a slice or string.
func (l *Lifter) LiftList(ptr, n uint32, dst any) error {
	v := reflect.ValueOf(dst).Elem()
	return l.list(layoutOf(v.Type()), ptr, n, v)
}

// SizeOf is the size of a type in a linear memory.
func SizeOf[T any]() int { return int(layoutOf(reflect.TypeFor[T]()).size) }

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

func (l *Lifter) spend(n uint64, label string) error {
	if n > uint64(l.Budget) {
		return newError(label, ": the value is larger than allowed (", n, " bytes more than ", l.Budget, " left)")
	}
	l.Budget -= int(n)
	return nil
}

// value reads from b, which has the size of t.
func (l *Lifter) value(t *typeLayout, b []byte, v reflect.Value) error {
	switch t.shape {
	case shapeString, shapeList:
		return l.list(t, binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), v)
	case shapeRecord:
		for _, p := range t.parts {
			if err := l.value(p.layout, b[p.offset:p.offset+p.layout.size], v.Field(p.index)); err != nil {
				return newError(p.name, ": ", err)
			}
		}
		return nil
	case shapeVariant, shapeOption:
		c, err := t.caseAt(uint32(b[0]))
		if err != nil {
			return err
		}
		target := t.setCase(c, v)
		if c.layout == nil {
			return nil
		}
		return l.value(c.layout, b[t.payload:t.payload+c.layout.size], target)
	}
	return t.scalar(littleEndian(b), v)
}

// asUint32s is a list of elements of the type, where they are numbers of 32 bits.
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

// sameCase reports whether a variant has the same case as the one before it, and one without a payload.
func (t *typeLayout) sameCase(before, b []byte) bool {
	return t.shape == shapeVariant && b[0] == before[0] && int(b[0]) < len(t.parts) && t.parts[b[0]].layout == nil
}

// setCase makes room for a case in v and returns where its payload goes.
func (t *typeLayout) setCase(c *part, v reflect.Value) reflect.Value {
	if t.shape == shapeOption {
		if c.layout == nil {
			v.SetZero()
			return v
		}
		v.Set(reflect.New(t.rtype.Elem()))
		return v.Elem()
	}
	v.SetZero()
	f := v.Field(c.index)
	f.Set(reflect.New(f.Type().Elem()))
	return f.Elem()
}

// scalar sets v from the bits of a core value or of as many bytes as t has.
func (t *typeLayout) scalar(bits uint64, v reflect.Value) error {
	switch t.shape {
	case shapeBool:
		// the canonical ABI takes any number but 0 for true
		v.SetBool(uint32(bits) != 0)
	case shapeEnum:
		if uint32(bits) >= uint32(t.cases) {
			return newError("expected one of ", t.cases, " cases of ", t.rtype, ", found number ", uint32(bits))
		}
		v.SetUint(bits & 0xff)
	case shapeUnsigned:
		v.SetUint(bits & (1<<(8*t.size) - 1))
	case shapeSigned:
		if t.size == 4 {
			bits = uint64(int64(int32(uint32(bits))))
		}
		v.SetInt(int64(bits))
	case shapeFloat:
		v.SetFloat(math.Float64frombits(bits))
	}
	return nil
}

func (l *Lifter) list(t *typeLayout, ptr, n uint32, v reflect.Value) error {
	if t.shape == shapeString {
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
		v.SetString(string(b))
		return nil
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
		v.SetZero()
		return nil
	}
	s := reflect.MakeSlice(v.Type(), int(n), int(n))
	if elem.shape == shapeUnsigned && elem.size == 1 {
		copy(s.Bytes(), b)
		v.Set(s)
		return nil
	}
	numbers, plain := elem.asUint32s(s)
	for i := range int(n) {
		if l.elements++; l.elements%watchEvery == 0 {
			if w, ok := l.Memory.(Interruptible); ok {
				if err := w.Watch(); err != nil {
					return err
				}
			}
		}
		at := uint32(i) * elem.size
		if plain {
			numbers[i] = binary.LittleEndian.Uint32(b[at:])
			continue
		}
		if i > 0 && elem.sameCase(b[at-elem.size:], b[at:]) {
			s.Index(i).Set(s.Index(i - 1))
			continue
		}
		if err := l.value(elem, b[at:at+elem.size], s.Index(i)); err != nil {
			return newError("element ", i, ": ", err)
		}
	}
	v.Set(s)
	return nil
}

// flat reads a value out of core values and returns those that are left.
func (l *Lifter) flat(t *typeLayout, flats []uint64, v reflect.Value) error {
	switch t.shape {
	case shapeString, shapeList:
		return l.list(t, uint32(flats[0]), uint32(flats[1]), v)
	case shapeRecord:
		for _, p := range t.parts {
			n := len(p.layout.flat)
			if err := l.flat(p.layout, flats[:n], v.Field(p.index)); err != nil {
				return newError(p.name, ": ", err)
			}
			flats = flats[n:]
		}
		return nil
	case shapeVariant, shapeOption:
		c, err := t.caseAt(uint32(flats[0]))
		if err != nil {
			return err
		}
		target := t.setCase(c, v)
		if c.layout == nil {
			return nil
		}
		return l.flat(c.layout, flats[1:], target)
	}
	return t.scalar(flats[0], v)
}
