package encode

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/scan"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
)

const (
	atomHead  = `<?xml version="1.0" encoding="utf-8"?>`
	atomStart = `<entry xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" ` +
		`xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">`
	atomEnd     = "</m:properties></content></entry>"
	atomScheme  = "http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"
	atomRelated = "http://schemas.microsoft.com/ado/2007/08/dataservices/related/"
)

func (b *Writer) appendEntry(dst []byte, s *Type, v *rowvalue.Value, path, tag string) ([]byte, error) {
	if why := AtomProblem(s.StructuredType); why != "" {
		return dst, odataerror.DataError(path + ": " + why)
	}
	dst = append(dst, tag...)
	start := len(dst)
	e := atomEntry{typ: s}
	dst, err := b.appendProperties(dst, &e, s, v, path)
	if err != nil {
		return dst, err
	}
	return append(slices.Insert(dst, start, e.head()...), atomEnd...), nil
}

type atomEntry struct {
	typ                             *Type
	title, author, updated, summary string
	links                           []byte
}

func (e *atomEntry) head() []byte {
	dst := append(appendXML([]byte("<title>"), e.title), "</title>"...)
	dst = append(appendXML(append(dst, "<updated>"...), e.updated), "</updated>"...)
	dst = append(appendXML(append(dst, "<author><name>"...), e.author), "</name></author>"...)
	if e.summary != "" {
		dst = append(appendXML(append(dst, "<summary>"...), e.summary), "</summary>"...)
	}
	dst = append(append(append(dst, `<category term="`...), e.typ.QualifiedName()...), `" scheme="`+atomScheme+`"/>`...)
	return append(append(dst, e.links...), `<content type="application/xml"><m:properties>`...)
}

func (e *atomEntry) mapped(p *edm.Property, text string) {
	switch p.FeedMapping.Path {
	case "SyndicationTitle":
		e.title = text
	case "SyndicationAuthorName":
		e.author = text
	case "SyndicationUpdated":
		e.updated = text
		if p.Type.Primitive == edm.DateTime {
			e.updated += "Z" // Atom requires a zone
		}
	case "SyndicationSummary":
		e.summary = text
	}
}

// AtomProblem returns why entities of the type cannot be written as Atom, "" if they can.
func AtomProblem(s *edm.StructuredType) string {
	for i := range s.Properties {
		if p := &s.Properties[i]; p.FeedMapping != nil && !p.FeedMapping.Keep {
			return "property " + p.Name + " has its value outside of the content of an Atom entry " +
				"(m:FC_KeepInContent=\"false\"): expected " + sinkconfig.NameRequestFormat + " = json"
		}
	}
	return ""
}

func (b *Writer) appendProperties(dst []byte, e *atomEntry, s *Type, v *rowvalue.Value, path string) (_ []byte,
	err error) {
	m := b.properties(s, v, path)
	for m.next() {
		switch {
		case m.navigation != nil:
			err = m.appendLink(e)
		case m.isNull:
			dst = append(append(append(dst, "<d:"...), m.Name...), ` m:null="true"/>`...)
		case m.typ != nil:
			dst = append(append(append(append(append(dst, "<d:"...), m.Name...), ` m:type="`...),
				m.typ.QualifiedName()...), `">`...)
			dst, err = b.appendProperties(dst, nil, m.typ, &m.Value, m.path())
			dst = append(append(append(dst, "</d:"...), m.Name...), '>')
		default:
			dst, err = m.appendElement(dst, e)
		}
		if err != nil {
			return dst, err
		}
	}
	return dst, m.err
}

func (m *propertyCursor) appendElement(dst []byte, e *atomEntry) ([]byte, error) {
	dst = append(append(dst, "<d:"...), m.Name...)
	if t := m.property.Type.Primitive; t != edm.String {
		dst = append(append(append(dst, ` m:type="`...), t.String()...), '"')
	}
	dst = append(dst, '>')
	out, common := m.appendFast(dst, false)
	if mapped := e != nil && m.property.FeedMapping != nil; mapped || !common {
		c, err := m.convert()
		if err != nil {
			return dst, err
		}
		if !scan.XMLAllows([]byte(c.Text)) {
			return dst, odataerror.DataError(m.path() +
				": expected a text without control characters, which Atom cannot contain (" +
				sinkconfig.NameRequestFormat + " = json can)")
		}
		if mapped {
			e.mapped(m.property, c.Text)
		}
		out = appendXML(dst, c.Text)
	}
	return append(append(append(out, "</d:"...), m.Name...), '>'), nil
}

func (m *propertyCursor) appendLink(e *atomEntry) (err error) {
	kind, name := "entry", m.navigation.Name
	if m.navigation.Many {
		kind = "feed"
	}
	dst := append(e.links, `<link rel="`+atomRelated+name+`" type="application/atom+xml;type=`+kind+`" title="`+name+
		`"><m:inline>`...)
	if m.navigation.Many {
		dst = append(dst, "<feed>"...)
		items := m.Value.Items()
		for items.Next() {
			if dst, err = m.writer.appendEntry(dst, m.typ, &items.Value, m.path(), "<entry>"); err != nil {
				return err
			}
		}
		if items.Mismatch {
			return Unexpected(m.path(), "an array of "+m.typ.QualifiedName(), "another kind of value")
		}
		dst = append(dst, "</feed>"...)
	} else if dst, err = m.writer.appendEntry(dst, m.typ, &m.Value, m.path(), "<entry>"); err != nil {
		return err
	}
	e.links = append(dst, "</m:inline></link>"...)
	return nil
}

// appendXML escapes line ends too, so that a parser does not normalize them.
func appendXML[T string | []byte](dst []byte, text T) []byte {
	from := 0
	for i := range len(text) {
		as := ""
		switch text[i] {
		case '&':
			as = "&amp;"
		case '<':
			as = "&lt;"
		case '>':
			as = "&gt;"
		case '\r':
			as = "&#13;"
		default:
			continue
		}
		dst = append(append(dst, text[from:i]...), as...)
		from = i + 1
	}
	return append(dst, text[from:]...)
}
