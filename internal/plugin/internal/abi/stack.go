package abi

import (
	"context"
	"reflect"
	"sync/atomic"

	"github.com/tetratelabs/wazero/api"
)

// run calls a function and notes it, for [Guest.StackGrown].
func (g *Guest) run(ctx context.Context, f api.Function, stack []uint64) error {
	g.running, g.stackBefore = f, stackBytes(f)
	return f.CallWithStack(ctx, stack)
}

// StackGrown is how large the native stack has become in the call that is running, in bytes, 0 where it has not grown.
// It doubles when it is full. What it was before does not count: it stays as large as a function once needed it.
func (g *Guest) StackGrowth() int {
	if n := stackBytes(g.running); n > g.stackBefore {
		return n
	}
	return 0
}

// stackBytes is the size of the stack that the engine keeps for a function. The engine has no other way of telling, so
// its field is read by reflection; without one, stacks are bounded by the engine alone (some 100 MB), and a test fails.
func stackBytes(f api.Function) int {
	value := reflect.ValueOf(f)
	if value.Kind() != reflect.Pointer || value.Elem().Kind() != reflect.Struct {
		return 0
	}
	at := stackField(value.Elem().Type())
	if at < 0 {
		return 0
	}
	return value.Elem().Field(at).Len()
}

// stackPlace is where a type has its stack; there is only one such type, so that the last one found is remembered.
type stackFieldCache struct {
	typ reflect.Type
	index int
}

var lastStack atomic.Pointer[stackFieldCache]

func stackField(t reflect.Type) int {
	if last := lastStack.Load(); last != nil && last.typ == t {
		return last.index
	}
	at := -1
	if f, ok := t.FieldByName("stack"); ok && f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Uint8 &&
		len(f.Index) == 1 {
		at = f.Index[0]
	}
	lastStack.Store(&stackFieldCache{t, at})
	return at
}
