package guesttest

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/base/wasm"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// Static returns a plugin of some hundred bytes that describes itself and traps on every other call, for tests of files
// and versions. It exports the given interfaces in addition to plugin, in the given contract version; "" means the
// current one.
func Static(description wit.Description, contract string, interfaces ...string) []byte {
	m := StaticModule(description, contract, interfaces...)
	return m.Bytes()
}

// StaticModule is [Static] before assembly, so that a test can change it.
func StaticModule(description wit.Description, contract string, interfaces ...string) Module {
	var module Module
	memory := &memoryImage{}
	lowered, err := canon.Lower(description)
	if err != nil {
		panic(err)
	}
	addresses, err := lowered.Place(memory, memory.alloc)
	if err != nil {
		panic(err)
	}
	module.Data = memory.data
	module.DataAt = staticStart
	staticPages := (staticStart+len(memory.data))/pageBytes + 1
	module.MemoryPages = staticPages + 1 // the last page is what cabi_realloc returns
	for _, i := range append([]string{wit.InterfacePlugin}, interfaces...) {
		for _, function := range canon.Functions(i) {
			e := Function{Name: function.Export(), Params: function.Params(), Results: function.Results()}
			if contract != "" {
				e.Name = strings.Replace(e.Name, "@"+wit.Version, "@"+contract, 1)
			}
			if i == wit.InterfacePlugin && function.Name == "describe" {
				e.Body = constant(int(addresses[0]))
			}
			module.Exports = append(module.Exports, e)
		}
	}
	module.Exports = append(module.Exports, Function{Name: "cabi_realloc", Params: []byte{I32, I32, I32, I32},
		Results: []byte{I32}, Body: constant(staticPages * pageBytes)})
	return module
}

// Answer makes a function of an interface, by its Go name, always return value.
func (m *Module) Answer(iface, method string, value any) {
	memory := &memoryImage{data: slices.Clone(m.Data)}
	function := canon.Function(iface, method)
	lowered, err := function.Lower(value, nil)
	if err != nil {
		panic(err)
	}
	addresses, err := lowered.Place(memory, memory.alloc)
	if err != nil {
		panic(err)
	}
	m.Data = memory.data
	m.Exports[m.Index(function.Export())].Body = constant(int(addresses[0]))
}

// The description begins at staticStart. Memory has pages of pageBytes.
const staticStart, pageBytes = 1024, 1 << 16

// memoryImage is the initial memory; addresses start at staticStart.
type memoryImage struct{ data []byte }

func (i *memoryImage) alloc(size, align uint32) (uint32, error) {
	a := int(align)
	start := (len(i.data) + a - 1) / a * a
	i.data = append(i.data, make([]byte, start+int(size)-len(i.data))...)
	return uint32(staticStart + start), nil
}

// View implements [canon.Memory].
func (i *memoryImage) View(ptr, size uint32) ([]byte, bool) {
	from := ptr - staticStart
	return i.data[from : from+size], true
}

// constant returns the instruction i32.const n.
func constant(n int) []byte { return wasm.AppendSigned([]byte{0x41}, int64(n)) }
