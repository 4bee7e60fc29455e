//go:build kernels

package kernel

// Assembly made from kernel.go. It stores no pointers.

// Pass does rows whose values stay as they are: what changes is the topic, or the schema.
//
//go:noescape
func Pass(s *Rows) int

// Values does rows whose values are structures of one schema, or maps of the same names, and says why it stopped. Where
// the program appends, it writes after the values, which are apart.
//
//go:noescape
func Values(s *Rows) int

// Apart tells, by Full, whether the data of the rows lie one after the other, with Room after each value, so that
// what a program appends to a value can be written after it.
//
//go:noescape
func Apart(s *Rows) int
