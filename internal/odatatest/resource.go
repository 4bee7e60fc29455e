package odatatest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// resource walks from an entity set along keys and navigation properties to what the path names.
func (x *exchange) resource(segments []string) *fault {
	name, predicate := splitKey(segments[0])
	t := x.service.model.byName[name]
	if name == productsOfCategory && x.sw.Functions && len(segments) == 1 && predicate == "" {
		return x.productsOfCategory()
	}
	if t == nil {
		return notFound(name)
	}
	at := source{table: t, path: name}
	if predicate == "" {
		return x.collection(at, segments[1:])
	}
	key, f := parseKey(t.typ, predicate)
	if f != nil {
		return f
	}
	r := t.find(key)
	if r == nil && len(segments) == 1 {
		return x.entity(t, key, nil)
	}
	if r == nil {
		return notFound(segments[0])
	}
	return x.within(t, r, segments[1:])
}

// productsOfCategory is a function import with rows, of which the switch functions has this one.
const productsOfCategory = "ProductsOfCategory"

func (x *exchange) productsOfCategory() *fault {
	categories := x.service.model.byName["Categories"]
	key, f := parseKey(categories.typ, x.query.option("CategoryID"))
	if f != nil {
		return badRequest("The parameter CategoryID of %s is not there or no number.", productsOfCategory)
	}
	src := source{table: x.service.model.byName["Products"], navigation: categories.typ.navigation("Products"),
		parent: categories.find(key), path: productsOfCategory}
	if src.parent == nil {
		return notFound("category")
	}
	if x.method != http.MethodGet {
		return &fault{status: http.StatusMethodNotAllowed, message: productsOfCategory + " takes GET."}
	}
	return x.reading(func() *fault { return x.feed(src) })
}

// within answers for what lies below the entity r.
func (x *exchange) within(t *table, r *row, segments []string) *fault {
	if len(segments) == 0 {
		return x.entity(t, slices.Clone(r.key(t.typ)), r)
	}
	if segments[0] == "$links" && len(segments) == 2 {
		return x.links(t, r, segments[1])
	}
	if segments[0] == "$value" && t.typ.stream && len(segments) == 1 {
		return x.reading(func() *fault { return x.text("image/png", picture(int(r.values[0].num))) })
	}
	name, predicate := splitKey(segments[0])
	if i := t.typ.property(name); i >= 0 {
		return x.reading(func() *fault { return x.property(&t.typ.properties[i], &r.values[i], segments[1:]) })
	}
	n := t.typ.navigation(name)
	if n == nil {
		return notFound(segments[0])
	}
	path := string(x.appendLocal(nil, t, r)) + "/" + n.name
	if !n.many {
		target := n.one(r)
		if target == nil {
			return notFound(segments[0])
		}
		return x.within(n.target, target, segments[1:])
	}
	if predicate == "" {
		return x.collection(source{table: n.target, navigation: n, parent: r, path: path}, segments[1:])
	}
	key, f := parseKey(n.target.typ, predicate)
	if f != nil {
		return f
	}
	child := n.target.find(key)
	if child == nil || !n.related(r, child) {
		return notFound(segments[0])
	}
	return x.within(n.target, child, segments[1:])
}

// splitKey cuts Orders(10248) into Orders and 10248; the predicate is empty where there are no brackets.
func splitKey(segment string) (name, predicate string) {
	name, rest, found := strings.Cut(segment, "(")
	if !found || !strings.HasSuffix(rest, ")") {
		return segment, ""
	}
	return name, strings.TrimSuffix(rest, ")")
}

// parseKey reads a key predicate: one literal, or Name=literal separated by commas, in any order.
func parseKey(typ *entityType, predicate string) ([]value, *fault) {
	wrong := badRequest("Bad Request - Error in the key predicate '(%s)' of type '%s'.", predicate, typ.name)
	l, err := newLexer(predicate)
	if err != nil {
		return nil, wrong
	}
	key := make([]value, typ.keys)
	var given []int
	for {
		i := len(given)
		if l.tok.name != "" {
			i = typ.property(l.tok.name)
			if l.next() != nil || l.tok.sign != '=' || l.next() != nil {
				return nil, wrong
			}
		} else if typ.keys > 1 {
			return nil, wrong
		}
		if i < 0 || i >= typ.keys || slices.Contains(given, i) || l.tok.literal == nil || l.tok.literal.null {
			return nil, wrong
		}
		v, ok := coerce(l.tok.literal, typ.properties[i].kind)
		if !ok {
			return nil, wrong
		}
		key[i] = *v
		given = append(given, i)
		if l.next() != nil {
			return nil, wrong
		}
		if l.tok.end && len(given) == typ.keys {
			return key, nil
		}
		if l.tok.sign != ',' || l.next() != nil {
			return nil, wrong
		}
	}
}

