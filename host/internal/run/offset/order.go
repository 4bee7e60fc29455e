package offset

import (
	"slices"
	"unicode/utf16"

	"github.com/culvert-project/culvert/wit"
)

// inOrderOfJava is a partition with its fields in the order in which Java's HashMap has their names. A Connect worker
// that shows or resets offsets over REST reads each key into a HashMap, and looks it up by the bytes that this map is
// written as: it finds only what stands in this order. (Apache Kafka 4.3.1 answers null for other orders; TestRealKafka
// asks it.)
func inOrderOfJava(partition []wit.Field) []wit.Field {
	// A HashMap doubles its 16 buckets when more than three quarters as many entries are in it.
	buckets := uint32(16)
	for uint32(len(partition)) > buckets/4*3 {
		buckets *= 2
	}
	sorted := slices.Clone(partition)
	slices.SortStableFunc(sorted, func(a, b wit.Field) int {
		return int(bucketOfJava(a.Name)&(buckets-1)) - int(bucketOfJava(b.Name)&(buckets-1))
	})
	return sorted
}

// bucketOfJava is HashMap.hash of String.hashCode.
func bucketOfJava(name string) uint32 {
	var h uint32
	for _, unit := range utf16.Encode([]rune(name)) {
		h = 31*h + uint32(unit)
	}
	return h ^ h>>16
}
