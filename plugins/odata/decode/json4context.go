package decode

import "strings"

// checkSet records the set in the context of an item unless it is the set of the page: in changes of OData 4.0,
// expanded entities are items, too, whose rows are not known.
func (j *JSON4) checkSet(context string) {
	if base := j.page.Next.Base; j.pageContext != base {
		j.pageContext = base
		j.pageSet = setOf(base)
	}
	if set := setOf(context); set != "" && j.pageSet != "" && set != j.pageSet {
		j.item.otherSet = set
	}
}

// setOf returns the name of the set in a context such as `$metadata#Orders(7)/Items(Pos)/N.Type/$entity`, or "".
func setOf(context string) (set string) {
	_, fragment, _ := strings.Cut(context, "#")
	depth := 0
	isQuoted := false
	var path []byte // without keys and selected properties, which are in parentheses
	for i := range len(fragment) {
		switch c := fragment[i]; {
		case c == '\'':
			isQuoted = !isQuoted
		case isQuoted:
			// a parenthesis in a key
		case c == '(':
			depth++
		case c == ')':
			depth--
		case depth == 0:
			path = append(path, c)
		}
	}
	for name := range strings.SplitSeq(string(path), "/") {
		if name != "" && name != "Collection" && !strings.ContainsAny(name, ".$") {
			set = name
		}
	}
	return set
}

// lastSegment returns what follows the last slash or number sign of a context, `$entity` or `Products`.
func lastSegment(context string) string {
	return context[strings.LastIndexAny(context, "/#")+1:]
}
