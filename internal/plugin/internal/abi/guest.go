// Package abi passes calls to one guest by the canonical ABI of the component model: memory, arguments and results. It
// knows the layout of the contract's rows and lists, but not their meaning. A [Translator] translates schema IDs
// between the host and the guest: in rows, and inside schemaless values and headers (references.go).
//
// Nothing from a guest is trusted: pointers, lengths, alignment, discriminants and text are checked in 64 bits before
// use, and copied before the guest runs again. After a [*Violation] the instance must be discarded, as after a trap.
package abi

import (
	"context"
	"fmt"
	"math"

	"github.com/tetratelabs/wazero/api"
)

const defaultResultBytes = 64 << 20

// maxFlat is the maximum number of core parameters in the canonical ABI.
const maxFlat = 16

// Violation is the error of a guest that breaks the ABI or the contract: a pointer outside its memory, an unknown case,
// a result that is too large.
type Violation struct{ Text string }

func (v *Violation) Error() string { return v.Text }

// NewViolation returns a [*Violation].
func NewViolation(format string, args ...any) error { return &Violation{fmt.Sprintf(format, args...)} }

// TooLarge is a [*Violation] by a result that exceeds the limit.
type TooLarge struct{ Violation }

// NewTooLarge returns a [*TooLarge].
func NewTooLarge(format string, args ...any) error {
	return &TooLarge{Violation{fmt.Sprintf(format, args...)}}
}

// Unwrap returns the violation.
func (t *TooLarge) Unwrap() error { return &t.Violation }

// Refusal is an error of the host in a call's arguments. The guest was not called and stays usable.
type Refusal struct{ Err error }

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// NewRefusal returns a [*Refusal].
func NewRefusal(format string, args ...any) error { return &Refusal{fmt.Errorf(format, args...)} }

// Guest is an instance of a module, for one goroutine at a time. Its buffers are reused, so that calls do not allocate.
type Guest struct {
	module  api.Module
	memory  api.Memory
	realloc api.Function

	resultLimit uint64 // bounds the bytes of the results of a call
	resultBytes uint64 // counts the bytes of the results of the call

	blocks   []block  // allocations for the arguments of the current call
	flat     []uint64 // the core parameters of the current call
	stack    [maxFlat]uint64
	texts    []string // of a response, reused
	bytesIn  uint64   // for metrics
	bytesOut uint64   // for metrics

	// CallerErr, if set, returns an error when the caller has given up: then reading of large results stops.
	CallerErr func() error
	stopErr   error // the last result of CallerErr in this call

	running     api.Function // the function called last
	stackBefore int          // the size of its stack before the call
}

// Func is an exported function of a guest, and its post-return function, which frees the results, if it has one.
type Func struct {
	call       api.Function
	postReturn api.Function
	results    int // the number of its core results: 0 or 1
}

type block struct {
	size  uint32
	align uint32
	ptr   uint32 // zero until it is allocated
}

// Block is an allocation for an argument.
type Block int

// NewGuest returns the guest of an instance. resultBytes bounds the results of a call; zero means [defaultResultBytes].
func NewGuest(module api.Module, resultBytes int64) (*Guest, error) {
	guest := &Guest{module: module, memory: module.ExportedMemory("memory"),
		realloc: module.ExportedFunction("cabi_realloc"), resultLimit: uint64(resultBytes)}
	if resultBytes <= 0 {
		guest.resultLimit = defaultResultBytes
	}
	if guest.memory == nil {
		return nil, fmt.Errorf("expected an exported memory named memory, found none")
	}
	if guest.realloc == nil {
		return nil, fmt.Errorf("expected an export cabi_realloc, found none")
	}
	return guest, nil
}

// CallExports calls the exports with these names that exist. They must have no parameters and results.
func (g *Guest) CallExports(ctx context.Context, names ...string) error {
	for _, name := range names {
		f := g.module.ExportedFunction(name)
		if f == nil {
			continue
		}
		if d := f.Definition(); len(d.ParamTypes())+len(d.ResultTypes()) > 0 {
			return NewViolation("%s: expected a function without parameters and results, found %d and %d", name,
				len(d.ParamTypes()), len(d.ResultTypes()))
		}
		if err := g.run(ctx, f, nil); err != nil {
			return err
		}
	}
	return nil
}

