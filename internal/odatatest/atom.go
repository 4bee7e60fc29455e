package odatatest

import (
	"strconv"
	"unicode/utf8"
)

const (
	nsAtom = "http://www.w3.org/2005/Atom"
	nsM    = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"
	nsD    = "http://schemas.microsoft.com/ado/2007/08/dataservices"
	// rootUpdated is the fixed value of atom:updated, so that responses can be compared.
	rootUpdated = "2026-01-01T00:00:00Z"
)

// prefixes are the namespace prefixes of a document, with their colons.
type prefixes struct {
	atom string
	m    string // metadata
	d    string // data
}

var (
	usualPrefixes = prefixes{atom: "", m: "m:", d: "d:"}
	otherPrefixes = prefixes{atom: "atom:", m: "meta:", d: "ds:"}
)

func (p prefixes) declarations() string {
	if p.atom == "" {
		return ` xmlns:d="` + nsD + `" xmlns:m="` + nsM + `" xmlns="` + nsAtom + `"`
	}
	return ` xmlns:ds="` + nsD + `" xmlns:meta="` + nsM + `" xmlns:atom="` + nsAtom + `"`
}

// atomEncoder writes Atom feeds and entries ([MS-ODATA] 2.2.6.2).
type atomEncoder struct {
	output
	x       *exchange
	p       prefixes
	typed   bool   // m:type is written; SAP leaves it out
	preface string // XML declaration
}

func (e *atomEncoder) beginFeed(s *shape, path string, count int) {
	e.add(e.preface, "<", e.p.atom, "feed", e.p.declarations(), ` xml:base="`, e.x.base, `">`)
	e.writeHead(s, path)
	if count >= 0 {
		e.add("<", e.p.m, "count>")
		e.b = strconv.AppendInt(e.b, int64(count), 10)
		e.add("</", e.p.m, "count>")
	}
}

func (e *atomEncoder) writeHead(s *shape, path string) {
	a := e.p.atom
	e.add("<", a, `title type="text">`, s.table.name, "</", a, "title><", a, "id>", e.x.base)
	e.b = appendXMLText(e.b, []byte(path))
	e.add("</", a, "id><", a, "updated>", rootUpdated, "</", a, "updated>")
	if e.x.mount.sap {
		e.add("<", a, "author><", a, "name/></", a, "author>")
	}
	e.add("<", a, `link rel="self" title="`, s.table.name, `" href="`)
	e.b = appendXMLText(e.b, []byte(path))
	e.add(`"/>`)
}

func (e *atomEncoder) writeEntity(s *shape, r *row) {
	e.writeEntry(s, r, "")
	e.flushPiece()
}

// writeTombstone writes a tombstone (RFC 6721).
func (e *atomEncoder) writeTombstone(t *tombstone) {
	e.add(`<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0" ref="`)
	e.b = appendXMLText(e.b, []byte(e.x.base+t.local))
	e.add(`" when="`, t.when.Format("2006-01-02T15:04:05.000Z07:00"), `"/>`)
	e.flushPiece()
}

func (e *atomEncoder) endFeed(next, delta string) {
	e.writeNext(next)
	if delta != "" {
		e.add("<", e.p.atom, `link rel="delta" href="`)
		e.b = appendXMLText(e.b, []byte(delta))
		e.add(`"/>`)
	}
	e.add("</", e.p.atom, "feed>")
}

func (e *atomEncoder) writeNext(link string) {
	if link != "" {
		e.add("<", e.p.atom, `link rel="next" href="`)
		e.b = appendXMLText(e.b, []byte(link))
		e.add(`"/>`)
	}
}

func (e *atomEncoder) writeSingle(s *shape, r *row) {
	e.add(e.preface)
	e.writeEntry(s, r, e.p.declarations()+` xml:base="`+e.x.base+`"`)
}

// encodeNames writes the start tags of the columns, without the parts that depend on the value.
func (e *atomEncoder) encodeNames(s *shape) {
	s.atomNames = s.atomNames[:0]
	for _, c := range s.columns {
		p := &s.table.typ.properties[c]
		s.atomNames = append(s.atomNames, []byte("<"+e.p.d+p.name+e.typeAttribute(p)))
	}
	for i := range s.expand {
		e.encodeNames(s.expand[i].shape)
	}
}

// typeAttribute returns the m:type attribute of a property, "" if it has none.
func (e *atomEncoder) typeAttribute(p *property) string {
	switch {
	case p.complex != nil:
		return ` ` + e.p.m + `type="` + e.x.mount.namespace + `.` + p.complex.name + `"`
	case !e.typed || p.kind == stringKind:
		return ""
	}
	return ` ` + e.p.m + `type="` + p.kind.String() + `"`
}

