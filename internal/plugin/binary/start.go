package binary

import (
	"slices"

	"github.com/culvert-project/culvert/internal/base/wasm"
)

// StartExport is the name under which a module's start function is exported: the host calls it itself. One that runs
// while the engine instantiates a module has a stack that nobody can watch.
const StartExport = "culvert:start"

// exportStart makes an export of a module's start function, after the others. The engine checks the index as it did
// before, and the host the signature. Modules that are not plainly of this kind, those with sections twice or in
// another order among them, stay as they are.
func exportStart(module []byte) []byte {
	const maxLEB = 5
	var start, exports wasm.Section // without an end: there is none
	out := module
	_ = wasm.Try(func() {
		last := byte(0)
		for s := range wasm.Sections(module) {
			if s.ID == wasm.Exports || s.ID == wasm.Start {
				if last >= s.ID || s.From-s.At > 1+maxLEB {
					return
				}
				if s.ID == wasm.Start {
					start = s
				} else {
					exports = s
				}
			}
			last = max(last, s.ID)
		}
		if start.To == 0 || exports.To == 0 {
			return
		}
		function, list := start.Content(module), exports.Content(module)
		index, n := function.U32(), list.U32()
		if function.At != start.To {
			return
		}
		items := append(wasm.AppendU32(nil, n+1), module[list.At:exports.To]...)
		items = wasm.AppendSized(items, []byte(StartExport))
		items = wasm.AppendU32(append(items, kindFunction), index)
		out = slices.Concat(module[:exports.At], wasm.AppendSection(nil, wasm.Exports, items),
			module[exports.To:start.At], module[start.To:])
	})
	return out
}
