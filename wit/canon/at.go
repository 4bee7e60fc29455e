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
