package odatatest

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

const maxBody = 16 << 20

// readBody reads the entity of a request: values by the index of their property.
func (ex *exchange) readBody(typ *entityType) (map[int]*value, *fault) {
	raw, err := io.ReadAll(http.MaxBytesReader(nil, ex.r.Body, maxBody))
	if err != nil {
		return nil, &fault{status: http.StatusRequestEntityTooLarge,
			message: fmt.Sprintf("expected at most %d bytes: %v", maxBody, err)}
	}
	if f := ex.refuse(raw); f != nil {
		return nil, f
	}
	media, parameters, _ := mime.ParseMediaType(ex.r.Header.Get("Content-Type"))
	reader := jsonReader{parse: ex.mount.dialect.parseText,
		refusesTexts: ex.mount.dialect.needsExactNumbers && parameters["ieee754compatible"] != "true"}
	var values map[int]*value
	switch media {
	case "application/json":
		values, err = reader.entity(raw, typ)
	case "application/atom+xml", "application/xml":
		values, err = readAtom(raw, typ)
	default:
		return nil, &fault{status: http.StatusUnsupportedMediaType, message: fmt.Sprintf("Unsupported media type '%s'",
			ex.r.Header.Get("Content-Type"))}
	}
	if err != nil {
		return nil, badRequest("Error processing request stream. %v", err)
	}
	for i, v := range values {
		if f := checkFacets(&typ.properties[i], v); f != nil {
			return nil, f
		}
	}
	return values, nil
}

// refuse returns the error for content that a switch refuses.
func (ex *exchange) refuse(content []byte) *fault {
	if ex.sw.Refuse == "" || !bytes.Contains(content, []byte(ex.sw.Refuse)) {
		return nil
	}
	return badRequest("The value %q is not maintained", ex.sw.Refuse)
}

// checkFacets validates a value against the facets of its property.
func checkFacets(p *property, v *value) *fault {
	problem := ""
	switch {
	case v.null && !p.nullable:
		problem = "must not be null"
	case v.null:
		// null fits any other facet
	case p.maxLength > 0 && p.kind == stringKind && utf8.RuneCount(v.text) > p.maxLength,
		p.maxLength > 0 && p.kind == binaryKind && len(v.text) > p.maxLength:
		problem = fmt.Sprintf("must not be longer than %d", p.maxLength)
	case p.precision > 0 && p.kind == decimalKind && !fitsDecimal(v.text, p.precision, p.scale):
		problem = fmt.Sprintf("must fit Decimal(%d,%d)", p.precision, p.scale)
	}
	if problem == "" {
		return nil
	}
	return &fault{status: http.StatusBadRequest, message: fmt.Sprintf("Property '%s' %s", p.name, problem),
		target: p.name}
}

// jsonReader reads bodies in JSON.
type jsonReader struct {
	parse        func(k kind, s string) (*value, error) // of strings
	refusesTexts bool                                   // numbers must not be strings
}

func (r jsonReader) entity(raw []byte, typ *entityType) (map[int]*value, error) {
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("expected one object, found more behind it")
	}
	if inner, ok := object["d"].(map[string]any); ok && len(object) == 1 {
		object = inner
	}
	values := map[int]*value{}
	for name, content := range object {
		if name == "__metadata" {
			continue
		}
		i := typ.property(name)
		if i < 0 {
			return nil, fmt.Errorf("The property '%s' does not exist on type '%s'", name, typ.name)
		}
		v, err := r.value(&typ.properties[i], content)
		if err != nil {
			return nil, fmt.Errorf("property '%s': %w", name, err)
		}
		values[i] = v
	}
	return values, nil
}

