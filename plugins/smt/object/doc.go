// Package object splits a key or value into fields ([Object], [Field]), which transforms change, and encodes the
// result. Invariants: values stay encoded, and an [Edit] replaces them. A field always knows the source of its value,
// so that package compile can make a program of a traced object.
package object
