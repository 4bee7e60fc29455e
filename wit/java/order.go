package java

import (
	"cmp"
	"slices"
	"unicode/utf16"
)

// This file is the order in which Java's hash tables have texts. What depends on it: which of two fields with one name
// ReplaceField takes, the names in schemas of JSON Schema that are registered, the fields of an offset's key.

// Hash is the hash of a text in Java's HashMap.
func Hash(s string) uint32 {
	var h uint32
	for _, r := range s {
		if high, low := utf16.EncodeRune(r); high != '\uFFFD' {
			h, r = 31*h+uint32(high), low
		}
		h = 31*h + uint32(r)
	}
	return h ^ h>>16
}

// GrownTableSize is the number of places of a HashMap that began with `from` of them (a power of two) and got n entries
// one by one: it doubles when it is more than three quarters full.
func GrownTableSize(from, n int) int {
	for 4*n > 3*from {
		from *= 2
	}
	return from
}

// initialTableSize is how many places an empty HashMap makes for its first entry.
const initialTableSize = 16

// CopiedTableSize is the number of places of a HashMap that was made of another one with n entries. A HashSet that is
// made of a list has as many, at least 16.
func CopiedTableSize(n int) int {
	places := 1
	for places < n*4/3+1 {
		places *= 2
	}
	return places
}

// SortByBucket is a list in the order in which a HashMap with that many places has it by its names. Items of one place
// stay in the order in which they came.
func SortByBucket[T any](list []T, name func(T) string, places int) []T {
	mask := uint32(places - 1)
	return slices.SortedStableFunc(slices.Values(list), func(a, b T) int {
		return cmp.Compare(Hash(name(a))&mask, Hash(name(b))&mask)
	})
}

// HashMapOrder is a list in the order of its names in a HashMap that was empty and got them one by one.
func HashMapOrder[T any](list []T, name func(T) string) []T {
	return SortByBucket(list, name, GrownTableSize(initialTableSize, len(list)))
}

// HashSetOrder is a list of texts in the order of a HashSet that was made of it.
func HashSetOrder(list []string) []string {
	return SortByBucket(list, Identity, max(initialTableSize, CopiedTableSize(len(list))))
}

// Identity is the name of a text.
func Identity(s string) string { return s }
