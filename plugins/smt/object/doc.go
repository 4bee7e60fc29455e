// Package object splits a struct or map into fields ([Object], [Field]) that transforms change, and puts the result
// together.
// Invariants: Values stay encoded; an [Edit] replaces them. A field always knows the source of its value, so that
// package compile can make a program of a traced object.
package object
