package abi

import (
	"context"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// Invoke calls a function by reflection. args and dst have the types of the contract's Go interface; dst is a pointer
// to the result, or nil. failure is the guest's error; err is a trap, a [*Violation], or a [*Refusal] of arguments that
// cannot be passed.
func (g *Guest) Invoke(ctx context.Context, export *Func, function *canon.Func, dst any,
	args ...any) (failure *wit.Error, err error) {
	g.BeginCall()
	var trap error
	alloc := func(size, align uint32) (ptr uint32, err error) {
		ptr, trap = g.allocate(ctx, size, align)
		return ptr, trap
	}
	flats, err := function.Arguments(uncountedMemory{g}, alloc, args...)
	switch {
	case trap != nil:
		return nil, trap
	case err != nil:
		return nil, &Refusal{err}
	}
	g.Pass(flats...)
	core, err := g.Call(ctx, export)
	if err != nil {
		return nil, err
	}
	failure, err = function.Result(g, g.remaining(), uint64(core), dst)
	if err := g.liftError(err); err != nil {
		return nil, err
	}
	return failure, g.PostReturn(ctx, export, core)
}

// uncountedMemory is the guest's memory, for arguments: [Guest.View] would count them as results.
type uncountedMemory struct{ guest *Guest }

func (m uncountedMemory) View(ptr, size uint32) ([]byte, bool) { return m.guest.memory.Read(ptr, size) }

// PassLowered copies a list to the guest by reflection and appends its pointer and length to the core parameters. Call
// it in the order of the parameters and before any block is written, since it allocates.
func (g *Guest) PassLowered(ctx context.Context, list any, length int) error {
	image, err := canon.Lower(list)
	if err != nil {
		return &Refusal{err}
	}
	// Block 0 is pointer and length, which are core values and not allocated: all indices decrease by one.
	first := image.Fixups[0].Block - 1
	image.Blocks = image.Blocks[1:]
	image.Fixups = image.Fixups[1:]
	for i := range image.Fixups {
		image.Fixups[i].In--
		image.Fixups[i].Block--
	}
	addresses, err := image.Place(uncountedMemory{g}, func(size, align uint32) (uint32, error) {
		return g.allocate(ctx, size, align)
	})
	if err != nil {
		return err
	}
	g.Pass(uint64(addresses[first]), uint64(length))
	return nil
}

// PassEmpty appends an empty list, for which the guest allocates too.
func (g *Guest) PassEmpty(ctx context.Context, align uint32) error {
	ptr, err := g.allocate(ctx, 0, align)
	g.flat = append(g.flat, uint64(ptr), 0)
	return err
}
