package abi

import (
	"encoding/binary"
	"fmt"

	"github.com/culvert-project/culvert/wit/canon"
)

// View makes a guest the memory of package canon, and counts what is looked at.
func (g *Guest) View(ptr, size uint32) ([]byte, bool) {
	g.bytesOut += uint64(size)
	return g.memory.Read(ptr, size)
}

// Watch ends the lifting of a large value when Ended says so.
func (g *Guest) Watch() error {
	if g.Ended != nil {
		g.ended = g.Ended()
	}
	return g.ended
}

// lifted is the error of lifting a value that failed with err.
func (g *Guest) lifted(err error) error {
	if err == nil || g.ended != nil {
		return g.ended
	}
	return &Violation{err.Error()}
}

// Area returns size bytes of the guest's memory at ptr, checked. It holds until the next call into the guest.
func (g *Guest) Area(ptr, size, align uint32) ([]byte, error) {
	if ptr%align != 0 {
		return nil, Violated("expected a pointer aligned to %d, found %#x", align, ptr)
	}
	view, ok := g.memory.Read(ptr, size)
	if !ok {
		return nil, Violated("%d bytes at %#x lie past the end of memory (%d bytes)", size, ptr, g.memory.Size())
	}
	return view, nil
}

// List returns the memory of a list of n elements, checked and charged to the limit of the call's results. It holds
// until the next call into the guest.
func (g *Guest) List(ptr, n, element, align uint32) ([]byte, error) {
	size := uint64(n) * uint64(element)
	if err := g.charge(size); err != nil {
		return nil, err
	}
	if ptr%align != 0 {
		return nil, Violated("list of %d elements: expected a pointer aligned to %d, found %#x", n, align, ptr)
	}
	if n == 0 {
		return nil, nil
	}
	view, ok := g.memory.Read(ptr, uint32(size))
	if !ok || size > 1<<32-1 {
		return nil, Violated("list of %d elements at %#x lies past the end of memory (%d bytes)", n, ptr,
			g.memory.Size())
	}
	return view, nil
}

func (g *Guest) charge(size uint64) error {
	g.spent += size
	g.bytesOut += size
	if g.spent > g.limit {
		return &TooLarge{Violation{fmt.Sprintf("a result of %d bytes: at most %d are allowed", g.spent, g.limit)}}
	}
	return nil
}

// Word is the u32 at offset in a view.
func Word(view []byte, offset int) uint32 { return binary.LittleEndian.Uint32(view[offset:]) }

// ListAt returns the memory of the list whose pointer and length stand at offset in view, and its length.
func (g *Guest) ListAt(view []byte, offset int, element, align uint32) (list []byte, n int, err error) {
	length := Word(view, offset+4)
	list, err = g.List(Word(view, offset), length, element, align)
	return list, int(length), err
}

// Lift reads a value of dst's type, which is not nil, at ptr by reflection, charged to the limit of the call's results.
func (g *Guest) Lift(ptr uint32, dst any) error {
	l := canon.Lifter{Memory: g, Budget: g.left()}
	before := l.Budget
	err := l.Lift(ptr, dst)
	g.spent += uint64(before - l.Budget)
	return g.lifted(err)
}

// LiftAt reads the list or text whose pointer and length stand at offset in view.
func (g *Guest) LiftAt(view []byte, offset int, dst any) error {
	l := canon.Lifter{Memory: g, Budget: g.left()}
	before := l.Budget
	err := l.LiftList(Word(view, offset), Word(view, offset+4), dst)
	g.spent += uint64(before - l.Budget)
	return g.lifted(err)
}

func (g *Guest) left() int { return int(g.limit - min(g.spent, g.limit)) }
