package encode

import (
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/value"
)

// appendJSON writes an entity or complex property as an object.
func (w *Writer) appendJSON(dst []byte, typ *Type, rowValue *rowvalue.Value, path string) (_ []byte, err error) {
	dst = append(dst, '{')
	start := len(dst)
	var properties propertyCursor
	properties.open(w, typ, rowValue, path)
	for {
		for writer := properties.peekWriter(); writer != nil; writer = properties.peekWriter() {
			out, ok := writer.appendFast(writer.appendLabel(dst, start), properties.Peek(), value.JSON)
			if !ok {
				break
			}
			dst = out
			properties.Skip()
		}
		if !properties.next() {
			return append(dst, '}'), properties.err
		}
		dst = properties.appendLabel(dst, start)
		switch {
		case properties.isNull:
			dst = append(dst, "null"...)
		case properties.typ == nil:
			dst, err = properties.appendValue(dst)
		case properties.navigation != nil && properties.navigation.Many:
			dst, err = properties.appendArray(dst)
		default:
			dst, err = w.appendJSON(dst, properties.typ, &properties.Value, properties.path())
		}
		if err != nil {
			return dst, err
		}
	}
}

// appendLabel appends the name of a property, after a comma unless it is the first one of the object at start.
func (p *propertyWriter) appendLabel(dst []byte, start int) []byte {
	if len(dst) == start {
		return append(dst, p.label[1:]...) // without the comma
	}
	return append(dst, p.label...)
}

// appendValue writes the value of a primitive property.
func (p *propertyCursor) appendValue(dst []byte) ([]byte, error) {
	if out, ok := p.appendFast(dst, value.JSON); ok {
		return out, nil
	}
	converted, err := p.convert()
	if err != nil {
		return dst, err
	}
	if converted.Ticks != 0 {
		return dst, Unexpected(p.path(),
			"no digits after milliseconds in JSON, "+sinkconfig.NameRequestFormat+" = atom accepts them",
			converted.Text)
	}
	return converted.AppendJSON(dst), nil
}

// appendArray writes the entities of a navigation property.
func (p *propertyCursor) appendArray(dst []byte) (_ []byte, err error) {
	dst = append(dst, '[')
	start := len(dst)
	var items rowvalue.Cursor
	p.Value.Items(&items)
	for items.Next() {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		if dst, err = p.writer.appendJSON(dst, p.typ, &items.Value, p.path()); err != nil {
			return dst, err
		}
	}
	if items.Mismatch {
		return dst, Unexpected(p.path(), "an array of "+p.typ.QualifiedName(), "another kind of value")
	}
	return append(dst, ']'), nil
}
