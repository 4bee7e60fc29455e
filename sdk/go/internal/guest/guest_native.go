//go:build !wasip1

package guest

import "github.com/culvert-project/culvert/wit"

// Outside a guest there is no linear memory. Tests set these functions.
var (
	// address returns the address of memory.
	address func([]byte) uint32
	// View returns the memory at an address.
	View func(ptr, size uint32) []byte
)

// Log does nothing outside a host.
func Log(wit.Level, string) {}
