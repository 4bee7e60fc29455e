//go:build !wasm || !kernels

package kernel

// Pass copies rows whose values keep their bytes. The topic or the schema may change.
func Pass(rows *Rows) int { return goPass(rows) }

// Values processes structs of one schema, or maps with the same keys. A program that appends needs separated values.
func Values(rows *Rows) int { return goValues(rows) }

// Separated returns 1 if results can be appended in place (rows do not overlap, Room follows each value), else 0.
func Separated(rows *Rows) int { return goSeparated(rows) }
