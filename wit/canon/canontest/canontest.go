// Package canontest creates random values of the contract for tests.
package canontest

import (
	"math/rand/v2"
	"reflect"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Fill sets value, whose type belongs to the contract, to random values of its kind.
func Fill(r *rand.Rand, value reflect.Value) {
	t := value.Type()
	switch {
	case t.Kind() == reflect.Struct && t.NumField() > 0 && t.Field(0).Type == reflect.TypeFor[wit.Variant]():
		// A variant has one of its cases, each a pointer in a field after the marker.
		f := value.Field(1 + r.IntN(t.NumField()-1))
		f.Set(reflect.New(f.Type().Elem()))
		Fill(r, f.Elem())
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			Fill(r, value.Field(i))
		}
	case t.Kind() == reflect.Pointer:
		if r.IntN(2) == 0 {
			value.Set(reflect.New(t.Elem()))
			Fill(r, value.Elem())
		}
	case t.Kind() == reflect.Slice:
		n := r.IntN(4)
		value.Set(reflect.MakeSlice(t, n, n))
		for i := range n {
			Fill(r, value.Index(i))
		}
	case t.Kind() == reflect.String:
		value.SetString(strings.Repeat("ü", r.IntN(5)))
	case t.Kind() == reflect.Bool:
		value.SetBool(r.IntN(2) == 0)
	case t.Kind() == reflect.Float64:
		value.SetFloat(r.NormFloat64())
	case value.CanInt():
		value.SetInt(int64(r.Uint64()))
	default:
		if enum, ok := value.Interface().(interface{ Cases() int }); ok {
			value.SetUint(uint64(r.IntN(enum.Cases())))
		} else {
			value.SetUint(r.Uint64())
		}
	}
}
