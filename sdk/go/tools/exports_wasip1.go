package tools

import (
	"reflect"

	"github.com/culvert-project/culvert/sdk/go/internal/guest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

var (
	commandsFunc = canon.FuncOf(wit.InterfaceTools, "Commands", wit.Tools.Commands)
	runFunc      = canon.FuncOf(wit.InterfaceTools, "Run", wit.Tools.Run)
)

//go:wasmexport culvert:connect/tools@0.3.0#commands
func commands() uint32 {
	return guest.Call(commandsFunc, func([]reflect.Value) (any, error) { return registered.Commands(), nil })
}

//go:wasmexport culvert:connect/tools@0.3.0#run
func run(command, commandLen, options, optionsLen, settings, settingsLen, state, stateLen, answers,
	answersLen uint32) uint32 {
	return guest.Call(runFunc, func(a []reflect.Value) (any, error) {
		return registered.Run(a[0].String(), guest.Arg[[]wit.Setting](a[1]), guest.Arg[[]wit.Setting](a[2]),
			a[3].Bytes(), guest.Arg[[]wit.Response](a[4]))
	}, guest.Widen(command, commandLen, options, optionsLen, settings, settingsLen, state, stateLen, answers,
		answersLen)...)
}
