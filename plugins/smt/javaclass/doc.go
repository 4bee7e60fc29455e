// Package javaclass returns the Java classes in which Kafka Connect holds values. Messages name them, and MaskField
// depends on them.
package javaclass
