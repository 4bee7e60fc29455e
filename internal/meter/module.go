package meter

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/wasm"
)

var sectionOrder = [...]int{wasm.Types: 1, wasm.Imports: 2, wasm.Functions: 3, wasm.Tables: 4, wasm.Memories: 5,
	wasm.Tags: 6, wasm.Globals: 7, wasm.Exports: 8, wasm.Start: 9, wasm.Elements: 10, wasm.DataCount: 11,
	wasm.Code: 12, wasm.Data: 13}

// rewriter reads a module (parse) and writes its metered form (emit).
type rewriter struct {
	wasm.Reader
	ctx       context.Context
	checkedAt int // the offset at which ctx was checked last
	options   Options
	report    *Report
	sections  []section
	indexSpaces
	sums
	codeSection
}

// indexSpaces holds what the module's indices refer to. Every index must be below the original's counts.
type indexSpaces struct {
	params, results, types, importTypes []uint32
	imports, functions, globals, tables int
}

type sums struct{ effort, tableElements, segmentElements int }

type codeSection struct {
	bodies   []body
	loops    []loop
	edits    []edit
	blocks   []openBlock // the open ones of the body that is being read
	usesBulk bool        // functions for long copies are appended
}

// section is a section of the new module. items follow the count, or are all of its content if it is rewritten.
type section struct {
	wasm.Section
	count     int
	items     []byte
	rewritten bool
}

const checkEvery = 64 << 10

// checkContext aborts at intervals of checkEvery bytes if the caller gave up.
func (m *rewriter) checkContext(at int) {
	if at-m.checkedAt < checkEvery {
		return
	}
	m.checkedAt = at
	if m.ctx.Err() != nil {
		panic(abort{context.Cause(m.ctx)})
	}
}

func (m *rewriter) refuse(feature string) { panic(abort{&Refusal{feature, m.At, -1}}) }

func (m *rewriter) parse() {
	if string(m.Bytes(8)) != "\x00asm\x01\x00\x00\x00" {
		m.At = 0
		m.Malformed("expected a core module of version 1")
	}
	last := 0
	for next := range wasm.Sections(m.Data) {
		m.At, m.End = next.From, next.To
		if int(next.ID) >= len(sectionOrder) {
			m.Malformed("unknown section %d", next.ID)
		}
		if next.ID != wasm.Custom {
			if sectionOrder[next.ID] <= last {
				m.Malformed("section %d is out of order", next.ID)
			}
			last = sectionOrder[next.ID]
		}
		s := section{Section: next}
		keep := m.readSection(&s)
		if m.At != s.To {
			m.Malformed("section %d: %d bytes are left over", s.ID, s.To-m.At)
		}
		if keep {
			m.sections = append(m.sections, s)
		}
	}
	if len(m.types) != len(m.bodies) {
		m.Malformed("%d functions, %d bodies", len(m.types), len(m.bodies))
	}
}

// readSection reads a section and reports whether the new module has it.
func (m *rewriter) readSection(s *section) (keep bool) {
	switch s.ID {
	case wasm.Custom:
		return m.custom(s)
	case wasm.Start:
		s.items, s.rewritten = wasm.AppendU32(nil, m.newIndex(m.Index(m.functions, "function"))), true
		return true
	case wasm.DataCount:
		start := m.At
		m.U32()
		s.items, s.rewritten = m.Data[start:m.At], true
		return true
	case wasm.Tags:
		m.refuse("exceptions")
	}
	s.count = m.Count()
	m.checkItems(s)
	start := m.At
	m.readItems(s)
	if s.items == nil {
		s.items = m.Data[start:m.At]
	}
	return true
}

