package kernel

// Assembly made from kernel.go. It stores no pointers.

// Pass does rows whose values stay as they are: what changes is the topic, or the schema.
//
//go:noescape
func Pass(s *Rows) int

// Structures does rows whose values are structures of one schema, and says why it stopped.
//
//go:noescape
func Structures(s *Rows) int

// Maps does rows whose values are maps of the same names, and says why it stopped.
//
//go:noescape
func Maps(s *Rows) int
