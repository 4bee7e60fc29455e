package write

import (
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
)

// entity writes a whole entity in the format of the settings; where is its path from the row, for messages.
func (b *bodyWriter) entity(s *structure, t tree, where string) ([]byte, error) {
	if b.how.atom {
		return b.atom(nil, s, t, where)
	}
	return b.json(nil, s, t, where)
}

// json writes a struct of a type; where is its path from the row, for messages.
func (b *bodyWriter) json(dst []byte, s *structure, t tree, where string) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	err := b.each(s, t, where, func(name, where string, c cell, member tree) (err error) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(jsontext.AppendString(dst, name), ':')
		switch {
		case c.null:
			dst = append(dst, "null"...)
		case c.inner == nil && c.plain.Ticks != 0:
			err = unexpected(where, "no digits after milliseconds in JSON, "+requestFormat+" = atom takes them",
				c.plain.Text)
		case c.inner == nil:
			dst = c.plain.AppendJSON(dst)
		case c.navigation != nil && c.navigation.Many:
			dst, err = b.jsonArray(dst, c.inner, member, where)
		default:
			dst, err = b.json(dst, c.inner, member, where)
		}
		return err
	})
	return append(dst, '}'), err
}

func (b *bodyWriter) jsonArray(dst []byte, s *structure, t tree, where string) ([]byte, error) {
	items, ok := t.items()
	if !ok {
		return dst, unexpected(where, "an array of "+s.QualifiedName(), "another kind of value")
	}
	dst = append(dst, '[')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = b.json(dst, s, item, where); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// atom writes an entity as an Atom entry.
func (b *bodyWriter) atom(dst []byte, s *structure, t tree, where string) ([]byte, error) {
	return b.entry(append(dst, atomHead...), s, t, where, atomStart)
}

func (b *bodyWriter) entry(dst []byte, s *structure, t tree, where, start string) ([]byte, error) {
	var e atomEntry
	if err := b.fill(&e, s, t, where); err != nil {
		return dst, err
	}
	return e.append(append(dst, start...), s), nil
}

// fill takes the members of an entity, or of a complex property.
func (b *bodyWriter) fill(e *atomEntry, s *structure, t tree, where string) error {
	return b.each(s, t, where, func(name, where string, c cell, member tree) (err error) {
		switch {
		case c.navigation != nil:
			e.links, err = b.link(e.links, c, member, where)
		case c.null:
			e.properties = noneTag(e.properties, name)
		case c.inner != nil:
			inner := atomEntry{complex: true, properties: append(append(append(append(append(e.properties, "<d:"...),
				name...), ` m:type="`...), c.inner.QualifiedName()...), `">`...)}
			err = b.fill(&inner, c.inner, member, where)
			e.properties = append(append(append(inner.properties, "</d:"...), name...), '>')
		case !storable(c.plain.Text):
			return notStorable(where)
		case !e.complex && e.mapped(c.property, c.plain.Text):
		default:
			e.properties = appendElement(e.properties, c)
		}
		return err
	})
}

// appendElement writes a primitive property.
func appendElement(dst []byte, c cell) []byte {
	return endTag(appendXML(startTag(dst, c.property), c.plain.Text), c.property)
}

// link writes what is inserted along by a navigation property.
func (b *bodyWriter) link(dst []byte, c cell, t tree, where string) ([]byte, error) {
	kind := "entry"
	if c.navigation.Many {
		kind = "feed"
	}
	name := c.navigation.Name
	dst = append(dst, `<link rel="`+atomRelated+name+`" type="application/atom+xml;type=`+kind+`" title="`+name+
		`"><m:inline>`...)
	items := []tree{t}
	if c.navigation.Many {
		var ok bool
		if items, ok = t.items(); !ok {
			return dst, unexpected(where, "an array of "+c.inner.QualifiedName(), "another kind of value")
		}
		dst = append(dst, "<feed>"...)
	}
	for _, item := range items {
		var err error
		if dst, err = b.entry(dst, c.inner, item, where, "<entry>"); err != nil {
			return dst, err
		}
	}
	if c.navigation.Many {
		dst = append(dst, "</feed>"...)
	}
	return append(dst, "</m:inline></link>"...), nil
}

func notStorable(where string) error {
	return refuse(where + ": expected a text that Atom can hold, found one with control characters (" + requestFormat +
		" = json has room for them)")
}