// Func returns the exported function of that name, or nil. Keep the result: each lookup costs an engine stack of 10 KB.
func (g *Guest) Func(name string) *Func {
	call := g.module.ExportedFunction(name)
	if call == nil {
		return nil
	}
	return &Func{call: call, postReturn: g.module.ExportedFunction("cabi_post_" + name),
		results: len(call.Definition().ResultTypes())}
}

// Close closes the instance.
func (g *Guest) Close(ctx context.Context) error { return g.module.Close(ctx) }

// MemoryBytes returns the size of the guest's memory, which never shrinks.
func (g *Guest) MemoryBytes() uint32 { return g.memory.Size() }

// TransferredBytes returns the bytes of all arguments and results so far.
func (g *Guest) TransferredBytes() (in, out uint64) { return g.bytesIn, g.bytesOut }

// BeginCall starts the arguments of a call.
func (g *Guest) BeginCall() {
	g.blocks = g.blocks[:0]
	g.flat = g.flat[:0]
	g.resultBytes = 0
	g.stopErr = nil
}

// AddBlock adds an allocation. Empty ones are allocated too, because some guests build a vector from any pointer.
func (g *Guest) AddBlock(size int, align uint32) Block {
	g.blocks = append(g.blocks, block{size: uint32(min(size, math.MaxUint32)), align: align})
	return Block(len(g.blocks) - 1)
}

// AllocateBlocks allocates all blocks. They may be written only afterwards: an allocation may move the guest's memory.
func (g *Guest) AllocateBlocks(ctx context.Context) (err error) {
	for i := range g.blocks {
		b := &g.blocks[i]
		if b.ptr, err = g.allocate(ctx, b.size, b.align); err != nil {
			return err
		}
	}
	return nil
}

// allocate calls the guest's allocator and checks the pointer. Dangling pointers of empty blocks are valid.
func (g *Guest) allocate(ctx context.Context, size, align uint32) (uint32, error) {
	stack := append(g.stack[:0], 0, 0, uint64(align), uint64(size)) // no old address, no old size
	if err := g.run(ctx, g.realloc, stack); err != nil {
		return 0, err
	}
	ptr := uint32(stack[0])
	if ptr%align != 0 {
		return 0, NewViolation("cabi_realloc: expected a pointer that is a multiple of %d, found %#x", align, ptr)
	}
	if uint64(ptr)+uint64(size) > uint64(g.memory.Size()) {
		return 0, NewViolation("cabi_realloc: %d bytes at %#x exceed the memory (%d bytes)", size, ptr, g.memory.Size())
	}
	g.bytesIn += uint64(size)
	return ptr, nil
}

// BlockBytes returns a block's memory, to be written before the next call of the guest.
func (g *Guest) BlockBytes(b Block) []byte {
	view, _ := g.memory.Read(g.blocks[b].ptr, g.blocks[b].size)
	return view
}

// Pointer returns a block's address in the guest.
func (g *Guest) Pointer(b Block) uint32 { return g.blocks[b].ptr }

// Pass appends core parameters.
func (g *Guest) Pass(values ...uint64) { g.flat = append(g.flat, values...) }

// PassList appends a pointer and a length.
func (g *Guest) PassList(b Block, length int) {
	g.flat = append(g.flat, uint64(g.blocks[b].ptr), uint64(uint32(length)))
}

// Call calls export and returns its core result: in the contract, a pointer to the results. Copy them, then call
// [Guest.PostReturn].
func (g *Guest) Call(ctx context.Context, export *Func) (uint32, error) {
	stack := g.stack[:max(len(g.flat), export.results)]
	copy(stack, g.flat)
	if err := g.run(ctx, export.call, stack); err != nil {
		return 0, err
	}
	if export.results == 0 {
		return 0, nil
	}
	return uint32(stack[0]), nil // the upper half is undefined
}

// PostReturn lets the guest free the results of a call. Do not call it after a trap or a violation.
func (g *Guest) PostReturn(ctx context.Context, export *Func, result uint32) error {
	if export.postReturn == nil {
		return nil
	}
	stack := g.stack[:1]
	stack[0] = uint64(result)
	return g.run(ctx, export.postReturn, stack)
}
