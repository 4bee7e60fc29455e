package fast

import "unsafe"

// Assembly made from kernel.go. It stores pointers to entries in the row without telling the garbage collector, which is right
// since the entries are held elsewhere.

// RowJSON reads members of a row of verbose JSON and says why it stopped.
//
//go:noescape
func RowJSON(s *Row) int

// RowAtom reads the properties of an entry and says why it stopped.
//
//go:noescape
func RowAtom(s *Row) int

// Match returns the length of what matches a template, 0 if it does not.
//
//go:noescape
func Match(src unsafe.Pointer, program *uint64) int
