//go:build kernels

package kernel

// Pass, Values and Separated are the functions of kernel.go in assembly, which stores no pointers.

//go:noescape
func Pass(s *Rows) int

//go:noescape
func Values(s *Rows) int

//go:noescape
func Separated(s *Rows) int
