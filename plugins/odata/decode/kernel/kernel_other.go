//go:build !wasm || !kernels

package kernel

// Read reads properties and returns the reason why it stopped.
func Read(s *Struct) int { return goRead(s) }

// Sort puts the columns of the current struct into schema order, with null for missing ones. It returns the end, or -1
// if a required column is missing. The arena needs memory for the struct twice.
func Sort(s *Struct) int { return goSort(s) }
