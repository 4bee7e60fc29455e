// Package compile turns a traced object into a [Program] that package kernel runs.
// Invariants: a program has the result of the interpreter, or does not match the row. It never fails a row.
package compile
