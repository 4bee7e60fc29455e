//go:build wasip1

package main

import "runtime"

// mallocs returns the number of objects that were allocated so far.
func mallocs() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Mallocs
}
