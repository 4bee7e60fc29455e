// Package schemas keeps the schemas that a plugin instance knows ([Registry]) and what was compiled for them ([Cache]).
// Invariants: a number is never used for two schemas. After [Registry.Forget], all caches must be emptied.
package schemas
