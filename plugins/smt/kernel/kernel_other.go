//go:build !wasm || !kernels

package kernel

// Pass copies rows whose values stay. Topic or schema change.
func Pass(s *Rows) int { return goPass(s) }

// Values processes structs of one schema, or maps with the same keys. A program that appends needs separated values.
func Values(s *Rows) int { return goValues(s) }

// Separated returns Full if results can be appended in place: the rows do not overlap, with Room after values.
func Separated(s *Rows) int { return goSeparated(s) }
