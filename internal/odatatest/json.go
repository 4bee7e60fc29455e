package odatatest

import (
	"strconv"
	"strings"
	"time"
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

func (e *jsonEncoder) begin(_ *shape, _ string, count int) {
	e.counted = count
	e.bare = e.x.sw.V1
	e.b = append(e.b, `{"d":`...)
	if !e.bare {
		e.b = append(e.b, '{')
		if e.x.mount.sap {
			e.count()
		}
		e.b = append(e.b, `"results":`...)
	}
	e.b = append(e.b, '[')
}

// count stands before the results in SAP's answers and after them in Microsoft's.
func (e *jsonEncoder) count() {
	if e.counted >= 0 {
		if !e.x.mount.sap {
			e.b = append(e.b, ',')
		}
		e.b = append(e.b, `"__count":"`...)
		e.b = strconv.AppendInt(e.b, int64(e.counted), 10)
		e.b = append(e.b, '"')
		if e.x.mount.sap {
			e.b = append(e.b, ',')
		}
	}
}

func (e *jsonEncoder) entity(s *shape, r *row) {
	if e.rows > 0 {
		e.b = append(e.b, ',')
	}
	e.rows++
	e.object(s, r)
	e.passOn()
}

// deleted writes a tombstone as Apache Olingo does.
func (e *jsonEncoder) deleted(local string, when time.Time) {
	if e.rows > 0 {
		e.b = append(e.b, ',')
	}
	e.rows++
	e.b = append(e.b, `{"@odata.context":"$metadata#`...)
	set, _, _ := strings.Cut(local, "(")
	e.b = append(e.b, set...)
	e.b = append(e.b, `/$deletedEntity","id":`...)
	e.b = appendJSONText(e.b, []byte(e.x.base+local))
	e.b = append(e.b, `,"when":"\/Date(`...)
	e.b = strconv.AppendInt(e.b, when.UnixMilli(), 10)
	e.b = append(e.b, `)\/"}`...)
	e.passOn()
}

func (e *jsonEncoder) end(next, delta string) {
	e.b = append(e.b, ']')
	if !e.bare {
		if !e.x.mount.sap {
			e.count()
		}
		if next != "" {
			e.b = append(e.b, `,"__next":`...)
			e.b = appendJSONText(e.b, []byte(next))
		}
		if delta != "" {
			e.b = append(e.b, `,"__delta":`...)
			e.b = appendJSONText(e.b, []byte(delta))
		}
		e.b = append(e.b, '}')
	}
	e.b = append(e.b, '}')
}

func (e *jsonEncoder) single(s *shape, r *row) {
	e.b = append(e.b, `{"d":`...)
	e.object(s, r)
	e.b = append(e.b, '}')
}

func (e *jsonEncoder) object(s *shape, r *row) {
	b := append(e.b, '{')
	start := len(b)
	b = e.metadata(b, s, r)
	uri := b[start+len(`"__metadata":{"uri":"`):]
	if e.x.mount.sap {
		uri = b[start+len(`"__metadata":{"id":"`):]
	}
	for i := range uri {
		if uri[i] == '"' {
			uri = uri[:i:i]
			break
		}
	}
	typ := s.table.typ
	for i, c := range s.columns {
		v := &r.values[c]
		if v.null && e.x.sw.OmitNull {
			continue
		}
		b = append(b, s.jsonNames[i]...)
		b = e.value(b, v, &typ.properties[c])
	}
	for _, n := range s.links {
		b = append(b, `,"`...)
		b = append(b, n.name...)
		b = append(b, `":{"__deferred":{"uri":"`...)
		b = append(b, uri...)
		b = append(b, '/')
		b = append(b, n.name...)
		b = append(b, `"}}`...)
	}
	e.b = b
	for i := range s.expand {
		e.related(&s.expand[i], s, r)
	}
	e.b = append(e.b, '}')
}

// prepare writes the names of the columns with their punctuation.
func (e *jsonEncoder) prepare(s *shape) {
	s.jsonNames = s.jsonNames[:0]
	for _, c := range s.columns {
		s.jsonNames = append(s.jsonNames, []byte(`,"`+s.table.typ.properties[c].name+`":`))
	}
	for i := range s.expand {
		e.prepare(s.expand[i].shape)
	}
}

func (e *jsonEncoder) metadata(b []byte, s *shape, r *row) []byte {
	typ := s.table.typ
	b = append(b, `"__metadata":{`...)
	if e.x.mount.sap {
		b = append(b, `"id":"`...)
		b = e.x.appendURI(b, s.table, r)
		b = append(b, `",`...)
	}
	b = append(b, `"uri":"`...)
	b = e.x.appendURI(b, s.table, r)
	b = append(b, `","type":"`...)
	b = append(b, e.x.mount.namespace...)
	b = append(b, '.')
	b = append(b, typ.name...)
	b = append(b, '"')
	if typ.versioned() >= 0 {
		b = append(b, `,"etag":`...)
		b = appendJSONText(b, appendETag(nil, typ, r))
	}
	return append(b, '}')
}

func (e *jsonEncoder) related(x *expansion, s *shape, r *row) {
	n := x.navigation
	e.b = append(e.b, `,"`...)
	e.b = append(e.b, n.name...)
	e.b = append(e.b, `":`...)
	if !n.many {
		if target := n.one(r); target != nil {
			e.object(x.shape, target)
		} else {
			e.b = append(e.b, "null"...)
		}
		return
	}
	if !e.x.sw.V1 {
		e.b = append(e.b, `{"results":`...)
	}
	e.b = append(e.b, '[')
	rows := 0
	next := e.x.inner(x, s, r, func(child *row) {
		if rows > 0 {
			e.b = append(e.b, ',')
		}
		rows++
		e.object(x.shape, child)
		e.passOn()
	})
	e.b = append(e.b, ']')
	if e.x.sw.V1 {
		return
	}
	if next != "" {
		e.b = append(e.b, `,"__next":`...)
		e.b = appendJSONText(e.b, []byte(next))
	}
	e.b = append(e.b, '}')
}

func (e *jsonEncoder) value(b []byte, v *value, p *property) []byte {
	if v.null {
		return append(b, "null"...)
	}
	switch v.kind {
	case stringKind:
		return appendJSONText(b, v.text)
	case dateTimeKind, dateTimeOffsetKind:
		// Whole milliseconds of UTC; the offset of DateTimeOffset is written as +0000, which all readings agree on.
		ms, _ := floorDiv(v.num, ticksPerSecond/1000)
		b = append(b, `"\/Date(`...)
		b = strconv.AppendInt(b, ms, 10)
		if v.kind == dateTimeOffsetKind {
			b = append(b, "+0000"...)
		}
		return append(b, `)\/"`...)
	case int64Kind, decimalKind, guidKind, timeKind, binaryKind:
		b = append(b, '"')
		b = appendPlain(b, v)
		return append(b, '"')
	case singleKind, doubleKind:
		// Microsoft's services write a number where there is one, SAP's and Olingo a string.
		if f := v.float(); e.x.mount.sap || f != f || f-f != 0 {
			b = append(b, '"')
			b = appendPlain(b, v)
			return append(b, '"')
		}
	case complexKind:
		return e.complex(b, v, p)
	}
	return appendPlain(b, v)
}

func (e *jsonEncoder) complex(b []byte, v *value, p *property) []byte {
	b = append(b, `{"__metadata":{"type":"`...)
	b = append(b, e.x.mount.namespace...)
	b = append(b, '.')
	b = append(b, p.complex.name...)
	b = append(b, `"}`...)
	for i := range v.fields {
		if v.fields[i].null && e.x.sw.OmitNull {
			continue
		}
		b = append(b, `,"`...)
		b = append(b, p.complex.properties[i].name...)
		b = append(b, `":`...)
		b = e.value(b, &v.fields[i], &p.complex.properties[i])
	}
	return append(b, '}')
}

// appendJSONText writes a JSON string. Control characters and the separators that JavaScript dislikes are escaped.
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
