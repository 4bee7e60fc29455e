package plugin

import (
	"encoding/binary"
	"slices"
)

// startExport is the name under which a module's start function is exported: the host calls it itself. One that runs
// while the engine instantiates a module has a stack that nobody can watch.
const startExport = "culvert:start"

// section is where a section lies in a module: its header, its content, its end. Zero: there is none.
type section struct{ at, from, to int }

// exportStart makes an export of a module's start function, behind the others. The engine checks the index as it did
// before, and [abi.Guest.Begin] the signature. Modules that are not plainly of this kind, those with sections twice or
// in another order among them, stay as they are.
func exportStart(module []byte) []byte {
	const exports, start, maxLEB = 7, 8, 5
	var places [start + 1]section
	r := reader{data: module, at: 8}
	for last := byte(0); r.at < len(module); {
		p := section{at: r.at}
		id := r.byte()
		size := int(r.number())
		p.from, p.to = r.at, r.at+size
		if r.err != nil || size < 0 || size > len(module)-r.at {
			return module
		}
		if id == exports || id == start {
			if last >= id || p.from-p.at > 1+maxLEB {
				return module
			}
			places[id] = p
		}
		last, r.at = max(last, id), p.to
	}
	from, to := places[start], places[exports]
	function := reader{data: module[:from.to], at: from.from}
	list := reader{data: module[:to.to], at: to.from}
	index, n := function.number(), list.number()
	if function.err != nil || function.at != from.to || function.at-from.from > maxLEB || list.err != nil ||
		list.at-to.from > maxLEB {
		return module // there is no start, or no export, or a number of more bytes than the engine takes
	}
	items := append(binary.AppendUvarint(nil, n+1), module[list.at:to.to]...)
	items = append(binary.AppendUvarint(items, uint64(len(startExport))), startExport...)
	items = binary.AppendUvarint(append(items, 0), index)
	return slices.Concat(module[:to.at], binary.AppendUvarint([]byte{exports}, uint64(len(items))), items,
		module[to.to:from.at], module[from.to:])
}
