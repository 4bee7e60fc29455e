//go:build !wasm || stock

package encode

import "unsafe"

// Members writes the fields of a row, and says why it stopped.
func Members(s *Object) int { return goMembers(s) }

// Gather writes pieces one after another at out+o and returns the place after them.
func Gather(out unsafe.Pointer, o int, pieces *Piece, count int) int {
	return goGather(out, o, pieces, count)
}

// Hash goes on with a hash of n bytes: FNV-1a on eight bytes at a time, whose upper bits are mixed into the lower ones.
func Hash(p unsafe.Pointer, n int, h uint64) uint64 { return goHash(p, n, h) }

// Find is 1 if eight bytes, the first of which is an underscore, stand in n.
func Find(p unsafe.Pointer, n int, word uint64) int { return goFind(p, n, word) }

// Next goes to the next answer to an operation: 1. 0: it is no success which proves that all was done, or something is
// there that is not common. It reads nothing after the end.
func Next(s *Answers) int { return goNext(s) }
