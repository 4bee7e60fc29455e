package offset

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/json"
)

// identity names a partition so that equal ones have equal names: whatever the order of the fields (Java's maps have
// their own), and 1 equal to 1.0.
func identity(connector string, partition []wit.Field) string {
	sorted := slices.Clone(partition)
	slices.SortFunc(sorted, func(a, b wit.Field) int { return strings.Compare(a.Name, b.Name) })
	name := json.AppendString(nil, connector)
	for _, f := range sorted {
		name = append(name, ' ')
		name = json.AppendString(name, f.Name)
		name = append(name, ':')
		name = appendIdentity(name, f.Value)
	}
	return string(name)
}

func appendIdentity(name []byte, s wit.Scalar) []byte {
	if x := s.Real; x != nil && *x == math.Trunc(*x) && math.Abs(*x) < 1<<63 {
		return strconv.AppendInt(name, int64(*x), 10)
	}
	return appendScalar(name, s)
}

// Identity is a text that is equal for partitions with the same fields and values, in any order.
func Identity(partition []wit.Field) string { return identity("", partition) }
