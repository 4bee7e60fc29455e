package odatatest

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonEncoder writes verbose JSON ([MS-ODATA] 2.2.6.3).
type jsonEncoder struct {
	output
	x       *exchange
	rows    int
	counted int
	bare    bool // version 1: the array stands in d itself
}

func (e *jsonEncoder) beginFeed(_ *shape, _ string, count int) {
	e.counted = count
	e.bare = e.x.sw.V1
	e.add(`{"d":`)
	if !e.bare {
		e.add("{")
		if e.x.mount.sap && count >= 0 {
			e.writeCount()
			e.add(",")
		}
		e.add(`"results":`)
	}
	e.add("[")
}

// writeCount is before the results in SAP's responses and after them in Microsoft's.
func (e *jsonEncoder) writeCount() {
	e.add(`"__count":"`)
	e.b = strconv.AppendInt(e.b, int64(e.counted), 10)
	e.add(`"`)
}

// writeComma writes the comma between two rows, and counts rows.
func (e *jsonEncoder) writeComma() {
	if e.rows > 0 {
		e.add(",")
	}
	e.rows++
}

func (e *jsonEncoder) writeEntity(s *shape, r *row) {
	e.writeComma()
	e.writeObject(s, r)
	e.flushPiece()
}

// writeTombstone writes a tombstone like Apache Olingo.
func (e *jsonEncoder) writeTombstone(t *tombstone) {
	e.writeComma()
	set, _, _ := strings.Cut(t.local, "(")
	e.add(`{"@odata.context":"$metadata#`, set, `/$deletedEntity","id":`)
	e.b = appendJSONText(e.b, []byte(e.x.base+t.local))
	e.add(`,"when":"\/Date(`)
	e.b = strconv.AppendInt(e.b, t.when.UnixMilli(), 10)
	e.add(`)\/"}`)
	e.flushPiece()
}

func (e *jsonEncoder) endFeed(next, delta string) {
	e.add("]")
	if !e.bare {
		if !e.x.mount.sap && e.counted >= 0 {
			e.add(",")
			e.writeCount()
		}
		e.writeLink("__next", next)
		e.writeLink("__delta", delta)
		e.add("}")
	}
	e.add("}")
}

// writeLink writes a link after the rows of a feed, unless it is empty.
func (e *jsonEncoder) writeLink(name, to string) {
	if to != "" {
		e.add(`,"`, name, `":`)
		e.b = appendJSONText(e.b, []byte(to))
	}
}

func (e *jsonEncoder) writeSingle(s *shape, r *row) {
	e.add(`{"d":`)
	e.writeObject(s, r)
	e.add("}")
}

func (e *jsonEncoder) writeObject(s *shape, r *row) {
	e.add("{")
	typ := s.table.typ
	e.add(`"__metadata":{`)
	if e.x.mount.sap {
		e.add(`"id":"`)
		e.b = e.x.appendURI(e.b, s.table, r)
		e.add(`",`)
	}
	e.add(`"uri":"`)
	start := len(e.b)
	e.b = e.x.appendURI(e.b, s.table, r)
	uri := e.b[start:len(e.b):len(e.b)]
	e.add(`","type":"`, e.x.mount.namespace, ".", typ.name, `"`)
	if typ.versionProperty() >= 0 {
		e.add(`,"etag":`)
		e.b = appendJSONText(e.b, appendETag(nil, typ, r))
	}
	e.add("}")
	for i, c := range s.columns {
		if v := &r.values[c]; !v.null || !e.x.sw.OmitNull {
			e.b = append(e.b, s.jsonNames[i]...)
			e.writeValue(v, &s.table.typ.properties[c])
		}
	}
	for _, n := range s.links {
		e.add(`,"`, n.name, `":{"__deferred":{"uri":"`)
		e.b = append(e.b, uri...)
		e.add("/", n.name, `"}}`)
	}
	for i := range s.expand {
		e.writeRelated(&s.expand[i], s, r)
	}
	e.add("}")
}

// encodeNames writes the names of the columns with their punctuation.
func (e *jsonEncoder) encodeNames(s *shape) {
	s.jsonNames = s.jsonNames[:0]
	for _, c := range s.columns {
		s.jsonNames = append(s.jsonNames, []byte(`,"`+s.table.typ.properties[c].name+`":`))
	}
	for i := range s.expand {
		e.encodeNames(s.expand[i].shape)
	}
}

func (e *jsonEncoder) writeRelated(x *expansion, s *shape, r *row) {
	n := x.navigation
	e.add(`,"`, n.name, `":`)
	if !n.many {
		if target := n.principalRow(r); target != nil {
			e.writeObject(x.shape, target)
		} else {
			e.add("null")
		}
		return
	}
	if !e.x.sw.V1 {
		e.add(`{"results":`)
	}
	e.add("[")
	rows := 0
	next := e.x.writeInner(x, s, r, func(child *row) {
		rows++
		if rows > 1 {
			e.add(",")
		}
		e.writeObject(x.shape, child)
		e.flushPiece()
	})
	e.add("]")
	if !e.x.sw.V1 {
		e.writeLink("__next", next)
		e.add("}")
	}
}

func (e *jsonEncoder) writeValue(v *value, p *property) {
	quote := ""
	switch {
	case v.null:
		e.add("null")
		return
	case v.kind == stringKind:
		e.b = appendJSONText(e.b, v.text)
		return
	case v.kind.isMoment():
		// Whole milliseconds of UTC; the offset of DateTimeOffset is written as +0000, on which all readers agree.
		ms, _ := floorDiv(v.num, ticksPerSecond/1000)
		e.add(`"\/Date(`)
		e.b = strconv.AppendInt(e.b, ms, 10)
		if v.kind == dateTimeOffsetKind {
			e.add("+0000")
		}
		e.add(`)\/"`)
		return
	case v.kind == complexKind:
		e.add(`{"__metadata":{"type":"`, e.x.mount.namespace, ".", p.complex.name, `"}`)
		for i := range v.fields {
			inner := &p.complex.properties[i]
			if !v.fields[i].null || !e.x.sw.OmitNull {
				e.add(`,"`, inner.name, `":`)
				e.writeValue(&v.fields[i], inner)
			}
		}
		e.add("}")
		return
	case v.kind == int64Kind, v.kind == decimalKind, v.kind == guidKind, v.kind == timeKind, v.kind == binaryKind:
		quote = `"`
	case v.kind == singleKind, v.kind == doubleKind:
		// Microsoft's services write a number as a number, SAP's and Olingo as a string.
		if e.x.mount.sap {
			quote = `"`
		}
	}
	e.add(quote)
	e.b = appendPlain(e.b, v)
	e.add(quote)
}

// appendJSONText writes a JSON string. Control characters and JavaScript's line separators are escaped.
func appendJSONText(b, text []byte) []byte {
	const hexadecimal = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c >= 0x20 && c != '"' && c != '\\' && c != 0xE2 {
			continue
		}
		if c == 0xE2 {
			if r, _ := utf8.DecodeRune(text[i:]); r != '\u2028' && r != '\u2029' {
				continue
			}
			b = append(b, text[start:i]...)
			b = append(b, `\u202`...)
			b = append(b, hexadecimal[text[i+2]&15])
			i += 2
			start = i + 1
			continue
		}
		b = append(b, text[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, `\u00`...)
			b = append(b, hexadecimal[c>>4], hexadecimal[c&15])
		}
		start = i + 1
	}
	b = append(b, text[start:]...)
	return append(b, '"')
}
