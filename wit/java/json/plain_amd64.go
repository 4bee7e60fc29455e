package json

import "golang.org/x/sys/cpu"

// vectors says that plainBlocks can be called: of the machine's own instructions it needs AVX2, which all x86 servers
// of the last ten years have. A variable for the sake of the test of the other way.
var vectors = cpu.X86.HasAVX2

// plainBlocks is Plain of at least plainBlock bytes, which it looks at 32 at once.
//
//go:noescape
func plainBlocks(s []byte) int
