package abi

import (
	"context"
	"reflect"
	"sync/atomic"

	"github.com/tetratelabs/wazero/api"
)

// run calls a function and remembers the size of its stack before, for StackGrowth.
func (g *Guest) run(ctx context.Context, f api.Function, stack []uint64) error {
	g.stackBefore = stackBytes(f)
	g.running = f
	return f.CallWithStack(ctx, stack)
}

// StackGrowth returns the size to which the native stack has grown in the running call, or 0. The engine keeps large
// stacks.
func (g *Guest) StackGrowth() int {
	if n := stackBytes(g.running); n > g.stackBefore {
		return n
	}
	return 0
}

// stackBytes reads the size of a function's stack from the engine's field by reflection. If the field is missing, only
// the engine's own limit of about 100 MB remains, and a test fails.
func stackBytes(f api.Function) int {
	value := reflect.ValueOf(f)
	if value.Kind() != reflect.Pointer || value.Elem().Kind() != reflect.Struct {
		return 0
	}
	index := stackField(value.Elem().Type())
	if index < 0 {
		return 0
	}
	return value.Elem().Field(index).Len()
}

type stackFieldCache struct {
	typ   reflect.Type
	index int
}

// lastStack is the last lookup: all functions of the engine have the same type.
var lastStack atomic.Pointer[stackFieldCache]

func stackField(t reflect.Type) int {
	if last := lastStack.Load(); last != nil && last.typ == t {
		return last.index
	}
	index := -1
	if f, ok := t.FieldByName("stack"); ok && f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Uint8 &&
		len(f.Index) == 1 {
		index = f.Index[0]
	}
	lastStack.Store(&stackFieldCache{typ: t, index: index})
	return index
}
