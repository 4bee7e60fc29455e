package plugin

import (
	"cmp"
	"strconv"
	"strings"
)

// CompareVersions orders versions like semantic versioning, but accepts a leading v, any number of parts, and text
// parts, which precede numbers if they are before the first hyphen. It ignores build metadata.
func CompareVersions(a, b string) int {
	a, preA := splitVersion(a)
	b, preB := splitVersion(b)
	const isCore = true
	if c := compareParts(a, b, isCore); c != 0 {
		return c
	}
	switch {
	case preA == preB:
		return 0
	case preA == "":
		return 1
	case preB == "":
		return -1
	}
	return compareParts(preA, preB, !isCore)
}

func splitVersion(v string) (core, pre string) {
	v, _, _ = strings.Cut(strings.TrimPrefix(v, "v"), "+")
	core, pre, _ = strings.Cut(v, "-")
	return core, pre
}

// compareParts compares parts between dots: in the core missing parts are zero, and text precedes numbers.
func compareParts(a, b string, isCore bool) int {
	as := strings.Split(a, ".")
	bs := strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if !isCore && (i >= len(as) || i >= len(bs)) {
			return cmp.Compare(len(as), len(bs))
		}
		if c := comparePart(part(as, i), part(bs, i), isCore); c != 0 {
			return c
		}
	}
	return 0
}

func part(parts []string, i int) string {
	if i < len(parts) {
		return parts[i]
	}
	return "0"
}

func comparePart(a, b string, textFirst bool) int {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	switch {
	case errX == nil && errY == nil:
		return cmp.Compare(x, y)
	case errX == nil || errY == nil:
		if textFirst == (errX == nil) {
			return 1
		}
		return -1
	}
	return strings.Compare(a, b)
}

// isNewer compares versions; of equal ones the module that was loaded later is newer.
func (m *module) isNewer(other *module) bool {
	return cmp.Or(CompareVersions(m.info.Version, other.info.Version), cmp.Compare(m.order, other.order)) > 0
}
