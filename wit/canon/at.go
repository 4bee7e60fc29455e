package canon

import "reflect"

// Lift reads the value of dst's type, which is not nil, at ptr, and takes what it comes to off the budget.
func (l *Lifter) Lift(ptr uint32, dst any) error {
	v := reflect.ValueOf(dst).Elem()
	t := of(v.Type())
	b, err := l.view(ptr, uint64(t.size), t.align, "a value")
	if err != nil {
		return err
	}
	return l.value(t, b, v)
}

// LiftList reads the list or text of n elements at ptr into dst, a pointer to a slice or string.
func (l *Lifter) LiftList(ptr, n uint32, dst any) error {
	v := reflect.ValueOf(dst).Elem()
	return l.list(of(v.Type()), ptr, n, v)
}

// SizeOf is the size of a type in a linear memory.
func SizeOf[T any]() int { return int(of(reflect.TypeFor[T]()).size) }
