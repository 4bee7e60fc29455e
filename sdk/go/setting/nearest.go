package setting

import (
	"strings"
)

// Bounds of a search for similar names: returned classes, compared names, compared bytes of a name.
const (
	nearestClasses              = 4
	comparedNames, comparedName = 1000, 100
)

// NearestClasses returns offered classes with similar names, most similar first. Package, `$Key`, `$Value`, case and
// Connector at the end do not count; if classes differ in nothing else, only they are returned.
func NearestClasses(class string, offered []string) (near []string) {
	meant, keyOrValue := simpleName(class)
	if meant == "" {
		return nil
	}
	byDistance := map[int][]string{} // classes by the distance of their names
	for _, o := range offered[:min(len(offered), comparedNames)] {
		name, offeredKeyOrValue := simpleName(o)
		distance := Distance(meant, name)
		if distance > 1 && (strings.Contains(meant, name) || strings.Contains(name, meant)) {
			distance = 1
		}
		if distance <= len(name)/4+1 && (offeredKeyOrValue == keyOrValue || offeredKeyOrValue == "" ||
			keyOrValue == "") {
			byDistance[distance] = append(byDistance[distance], o)
		}
	}
	for distance := range comparedName { // larger ones are not similar
		near = append(near, byDistance[distance]...)
		if distance == 0 && len(near) > 0 {
			break
		}
	}
	return near[:min(len(near), nearestClasses)]
}

func simpleName(class string) (name, keyOrValue string) {
	name, keyOrValue, _ = strings.Cut(class[strings.LastIndexByte(class, '.')+1:], "$")
	if keyOrValue != "Key" && keyOrValue != "Value" {
		keyOrValue = ""
	}
	name = strings.ToLower(strings.TrimRight(name[:min(len(name), comparedName)], "\\"))
	return strings.TrimSuffix(name, "connector"), keyOrValue
}

// NearestName returns the most similar name, "" if none is similar. Case does not count.
func NearestName(name string, names []string) (nearest string) {
	name = strings.ToLower(name[:min(len(name), comparedName)])
	least := len(name)/3 + 2
	for _, n := range names[:min(len(names), comparedNames)] {
		if d := Distance(name, strings.ToLower(n)); d < least {
			least = d
			nearest = n
		}
	}
	return nearest
}
