//go:build !wasm || !kernels

package fast

import "unsafe"

// Read reads members of a row and says why it stopped.
func Read(s *Row) int { return goRead(s) }

// Match returns the length of what matches a template; 0 or negative, how far it matched, where it does not.
func Match(src unsafe.Pointer, program *uint64) int { return goMatch(src, program) }

// Sort puts the columns of a row, which is from start to s.O and came in another order, in theirs; those not given are
// null. It returns the row's end, -1: a column that is not given must not be null. The arena needs room for the row
// twice.
func Sort(s *Row, start, columns int) int { return goSort(s, start, columns) }
