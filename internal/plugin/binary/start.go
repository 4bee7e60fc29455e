package binary

import (
	"slices"

	"github.com/culvert-project/culvert/internal/base/wasm"
)

// StartExport is the export name of a module's start function. The host calls it, because the stack of a function that
// the engine calls during instantiation cannot be watched.
const StartExport = "culvert:start"

// exportStart turns a module's start function into an export, the last one. The engine checks the index, the host the
// signature. Unusual modules, such as those with repeated or unordered sections, are not changed.
func exportStart(module []byte) []byte {
	const maxLEB = 5                // the bytes of a 32-bit number, such as a section's size
	var start, exports wasm.Section // To is 0 if the module has none
	out := module
	_ = wasm.Try(func() {
		last := byte(0)
		for section := range wasm.Sections(module) {
			if section.ID == wasm.Exports || section.ID == wasm.Start {
				if last >= section.ID || section.From-section.At > 1+maxLEB {
					return // repeated, unordered, or a size of too many bytes
				}
				if section.ID == wasm.Start {
					start = section
				} else {
					exports = section
				}
			}
			last = max(last, section.ID)
		}
		if start.To == 0 || exports.To == 0 {
			return
		}
		function := start.Content(module)
		list := exports.Content(module)
		index := function.U32()
		n := list.U32()
		if function.At != start.To { // bytes follow the index, which the engine must reject
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
