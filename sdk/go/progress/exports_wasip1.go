package progress

import (
	"reflect"

	"github.com/culvert-project/culvert/sdk/go/internal/guest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

var progressFunc = canon.FuncOf(wit.InterfaceProgress, "Progress", wit.Progress.Progress)

//go:wasmexport culvert:connect/progress@0.3.0#progress
func progress(context, contextLen, feed, offset, offsetLen uint32) uint32 {
	return guest.Call(progressFunc, func(a []reflect.Value) (any, error) {
		return registered.Progress(a[0].Bytes(), uint32(a[1].Uint()), guest.Arg[[]wit.OffsetEntry](a[2])), nil
	}, guest.Widen(context, contextLen, feed, offset, offsetLen)...)
}
