package meter

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/base/wasm"
)

// sectionOrder is the place of each section in a module, by its ID. Custom sections have none.
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
	params      []uint32 // the number of parameters, by type
	results     []uint32 // the number of results, by type
	types       []uint32 // the types of defined functions
	importTypes []uint32 // the types of imported functions
	imports     int      // imported functions
	functions   int      // with the imported ones
	globals     int
	tables      int
}

type sums struct {
	effort          int // the compile cost, see [Limits.Effort]
	tableElements   int
	segmentElements int
}

type codeSection struct {
	bodies   []body
	loops    []loop
	edits    []edit
	blocks   []openBlock // the open blocks of the body that is being read
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
func (r *rewriter) checkContext(offset int) {
	if offset-r.checkedAt < checkEvery {
		return
	}
	r.checkedAt = offset
	if r.ctx.Err() != nil {
		panic(abort{context.Cause(r.ctx)})
	}
}

func (r *rewriter) refuse(feature string) { panic(abort{&UnsupportedError{feature, r.At, -1}}) }

func (r *rewriter) parse() {
	if string(r.Bytes(8)) != "\x00asm\x01\x00\x00\x00" {
		r.At = 0
		r.Malformed("expected a core module of version 1")
	}
	last := 0
	for header := range wasm.Sections(r.Data) {
		r.At = header.From
		r.End = header.To
		if int(header.ID) >= len(sectionOrder) {
			r.Malformed("unknown section %d", header.ID)
		}
		if header.ID != wasm.Custom {
			if sectionOrder[header.ID] <= last {
				r.Malformed("section %d is out of order", header.ID)
			}
			last = sectionOrder[header.ID]
		}
		s := section{Section: header}
		keep := r.readSection(&s)
		if r.At != s.To {
			r.Malformed("section %d: %d bytes are left over", s.ID, s.To-r.At)
		}
		if keep {
			r.sections = append(r.sections, s)
		}
	}
	if len(r.types) != len(r.bodies) {
		r.Malformed("%d functions, %d bodies", len(r.types), len(r.bodies))
	}
}

// readSection reads a section and reports whether the new module has it.
func (r *rewriter) readSection(s *section) (keep bool) {
	switch s.ID {
	case wasm.Custom:
		// Sections that name no functions are kept, except empty ones: wazero 1.12 fails if one is the last.
		name := r.Name()
		if !utf8.ValidString(name) {
			r.Malformed("the name of a custom section is not UTF-8")
		}
		switch {
		case name == "name":
			s.items = r.rewriteNames()
			s.rewritten = true
			return true
		case r.At == r.End, strings.HasPrefix(name, ".debug_"), strings.HasPrefix(name, "reloc."),
			strings.HasPrefix(name, "metadata.code."), name == "linking":
			r.report.Dropped = append(r.report.Dropped, name)
			r.At = r.End
			return false
		}
		r.At = r.End
		s.items = r.Data[s.From:s.To]
		s.rewritten = true
		return true
	case wasm.Start:
		s.items = wasm.AppendU32(nil, r.newIndex(r.Index(r.functions, "function")))
		s.rewritten = true
		return true
	case wasm.DataCount:
		start := r.At
		r.U32()
		s.items = r.Data[start:r.At]
		s.rewritten = true
		return true
	case wasm.Tags:
		r.refuse("exceptions")
	}
	// The other sections are lists.
	s.count = r.Count()
	switch limits := &r.options.Limits; s.ID {
	case wasm.Types:
		r.checkLimit(s.count, limits.Types, "types of functions")
	case wasm.Functions:
		r.checkLimit(s.count, limits.Functions, "functions of the module")
	case wasm.Elements, wasm.Data:
		r.checkLimit(s.count, limits.Segments, "segments")
	case wasm.Imports, wasm.Globals, wasm.Exports:
		r.checkLimit(s.count, limits.Items, "imports, globals or exports")
	}
	start := r.At
	r.readItems(s)
	if s.items == nil {
		s.items = r.Data[start:r.At]
	}
	return true
}

func (r *rewriter) readItems(s *section) {
	switch s.ID {
	case wasm.Types:
		for range s.count {
			r.checkContext(r.At)
			switch form := r.Byte(); form {
			case 0x60: // a function
			case 0x4e, 0x4f, 0x50, 0x5e, 0x5f:
				r.refuse("types of garbage collection")
			default:
				r.Malformed("unknown form of type %#x", form)
			}
			for _, counts := range []*[]uint32{&r.params, &r.results} {
				n := r.Count()
				r.checkLimit(n, typeValuesLimit, "parameters or results of a type")
				for range n {
					r.readValueType()
				}
				*counts = append(*counts, uint32(n))
			}
		}
	case wasm.Imports:
		for range s.count {
			r.checkContext(r.At)
			if module := r.Name(); module == Module {
				r.Malformed("imports from %q, which is the meter's", module)
			}
			r.Name()
			switch kind := r.Byte(); kind {
			case 0: // a function
				r.importTypes = append(r.importTypes, r.Index(len(r.params), "type"))
				r.imports++
				r.functions++
			case 1: // a table
				r.readReference()
				r.readLimits(true)
				r.tables++
			case 2: // a memory
				r.readMemory()
			case 3: // a global
				r.readValueType()
				r.Byte()
				r.globals++
			case 4: // a tag
				r.refuse("exceptions")
			default:
				r.Malformed("unknown kind of import %d", kind)
			}
		}
	case wasm.Functions:
		for range s.count {
			r.types = append(r.types, r.Index(len(r.params), "type"))
		}
		r.functions += s.count
	case wasm.Tables:
		r.tables += s.count
		s.items = r.rewriteTables(s.count)
		s.rewritten = true
	case wasm.Memories:
		if s.count > 1 {
			r.refuse("several memories")
		}
		for range s.count {
			r.readMemory()
		}
	case wasm.Globals:
		s.items = r.rewriteGlobals(s.count)
	case wasm.Exports:
		s.items = r.rewriteExports(s.count)
		s.rewritten = true
	case wasm.Elements:
		s.items = r.rewriteElements(s.count)
		s.rewritten = true
	case wasm.Code:
		if s.count != len(r.types) {
			r.Malformed("%d functions, %d bodies", len(r.types), s.count)
		}
		r.readCode(s.count)
	case wasm.Data:
		for range s.count {
			r.checkContext(r.At)
			flags := r.U32() // 0: active, 1: passive, 2: active in the memory that follows
			if flags > 2 {
				r.Malformed("unknown flags of a data segment %d", flags)
			}
			if flags == 2 && r.U32() != 0 {
				r.refuse("several memories")
			}
			if flags != 1 {
				r.rewriteConstant(nil)
			}
			r.Bytes(r.Count())
		}
	}
}

// newIndex is the index of a function in the new module, in which tick is the last import.
func (r *rewriter) newIndex(f uint32) uint32 {
	if int(f) >= r.imports {
		return f + 1
	}
	return f
}

// Indices of fuel and of the type of copy and fill in the rewritten module; appended types follow the original's.
func (r *rewriter) fuelIndex() uint32 { return uint32(r.globals) }
func (r *rewriter) bulkType() uint32  { return uint32(len(r.params)) + 1 }

const typeValuesLimit = 1000

func (r *rewriter) checkLimit(n, limit int, subject string) {
	if n > limit {
		panic(abort{&LimitError{subject, n, limit}})
	}
}

func (r *rewriter) checkFunctionLimit(n, limit int, subject string) {
	if n > limit {
		panic(abort{&LimitError{fmt.Sprintf(subject, r.currentFunction()), n, limit}})
	}
}

func (r *rewriter) currentFunction() int { return r.imports + len(r.bodies) }

func (r *rewriter) readValueType() byte {
	t := r.Byte()
	switch t {
	case 0x7f, 0x7e, 0x7d, 0x7c, 0x70, 0x6f: // numbers, funcref and externref
	case 0x7b:
		r.refuse("SIMD")
	case 0x69:
		r.refuse("exceptions")
	case 0x63, 0x64, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x71, 0x72, 0x73:
		r.refuse("typed references")
	default:
		r.Malformed("unknown type of values %#x", t)
	}
	return t
}

func (r *rewriter) readReference() byte {
	t := r.Byte()
	switch t {
	case 0x70, 0x6f: // funcref and externref
	case 0x69, 0x74:
		r.refuse("exceptions")
	default:
		r.refuse("typed references")
	}
	return t
}

// readLimits reads limits; high is nil if there is no maximum. isTable adds the minimum to the elements of all tables.
func (r *rewriter) readLimits(isTable bool) (low uint32, high *uint32) {
	flags := r.Byte() // 1: has a maximum, 2: is shared, 4: has 64 bits
	switch {
	case flags&2 != 0 && flags < 8:
		r.refuse("threads")
	case flags&4 != 0 && flags < 8:
		r.refuse("memories of 64 bits")
	case flags > 1:
		r.Malformed("unknown flags of limits %#x", flags)
	}
	low = r.U32()
	if flags&1 != 0 {
		n := r.U32()
		high = &n
	}
	if isTable {
		r.tableElements += int(low)
		r.checkLimit(r.tableElements, r.options.Limits.TableElements, "elements of all tables")
	}
	return low, high
}

func (r *rewriter) readMemory() { r.readLimits(false) }

// rewriteTables bounds tables so that all together cannot grow far past the limit.
func (r *rewriter) rewriteTables(count int) []byte {
	out := wasm.AppendU32(nil, uint32(count))
	for range count {
		if r.At < r.End && r.Data[r.At] == 0x40 {
			r.refuse("typed references")
		}
		out = append(out, r.readReference())
		low, high := r.readLimits(true)
		bound := max(low, uint32(r.options.Limits.TableElements/count))
		if high != nil && *high < bound {
			bound = *high
		}
		out = wasm.AppendU32(wasm.AppendU32(append(out, 1), low), bound) // 1: has a maximum
	}
	return out
}

func (r *rewriter) rewriteGlobals(count int) (out []byte) {
	imported := r.globals
	for i := range count {
		// An initial value may name earlier globals.
		r.globals = imported + i
		start := r.At
		r.readValueType()
		r.Byte()
		out = append(out, r.Data[start:r.At]...)
		out = r.rewriteConstant(out)
	}
	r.globals = imported + count
	return out
}

// rewriteConstant rewrites an initial value, a list of instructions.
func (r *rewriter) rewriteConstant(out []byte) []byte {
	for {
		r.checkContext(r.At)
		start := r.At
		op := r.Byte()
		switch op {
		case opEnd, opI32Add, opI32Sub, 0x6c, opI64Add, opI64Sub, 0x7e: // and mul: they have no operands
		case opI32Const:
			r.Skip(5)
		case opI64Const:
			r.Skip(10)
		case 0x43: // f32.const
			r.Bytes(4)
		case 0x44: // f64.const
			r.Bytes(8)
		case opGlobalGet:
			r.Index(r.globals, "global")
		case 0xd0: // ref.null
			r.readReference()
		case opRefFunc:
			out = wasm.AppendU32(append(out, op), r.newIndex(r.Index(r.functions, "function")))
			continue
		case 0xfd:
			r.refuse("SIMD")
		case 0xfb:
			r.refuse("typed references")
		default:
			r.Malformed("instruction %#x in a constant", op)
		}
		out = append(out, r.Data[start:r.At]...)
		if op == opEnd {
			return out
		}
	}
}

func (r *rewriter) rewriteExports(n int) []byte {
	out := wasm.AppendU32(nil, uint32(n))
	for range n {
		r.checkContext(r.At)
		out = wasm.AppendSized(out, r.Bytes(r.Count()))
		kind := r.Byte()
		out = append(out, kind)
		switch kind {
		case 0: // a function
			out = wasm.AppendU32(out, r.newIndex(r.Index(r.functions, "function")))
		case 1, 2: // a table, a memory
			out = wasm.AppendU32(out, r.U32())
		case 3: // a global
			out = wasm.AppendU32(out, r.Index(r.globals, "global"))
		case 4: // a tag
			r.refuse("exceptions")
		default:
			r.Malformed("unknown kind of export %d", kind)
		}
	}
	return out
}

// rewriteElements rewrites element segments. Flags: bit 0 is off for an active segment; bit 1 is on if it names its
// table or, with bit 0, is declared only; bit 2 is on if it contains expressions.
func (r *rewriter) rewriteElements(n int) []byte {
	out := wasm.AppendU32(nil, uint32(n))
	for range n {
		flags := r.U32()
		if flags > 7 {
			r.Malformed("unknown flags of an element segment %d", flags)
		}
		out = wasm.AppendU32(out, flags)
		if flags&1 == 0 {
			if flags&2 != 0 {
				out = wasm.AppendU32(out, r.U32())
			}
			out = r.rewriteConstant(out)
		}
		if flags&3 != 0 {
			if flags&4 != 0 {
				out = append(out, r.readReference())
			} else {
				out = append(out, r.Byte())
			}
		}
		elements := r.Count()
		r.segmentElements += elements
		r.checkLimit(r.segmentElements, r.options.Limits.TableElements, "elements of all segments")
		out = wasm.AppendU32(out, uint32(elements))
		for range elements {
			r.checkContext(r.At)
			if flags&4 != 0 {
				out = r.rewriteConstant(out)
			} else {
				out = wasm.AppendU32(out, r.newIndex(r.Index(r.functions, "function")))
			}
		}
	}
	return out
}

// rewriteNames rewrites a name section and keeps the names of the module (0), of functions (1) and of locals (2).
func (r *rewriter) rewriteNames() []byte {
	out := wasm.AppendSized(nil, []byte("name"))
	for r.At < r.End {
		id := r.Byte()
		size := r.Count()
		from := r.At
		end := r.End
		r.End = r.At + size
		switch id {
		case 0:
			r.Name()
			out = wasm.AppendSized(append(out, id), r.Data[from:r.At])
		case 1, 2:
			n := r.Count()
			content := wasm.AppendU32(nil, uint32(n))
			for range n {
				r.checkContext(r.At)
				// Names decide nothing: an index that is too large does no harm.
				function := r.U32()
				if int64(function) < int64(r.functions) {
					function = r.newIndex(function)
				}
				content = wasm.AppendU32(content, function)
				start := r.At
				if id == 1 {
					r.Name()
				} else {
					for range r.Count() {
						r.checkContext(r.At)
						r.U32()
						r.Name()
					}
				}
				content = append(content, r.Data[start:r.At]...)
			}
			out = wasm.AppendSized(append(out, id), content)
		default:
			r.At = r.End
		}
		if r.At != r.End {
			r.Malformed("names: %d bytes are left over", r.End-r.At)
		}
		r.End = end
	}
	return out
}
