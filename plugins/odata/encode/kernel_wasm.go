//go:build !stock

package encode

import "unsafe"

// Assembly made from kernel.go. It stores no pointers.

// Members writes the fields of a row, and says why it stopped.
//
//go:noescape
func Members(s *Object) int

// Gather writes pieces one after another at out+o and returns the place after them.
//
//go:noescape
func Gather(out unsafe.Pointer, o int, pieces *Piece, count int) int

// Hash goes on with a hash of n bytes: FNV-1a on eight bytes at a time, whose upper bits are mixed into the lower ones.
//
//go:noescape
func Hash(p unsafe.Pointer, n int, h uint64) uint64

// Find is 1 if eight bytes, the first of which is an underscore, stand in n.
//
//go:noescape
func Find(p unsafe.Pointer, n int, word uint64) int

// Next goes to the next answer to an operation: 1. 0: it is no success which proves that all was done, or something is
// there that is not common. It reads nothing after the end.
//
//go:noescape
func Next(s *Answers) int
