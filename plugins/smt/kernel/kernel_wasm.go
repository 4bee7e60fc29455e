//go:build kernels

package kernel

// Pass, Values and Separated are the functions of kernel.go in assembly, which stores no pointers.

//go:noescape
func Pass(rows *Rows) int

//go:noescape
func Values(rows *Rows) int

//go:noescape
func Separated(rows *Rows) int
