//go:build !wasm || !kernels

package fast

import "unsafe"

// Read reads members of a row and returns the reason why it stopped.
func Read(s *Row) int { return goRead(s) }

// Match returns the length of the text that matches a template, else zero or minus the length that matched.
func Match(src unsafe.Pointer, program *uint64) int { return goMatch(src, program) }

// Sort puts the columns between start and s.O into schema order, with null for missing ones. It returns the end, or -1
// if a required column is missing. The arena needs memory for the row twice.
func Sort(s *Row, start, columns int) int { return goSort(s, start, columns) }
