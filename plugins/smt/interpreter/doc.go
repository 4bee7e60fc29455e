// Package interpreter sends records through the stages of a chain, one at a time, as Kafka Connect does
// ([Interpreter]). Invariants: it is the reference for package fastpath, and the only code that fails rows.
package interpreter
