// Package javaclass returns the Java classes in which Kafka Connect holds values. Messages name them, and MaskField
// goes by them.
// Invariants: The tables follow the order of [wit.Kind] and of the tags in wit/connectdata.
package javaclass
