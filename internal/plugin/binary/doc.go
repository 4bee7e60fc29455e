// Package binary says what can be read off a plugin's file, and rewrites what the engine would be slow at: whether it
// is a core module, whether it exports what the contract asks for, and its form before it is metered.
//
//   - module.go: imports, exports and memory of a core module ([Read]).
//   - contract.go: the contract's functions, and how a module keeps to it ([Module.Judge], [JudgeSignatures]).
//   - start.go, segments.go: [Shaped], the form that package meter gets.
//
// Invariants: nothing here runs or compiles a module. What is rewritten means the same to the engine, or stays as it
// was. Each byte is read a fixed number of times.
package binary
