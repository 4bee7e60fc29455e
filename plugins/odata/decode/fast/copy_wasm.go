package fast

import "unsafe"

// Copy is copyGo.
func Copy(dst, src unsafe.Pointer, s *Stops) (n int, ascii uint64) { return copyGo(dst, src, s) }

// Scan is scanGo.
func Scan(src unsafe.Pointer, s *Stops) int { return scanGo(src, s) }

// Match is matchGo.
func Match(src unsafe.Pointer, program *uint64) int { return matchGo(src, program) }
