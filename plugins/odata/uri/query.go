package uri

import "strings"

// Query is what stands in the query of every target of a connector, `name=value&name=value`, also of links of the
// service that lack it; "" is nothing.
type Query string

// AppendTo puts the options into a target's query, after its own. One that the target has already, whatever its value,
// stays as it is.
func (q Query) AppendTo(target string) string {
	if q == "" {
		return target
	}
	path, own, has := strings.Cut(target, "?")
	if !has {
		return target + "?" + string(q)
	}
	for option := range strings.SplitSeq(string(q), "&") {
		name, _, _ := strings.Cut(option, "=")
		if _, given := Option(own, name); given {
			continue
		}
		if own != "" {
			own += "&"
		}
		own += option
	}
	return path + "?" + own
}

// Option finds a query's option by its name, in any case.
func Option(query, name string) (value string, ok bool) {
	for option := range strings.SplitSeq(query, "&") {
		n, v, _ := strings.Cut(option, "=")
		if strings.EqualFold(Unescape(n), name) {
			return Unescape(v), true
		}
	}
	return "", false
}