func (m *rewriter) checkItems(s *section) {
	switch limits := &m.options.Limits; s.ID {
	case wasm.Types:
		m.checkLimit(s.count, limits.Types, "types of functions")
	case wasm.Functions:
		m.checkLimit(s.count, limits.Functions, "functions of the module")
	case wasm.Elements, wasm.Data:
		m.checkLimit(s.count, limits.Segments, "segments")
	case wasm.Imports, wasm.Globals, wasm.Exports:
		m.checkLimit(s.count, limits.Items, "imports, globals or exports")
	}
}

func (m *rewriter) readItems(s *section) {
	switch s.ID {
	case wasm.Types:
		for range s.count {
			m.checkContext(m.At)
			m.functionType()
		}
	case wasm.Imports:
		for range s.count {
			m.checkContext(m.At)
			m.importItem()
		}
	case wasm.Functions:
		for range s.count {
			m.types = append(m.types, m.Index(len(m.params), "type"))
		}
		m.functions += s.count
	case wasm.Tables:
		m.tables += s.count
		s.items, s.rewritten = m.tableItems(s.count), true
	case wasm.Memories:
		if s.count > 1 {
			m.refuse("several memories")
		}
		for range s.count {
			m.memory()
		}
	case wasm.Globals:
		s.items = m.globalItems(s.count)
	case wasm.Exports:
		s.items, s.rewritten = m.exportItems(s.count), true
	case wasm.Elements:
		s.items, s.rewritten = m.elementItems(s.count), true
	case wasm.Code:
		if s.count != len(m.types) {
			m.Malformed("%d functions, %d bodies", len(m.types), s.count)
		}
		m.code(s.count)
	case wasm.Data:
		for range s.count {
			m.checkContext(m.At)
			m.segment()
		}
	}
}

// newIndex is the index of a function in the new module, in which tick is the last import.
func (m *rewriter) newIndex(f uint32) uint32 {
	if int(f) >= m.imports {
		return f + 1
	}
	return f
}

// Indices of fuel, tick and the appended functions in the rewritten module; appended types follow the original's.
func (m *rewriter) fuel() uint32     { return uint32(m.globals) }
func (m *rewriter) tick() uint32     { return uint32(m.imports) }
func (m *rewriter) copier() uint32   { return uint32(m.functions) + 1 }
func (m *rewriter) filler() uint32   { return uint32(m.functions) + 2 }
func (m *rewriter) tickType() uint32 { return uint32(len(m.params)) }
func (m *rewriter) bulkType() uint32 { return uint32(len(m.params)) + 1 }

func (m *rewriter) functionType() {
	switch form := m.Byte(); form {
	case 0x60:
	case 0x4e, 0x4f, 0x50, 0x5e, 0x5f:
		m.refuse("types of garbage collection")
	default:
		m.Malformed("unknown form of type %#x", form)
	}
	for _, all := range []*[]uint32{&m.params, &m.results} {
		n := m.Count()
		m.checkLimit(n, typeValuesLimit, "parameters or results of a type")
		for range n {
			m.valueType()
		}
		*all = append(*all, uint32(n))
	}
}

const typeValuesLimit = 1000

func (m *rewriter) checkLimit(n, limit int, what string) {
	if n > limit {
		panic(abort{&Exceeded{what, n, limit}})
	}
}

func (m *rewriter) checkFunctionLimit(n, limit int, what string) {
	if n > limit {
		panic(abort{&Exceeded{fmt.Sprintf(what, m.current()), n, limit}})
	}
}

func (m *rewriter) current() int { return m.imports + len(m.bodies) }

func (m *rewriter) valueType() byte {
	t := m.Byte()
	switch t {
	case 0x7f, 0x7e, 0x7d, 0x7c, 0x70, 0x6f:
	case 0x7b:
		m.refuse("SIMD")
	case 0x69:
		m.refuse("exceptions")
	case 0x63, 0x64, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x71, 0x72, 0x73:
		m.refuse("typed references")
	default:
		m.Malformed("unknown type of values %#x", t)
	}
	return t
}

