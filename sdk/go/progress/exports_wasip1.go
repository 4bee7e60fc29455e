package progress

import (
	"reflect"

	"github.com/culvert-project/culvert/sdk/go/internal/guest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

var (
	progressFunc = canon.FuncOf(wit.InterfaceProgress, "Progress", wit.Progress.Progress)
	keysFunc     = canon.FuncOf(wit.InterfaceProgress, "Keys", wit.Progress.Keys)
	comparedFunc = canon.FuncOf(wit.InterfaceProgress, "Compared", wit.Progress.Compared)
)

//go:wasmexport culvert:connect/progress@0.3.0#progress
func progress(context, contextLen, feed, offset, offsetLen uint32) uint32 {
	return guest.Call(progressFunc, func(a []reflect.Value) (any, error) {
		return registered.Progress(a[0].Bytes(), uint32(a[1].Uint()), guest.Arg[[]wit.OffsetEntry](a[2])), nil
	}, guest.Widen(context, contextLen, feed, offset, offsetLen)...)
}

//go:wasmexport culvert:connect/progress@0.3.0#keys
func keys(context, contextLen, feed, offset, offsetLen uint32) uint32 {
	return guest.Call(keysFunc, func(a []reflect.Value) (any, error) {
		return registered.Keys(a[0].Bytes(), uint32(a[1].Uint()), guest.Arg[[]wit.OffsetEntry](a[2])), nil
	}, guest.Widen(context, contextLen, feed, offset, offsetLen)...)
}

//go:wasmexport culvert:connect/progress@0.3.0#compared
func compared(context, contextLen, feed, offset, offsetLen, unknown, unknownLen uint32) uint32 {
	return guest.Call(comparedFunc, func(a []reflect.Value) (any, error) {
		return registered.Compared(a[0].Bytes(), uint32(a[1].Uint()), guest.Arg[[]wit.OffsetEntry](a[2]),
			guest.Arg[[][]byte](a[3])), nil
	}, guest.Widen(context, contextLen, feed, offset, offsetLen, unknown, unknownLen)...)
}
