package abi

import (
	"encoding/binary"

	"github.com/culvert-project/culvert/wit/canon"
)

// View implements [canon.Memory] and counts the bytes.
func (g *Guest) View(ptr, size uint32) ([]byte, bool) {
	g.bytesOut += uint64(size)
	return g.memory.Read(ptr, size)
}

// CheckCancelled implements [canon.Interruptible].
func (g *Guest) CheckCancelled() error {
	if g.CallerErr != nil {
		g.stopErr = g.CallerErr()
	}
	return g.stopErr
}

// liftError returns the error of a lifted result: the caller's if it has given up, else a violation.
func (g *Guest) liftError(err error) error {
	if err == nil || g.stopErr != nil {
		return g.stopErr
	}
	return &Violation{err.Error()}
}

// Area returns size bytes of the guest's memory at ptr, valid until the next call of the guest.
func (g *Guest) Area(ptr, size, align uint32) ([]byte, error) {
	if ptr%align != 0 {
		return nil, NewViolation("expected a pointer aligned to %d, found %#x", align, ptr)
	}
	view, ok := g.memory.Read(ptr, size)
	if !ok {
		return nil, NewViolation("%d bytes at %#x exceed the memory (%d bytes)", size, ptr, g.memory.Size())
	}
	return view, nil
}

// List returns the memory of a list, valid until the next call of the guest, and counts it as a result.
func (g *Guest) List(ptr, length, element, align uint32) ([]byte, error) {
	size := uint64(length) * uint64(element)
	g.resultBytes += size
	g.bytesOut += size
	if g.resultBytes > g.resultLimit {
		return nil, NewTooLarge("a result of %d bytes: at most %d are allowed", g.resultBytes, g.resultLimit)
	}
	if ptr%align != 0 {
		return nil, NewViolation("list of %d elements: expected a pointer aligned to %d, found %#x", length, align, ptr)
	}
	if length == 0 {
		return nil, nil
	}
	view, ok := g.memory.Read(ptr, uint32(size))
	if !ok || size > 1<<32-1 {
		return nil, NewViolation("list of %d elements at %#x exceeds the memory (%d bytes)", length, ptr,
			g.memory.Size())
	}
	return view, nil
}

// U32 returns the number at offset in a view.
func U32(view []byte, offset int) uint32 { return binary.LittleEndian.Uint32(view[offset:]) }

// ListAt returns the memory and the length of the list whose pointer and length are at offset in view.
func (g *Guest) ListAt(view []byte, offset int, element, align uint32) (list []byte, n int, err error) {
	length := U32(view, offset+4)
	list, err = g.List(U32(view, offset), length, element, align)
	return list, int(length), err
}

// Lift reads a value at ptr into dst by reflection, and counts it as a result.
func (g *Guest) Lift(ptr uint32, dst any) error {
	l := canon.Lifter{Memory: g, Budget: g.remaining()}
	budget := l.Budget
	err := l.Lift(ptr, dst)
	g.resultBytes += uint64(budget - l.Budget)
	return g.liftError(err)
}

// LiftAt reads the list or string whose pointer and length are at offset in view.
func (g *Guest) LiftAt(view []byte, offset int, dst any) error {
	l := canon.Lifter{Memory: g, Budget: g.remaining()}
	budget := l.Budget
	err := l.LiftList(U32(view, offset), U32(view, offset+4), dst)
	g.resultBytes += uint64(budget - l.Budget)
	return g.liftError(err)
}

func (g *Guest) remaining() int { return int(g.resultLimit - min(g.resultBytes, g.resultLimit)) }
