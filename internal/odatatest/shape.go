package odatatest

import (
	"io"
	"slices"
	"strings"
	"time"
)

// shape is the part of an entity type that a response contains: the effect of $select and $expand.
type shape struct {
	table   *table
	columns []int         // indexes of properties
	links   []*navigation // deferred
	expand  []expansion
	// Names of the columns, encoded once for each request.
	jsonNames [][]byte
	atomNames [][]byte
}

type expansion struct {
	navigation *navigation
	shape      *shape
	// rows has no source. The links of inner pages repeat its query.
	rows *selection
}

func newShape(t *table, selected, expanded []string) (*shape, *fault) {
	s := &shape{table: t}
	everything := selected == nil || slices.Contains(selected, "*")
	for i := range t.typ.properties {
		if everything || slices.Contains(selected, t.typ.properties[i].name) {
			s.columns = append(s.columns, i)
		}
	}
	for _, path := range selected {
		first, _, hasRest := strings.Cut(path, "/")
		isKnown := first == "*" || t.typ.navigation(first) != nil || (!hasRest && t.typ.property(first) >= 0)
		if !isKnown {
			return nil, badRequest("Syntax error: could not find a property named '%s' on type '%s'.", first,
				t.typ.name)
		}
	}
	for _, n := range t.typ.navigations {
		inSelect, innerSelect := pathsBelow(selected, n.name)
		isExpanded, innerExpand := pathsBelow(expanded, n.name)
		switch {
		case selected != nil && !inSelect && !everything:
			// neither expanded nor linked
		case isExpanded && (selected == nil || inSelect):
			inner, f := newShape(n.target, innerSelect, innerExpand)
			if f != nil {
				return nil, f
			}
			s.expand = append(s.expand, expansion{navigation: n, shape: inner,
				rows: &selection{isKeyOrder: true, query: pathQuery(innerSelect, innerExpand)}})
		case !isExpanded || selected == nil || everything:
			s.links = append(s.links, n)
		}
	}
	for _, path := range expanded {
		if first, _, _ := strings.Cut(path, "/"); t.typ.navigation(first) == nil {
			return nil, badRequest("Invalid $expand: no navigation property '%s' in type '%s'.", first, t.typ.name)
		}
	}
	return s, nil
}

// pathQuery returns a query for links, with $select and $expand of paths. An option without paths is left out.
func pathQuery(selected, expanded []string) *query {
	q := newQuery(nil)
	if selected != nil {
		q.options = append(q.options, option{name: "$select", raw: "$select=" + strings.Join(selected, ",")})
	}
	if expanded != nil {
		q.options = append(q.options, option{name: "$expand", raw: "$expand=" + strings.Join(expanded, ",")})
	}
	return q
}

// tombstone reports an entity that was deleted, or no longer meets the filter.
type tombstone struct {
	local  string // the address relative to the service
	when   time.Time
	reason string // deleted or changed
}

// encoder writes a response in one format. Rows are streamed: a full buffer is sent at once.
type encoder interface {
	// beginFeed opens a feed; count is -1 if it was not requested.
	beginFeed(s *shape, path string, count int)
	writeEntity(s *shape, r *row)
	writeTombstone(t *tombstone)
	// endFeed closes the feed; next is the link to the following page, delta the link to later changes. Both may be
	// empty.
	endFeed(next, delta string)
	// writeSingle writes one entity as a document.
	writeSingle(s *shape, r *row)
	flush() error
}

// output collects bytes and writes them in large pieces.
type output struct {
	b   []byte
	to  io.Writer
	err error // the first error of to; later pieces are dropped
}

const pieceSize = 32 << 10

func (o *output) add(parts ...string) {
	for _, p := range parts {
		o.b = append(o.b, p...)
	}
}

// flushPiece writes the bytes if they are enough for a piece.
func (o *output) flushPiece() {
	if len(o.b) >= pieceSize {
		o.flush()
	}
}

// flush writes all bytes, and returns the first error so far.
func (o *output) flush() error {
	if o.err == nil {
		_, o.err = o.to.Write(o.b)
	}
	o.b = o.b[:0]
	return o.err
}
