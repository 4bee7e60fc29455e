package encode

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/scan"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/value"
)

// An entity of its own has atomHead and atomStart before its head; an inlined entity has the tag <entry> only.
const (
	atomHead  = `<?xml version="1.0" encoding="utf-8"?>`
	atomStart = `<entry xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" ` +
		`xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">`
	atomEnd     = "</m:properties></content></entry>"
	atomScheme  = "http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"
	atomRelated = "http://schemas.microsoft.com/ado/2007/08/dataservices/related/"
)

// appendEntry writes an entity as an entry. tag is its start tag.
func (w *Writer) appendEntry(dst []byte, entityType *Type, rowValue *rowvalue.Value, path, tag string) ([]byte, error) {
	if reason := AtomProblem(entityType.StructuredType); reason != "" {
		return dst, odataerror.DataError(path + ": " + reason)
	}
	dst = append(dst, tag...)
	start := len(dst)
	dst = append(dst, entityType.emptyHead...)
	entry := atomEntry{typ: entityType}
	dst, err := w.appendProperties(dst, &entry, entityType, rowValue, path)
	if err != nil {
		return dst, err
	}
	if entry.title+entry.author+entry.updated+entry.summary != "" || len(entry.links) > 0 {
		dst = slices.Replace(dst, start, start+len(entityType.emptyHead), entry.head()...)
	}
	return append(dst, atomEnd...), nil
}

// atomEntry collects what an entry contains before its content.
type atomEntry struct {
	typ     *Type
	title   string
	author  string
	updated string
	summary string
	links   []byte
}

// head returns the elements between the start tag of the entry and its properties.
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

// setFeedValue sets the Atom element that $metadata maps a property to (m:FC_TargetPath).
func (e *atomEntry) setFeedValue(property *edm.Property, text string) {
	switch property.FeedMapping.Path {
	case "SyndicationTitle":
		e.title = text
	case "SyndicationAuthorName":
		e.author = text
	case "SyndicationUpdated":
		e.updated = text
		if property.Type.Primitive == edm.DateTime {
			e.updated += "Z" // Atom requires a zone
		}
	case "SyndicationSummary":
		e.summary = text
	}
}

// AtomProblem returns the reason why entities of the type cannot be written as Atom, "" if they can.
func AtomProblem(structure *edm.StructuredType) string {
	for i := range structure.Properties {
		if property := &structure.Properties[i]; property.FeedMapping != nil && !property.FeedMapping.Keep {
			return "property " + property.Name + " has its value outside of the content of an Atom entry " +
				"(m:FC_KeepInContent=\"false\"): expected " + sinkconfig.NameRequestFormat + " = json"
		}
	}
	return ""
}

// appendProperties writes elements and collects in entry what precedes them. entry is nil in a complex property.
func (w *Writer) appendProperties(dst []byte, entry *atomEntry, typ *Type, rowValue *rowvalue.Value,
	path string) (_ []byte, err error) {
	var properties propertyCursor
	properties.open(w, typ, rowValue, path)
	for {
		for writer := properties.peekWriter(); writer != nil; writer = properties.peekWriter() {
			out, ok := writer.appendFast(append(dst, writer.startTag...), properties.Peek(), value.Atom)
			if !ok || (entry != nil && writer.property.FeedMapping != nil) {
				break
			}
			dst = append(out, writer.endTag...)
			properties.Skip()
		}
		if !properties.next() {
			return dst, properties.err
		}
		switch {
		case properties.navigation != nil:
			err = properties.appendLink(entry)
		case properties.isNull:
			dst = append(append(append(dst, "<d:"...), properties.Name...), ` m:null="true"/>`...)
		case properties.typ != nil:
			dst = append(dst, properties.startTag...)
			dst, err = w.appendProperties(dst, nil, properties.typ, &properties.Value, properties.path())
			dst = append(dst, properties.endTag...)
		default:
			dst, err = properties.appendElement(dst, entry)
		}
		if err != nil {
			return dst, err
		}
	}
}

// appendElement writes a primitive property. entry, if not nil, gets the values that are also mapped elsewhere.
func (p *propertyCursor) appendElement(dst []byte, entry *atomEntry) ([]byte, error) {
	dst = append(dst, p.startTag...)
	out, isFast := p.appendFast(dst, value.Atom)
	if isMapped := entry != nil && p.property.FeedMapping != nil; isMapped || !isFast {
		converted, err := p.convert()
		if err != nil {
			return dst, err
		}
		if !scan.XMLAllows([]byte(converted.Text)) {
			return dst, odataerror.DataError(p.path() +
				": expected a text without control characters, which Atom cannot contain (" +
				sinkconfig.NameRequestFormat + " = json can)")
		}
		if isMapped {
			entry.setFeedValue(p.property, converted.Text)
		}
		out = appendXML(dst, converted.Text)
	}
	return append(out, p.endTag...), nil
}

// appendLink adds a link to the entry that contains the nested entities of the current navigation property.
func (p *propertyCursor) appendLink(entry *atomEntry) (err error) {
	kind := "entry"
	name := p.navigation.Name
	if p.navigation.Many {
		kind = "feed"
	}
	dst := append(entry.links, `<link rel="`+atomRelated+name+`" type="application/atom+xml;type=`+kind+`" title="`+name+
		`"><m:inline>`...)
	if p.navigation.Many {
		dst = append(dst, "<feed>"...)
		var items rowvalue.Cursor
		p.Value.Items(&items)
		for items.Next() {
			if dst, err = p.writer.appendEntry(dst, p.typ, &items.Value, p.path(), "<entry>"); err != nil {
				return err
			}
		}
		if items.Mismatch {
			return Unexpected(p.path(), "an array of "+p.typ.QualifiedName(), "another kind of value")
		}
		dst = append(dst, "</feed>"...)
	} else if dst, err = p.writer.appendEntry(dst, p.typ, &p.Value, p.path(), "<entry>"); err != nil {
		return err
	}
	entry.links = append(dst, "</m:inline></link>"...)
	return nil
}

var ampersands, lessThans, greaterThans = scan.Repeat('&'), scan.Repeat('<'), scan.Repeat('>')

// isPlainXML reports whether a text consists of printable ASCII without markup.
func isPlainXML(text []byte) bool {
	for _, c := range text[scan.PlainPrefix(text, ampersands, lessThans, greaterThans):] {
		if c < ' ' || c > '~' || c == '&' || c == '<' || c == '>' {
			return false
		}
	}
	return true
}

// appendXML appends a text with escaped markup. It escapes \r, too, so that a parser does not normalize it.
func appendXML[T string | []byte](dst []byte, text T) []byte {
	start := 0
	for i := range len(text) {
		escape := ""
		switch text[i] {
		case '&':
			escape = "&amp;"
		case '<':
			escape = "&lt;"
		case '>':
			escape = "&gt;"
		case '\r':
			escape = "&#13;"
		default:
			continue
		}
		dst = append(append(dst, text[start:i]...), escape...)
		start = i + 1
	}
	return append(dst, text[start:]...)
}
