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

// Module describes the content of a core module.
type Module struct {
	Imports     []Import
	Exports     []Export
	MemoryPages uint64 // the minimum, in pages of 64 KiB
	Functions   uint64 // of the module itself, without imports
	Contract    string // the contract version in names of exports, "" for no version
	// BuiltAgainst is the contract version in the custom section of generators, "" for no version.
	BuiltAgainst string
}

// Import is an import of a module.
type Import struct {
	Module string
	Name   string
	Kind   byte
}

// Export is an export of a module.
type Export struct {
	Name string
	Kind byte
}

const (
	kindFunction = 0
	kindTable    = 1
	kindMemory   = 2
	kindGlobal   = 3
	kindTag      = 4
)

// PageBytes is the size of a page of memory.
const PageBytes = 65536

// Read reads a core module. The error of a component contains the commands that extract its core module.
func Read(data []byte) (*Module, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("the file is empty: expected a core WebAssembly module")
	}
	if magic := []byte("\x00asm"); !bytes.HasPrefix(data, magic[:min(4, len(data))]) {
		return nil, fmt.Errorf("not WebAssembly: expected the bytes 00 61 73 6d at the start, found % x",
			data[:min(4, len(data))])
	}
	if len(data) < wasm.HeaderBytes {
		return nil, fmt.Errorf("the file is truncated: expected at least 8 bytes, found %d", len(data))
	}
	version := binary.LittleEndian.Uint16(data[4:])
	layer := binary.LittleEndian.Uint16(data[6:])
	if layer == 1 {
		return nil, fmt.Errorf("a WebAssembly component: expected a core module. In Rust build for " +
			"wasm32-unknown-unknown instead of wasm32-wasip2; from JavaScript and other tools take the core module " +
			"out of the component with `jco transpile FILE -o out` (it is out/NAME.core.wasm) or `wasm-tools " +
			"component unbundle FILE --module-dir out`")
	}
	if version != 1 || layer != 0 {
		return nil, fmt.Errorf("expected WebAssembly version 1 of layer 0 (core modules), found version %d of layer %d",
			version, layer)
	}
	module := &Module{}
	var current wasm.Section
	err := wasm.Try(func() {
		for current = range wasm.Sections(data) {
			reader := current.Content(data)
			module.readSection(current.ID, &reader)
			current.To = 0 // the section was read
		}
	})
	switch {
	case err != nil && current.To > 0:
		return nil, fmt.Errorf("section %d at byte %d: %w", current.ID, current.At, err)
	case err != nil:
		return nil, fmt.Errorf("the file is truncated: %s", err.(*wasm.MalformedError).Text)
	}
	for _, e := range module.Exports {
		name := strings.TrimPrefix(e.Name, "cabi_post_")
		if v := versionInText(name); v != "" && strings.HasPrefix(name, wit.Package+"/") {
			module.Contract = v // of the first export of the contract's package
			break
		}
	}
	return module, nil
}

func (m *Module) readSection(id byte, reader *wasm.Reader) {
	switch id {
	case wasm.Custom:
		if name := readName(reader); strings.HasPrefix(name, "component-type") {
			m.BuiltAgainst = cmp.Or(versionInText(name), versionInText(string(reader.Data[reader.At:reader.End])))
		}
	case wasm.Imports:
		for range itemCount(reader, "imports") {
			i := Import{Module: readName(reader), Name: readName(reader), Kind: reader.Byte()}
			switch i.Kind {
			case kindFunction:
				reader.U32() // its type
			case kindTable:
				reader.Byte() // the type of its elements
				readMinimum(reader)
			case kindMemory:
				readMinimum(reader)
			case kindGlobal:
				reader.Bytes(2) // type and mutability
			case kindTag:
				reader.Byte() // attribute
				reader.U32()  // its type
			default:
				reader.Malformed("import %q %q: unknown kind %d", i.Module, i.Name, i.Kind)
			}
			m.Imports = append(m.Imports, i)
		}
	case wasm.Functions:
		m.Functions = uint64(reader.U32())
	case wasm.Memories:
		if reader.U32() > 0 {
			m.MemoryPages = readMinimum(reader)
		}
	case wasm.Exports:
		for range itemCount(reader, "exports") {
			m.Exports = append(m.Exports, Export{Name: readName(reader), Kind: reader.Byte()})
			reader.U32() // its index
		}
	}
}

// HasFunction reports whether the module exports a function of that name.
func (m *Module) HasFunction(name string) bool {
	return slices.Contains(m.Exports, Export{Name: name, Kind: kindFunction})
}

var packageVersion = regexp.MustCompile(regexp.QuoteMeta(wit.Package) +
	`(?:/[a-z-]+)?@([0-9]+\.[0-9]+(?:\.[0-9A-Za-z.+-]+)?)`)

func versionInText(s string) string {
	if m := packageVersion.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}

// maxItems bounds imports and exports, each: twice the meter's limit.
const maxItems = 200_000

func itemCount(reader *wasm.Reader, items string) uint32 {
	n := reader.U32()
	if n > maxItems {
		reader.Malformed("%s: found %d, at most %d are allowed", items, n, maxItems)
	}
	return n
}

func readName(reader *wasm.Reader) string {
	s := reader.Name()
	if !utf8.ValidString(s) {
		reader.Malformed("a name that is not UTF-8")
	}
	return s
}

// readMinimum reads the limits of a memory or table and returns the minimum.
func readMinimum(reader *wasm.Reader) uint64 {
	hasMaximum := reader.Byte()&1 != 0
	minimum := reader.U32()
	if hasMaximum {
		reader.U32()
	}
	return uint64(minimum)
}
