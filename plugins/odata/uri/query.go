package uri

import "strings"

// Query is appended to every target of a connector, also to links of the service: `name=value&name=value`. It may be
// empty.
type Query string

// AppendTo appends the options that the target does not have with any value.
func (q Query) AppendTo(target string) string {
	if q == "" {
		return target
	}
	path, query, hasQuery := strings.Cut(target, "?")
	if !hasQuery {
		return target + "?" + string(q)
	}
	for option := range strings.SplitSeq(string(q), "&") {
		name, _, _ := strings.Cut(option, "=")
		if _, exists := Option(query, name); exists {
			continue
		}
		if query != "" {
			query += "&"
		}
		query += option
	}
	return path + "?" + query
}

// Option returns a query option by its name, in any case.
func Option(query, name string) (value string, ok bool) {
	for option := range strings.SplitSeq(query, "&") {
		if n, v, _ := strings.Cut(option, "="); strings.EqualFold(Unescape(n), name) {
			return Unescape(v), true
		}
	}
	return "", false
}
