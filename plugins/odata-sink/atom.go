package main

import (
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

const (
	atomStart = `<entry xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" ` +
		`xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">`
	atomScheme  = "http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"
	atomRelated = "http://schemas.microsoft.com/ado/2007/08/dataservices/related/"
)

// atomEntry collects what stands at different places of an entry.
type atomEntry struct {
	// title, author, updated and summary are the elements of Atom that have a property's value.
	title, author, updated, summary string
	links, properties               []byte
}

// atom writes an entity as an Atom entry.
func (b *body) atom(dst []byte, s *structure, t tree, where string) ([]byte, error) {
	return b.entry(append(dst, `<?xml version="1.0" encoding="utf-8"?>`...), s, t, where, atomStart)
}

func (b *body) entry(dst []byte, s *structure, t tree, where, start string) ([]byte, error) {
	var e atomEntry
	err := b.each(s, t, where, func(name, where string, c cell, member tree) (err error) {
		switch {
		case c.navigation != nil:
			e.links, err = b.link(e.links, c, member, where)
		case c.null:
			e.properties = append(append(append(e.properties, "<d:"...), name...), ` m:null="true"/>`...)
		case c.inner != nil:
			e.properties = append(append(append(append(append(e.properties, "<d:"...), name...), ` m:type="`...),
				c.inner.QualifiedName()...), `">`...)
			e.properties, err = b.complex(e.properties, c.inner, member, where)
			e.properties = append(append(append(e.properties, "</d:"...), name...), '>')
		case !storable(c.plain.Text):
			return notStorable(where)
		case e.mapped(c.property, c.plain.Text):
		default:
			e.properties = element(e.properties, c)
		}
		return err
	})
	if err != nil {
		return dst, err
	}
	dst = append(dst, start...)
	dst = append(appendXML(append(dst, "<title>"...), e.title), "</title>"...)
	dst = append(appendXML(append(dst, "<updated>"...), e.updated), "</updated>"...)
	dst = append(appendXML(append(dst, "<author><name>"...), e.author), "</name></author>"...)
	if e.summary != "" {
		dst = append(appendXML(append(dst, "<summary>"...), e.summary), "</summary>"...)
	}
	dst = append(append(append(dst, `<category term="`...), s.QualifiedName()...), `" scheme="`+atomScheme+`"/>`...)
	dst = append(dst, e.links...)
	return append(append(append(dst, `<content type="application/xml"><m:properties>`...), e.properties...),
		"</m:properties></content></entry>"...), nil
}

// mapped puts a value into the element of Atom that the metadata name; true: it stands nowhere else.
func (e *atomEntry) mapped(p *edm.Property, text string) bool {
	if p.Feed == nil {
		return false
	}
	switch p.Feed.Path {
	case "SyndicationTitle":
		e.title = text
	case "SyndicationAuthorName":
		e.author = text
	case "SyndicationUpdated":
		e.updated = text
		if p.Type.Primitive == edm.DateTime {
			e.updated += "Z" // Atom's dates have a zone
		}
	case "SyndicationSummary":
		e.summary = text
	default:
		return false
	}
	return !p.Feed.Keep
}

// element writes a primitive property.
func element(dst []byte, c cell) []byte {
	dst = append(append(dst, "<d:"...), c.property.Name...)
	if t := c.property.Type.Primitive; t != edm.String {
		dst = append(append(append(dst, ` m:type="`...), t.String()...), '"')
	}
	dst = appendXML(append(dst, '>'), c.plain.Text)
	return append(append(append(dst, "</d:"...), c.property.Name...), '>')
}

// complex writes the members of a complex property.
func (b *body) complex(dst []byte, s *structure, t tree, where string) ([]byte, error) {
	err := b.each(s, t, where, func(name, where string, c cell, member tree) (err error) {
		switch {
		case c.null:
			dst = append(append(append(dst, "<d:"...), name...), ` m:null="true"/>`...)
		case c.inner != nil:
			dst = append(append(append(append(append(dst, "<d:"...), name...), ` m:type="`...),
				c.inner.QualifiedName()...), `">`...)
			dst, err = b.complex(dst, c.inner, member, where)
			dst = append(append(append(dst, "</d:"...), name...), '>')
		case !storable(c.plain.Text):
			return notStorable(where)
		default:
			dst = element(dst, c)
		}
		return err
	})
	return dst, err
}

// link writes what is inserted along by a navigation property.
func (b *body) link(dst []byte, c cell, t tree, where string) ([]byte, error) {
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
		if items, ok = b.p.items(t); !ok {
			return dst, misfit(where, "an array of "+c.inner.QualifiedName(), "another kind of value")
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

// appendXML writes a text that is storable so that a parser gives it back: line ends too.
func appendXML(dst []byte, text string) []byte {
	for i := range len(text) {
		switch c := text[i]; c {
		case '&':
			dst = append(dst, "&amp;"...)
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '\r':
			dst = append(dst, "&#13;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// storable tells whether XML can hold a text as it is.
func storable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
	})
}

func notStorable(where string) error {
	return refuse(where + ": expected a text that Atom can hold, found one with control characters (" + requestFormat +
		" = json has room for them)")
}
