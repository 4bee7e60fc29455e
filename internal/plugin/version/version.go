// Package version compares versions of plugins, and reads the ranges of versions that settings specify.
package version

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Compare orders versions like semantic versioning, but accepts a leading v, any number of parts, and text
// parts, which precede numbers if they are before the first hyphen. It ignores build metadata.
func Compare(a, b string) int {
	a, preA := split(a)
	b, preB := split(b)
	if c := compareParts(a, b, true); c != 0 {
		return c
	}
	switch {
	case preA == preB:
		return 0
	case preA == "":
		return 1 // a release follows its pre-releases
	case preB == "":
		return -1
	}
	return compareParts(preA, preB, false)
}

func split(v string) (core, pre string) {
	v, _, _ = strings.Cut(strings.TrimPrefix(v, "v"), "+")
	core, pre, _ = strings.Cut(v, "-")
	return core, pre
}

// compareParts compares parts between dots. In the core missing parts are zero, and text precedes numbers; in a
// pre-release numbers precede text, and of two that begin alike the shorter one is first.
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

// Range is a set of versions in the order of [Compare]. The zero value contains all versions.
type Range struct {
	Spec      string // as written
	intervals []interval
}

// interval holds the versions between two bounds. An empty bound means no bound.
type interval struct {
	open  string // open is "[" if lower is included, else "("
	lower string
	upper string
	close string // close is "]" if upper is included, else ")"
}

// ParseRange parses the value of a setting that ends in plugin.version as Kafka Connect does (KIP-891): "" and
// "latest" mean all versions, brackets enclose a range of Maven such as [0.1,1.0), and a version without brackets means
// only this version. Errors have Maven's texts.
func ParseRange(spec string) (Range, error) {
	spec = strings.TrimSpace(spec)
	if spec == "" || spec == "latest" {
		return Range{}, nil
	}
	versions := Range{Spec: spec}
	remaining := spec
	if !strings.HasPrefix(spec, "[") && !strings.HasPrefix(spec, "(") {
		remaining = "[" + spec + "]"
	}
	for remaining != "" {
		end := strings.IndexAny(remaining, ")]")
		switch {
		case !strings.HasPrefix(remaining, "[") && !strings.HasPrefix(remaining, "("):
			return Range{}, fmt.Errorf("Only fully-qualified sets allowed in multiple set scenario: %s", spec)
		case end < 0:
			return Range{}, fmt.Errorf("Unbounded range: %s", spec)
		}
		bounds := remaining[:end+1]
		last := len(bounds) - 1
		next := interval{open: bounds[:1], close: bounds[last:]}
		lower, upper, isPair := strings.Cut(bounds[1:last], ",")
		next.lower = strings.TrimSpace(lower)
		next.upper = strings.TrimSpace(upper)
		if !isPair {
			next.upper = next.lower
		}
		isClosed := next.open == "[" && next.close == "]"
		order := Compare(next.lower, next.upper)
		switch {
		case !isPair && (!isClosed || next.lower == ""):
			return Range{}, fmt.Errorf("Single version must be surrounded by []: %s", bounds)
		case next.lower != "" && next.upper != "" && (order > 0 || (order == 0 && !isClosed)):
			return Range{}, fmt.Errorf("Range defies version ordering: %s", bounds)
		}
		if n := len(versions.intervals); n > 0 {
			previous := versions.intervals[n-1].upper
			if previous != "" && (next.lower == "" || Compare(next.lower, previous) < 0) {
				return Range{}, fmt.Errorf("Ranges overlap: %s", spec)
			}
		}
		versions.intervals = append(versions.intervals, next)
		remaining = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(remaining[end+1:]), ","))
	}
	return versions, nil
}

// Only returns the range of one version, which may be any text.
func Only(text string) Range {
	return Range{Spec: text, intervals: []interval{{open: "[", lower: text, upper: text, close: "]"}}}
}

// Contains reports whether a version is in the range. Only the range of all versions contains the empty version.
func (r Range) Contains(version string) bool {
	return len(r.intervals) == 0 || (version != "" && slices.ContainsFunc(r.intervals, func(i interval) bool {
		return i.contains(version)
	}))
}

// contains reports whether a version is in the interval. Build metadata have no order: they are compared only by an
// interval of one version that has them.
func (i interval) contains(version string) bool {
	if i.lower == i.upper && strings.Contains(i.lower, "+") {
		return version == i.lower
	}
	lower := Compare(version, i.lower)
	upper := Compare(version, i.upper)
	return (i.lower == "" || lower > 0 || (lower == 0 && i.open == "[")) &&
		(i.upper == "" || upper < 0 || (upper == 0 && i.close == "]"))
}

// String returns the range as Maven prints it. It is empty for all versions.
func (r Range) String() string {
	var texts []string
	for _, i := range r.intervals {
		texts = append(texts, i.open+i.lower+","+i.upper+i.close)
	}
	return strings.Join(texts, ",")
}