func (m *rewriter) importItem() {
	if module := m.Name(); module == Module {
		m.Malformed("imports from %q, which is the meter's", module)
	}
	m.Name()
	switch kind := m.Byte(); kind {
	case 0:
		m.importTypes = append(m.importTypes, m.Index(len(m.params), "type"))
		m.imports++
		m.functions++
	case 1:
		m.reference()
		m.limits(true)
		m.tables++
	case 2:
		m.memory()
	case 3:
		m.valueType()
		m.Byte()
		m.globals++
	case 4:
		m.refuse("exceptions")
	default:
		m.Malformed("unknown kind of import %d", kind)
	}
}

func (m *rewriter) reference() byte {
	t := m.Byte()
	switch t {
	case 0x70, 0x6f:
	case 0x69, 0x74:
		m.refuse("exceptions")
	default:
		m.refuse("typed references")
	}
	return t
}

func (m *rewriter) limits(table bool) (low uint32, high *uint32) {
	flags := m.Byte()
	switch {
	case flags&2 != 0 && flags < 8:
		m.refuse("threads")
	case flags&4 != 0 && flags < 8:
		m.refuse("memories of 64 bits")
	case flags > 1:
		m.Malformed("unknown flags of limits %#x", flags)
	}
	low = m.U32()
	if flags&1 != 0 {
		n := m.U32()
		high = &n
	}
	if table {
		m.tableElements += int(low)
		m.checkLimit(m.tableElements, m.options.Limits.TableElements, "elements of all tables")
	}
	return low, high
}

func (m *rewriter) memory() { m.limits(false) }

// tableItems rewrites tables so that all together cannot grow far past the limit.
func (m *rewriter) tableItems(count int) []byte {
	out := wasm.AppendU32(nil, uint32(count))
	for range count {
		if m.At < m.End && m.Data[m.At] == 0x40 {
			m.refuse("typed references")
		}
		out = append(out, m.reference())
		low, high := m.limits(true)
		most := max(low, uint32(m.options.Limits.TableElements/count))
		if high != nil && *high < most {
			most = *high
		}
		out = wasm.AppendU32(wasm.AppendU32(append(out, 1), low), most)
	}
	return out
}

func (m *rewriter) globalItems(count int) (out []byte) {
	imported := m.globals
	for i := range count {
		// An initial value may name earlier globals.
		m.globals = imported + i
		start := m.At
		m.valueType()
		m.Byte()
		out = append(out, m.Data[start:m.At]...)
		out = m.constant(out)
	}
	m.globals = imported + count
	return out
}

func (m *rewriter) constant(out []byte) []byte {
	for {
		m.checkContext(m.At)
		start := m.At
		op := m.Byte()
		switch op {
		case 0x0b, 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e:
		case 0x41:
			m.Skip(5)
		case 0x42:
			m.Skip(10)
		case 0x43:
			m.Bytes(4)
		case 0x44:
			m.Bytes(8)
		case 0x23:
			m.Index(m.globals, "global")
		case 0xd0:
			m.reference()
		case opRefFunc:
			out = wasm.AppendU32(append(out, op), m.newIndex(m.Index(m.functions, "function")))
			continue
		case 0xfd:
			m.refuse("SIMD")
		case 0xfb:
			m.refuse("typed references")
		default:
			m.Malformed("instruction %#x in a constant", op)
		}
		out = append(out, m.Data[start:m.At]...)
		if op == 0x0b {
			return out
		}
	}
}

func (m *rewriter) exportItems(n int) []byte {
	out := wasm.AppendU32(nil, uint32(n))
	for range n {
		m.checkContext(m.At)
		out = wasm.AppendSized(out, m.Bytes(m.Count()))
		kind := m.Byte()
		out = append(out, kind)
		switch kind {
		case 0:
			out = wasm.AppendU32(out, m.newIndex(m.Index(m.functions, "function")))
		case 1, 2:
			out = wasm.AppendU32(out, m.U32())
		case 3:
			out = wasm.AppendU32(out, m.Index(m.globals, "global"))
		case 4:
			m.refuse("exceptions")
		default:
			m.Malformed("unknown kind of export %d", kind)
		}
	}
	return out
}

