package odatatest

import (
	"io"
	"slices"
	"strings"
	"time"
)

// json4Encoder writes JSON with minimal metadata (OData JSON Format 4.0).
type json4Encoder struct {
	output
	x         *exchange
	annotates string // the start of the names of annotations
	separator byte   // precedes the next member of an object
	rows      int
	// linksAt is the position of links that are in front of the rows. These stay in the buffer until links are known.
	linksAt int
	isFront bool // links are in front of the rows, ETags behind properties
	hasRows bool // the array of rows was begun
}

func newEncoder4(ex *exchange, w io.Writer, s *shape) encoder {
	e := &json4Encoder{output: output{to: w}, x: ex, annotates: "@odata.", isFront: ex.sw.Annotations == "front"}
	if ex.sw.ShortNames {
		e.annotates = "@"
	}
	e.encodeNames(s)
	return e
}

// encodeNames writes the names of the columns with their punctuation.
func (e *json4Encoder) encodeNames(s *shape) {
	s.jsonNames = s.jsonNames[:0]
	for _, c := range s.columns {
		s.jsonNames = append(s.jsonNames, []byte(`"`+s.table.typ.properties[c].name+`":`))
	}
	for i := range s.expand {
		e.encodeNames(s.expand[i].shape)
	}
}

// addName starts a member of the current object.
func (e *json4Encoder) addName(parts ...string) {
	e.b = append(e.b, e.separator, '"')
	e.separator = ','
	e.add(parts...)
	e.add(`":`)
}

func (e *json4Encoder) addText(s string) { e.b = appendJSONText(e.b, []byte(s)) }

// writeContext starts a document with its context URL.
func (e *json4Encoder) writeContext(s *shape, suffix string) {
	e.separator = '{'
	e.addName(e.annotates, "context")
	context := "$metadata#" + s.table.name
	if e.x.sw.Links != "relative" && e.x.sw.Links != "encoded" {
		context = e.x.base + context
	}
	if e.x.query.selected != nil {
		context += "(" + strings.Join(e.x.query.selected, ",") + ")"
	}
	e.addText(context + suffix)
}

func (e *json4Encoder) beginFeed(s *shape, _ string, count int) {
	suffix := ""
	if e.x.isDelta {
		suffix = "/$delta"
	}
	e.writeContext(s, suffix)
	if count >= 0 {
		e.addName(e.annotates, "count")
		v := value{kind: int64Kind, num: int64(count)}
		e.writeValue(&v, &property{})
	}
	e.linksAt = len(e.b)
}

// beginRow starts the array of rows, or a further row.
func (e *json4Encoder) beginRow() {
	if !e.hasRows {
		e.addName("value")
		e.add("[")
		e.hasRows = true
	}
	if e.rows > 0 {
		e.add(",")
	}
	e.rows++
}

// endRow writes the rows so far if there are many, unless links will be in front of them.
func (e *json4Encoder) endRow() {
	e.separator = ','
	if !e.isFront {
		e.flushPiece()
	}
}

func (e *json4Encoder) writeEntity(s *shape, r *row) {
	e.beginRow()
	e.writeObject(s, r)
	e.endRow()
}

// writeTombstone writes a deleted entity in the form of 4.0, or of 4.01.
func (e *json4Encoder) writeTombstone(t *tombstone) {
	e.beginRow()
	e.separator = '{'
	if e.x.sw.Tombstones == "removed" {
		e.addName("@removed")
		e.add(`{"reason":"`, t.reason, `"}`)
		e.addName("@id")
		e.addText(t.local)
	} else {
		set, _, _ := strings.Cut(t.local, "(")
		e.addName(e.annotates, "context")
		e.addText("$metadata#" + set + "/$deletedEntity")
		e.addName("id")
		e.addText(t.local)
		e.addName("reason")
		e.addText(t.reason)
	}
	e.add("}")
	e.endRow()
}

