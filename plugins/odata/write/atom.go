package write

import (
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

const (
	atomHead  = `<?xml version="1.0" encoding="utf-8"?>`
	atomStart = `<entry xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" ` +
		`xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">`
	atomEnd     = "</m:properties></content></entry>"
	atomScheme  = "http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"
	atomRelated = "http://schemas.microsoft.com/ado/2007/08/dataservices/related/"
)

// atomEntry collects what stands at different places of an entry.
type atomEntry struct {
	// title, author, updated and summary are the elements of Atom that have a property's value.
	title, author, updated, summary string
	links, properties               []byte
	// complex: it is a complex property, which has properties alone.
	complex bool
}

// append writes what stands in an entry after its first tag.
func (e *atomEntry) append(dst []byte, s *structure) []byte {
	dst = append(appendXML(append(dst, "<title>"...), e.title), "</title>"...)
	dst = append(appendXML(append(dst, "<updated>"...), e.updated), "</updated>"...)
	dst = append(appendXML(append(dst, "<author><name>"...), e.author), "</name></author>"...)
	if e.summary != "" {
		dst = append(appendXML(append(dst, "<summary>"...), e.summary), "</summary>"...)
	}
	dst = append(append(append(dst, `<category term="`...), s.QualifiedName()...), `" scheme="`+atomScheme+`"/>`...)
	dst = append(dst, e.links...)
	return append(append(append(dst, `<content type="application/xml"><m:properties>`...), e.properties...),
		atomEnd...)
}

// aroundProperties is what stands before and after the properties in an entry that has nothing else.
func aroundProperties(s *structure) (before, after []byte) {
	whole := (&atomEntry{}).append([]byte(atomHead+atomStart), s)
	return whole[:len(whole)-len(atomEnd)], []byte(atomEnd)
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

// startTag, endTag and noneTag write the tags of a primitive property with a value, and the one of any without.
func startTag(dst []byte, p *edm.Property) []byte {
	dst = append(append(dst, "<d:"...), p.Name...)
	if t := p.Type.Primitive; t != edm.String {
		dst = append(append(append(dst, ` m:type="`...), t.String()...), '"')
	}
	return append(dst, '>')
}

func endTag(dst []byte, p *edm.Property) []byte {
	return append(append(append(dst, "</d:"...), p.Name...), '>')
}

func noneTag(dst []byte, name string) []byte {
	return append(append(append(dst, "<d:"...), name...), ` m:null="true"/>`...)
}

// appendXML writes a text that is storable so that a parser gives it back: line ends too.
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

// storable tells whether XML can hold a text as it is.
func storable[T string | []byte](text T) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < 0x20 && c != '\t' && c != '\n' && c != '\r':
			return false
		case c == 0xbf && i > 0 && i+1 < len(text) && text[i-1] == 0xef && text[i+1] >= 0xbe: // U+FFFE and U+FFFF
			return false
		}
	}
	return utf8.ValidString(string(text))
}
