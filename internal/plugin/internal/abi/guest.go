// Package abi speaks the canonical ABI with one guest: memory, arguments, calls, results. It knows the shapes of the
// contract's rows and lists, but not what they mean.
//
// Everything that comes from a guest is doubted: pointers, lengths, alignment, discriminants and text are checked in 64
// bits before they are used, and copied out before the guest runs again. What does not hold is a [*Violation]; after
// one the instance has to be thrown away like after a trap.
package abi

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero/api"
)

// defaultResultBytes is how much the results of one call may take when the caller sets no limit: 64 MiB.
const defaultResultBytes = 64 << 20

// maxFlat is the number of core parameters from which on all of them travel through memory, by the canonical ABI.
const maxFlat = 16

// Violation is something that a guest must not do: a pointer past its memory, an unknown case, a result that is too
// large.
type Violation struct{ Text string }

func (v *Violation) Error() string { return v.Text }

// Violated makes a [*Violation].
func NewViolation(format string, args ...any) error { return &Violation{fmt.Sprintf(format, args...)} }

// TooLarge is the [*Violation] of a result beyond the limit.
type TooLarge struct{ Violation }

// TooMuch makes a [*TooLarge].
func NewTooLarge(format string, args ...any) error {
	return &TooLarge{Violation{fmt.Sprintf(format, args...)}}
}

// Unwrap makes it a violation.
func (t *TooLarge) Unwrap() error { return &t.Violation }

// Refusal is a mistake of the host's in the arguments of a call: the guest was not called and can go on.
type Refusal struct{ Err error }

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// Refused makes a [*Refusal].
func NewRefusal(format string, args ...any) error { return &Refusal{fmt.Errorf(format, args...)} }

// Guest is one instance of a module. It belongs to one goroutine at a time. Its buffers are reused from call to call,
// so that a call whose arguments and results fit them allocates nothing.
type Guest struct {
	module  api.Module
	memory  api.Memory
	realloc api.Function

	// limit is for the results of a call, spent what the call has taken of it; both in bytes.
	resultLimit, resultBytes uint64

	// The call under construction: blocks to be allocated in the guest, then the core parameters.
	blocks []block
	flat   []uint64
	stack  [maxFlat]uint64
	// bytesIn and bytesOut count what crossed, for metrics.
	bytesIn, bytesOut uint64

	// Ended reports whether what came of a call is to be read no further, and why; nil: it is read. It is asked within
	// large results.
	CallerErr func() error
	// ended is what it said.
	stopped error

	// running is what was called last, stackBefore the size of its stack then.
	running     api.Function
	stackBefore int
}

// Func is a function that a guest exports, with its post-return function where there is one.
type Func struct {
	call, postReturn api.Function
	results    int
}

type block struct{ size, align, ptr uint32 }

// Block is a place in the guest's memory that the arguments of a call need.
type Block int

// NewGuest returns the guest in an instantiated module. resultBytes limits what the results of one call may take, 0:
// [defaultResultBytes].
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

// Begin calls those of the named exports that there are, functions without parameters and results: what a guest does
// before everything else.
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

// Func looks up the exported function of that name, nil if there is none. That costs an engine stack of 10 KB, so keep
// what it returns.
func (g *Guest) Func(name string) *Func {
	call := g.module.ExportedFunction(name)
	if call == nil {
		return nil
	}
	return &Func{call: call, postReturn: g.module.ExportedFunction("cabi_post_" + name),
		results: len(call.Definition().ResultTypes())}
}

// Close ends the instance.
func (g *Guest) Close(ctx context.Context) error { return g.module.Close(ctx) }

// MemoryBytes is the present size of the guest's memory, which never shrinks.
func (g *Guest) MemoryBytes() uint32 { return g.memory.Size() }

// Crossed returns how many bytes went in as arguments and came out as results since the guest was made.
func (g *Guest) TransferredBytes() (in, out uint64) { return g.bytesIn, g.bytesOut }

// Start begins the arguments of a call.
func (g *Guest) BeginCall() {
	g.blocks, g.flat, g.resultBytes, g.stopped = g.blocks[:0], g.flat[:0], 0, nil
}

// Add asks for a block of memory for the arguments; empty ones are asked for too, because some guests make a vector of
// whatever pointer they get.
func (g *Guest) AddBlock(size int, align uint32) Block {
	// No guest has 4 GiB to give: a size that does not fit is refused by its allocator.
	g.blocks = append(g.blocks, block{size: uint32(min(size, 1<<32-1)), align: align})
	return Block(len(g.blocks) - 1)
}

// Place allocates all blocks in the guest. Only now may they be written: each allocation may move the guest's memory.
func (g *Guest) AllocateBlocks(ctx context.Context) (err error) {
	for i := range g.blocks {
		b := &g.blocks[i]
		if b.ptr, err = g.allocate(ctx, b.size, b.align); err != nil {
			return err
		}
	}
	return nil
}

// allocate asks the guest for memory and checks what it gives. Small dangling pointers for empty blocks are fine.
func (g *Guest) allocate(ctx context.Context, size, align uint32) (uint32, error) {
	stack := g.stack[:4]
	stack[0], stack[1], stack[2], stack[3] = 0, 0, uint64(align), uint64(size)
	if err := g.run(ctx, g.realloc, stack); err != nil {
		return 0, err
	}
	ptr := uint32(stack[0])
	if ptr%align != 0 {
		return 0, NewViolation("cabi_realloc: expected a pointer that is a multiple of %d, found %#x", align, ptr)
	}
	if uint64(ptr)+uint64(size) > uint64(g.memory.Size()) {
		return 0, NewViolation("cabi_realloc: %d bytes at %#x lie past the end of memory (%d bytes)", size, ptr,
			g.memory.Size())
	}
	g.bytesIn += uint64(size)
	return ptr, nil
}

// At is the block's memory, to be written before the next call into the guest.
func (g *Guest) BlockBytes(b Block) []byte {
	view, _ := g.memory.Read(g.blocks[b].ptr, g.blocks[b].size)
	return view
}

// Pointer is where the block lies in the guest.
func (g *Guest) Pointer(b Block) uint32 { return g.blocks[b].ptr }

// Pass appends core parameters.
func (g *Guest) Pass(values ...uint64) { g.flat = append(g.flat, values...) }

// PassList appends a pointer and a length.
func (g *Guest) PassList(b Block, length int) {
	g.flat = append(g.flat, uint64(g.blocks[b].ptr), uint64(uint32(length)))
}

// Call calls f with what was passed and returns its core result, which is a pointer to the results for every function
// of the contract that has any. The caller copies the results out and then calls [Guest.Done].
func (g *Guest) Call(ctx context.Context, export *Func) (uint32, error) {
	stack := g.stack[:max(len(g.flat), export.results)]
	copy(stack, g.flat)
	if err := g.run(ctx, export.call, stack); err != nil {
		return 0, err
	}
	if export.results == 0 {
		return 0, nil
	}
	// The upper half of an i32 in a stack slot says nothing.
	return uint32(stack[0]), nil
}

// Done gives the results of a call back to the guest, where it wants them. Not after a trap or a violation.
func (g *Guest) PostReturn(ctx context.Context, export *Func, result uint32) error {
	if export.postReturn == nil {
		return nil
	}
	stack := g.stack[:1]
	stack[0] = uint64(result)
	return g.run(ctx, export.postReturn, stack)
}