func (r jsonReader) value(p *property, content any) (*value, error) {
	invalid := fmt.Errorf("expected a value of type %s, found %v", p.kind, content)
	switch c := content.(type) {
	case nil:
		return &value{kind: p.kind, null: true}, nil
	case bool:
		if p.kind != booleanKind {
			return nil, invalid
		}
		v := booleanValue(c)
		return &v, nil
	case json.Number:
		if !p.kind.isNumeric() {
			return nil, invalid
		}
		return parsePlain(p.kind, c.String())
	case string:
		// Boolean must be a JSON literal; numbers may be strings, which verbose JSON requires for Int64 and Decimal.
		if p.kind == booleanKind {
			return nil, fmt.Errorf("expected true or false, found %q", c)
		}
		if p.kind.isNumeric() && r.refusesTexts && c != "NaN" && c != "INF" && c != "-INF" {
			return nil, invalid
		}
		m := jsonDateForm.FindStringSubmatch(c)
		if m == nil || !p.kind.isMoment() {
			return r.parse(p.kind, c)
		}
		const perMillisecond = ticksPerSecond / 1000
		v := &value{kind: p.kind, num: digits(m[1]) * perMillisecond}
		if m[2] != "" {
			if p.kind == dateTimeKind {
				return nil, fmt.Errorf("expected a date without offset, found %q", c)
			}
			offset := digits(m[3]) // minutes
			if m[2] == "-" {
				offset = -offset
			}
			v.zone = int16(offset)
			v.num -= offset * 60 * ticksPerSecond
		}
		return v, nil
	case map[string]any:
		if p.complex == nil {
			return nil, invalid
		}
		return r.complex(p, c)
	}
	return nil, invalid
}

func (r jsonReader) complex(p *property, object map[string]any) (*value, error) {
	v := &value{kind: complexKind, fields: make([]value, len(p.complex.properties))}
	for i := range p.complex.properties {
		inner := &p.complex.properties[i]
		content, ok := object[inner.name]
		v.fields[i] = value{kind: inner.kind, null: true}
		if !ok {
			continue
		}
		field, err := r.value(inner, content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", inner.name, err)
		}
		if f := checkFacets(inner, field); f != nil {
			return nil, fmt.Errorf("%s", f.message)
		}
		v.fields[i] = *field
	}
	for name := range object {
		isDeclared := name == "__metadata"
		for i := range p.complex.properties {
			isDeclared = isDeclared || p.complex.properties[i].name == name
		}
		if !isDeclared {
			return nil, fmt.Errorf("The property '%s' does not exist on type '%s'", name, p.complex.name)
		}
	}
	return v, nil
}

// element is a piece of XML as a tree; bodies are small enough for one.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []element  `xml:",any"`
}

func (e *element) child(space, local string) *element {
	for i := range e.Children {
		if n := e.Children[i].XMLName; n.Space == space && n.Local == local {
			return &e.Children[i]
		}
	}
	return nil
}

func (e *element) isNull() bool {
	for _, a := range e.Attrs {
		if a.Name.Space == nsM && a.Name.Local == "null" {
			return a.Value == "true" || a.Value == "1"
		}
	}
	return false
}

func readAtom(raw []byte, typ *entityType) (map[int]*value, error) {
	var entry element
	if err := xml.Unmarshal(raw, &entry); err != nil {
		return nil, err
	}
	if entry.XMLName != (xml.Name{Space: nsAtom, Local: "entry"}) {
		return nil, fmt.Errorf("expected an Atom entry, found {%s}%s", entry.XMLName.Space, entry.XMLName.Local)
	}
	holder := &entry
	if content := entry.child(nsAtom, "content"); content != nil {
		holder = content
	}
	properties := holder.child(nsM, "properties")
	values := map[int]*value{}
	if properties == nil {
		return values, nil
	}
	for i := range properties.Children {
		e := &properties.Children[i]
		if e.XMLName.Space != nsD {
			continue
		}
		n := typ.property(e.XMLName.Local)
		if n < 0 {
			return nil, fmt.Errorf("The property '%s' does not exist on type '%s'", e.XMLName.Local, typ.name)
		}
		v, err := fromAtom(&typ.properties[n], e)
		if err != nil {
			return nil, fmt.Errorf("property '%s': %w", e.XMLName.Local, err)
		}
		values[n] = v
	}
	return values, nil
}

func fromAtom(p *property, e *element) (*value, error) {
	if e.isNull() {
		return &value{kind: p.kind, null: true}, nil
	}
	if p.complex == nil {
		literal := e.Text
		if p.kind != stringKind {
			literal = strings.TrimSpace(literal)
		}
		return parsePlain(p.kind, literal)
	}
	v := &value{kind: complexKind, fields: make([]value, len(p.complex.properties))}
	for i := range p.complex.properties {
		inner := &p.complex.properties[i]
		v.fields[i] = value{kind: inner.kind, null: true}
		child := e.child(nsD, inner.name)
		if child == nil {
			continue
		}
		field, err := fromAtom(inner, child)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", inner.name, err)
		}
		v.fields[i] = *field
	}
	return v, nil
}
