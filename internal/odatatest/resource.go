package odatatest

import (
	"net/http"
	"slices"
	"strings"
)

// serveBelow answers for a path below the entity r.
func (ex *exchange) serveBelow(t *table, r *row, segments []string) *fault {
	if len(segments) == 0 {
		return ex.serveEntity(t, slices.Clone(r.key(t.typ)), r)
	}
	name, predicate := splitKey(segments[0])
	n := t.typ.navigation(name)
	if n == nil {
		return notFound(segments[0])
	}
	path := string(ex.appendLocal(nil, t, r)) + "/" + n.name
	if !n.many {
		target := n.principalRow(r)
		if target == nil {
			return notFound(segments[0])
		}
		return ex.serveBelow(n.target, target, segments[1:])
	}
	if predicate != "" {
		return notFound(segments[0])
	}
	return ex.serveCollection(source{table: n.target, navigation: n, parent: r, path: path}, segments[1:])
}

// splitKey splits Orders(10248) into Orders and 10248; the predicate is empty without parentheses.
func splitKey(segment string) (name, predicate string) {
	name, suffix, hasKey := strings.Cut(segment, "(")
	if !hasKey || !strings.HasSuffix(suffix, ")") {
		return segment, ""
	}
	return name, strings.TrimSuffix(suffix, ")")
}

// parseKey reads a key predicate: one literal, or Name=literal separated by commas, in any order.
func (s *syntax) parseKey(typ *entityType, predicate string) ([]value, *fault) {
	invalid := badRequest("Bad Request - Error in the key predicate '(%s)' of type '%s'.", predicate, typ.name)
	l, err := s.newLexer(predicate)
	if err != nil {
		return nil, invalid
	}
	key := make([]value, typ.keys)
	var properties []int
	for {
		i := len(properties)
		if l.token.name != "" {
			i = typ.property(l.token.name)
			if l.next() != nil || l.token.sign != '=' || l.next() != nil {
				return nil, invalid
			}
		} else if typ.keys > 1 {
			return nil, invalid
		}
		if i < 0 || i >= typ.keys || slices.Contains(properties, i) || l.token.literal == nil || l.token.literal.null {
			return nil, invalid
		}
		v, ok := coerce(l.token.literal, typ.properties[i].kind)
		if !ok {
			return nil, invalid
		}
		key[i] = *v
		properties = append(properties, i)
		if l.next() != nil {
			return nil, invalid
		}
		if l.token.end && len(properties) == typ.keys {
			return key, nil
		}
		if l.token.sign != ',' || l.next() != nil {
			return nil, invalid
		}
	}
}

// principalRow returns the row to which a child's foreign key refers, or nil.
func (n *navigation) principalRow(child *row) *row {
	key := make([]value, len(n.association.foreign))
	for i, f := range n.association.foreign {
		if key[i] = child.values[f]; key[i].null {
			return nil
		}
	}
	return n.target.find(key)
}

// isRelated reports whether child belongs to parent.
func (n *navigation) isRelated(parent, child *row) bool {
	for i, f := range n.association.foreign {
		if v := &child.values[f]; v.null || mustCompare(v, &parent.values[i]) != 0 {
			return false
		}
	}
	return true
}

// rows returns a cursor over the rows that may belong to parent.
func (n *navigation) rows(parent *row) *cursor {
	c := n.target.all()
	if n.candidates != nil && parent.number >= 0 {
		c.at, c.step, c.end = n.candidates(parent)
	}
	return c
}

// serveEntity answers for one entity; r is nil if it does not exist.
func (ex *exchange) serveEntity(t *table, key []value, r *row) *fault {
	switch ex.method {
	case http.MethodGet, http.MethodHead:
		if r == nil {
			return notFound(t.name)
		}
		return ex.sendSingle(t, r, http.StatusOK)
	case http.MethodPut:
		return ex.update(t, key, false)
	case "MERGE", http.MethodPatch:
		return ex.update(t, key, true)
	case http.MethodDelete:
		return ex.delete(t, key)
	}
	return notAllowed()
}

// sendSingle writes one entity.
func (ex *exchange) sendSingle(t *table, r *row, status int) *fault {
	s, f := ex.mount.dialect.newShape(ex, t, ex.query)
	if f != nil {
		return f
	}
	if etag := string(appendETag(nil, t.typ, r)); etag != "" {
		ex.w.Header().Set("ETag", etag)
		if status == http.StatusOK && ex.r.Header.Get("If-None-Match") == etag {
			ex.w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	e := ex.mount.dialect.newEncoder(ex, ex.w, s)
	ex.sendHeader(status, "entry")
	e.writeSingle(s, r)
	e.flush()
	return nil
}
