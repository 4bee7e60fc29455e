// Package batch holds the rows of a call ([Input]) and its result ([Output]).
// Invariants: Rows of the result are in the order of the input. A row that fails leaves nothing in the result.
package batch
