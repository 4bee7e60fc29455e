//go:build !linux && !darwin

package code

import "github.com/tetratelabs/wazero/experimental"

// allocateMemory is the engine's hook.
func allocateMemory(_, maximum uint64) experimental.LinearMemory {
	return &heapMemory{maximum: maximum}
}
