//go:build !amd64

package json

// vectors says that plainBlocks can be called.
var vectors = false

func plainBlocks([]byte) int { panic("no such instructions") }
