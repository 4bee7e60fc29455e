package retirement

import (
	"reflect"

	"github.com/culvert-project/culvert/sdk/go/internal/guest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

var retireFunc = canon.FuncOf(wit.InterfaceRetirement, "Retire", wit.Retirement.Retire)

//go:wasmexport culvert:connect/retirement@0.3.0#retire
func retire(component, componentLen, settings, settingsLen, addresses, addressesLen, state, stateLen, answers,
	answersLen uint32) uint32 {
	return guest.Call(retireFunc, func(a []reflect.Value) (any, error) {
		return registered.Retire(a[0].String(), guest.Arg[[]wit.Setting](a[1]), guest.Arg[[]string](a[2]), a[3].Bytes(),
			guest.Arg[[]wit.Response](a[4]))
	}, guest.Widen(component, componentLen, settings, settingsLen, addresses, addressesLen, state, stateLen, answers,
		answersLen)...)
}
