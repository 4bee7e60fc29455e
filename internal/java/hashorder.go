package java

import (
	"cmp"
	"slices"
	"unicode/utf16"
)

// Hash returns the hash of a string in a Java HashMap. The iteration order of Java's hash tables decides which of two
// fields with one name ReplaceField uses, the names in registered JSON schemas, and the order of fields in the key of
// an offset.
func Hash(s string) uint32 {
	var h uint32
	for _, r := range s {
		if high, low := utf16.EncodeRune(r); high != '\uFFFD' {
			h = 31*h + uint32(high)
			r = low
		}
		h = 31*h + uint32(r)
	}
	return h ^ h>>16
}

// GrownTableSize returns the table size of a HashMap with an initial size, a power of two, after n insertions. It
// doubles when it is more than three quarters full.
func GrownTableSize(size, n int) int {
	for 4*n > 3*size {
		size *= 2
	}
	return size
}

// initialTableSize is the table size of a HashMap after its first insertion.
const initialTableSize = 16

// CopiedTableSize returns the table size of a HashMap that was copied from a map with n entries. The table of a
// HashSet that was copied from a list has the same size, but at least 16.
func CopiedTableSize(n int) int {
	tableSize := 1
	for tableSize < n*4/3+1 { // Java computes n/0.75+1
		tableSize *= 2
	}
	return tableSize
}

// SortByBucket returns a list in the iteration order of a HashMap with a table size, which keeps the order in buckets.
func SortByBucket[T any](list []T, name func(T) string, tableSize int) []T {
	mask := uint32(tableSize - 1)
	return slices.SortedStableFunc(slices.Values(list), func(a, b T) int {
		return cmp.Compare(Hash(name(a))&mask, Hash(name(b))&mask)
	})
}

// HashMapOrder returns a list in the iteration order of a HashMap into which its names were inserted one by one.
func HashMapOrder[T any](list []T, name func(T) string) []T {
	return SortByBucket(list, name, GrownTableSize(initialTableSize, len(list)))
}

// HashSetOrder returns strings in the iteration order of a HashSet that was copied from them.
func HashSetOrder(list []string) []string {
	return SortByBucket(list, Identity, max(initialTableSize, CopiedTableSize(len(list))))
}

// Identity returns its argument. It is a name function for lists of strings.
func Identity(s string) string { return s }
