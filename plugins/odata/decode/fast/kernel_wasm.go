//go:build kernels

package fast

import "unsafe"

// The assembly is generated from kernel.go. It stores pointers to entries in the row without telling the garbage
// collector, which is safe because the entries are also referenced elsewhere.

//go:noescape
func Read(s *Row) int

//go:noescape
func Match(src unsafe.Pointer, program *uint64) int

//go:noescape
func Sort(s *Row, start, columns int) int
