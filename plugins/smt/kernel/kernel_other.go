//go:build !wasm

package kernel

// Pass does rows whose values stay as they are: what changes is the topic, or the schema.
func Pass(s *Rows) int { return goPass(s) }

// Structures does rows whose values are structures of one schema, and says why it stopped.
func Structures(s *Rows) int { return goStructures(s) }

// Maps does rows whose values are maps of the same names, and says why it stopped.
func Maps(s *Rows) int { return goMaps(s) }
