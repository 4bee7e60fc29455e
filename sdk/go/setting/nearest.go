package setting

import "strings"

// Bounds of a search for similar names.
const (
	nearestClasses   = 4     // returned classes
	comparedNames    = 1_000 // names that are compared
	comparedBytes    = 100   // bytes of a name that are compared
	similarDistances = 100   // distances of similar names are smaller: at most a quarter of a name and one
)

// NearestClasses returns offered classes with similar names, most similar first. Package, case and Connector at the end
// do not count. A missing `$Key` or `$Value` matches either, but `$Key` does not match `$Value`. If classes differ in
// nothing else, only they are returned.
func NearestClasses(class string, offered []string) (classes []string) {
	simple, keyOrValue := simpleName(class)
	if simple == "" {
		return nil
	}
	byDistance := map[int][]string{} // classes by the distance of their names
	for _, o := range offered[:min(len(offered), comparedNames)] {
		name, offeredKeyOrValue := simpleName(o)
		distance := Distance(simple, name)
		if distance > 1 && (strings.Contains(simple, name) || strings.Contains(name, simple)) {
			distance = 1
		}
		partsMatch := offeredKeyOrValue == keyOrValue || offeredKeyOrValue == "" || keyOrValue == ""
		if name != "" && partsMatch && distance <= len(name)/4+1 {
			byDistance[distance] = append(byDistance[distance], o)
		}
	}
	for distance := range similarDistances {
		classes = append(classes, byDistance[distance]...)
		if distance == 0 && len(classes) > 0 {
			break
		}
	}
	return classes[:min(len(classes), nearestClasses)]
}

// simpleName returns a class in lower case without package and Connector. keyOrValue is Key, Value or "".
func simpleName(class string) (name, keyOrValue string) {
	name, keyOrValue, _ = strings.Cut(class[strings.LastIndexByte(class, '.')+1:], "$")
	if keyOrValue != "Key" && keyOrValue != "Value" {
		keyOrValue = ""
	}
	name = strings.TrimRight(name[:min(len(name), comparedBytes)], "\\") // users escape the $ for shells: `\$Key`
	return strings.TrimSuffix(strings.ToLower(name), "connector"), keyOrValue
}

// NearestName returns the most similar name, "" if none is similar. Case does not count.
func NearestName(name string, names []string) (nearest string) {
	name = strings.ToLower(name[:min(len(name), comparedBytes)])
	bound := len(name)/3 + 2 // similar names differ in fewer letters
	for _, n := range names[:min(len(names), comparedNames)] {
		if d := Distance(name, strings.ToLower(n[:min(len(n), comparedBytes)])); d < bound {
			bound = d
			nearest = n
		}
	}
	return nearest
}
