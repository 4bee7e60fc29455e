package plugin

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/wit"
)

// Binary is what can be read off a core module without compiling it.
type Binary struct {
	Imports []Import
	Exports []Export
	// MemoryPages is the module's own minimum, in pages of 64 KiB.
	MemoryPages uint64
	// Functions is how many functions the module says that it defines.
	Functions uint64
	// Contract is the version of the contract that the module's names carry, "" without any.
	Contract string
	// BuiltAgainst is the contract's version in the section that generators leave behind, "" without one.
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

// Kinds of imports and exports in a binary.
const (
	kindFunction = 0
	kindTable    = 1
	kindMemory   = 2
	kindGlobal   = 3
	kindTag      = 4
)

const pageBytes = 65536

// ReadBinary reads the sections of a core module. It refuses, saying what was found, files that are empty or cut off,
// files of other formats, and components, with the way to the core module inside.
func ReadBinary(data []byte) (*Binary, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("the file is empty: expected a core WebAssembly module")
	}
	magic := []byte("\x00asm")
	if !bytes.HasPrefix(data, magic[:min(4, len(data))]) {
		return nil, fmt.Errorf("no WebAssembly: expected the bytes 00 61 73 6d at the start, found % x",
			data[:min(4, len(data))])
	}
	if len(data) < 8 {
		return nil, fmt.Errorf("the file is cut off: expected at least 8 bytes, found %d", len(data))
	}
	version, layer := binary.LittleEndian.Uint16(data[4:]), binary.LittleEndian.Uint16(data[6:])
	if layer == 1 {
		return nil, fmt.Errorf("a WebAssembly component: expected a core module. In Rust build for " +
			"wasm32-unknown-unknown " +
			"instead of wasm32-wasip2; from JavaScript and other tools take the core module " +
			"out of the component with " +
			"`jco transpile FILE -o out` (it is out/NAME.core.wasm) or `wasm-tools component " +
			"unbundle FILE --module-dir out`")
	}
	if version != 1 || layer != 0 {
		return nil, fmt.Errorf("expected WebAssembly version 1 of layer 0 (core modules), found version %d of layer %d",
			version, layer)
	}
	b := &Binary{}
	r := reader{data: data, at: 8}
	for r.at < len(data) {
		start := r.at
		id := r.byte()
		size := r.number()
		if r.err != nil || size > uint64(len(data)-r.at) {
			return nil, fmt.Errorf("the file is cut off: section %d at byte %d claims %d bytes, %d are left", id, start,
				size, len(data)-r.at)
		}
		section := reader{data: data[:r.at+int(size)], at: r.at}
		b.section(id, &section)
		if section.err != nil {
			return nil, fmt.Errorf("section %d at byte %d: %w", id, start, section.err)
		}
		r.at += int(size)
	}
	b.Contract = b.contract()
	return b, nil
}

func (b *Binary) section(id byte, r *reader) {
	switch id {
	case 0:
		if name := r.name(); r.err == nil && strings.HasPrefix(name, "component-type") {
			b.BuiltAgainst = cmp.Or(versionInText(name), versionInText(string(r.data[r.at:])))
		}
	case 2:
		for n := r.items("imports"); n > 0 && r.err == nil; n-- {
			i := Import{Module: r.name(), Name: r.name(), Kind: r.byte()}
			switch i.Kind {
			case kindFunction:
				r.number()
			case kindTable:
				r.byte()
				r.limits()
			case kindMemory:
				r.limits()
			case kindGlobal:
				r.byte()
				r.byte()
			case kindTag:
				r.byte()
				r.number()
			default:
				r.fail("import %q %q: unknown kind %d", i.Module, i.Name, i.Kind)
			}
			b.Imports = append(b.Imports, i)
		}
	case 3:
		b.Functions = r.number()
	case 5:
		if n := r.number(); n > 0 && r.err == nil {
			b.MemoryPages = r.limits()
		}
	case 7:
		for n := r.items("exports"); n > 0 && r.err == nil; n-- {
			e := Export{Name: r.name(), Kind: r.byte()}
			r.number()
			b.Exports = append(b.Exports, e)
		}
	}
}

// Has tells whether the module exports a function of that name.
func (b *Binary) Has(name string) bool {
	return slices.Contains(b.Exports, Export{Name: name, Kind: kindFunction})
}

// contract is the version in the first name of the contract's package.
func (b *Binary) contract() string {
	for _, e := range b.Exports {
		if v := versionInText(strings.TrimPrefix(e.Name, "cabi_post_")); v != "" &&
			strings.HasPrefix(strings.TrimPrefix(e.Name, "cabi_post_"),
				wit.Package+"/") {
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

// reader reads the parts of a binary; the first error stays.
type reader struct {
	data []byte
	at   int
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) byte() byte {
	if r.err != nil || r.at >= len(r.data) {
		r.fail("cut off at byte %d", r.at)
		return 0
	}
	r.at++
	return r.data[r.at-1]
}

// number reads LEB128; LLVM pads numbers, so longer forms than needed are fine.
func (r *reader) number() (n uint64) {
	for shift := 0; shift < 70; shift += 7 {
		b := r.byte()
		if r.err != nil {
			return 0
		}
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	r.fail("a number of more than ten bytes at byte %d", r.at)
	return 0
}

// maxItems is the most imports, and exports, that are read: twice what the meter takes.
const maxItems = 200_000

// items reads how many there are of something.
func (r *reader) items(what string) uint64 {
	n := r.number()
	if n > maxItems {
		r.fail("%s: found %d, at most %d are allowed", what, n, maxItems)
	}
	return n
}

func (r *reader) name() string {
	n := r.number()
	if r.err != nil {
		return ""
	}
	if n > uint64(len(r.data)-r.at) {
		r.fail("cut off: a name of %d bytes at byte %d", n, r.at)
		return ""
	}
	s := string(r.data[r.at : r.at+int(n)])
	r.at += int(n)
	if !utf8.ValidString(s) {
		r.fail("a name at byte %d is not UTF-8", r.at)
	}
	return s
}

// limits returns the minimum.
func (r *reader) limits() uint64 {
	flags := r.byte()
	low := r.number()
	if flags&1 != 0 {
		r.number()
	}
	return low
}