// elementItems rewrites element segments. Flags: bit 0 is off for an active segment; bit 1 is on if it names its table
// or, with bit 0, is declared only; bit 2 is on if it contains expressions.
func (m *rewriter) elementItems(n int) []byte {
	out := wasm.AppendU32(nil, uint32(n))
	for range n {
		flags := m.U32()
		if flags > 7 {
			m.Malformed("unknown flags of an element segment %d", flags)
		}
		out = wasm.AppendU32(out, flags)
		if flags&1 == 0 {
			if flags&2 != 0 {
				out = wasm.AppendU32(out, m.U32())
			}
			out = m.constant(out)
		}
		if flags&3 != 0 {
			if flags&4 != 0 {
				out = append(out, m.reference())
			} else {
				out = append(out, m.Byte())
			}
		}
		elements := m.Count()
		m.segmentElements += elements
		m.checkLimit(m.segmentElements, m.options.Limits.TableElements, "elements of all segments")
		out = wasm.AppendU32(out, uint32(elements))
		for range elements {
			m.checkContext(m.At)
			if flags&4 != 0 {
				out = m.constant(out)
			} else {
				out = wasm.AppendU32(out, m.newIndex(m.Index(m.functions, "function")))
			}
		}
	}
	return out
}

func (m *rewriter) segment() {
	flags := m.U32()
	if flags > 2 {
		m.Malformed("unknown flags of a data segment %d", flags)
	}
	if flags == 2 && m.U32() != 0 {
		m.refuse("several memories")
	}
	if flags != 1 {
		m.constant(nil)
	}
	m.Bytes(m.Count())
}

// custom keeps custom sections that do not name functions by index. It drops empty ones too: wazero 1.12 fails with EOF
// if such a section ends the module.
func (m *rewriter) custom(s *section) bool {
	name := m.Name()
	if !utf8.ValidString(name) {
		m.Malformed("the name of a custom section is not UTF-8")
	}
	switch {
	case name == "name":
		s.items, s.rewritten = m.names(), true
		return true
	case m.At == m.End, strings.HasPrefix(name, ".debug_"), strings.HasPrefix(name, "reloc."),
		strings.HasPrefix(name, "metadata.code."), name == "linking":
		m.report.Dropped = append(m.report.Dropped, name)
		m.At = m.End
		return false
	}
	m.At = m.End
	s.items, s.rewritten = m.Data[s.From:s.To], true
	return true
}

// names rewrites a name section and keeps the names of the module (0), of functions (1) and of locals (2).
func (m *rewriter) names() []byte {
	out := wasm.AppendSized(nil, []byte("name"))
	for m.At < m.End {
		id := m.Byte()
		size := m.Count()
		from, end := m.At, m.End
		m.End = m.At + size
		switch id {
		case 0:
			m.Name()
			out = wasm.AppendSized(append(out, id), m.Data[from:m.At])
		case 1, 2:
			n := m.Count()
			content := wasm.AppendU32(nil, uint32(n))
			for range n {
				m.checkContext(m.At)
				// Names decide nothing: an index that is too large does no harm.
				function := m.U32()
				if int64(function) < int64(m.functions) {
					function = m.newIndex(function)
				}
				content = wasm.AppendU32(content, function)
				start := m.At
				if id == 1 {
					m.Name()
				} else {
					for range m.Count() {
						m.checkContext(m.At)
						m.U32()
						m.Name()
					}
				}
				content = append(content, m.Data[start:m.At]...)
			}
			out = wasm.AppendSized(append(out, id), content)
		default:
			m.At = m.End
		}
		if m.At != m.End {
			m.Malformed("names: %d bytes are left over", m.End-m.At)
		}
		m.End = end
	}
	return out
}