// one is the row that a child points to, nil if it points nowhere.
func (n *navigation) one(child *row) *row {
	key := make([]value, len(n.join.foreign))
	for i, f := range n.join.foreign {
		if key[i] = child.values[f]; key[i].null {
			return nil
		}
	}
	return n.target.find(key)
}

// related says whether child belongs to parent.
func (n *navigation) related(parent, child *row) bool {
	for i, f := range n.join.foreign {
		if v := &child.values[f]; v.null || mustCompare(v, &parent.values[i]) != 0 {
			return false
		}
	}
	return true
}

// rows starts a walk over the rows that may belong to parent.
func (n *navigation) rows(parent *row) *cursor {
	c := n.target.all()
	if n.candidates != nil && parent.number >= 0 {
		c.at, c.step, c.end = n.candidates(parent)
	}
	return c
}

// entity answers for one entity; r is nil when there is none with this key.
func (x *exchange) entity(t *table, key []value, r *row) *fault {
	switch x.method {
	case http.MethodGet, http.MethodHead:
		if r == nil {
			return notFound(t.name)
		}
		return x.single(t, r, http.StatusOK)
	case http.MethodPut:
		return x.update(t, key, false)
	case "MERGE", http.MethodPatch:
		return x.update(t, key, true)
	case http.MethodDelete:
		return x.delete(t, key)
	}
	return notAllowed()
}

// single writes one entity.
func (x *exchange) single(t *table, r *row, status int) *fault {
	s, f := newShape(t, x.query.selected, x.query.expanded, x.sw.Hide)
	if f != nil {
		return f
	}
	if etag := string(appendETag(nil, t.typ, r)); etag != "" {
		x.w.Header().Set("ETag", etag)
		if status == http.StatusOK && x.r.Header.Get("If-None-Match") == etag {
			x.w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	e := x.encoder(x.w, s)
	x.send(status, "entry")
	e.single(s, r)
	e.flush()
	return nil
}

// property answers for a property of an entity, or for its plain text.
func (x *exchange) property(p *property, v *value, segments []string) *fault {
	if len(segments) > 0 && p.complex != nil && !v.null {
		for i := range p.complex.properties {
			if p.complex.properties[i].name == segments[0] {
				return x.property(&p.complex.properties[i], &v.fields[i], segments[1:])
			}
		}
	}
	switch {
	case len(segments) == 1 && segments[0] == "$value" && p.complex == nil:
		if v.null {
			return notFound(p.name)
		}
		if v.kind == binaryKind {
			return x.text("application/octet-stream", v.text)
		}
		return x.text("text/plain;charset=utf-8", appendPlain(nil, v))
	case len(segments) > 0:
		return notFound(segments[0])
	}
	if x.json {
		e := &jsonEncoder{x: x}
		b := append([]byte(`{"d":{"`+p.name+`":`), e.value(nil, v, p)...)
		return x.text("application/json;charset=utf-8", append(b, "}}"...))
	}
	e := newAtomEncoder(x)
	e.add(e.preface)
	e.property([]byte("<"+e.p.d+p.name+` xmlns:d="`+nsD+`" xmlns:m="`+nsM+`"`+e.typeAttribute(p)), p, v)
	return x.text("application/xml;charset=utf-8", e.b)
}

// links answers with the addresses of related entities.
func (x *exchange) links(t *table, r *row, name string) *fault {
	n := t.typ.navigation(name)
	if n == nil {
		return notFound(name)
	}
	return x.reading(func() *fault {
		var addresses []string
		if n.many {
			for c := n.rows(r); c.next(); {
				if n.related(r, c.current) {
					addresses = append(addresses, string(x.appendURI(nil, n.target, c.current)))
				}
			}
		} else if target := n.one(r); target != nil {
			addresses = append(addresses, string(x.appendURI(nil, n.target, target)))
		} else {
			return notFound(name)
		}
		return x.addresses(addresses, n.many)
	})
}

func (x *exchange) addresses(addresses []string, many bool) *fault {
	if x.json {
		var items []string
		for _, a := range addresses {
			items = append(items, `{"uri":`+strconv.Quote(a)+`}`)
		}
		body := strings.Join(items, ",")
		if many {
			body = `{"results":[` + body + `]}`
		}
		return x.text("application/json;charset=utf-8", []byte(`{"d":`+body+`}`))
	}
	b := []byte(`<?xml version="1.0" encoding="utf-8"?>`)
	if many {
		b = append(b, `<links xmlns="`+nsD+`">`...)
	}
	for _, a := range addresses {
		b = append(b, "<uri"...)
		if !many {
			b = append(b, ` xmlns="`+nsD+`"`...)
		}
		b = append(appendXMLText(append(b, '>'), []byte(a)), "</uri>"...)
	}
	if many {
		b = append(b, "</links>"...)
	}
	return x.text("application/xml;charset=utf-8", b)
}
