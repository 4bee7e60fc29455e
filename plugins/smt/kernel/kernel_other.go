//go:build !wasm || !kernels

package kernel

// Pass does rows whose values stay as they are: what changes is the topic, or the schema.
func Pass(s *Rows) int { return goPass(s) }

// Values does rows whose values are structures of one schema, or maps of the same names, and says why it stopped. Where
// the program appends, it writes after the values, which are apart.
func Values(s *Rows) int { return goValues(s) }

// Apart tells, by Full, whether the data of the rows lie one after the other, with Room after each value, so that
// what a program appends to a value can be written after it.
func Apart(s *Rows) int { return goApart(s) }
