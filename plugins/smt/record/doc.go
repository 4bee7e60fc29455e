// Package record holds a row on its way through the stages ([Record]): topic, key, value and headers ([Part]).
// Invariants: A part keeps the bytes of the call until a stage replaces it.
package record
