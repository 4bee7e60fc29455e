// Package batch holds the rows of a call ([Input]) and its result ([Output]), in the order of the input.
package batch
