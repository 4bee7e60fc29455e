package binary

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/wasm"
	"github.com/culvert-project/culvert/wit"
)

// Module is what can be read off a core module without compiling it.
type Module struct {
	Imports []Import
	Exports []Export
	// MemoryPages is the module's own minimum, in pages of 64 KiB.
	MemoryPages uint64
	// Functions is how many functions the module says that it defines.
	Functions uint64
	// Contract is the version of the contract that the module's names carry, "" without any.
	Contract string
	// BuiltAgainst is the contract's version in the section that generators leave, "" without one.
	BuiltAgainst string
}

// Import is something that a module wants from its host.
type Import struct {
	Module, Name string
	Kind         byte
}

// Export is something that a module offers.
type Export struct {
	Name string
	Kind byte
}

// Kinds of imports and exports in a module.
const (
	kindFunction = 0
	kindTable    = 1
	kindMemory   = 2
	kindGlobal   = 3
	kindTag      = 4
)

// PageBytes is the size of a page of memory.
const PageBytes = 65536

// Read reads the sections of a core module. It refuses, saying what was found, files that are empty or cut off,
// files of other formats, and components, with the way to the core module inside.
func Read(data []byte) (*Module, error) {
	if err := checkHeader(data); err != nil {
		return nil, err
	}
	m := &Module{}
	var at wasm.Section
	err := wasm.Try(func() {
		for at = range wasm.Sections(data) {
			r := at.Content(data)
			m.section(at.ID, &r)
			at.To = 0 // read
		}
	})
	switch {
	case err != nil && at.To > 0:
		return nil, fmt.Errorf("section %d at byte %d: %w", at.ID, at.At, err)
	case err != nil:
		return nil, fmt.Errorf("the file is cut off: %s", err.(*wasm.Malformed).Text)
	}
	m.Contract = m.contract()
	return m, nil
}

func checkHeader(data []byte) error {
	if len(data) == 0 {
		return fmt.Errorf("the file is empty: expected a core WebAssembly module")
	}
	magic := []byte("\x00asm")
	if !bytes.HasPrefix(data, magic[:min(4, len(data))]) {
		return fmt.Errorf("no WebAssembly: expected the bytes 00 61 73 6d at the start, found % x",
			data[:min(4, len(data))])
	}
	if len(data) < wasm.HeaderBytes {
		return fmt.Errorf("the file is cut off: expected at least 8 bytes, found %d", len(data))
	}
	version, layer := binary.LittleEndian.Uint16(data[4:]), binary.LittleEndian.Uint16(data[6:])
	if layer == 1 {
		return fmt.Errorf("a WebAssembly component: expected a core module. In Rust build for wasm32-unknown-unknown " +
			"instead of wasm32-wasip2; from JavaScript and other tools take the core module out of the component " +
			"with `jco transpile FILE -o out` (it is out/NAME.core.wasm) or `wasm-tools component unbundle FILE " +
			"--module-dir out`")
	}
	if version != 1 || layer != 0 {
		return fmt.Errorf("expected WebAssembly version 1 of layer 0 (core modules), found version %d of layer %d",
			version, layer)
	}
	return nil
}

func (m *Module) section(id byte, r *wasm.Reader) {
	switch id {
	case wasm.Custom:
		if name := text(r); strings.HasPrefix(name, "component-type") {
			m.BuiltAgainst = cmp.Or(versionInText(name), versionInText(string(r.Data[r.At:r.End])))
		}
	case wasm.Imports:
		for range items(r, "imports") {
			i := Import{Module: text(r), Name: text(r), Kind: r.Byte()}
			passType(r, &i)
			m.Imports = append(m.Imports, i)
		}
	case wasm.Functions:
		m.Functions = uint64(r.U32())
	case wasm.Memories:
		if r.U32() > 0 {
			m.MemoryPages = limits(r)
		}
	case wasm.Exports:
		for range items(r, "exports") {
			m.Exports = append(m.Exports, Export{Name: text(r), Kind: r.Byte()})
			r.U32()
		}
	}
}

// passType passes over the type of an import.
func passType(r *wasm.Reader, i *Import) {
	switch i.Kind {
	case kindFunction:
		r.U32()
	case kindTable:
		r.Byte()
		limits(r)
	case kindMemory:
		limits(r)
	case kindGlobal:
		r.Bytes(2)
	case kindTag:
		r.Byte()
		r.U32()
	default:
		r.Malformed("import %q %q: unknown kind %d", i.Module, i.Name, i.Kind)
	}
}

// Has reports whether the module exports a function of that name.
func (m *Module) Has(name string) bool {
	return slices.Contains(m.Exports, Export{Name: name, Kind: kindFunction})
}

// contract is the version in the first name of the contract's package.
func (m *Module) contract() string {
	for _, e := range m.Exports {
		name := strings.TrimPrefix(e.Name, "cabi_post_")
		if v := versionInText(name); v != "" && strings.HasPrefix(name, wit.Package+"/") {
			return v
		}
	}
	return ""
}

var packageVersion = regexp.MustCompile(regexp.QuoteMeta(wit.Package) +
	`(?:/[a-z-]+)?@([0-9]+\.[0-9]+(?:\.[0-9A-Za-z.+-]+)?)`)

func versionInText(s string) string {
	if m := packageVersion.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}

// maxItems is the most imports, and exports, that are read: twice what the meter takes.
const maxItems = 200_000

// items reads how many there are of something.
func items(r *wasm.Reader, what string) uint32 {
	n := r.U32()
	if n > maxItems {
		r.Malformed("%s: found %d, at most %d are allowed", what, n, maxItems)
	}
	return n
}

// text reads a name.
func text(r *wasm.Reader) string {
	s := r.Name()
	if !utf8.ValidString(s) {
		r.Malformed("a name that is not UTF-8")
	}
	return s
}

// limits returns the minimum.
func limits(r *wasm.Reader) uint64 {
	bounded := r.Byte()&1 != 0
	low := r.U32()
	if bounded {
		r.U32()
	}
	return uint64(low)
}
