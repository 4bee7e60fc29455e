//go:build kernels

package fast

import "unsafe"

// Assembly made from kernel.go. It stores pointers to entries in the row without telling the garbage collector, which
// is right since the entries are held elsewhere.

// Read reads members of a row and says why it stopped.
//
//go:noescape
func Read(s *Row) int

// Match returns the length of what matches a template; 0 or negative, how far it matched, where it does not.
//
//go:noescape
func Match(src unsafe.Pointer, program *uint64) int

// Sort puts the columns of a row, which is from start to s.O and came in another order, in theirs; those not given are
// null. It returns the row's end, -1: a column that is not given must not be null. The arena needs room for the row
// twice.
//
//go:noescape
func Sort(s *Row, start, columns int) int
