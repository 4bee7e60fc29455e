package odatatest

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// query is the system query options of one request.
type query struct {
	*syntax
	options   []option // all options in their order
	format    string   // json, atom, xml or empty
	filter    string
	orderBy   string
	selected  []string // paths; nil means everything
	expanded  []string // paths
	nested    []nestedQuery
	top       int // -1 means no limit
	skip      int // -1 if the query does not have it
	skipToken string
	count     bool
}

// nestedQuery has the options of an expanded navigation property.
type nestedQuery struct {
	name  string
	query *query
}

func newQuery(s *syntax) *query { return &query{syntax: s, top: -1, skip: -1} }

// option is a query option.
type option struct {
	name  string
	value string
	raw   string // name=value, percent-encoded
}

// parseQuery splits a query string at & only, because real filters contain ; and raw signs; + is a space.
func (s *syntax) parseQuery(raw string) (*query, *fault) {
	q := newQuery(s)
	for item := range strings.SplitSeq(raw, "&") {
		if item == "" {
			continue
		}
		name, argument, _ := strings.Cut(item, "=")
		name, err1 := url.QueryUnescape(name)
		argument, err2 := url.QueryUnescape(argument)
		if err1 != nil || err2 != nil {
			return nil, badRequest("The query option %q is not percent-encoded correctly", item)
		}
		if f := q.add(option{name: name, value: argument, raw: item}); f != nil {
			return nil, f
		}
	}
	return q, nil
}

// add adds an option, which must not be a second one of its name.
func (q *query) add(added option) *fault {
	if strings.HasPrefix(added.name, "$") && slices.ContainsFunc(q.options,
		func(o option) bool { return o.name == added.name }) {
		return badRequest("Query option '%s' was specified more than once, but it must be "+
			"specified at most once.", added.name)
	}
	q.options = append(q.options, added)
	return q.set(added.name, added.value)
}

// set parses a system query option. It ignores options without $.
func (q *query) set(name, argument string) *fault {
	var err error
	switch name {
	case "$format":
		q.format = argument
		if !q.formats.MatchString(argument) {
			return &fault{status: 415, message: fmt.Sprintf("Unsupported $format '%s'", argument)}
		}
	case "$filter":
		q.filter = argument
	case "$orderby":
		q.orderBy = argument
	case "$select":
		q.selected = splitPaths(argument)
	case "$expand":
		return q.setExpand(q, argument)
	case "$top":
		q.top, err = parseNatural(argument)
	case "$skip":
		q.skip, err = parseNatural(argument)
	case "$skiptoken":
		q.skipToken = argument
	case q.countOption:
		if !slices.Contains(q.countValues[:], argument) {
			return badRequest("Invalid value '%s' for %s query option. Valid values are '%s' and '%s'", argument, name,
				q.countValues[0], q.countValues[1])
		}
		q.count = argument == q.countValues[0]
	case q.deltaToken:
		// serveFeed reads it
	default:
		if strings.HasPrefix(name, "$") {
			return badRequest("The query parameter '%s' begins with a system-reserved '$' "+
				"character but is not recognized.", name)
		}
	}
	if err != nil {
		return badRequest("Incorrect format for %s argument '%s'.", name, argument)
	}
	return nil
}

func parseNatural(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err
}

func splitPaths(text string) []string {
	p := []string{}
	for path := range strings.SplitSeq(text, ",") {
		if path = strings.TrimSpace(path); path != "" {
			p = append(p, path)
		}
	}
	return p
}

// pathsBelow returns the paths below a navigation property. found reports whether any path starts with it.
func pathsBelow(paths []string, name string) (found bool, remaining []string) {
	for _, path := range paths {
		first, tail, deeper := strings.Cut(path, "/")
		if first != name {
			continue
		}
		found = true
		if deeper {
			remaining = append(remaining, tail)
		}
	}
	return found, remaining
}

// follow returns the query string of the next link: the request's, without paging, and the token.
func (q *query) follow(remaining int, token string) string {
	var b strings.Builder
	for _, o := range q.options {
		switch o.name {
		case "$skiptoken", "$skip":
			continue
		case "$top":
			fmt.Fprintf(&b, "$top=%d&", remaining)
			continue
		}
		b.WriteString(o.raw)
		b.WriteByte('&')
	}
	b.WriteString("$skiptoken=")
	b.WriteString(token)
	return b.String()
}

// order is one term of $orderby.
type order struct {
	property   int
	descending bool
}

func parseOrder(text string, typ *entityType) ([]order, *fault) {
	var terms []order
	for _, term := range splitPaths(text) {
		words := strings.Fields(term)
		i := typ.property(words[0])
		if i < 0 {
			return nil, badRequest("No property '%s' exists in type '%s' at position 0.", words[0], typ.name)
		}
		if typ.properties[i].complex != nil || len(words) > 2 || (len(words) == 2 && words[1] != "asc" &&
			words[1] != "desc") {
			return nil, badRequest("Syntax error in $orderby '%s'.", text)
		}
		terms = append(terms, order{property: i, descending: len(words) == 2 && words[1] == "desc"})
	}
	return terms, nil
}

// isKeyOrder reports whether the terms are a prefix of the key, ascending: the order of the rows.
func isKeyOrder(terms []order, typ *entityType) bool {
	for i, t := range terms {
		if i >= typ.keys {
			return true
		}
		if t.property != i || t.descending {
			return false
		}
	}
	return true
}

// withoutIgnored returns a query string without the ignored options.
func withoutIgnored(raw, ignored string) string {
	if ignored == "" {
		return raw
	}
	names := splitPaths(ignored)
	var kept []string
	for item := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(item, "=")
		if name, err := url.QueryUnescape(name); err != nil || !slices.Contains(names, name) {
			kept = append(kept, item)
		}
	}
	return strings.Join(kept, "&")
}
