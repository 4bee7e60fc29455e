// Package binary reads a plugin's module file without running or compiling it: is it a core module, and does it export
// what the contract requires? It also prepares modules for package meter.
//
// - module.go: imports, exports and memory of a core module ([Read]).
// - contract.go: the contract's functions ([Module.CheckContract], [CheckSignatures]).
// - start.go, segments.go: [Normalize], the form that package meter gets. It means the same to the engine.
package binary
