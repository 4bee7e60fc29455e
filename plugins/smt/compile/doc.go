// Package compile turns a traced object into a [Program] of package kernel.
// Invariants: a program has the result of the interpreter, or does not match the row. It never fails a row.
package compile
