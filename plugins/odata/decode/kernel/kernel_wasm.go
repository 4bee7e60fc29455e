//go:build kernels

package kernel

// The assembly is generated from the files of this package. It stores pointers to properties in the struct without the
// write barriers of the garbage collector, which is safe because the properties are also referenced elsewhere.

//go:noescape
func Read(s *Struct) int

//go:noescape
func Sort(s *Struct) int