func (e *atomEncoder) writeEntry(s *shape, r *row, attributes string) {
	a := e.p.atom
	typ := s.table.typ
	e.add("<", a, "entry", attributes)
	if typ.versionProperty() >= 0 {
		e.add(" ", e.p.m, `etag="`)
		e.b = appendXMLText(e.b, appendETag(nil, typ, r))
		e.add(`"`)
	}
	e.add(">")
	uri := e.x.appendLocal(nil, s.table, r)
	e.add("<", a, "id>", e.x.base)
	e.b = appendXMLText(e.b, uri)
	e.add("</", a, "id>")
	e.add("<", a, `title type="text"></`, a, "title><", a, "updated>", rootUpdated, "</", a, "updated>")
	if !e.x.mount.sap {
		e.add("<", a, "author><", a, "name/></", a, "author>")
	}
	e.add("<", a, `link rel="edit" title="`, typ.name, `" href="`)
	e.b = appendXMLText(e.b, uri)
	e.add(`"/>`)
	for _, n := range s.links {
		e.writeLink(n, uri)
		e.add(`"/>`)
	}
	for i := range s.expand {
		e.writeRelated(&s.expand[i], s, r, uri)
	}
	e.add("<", a, `category term="`, e.x.mount.namespace, ".", typ.name, `" scheme="`, nsD, `/scheme"/>`)
	e.add("<", a, `content type="application/xml">`)
	e.writeProperties(s, r)
	e.add("</", a, "content></", a, "entry>")
}

func (e *atomEncoder) writeProperties(s *shape, r *row) {
	e.add("<", e.p.m, "properties>")
	for i, c := range s.columns {
		p := &s.table.typ.properties[c]
		v := &r.values[c]
		if v.null && e.x.sw.OmitNull {
			continue
		}
		e.writeProperty(s.atomNames[i], p, v)
	}
	e.add("</", e.p.m, "properties>")
}

func (e *atomEncoder) writeProperty(start []byte, p *property, v *value) {
	e.b = append(e.b, start...)
	switch {
	case v.null:
		e.add(" ", e.p.m, `null="true"/>`)
		return
	case p.complex != nil:
		e.b = append(e.b, '>')
		for i := range v.fields {
			if v.fields[i].null && e.x.sw.OmitNull {
				continue
			}
			inner := &p.complex.properties[i]
			e.writeProperty([]byte("<"+e.p.d+inner.name+e.typeAttribute(inner)), inner, &v.fields[i])
		}
	case v.kind == stringKind:
		if t := v.text; len(t) > 0 && (isBlank(t[0]) || isBlank(t[len(t)-1])) && !e.x.mount.sap {
			e.add(` xml:space="preserve"`)
		}
		e.b = append(e.b, '>')
		e.b = appendXMLText(e.b, v.text)
	default:
		e.b = append(e.b, '>')
		e.b = appendPlain(e.b, v)
	}
	e.b = append(e.b, '<', '/')
	e.b = append(e.b, e.p.d...)
	e.b = append(e.b, p.name...)
	e.b = append(e.b, '>')
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// writeLink writes the start of a navigation link, up to its address.
func (e *atomEncoder) writeLink(n *navigation, uri []byte) {
	e.add("<", e.p.atom, `link rel="`, nsD, "/related/", n.name, `" type="application/atom+xml;type=`)
	if n.many {
		e.add(`feed" title="`)
	} else {
		e.add(`entry" title="`)
	}
	e.add(n.name, `" href="`)
	e.b = appendXMLText(e.b, uri)
	e.add("/", n.name)
}

// writeRelated writes an expanded navigation property.
func (e *atomEncoder) writeRelated(x *expansion, s *shape, r *row, uri []byte) {
	n := x.navigation
	e.writeLink(n, uri)
	e.add(`"><`, e.p.m, "inline>")
	if n.many {
		e.add("<", e.p.atom, "feed>")
		e.writeHead(x.shape, string(uri)+"/"+n.name)
		next := e.x.writeInner(x, s, r, func(child *row) {
			e.writeEntry(x.shape, child, "")
			e.flushPiece()
		})
		e.writeNext(next)
		e.add("</", e.p.atom, "feed>")
	} else if target := n.principalRow(r); target != nil {
		e.writeEntry(x.shape, target, "")
	}
	e.add("</", e.p.m, "inline></", e.p.atom, "link>")
}

// appendXMLText escapes for text and attributes. Line ends and tabs that a parser would change become references.
func appendXMLText(b, text []byte) []byte {
	start := 0
	for i := 0; i < len(text); i++ {
		var escaped string
		switch c := text[i]; {
		case c == '&':
			escaped = "&amp;"
		case c == '<':
			escaped = "&lt;"
		case c == '>':
			escaped = "&gt;"
		case c == '"':
			escaped = "&quot;"
		case c == '\r':
			escaped = "&#xD;"
		case c == '\n':
			escaped = "&#xA;"
		case c == '\t':
			escaped = "&#x9;"
		case c < 0x20:
			escaped = string(utf8.RuneError) // not a character of XML 1.0
		default:
			continue
		}
		b = append(b, text[start:i]...)
		b = append(b, escaped...)
		start = i + 1
	}
	return append(b, text[start:]...)
}