func (e *json4Encoder) endFeed(next, delta string) {
	if !e.hasRows && e.x.sw.EmptyPages == 0 {
		e.addName("value")
		e.add("[")
		e.hasRows = true
	}
	if e.hasRows {
		e.add("]")
	}
	ex := e.x
	if ex.sw.RowErrors > 0 && ex.isMatched() && ex.service.useUp(func(s *Switches) *int { return &s.RowErrors }) {
		e.addName(e.annotates, "error")
		e.add(`{"code":"500","message":"The rows could not be read to their end"}}`)
		return
	}
	end := len(e.b)
	e.writeLink("nextLink", next)
	e.writeLink("deltaLink", delta)
	if e.isFront {
		links := slices.Clone(e.b[end:])
		e.b = slices.Insert(e.b[:end], e.linksAt, links...)
	}
	e.add("}")
}

// writeLink writes a link of a feed unless it is empty.
func (e *json4Encoder) writeLink(name, to string) {
	if to != "" {
		e.addName(e.annotates, name)
		e.addText(to)
	}
}

func (e *json4Encoder) writeSingle(s *shape, r *row) {
	e.writeContext(s, "/$entity")
	e.writeMembers(s, r)
	e.add("}")
}

func (e *json4Encoder) writeObject(s *shape, r *row) {
	e.separator = '{'
	e.writeMembers(s, r)
	if e.separator == '{' {
		e.add("{")
	}
	e.add("}")
	e.separator = ','
}

// writeMembers writes the members of an entity.
func (e *json4Encoder) writeMembers(s *shape, r *row) {
	etag := string(appendETag(nil, s.table.typ, r))
	if !e.isFront {
		e.writeLink("etag", etag)
	}
	for i, c := range s.columns {
		if v := &r.values[c]; !v.null || !e.x.sw.OmitNull {
			e.b = append(append(e.b, e.separator), s.jsonNames[i]...)
			e.separator = ','
			e.writeValue(v, &s.table.typ.properties[c])
		}
	}
	if e.isFront {
		e.writeLink("etag", etag)
	}
	for i := range s.expand {
		e.writeRelated(&s.expand[i], s, r)
	}
}

func (e *json4Encoder) writeRelated(x *expansion, s *shape, r *row) {
	n := x.navigation
	e.addName(n.name)
	if !n.many {
		if target := n.principalRow(r); target != nil {
			e.writeObject(x.shape, target)
		} else {
			e.add("null")
		}
		return
	}
	e.add("[")
	rows := 0
	next := e.x.writeInner(x, s, r, func(child *row) {
		if rows > 0 {
			e.add(",")
		}
		rows++
		e.writeObject(x.shape, child)
		e.endRow()
	})
	e.add("]")
	if next != "" {
		e.addName(n.name, e.annotates, "nextLink")
		e.addText(next)
	}
}

func (e *json4Encoder) writeValue(v *value, p *property) {
	quote := `"`
	switch {
	case v.null:
		e.add("null")
		return
	case v.kind == stringKind:
		e.b = appendJSONText(e.b, v.text)
		return
	case v.kind == complexKind:
		e.separator = '{'
		for i := range v.fields {
			inner := &p.complex.properties[i]
			if !v.fields[i].null || !e.x.sw.OmitNull {
				e.addName(inner.name)
				e.writeValue(&v.fields[i], inner)
			}
		}
		if e.separator == '{' {
			e.add("{")
		}
		e.add("}")
		e.separator = ','
		return
	case p.day:
		seconds, _ := floorDiv(v.num, ticksPerSecond)
		e.add(quote)
		e.b = time.Unix(seconds, 0).UTC().AppendFormat(e.b, time.DateOnly)
		e.add(quote)
		return
	case v.kind == booleanKind, v.kind.isNumeric() && !e.x.hasTextNumbers,
		v.kind.isNumeric() && v.kind != int64Kind && v.kind != decimalKind:
		quote = ""
	}
	e.add(quote)
	e.b = appendPlain4(e.b, v)
	e.add(quote)
}
