// Package sampling keeps rows of connectors as they came and shows what each transform makes of them. The tasks go on
// as ever: what a transform makes of a row is computed again, on instances of its own.
//
// Where to look:
//
//   - sampler.go: samples, from being asked for to being forgotten. rows.go: rows copied from tasks.
//   - steps.go: rows through each beginning of a chain, by the runner of package chaintest. text.go: rows as bounded
//     JSON. file.go: rows as a file of tests.
//
// Invariants: a sample holds at most [maxRowBytes] of rows and [maxTextBytes] of texts, and nothing of it outlives
// [lifetime]. Rows are neither logged nor written to a disk.
package sampling
