// Package fastpath sends rows of the same kind through compiled programs ([Runner]). It traces a row that the
// interpreter has handled and compiles a program for rows like it, per topic ([Routes]) and schema, or per sequence of
// map keys. Invariants: it processes a row as the interpreter does, or not at all.
package fastpath
