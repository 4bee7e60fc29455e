//go:build !linux

package code

import "github.com/tetratelabs/wazero/experimental"

// image would be what all instances of a module share: here each has its own.
type image struct{}

func (*image) share(experimental.LinearMemory, int) error { return nil }
func (*image) close()                                     {}
