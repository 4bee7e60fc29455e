// Package sampling keeps rows of connectors in memory and shows what each transform does with them. The tasks are not
// affected: the transforms run again on their own instances.
//
// A [Sampler] receives rows from the tasks by a [task.Observer] (sampler.go, rows.go), runs each prefix of the chain of
// transforms with package chaintest (steps.go) and renders rows as bounded JSON (text.go) or as a test file (file.go).
//
// Invariants: a sample holds at most maxRowBytes of rows and maxTextBytes of text, and expires after lifetime. Rows are
// neither logged nor written to disk.
package sampling
