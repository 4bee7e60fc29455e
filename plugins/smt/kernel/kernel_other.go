//go:build !wasm || !kernels

package kernel

// Pass copies rows whose values stay. Topic or schema change.
func Pass(rows *Rows) int { return goPass(rows) }

// Values processes structs of one schema, or maps with the same keys. A program that appends needs separated values.
func Values(rows *Rows) int { return goValues(rows) }

// Separated returns Full if results can be appended in place: the rows do not overlap, with Room after values.
func Separated(rows *Rows) int { return goSeparated(rows) }
