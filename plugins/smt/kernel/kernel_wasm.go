//go:build kernels

package kernel

// Pass, Values and Separated are the functions of kernel.go in assembly. They store no pointers to Go memory.

//go:noescape
func Pass(rows *Rows) int

//go:noescape
func Values(rows *Rows) int

//go:noescape
func Separated(rows *Rows) int
