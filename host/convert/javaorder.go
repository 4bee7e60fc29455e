package convert

import (
	"cmp"
	"slices"
	"unicode/utf16"
)

// Schemas of JSON Schema are registered with their names in the order in which Java's hash tables have them: what
// another order makes is another text, and so another version of a subject.

// javaHash is the hash of a text in Java's HashMap.
func javaHash(s string) uint32 {
	var h uint32
	for _, u := range utf16.Encode([]rune(s)) {
		h = 31*h + uint32(u)
	}
	return h ^ h>>16
}

// grownTable is the number of places of a HashMap that began with `from` of them (a power of two) and got n entries one
// by one: it doubles when it is more than three quarters full.
func grownTable(from, n int) int {
	for 4*n > 3*from {
		from *= 2
	}
	return from
}

// copiedTable is the number of places of a HashMap that was made of another one with n entries.
func copiedTable(n int) int {
	places := 1
	for places < n*4/3+1 {
		places *= 2
	}
	return places
}

// inTable puts names into the order in which a HashMap with that many places has them. Those of one place stay in the
// order in which they came.
func inTable(names []string, places int) []string {
	out := slices.Clone(names)
	slices.SortStableFunc(out, func(a, b string) int {
		mask := uint32(places - 1)
		return cmp.Compare(javaHash(a)&mask, javaHash(b)&mask)
	})
	return out
}

// inHashMap is the order of names that were put into an empty HashMap one by one.
func inHashMap(names []string) []string { return inTable(names, grownTable(16, len(names))) }

// inCopy is the order of a copy of that HashMap.
func inCopy(names []string) []string { return inTable(inHashMap(names), copiedTable(len(names))) }

// inJSONObject is the order of a JSONObject of org.json that was made of that HashMap.
func inJSONObject(names []string) []string {
	from := 1
	for from < len(names) {
		from *= 2
	}
	return inTable(inHashMap(names), grownTable(from, len(names)))
}
