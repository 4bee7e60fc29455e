package encode

import (
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/value"
)

func (b *Writer) appendJSON(dst []byte, typ *Type, rowValue *rowvalue.Value, path string) (_ []byte, err error) {
	dst = append(dst, '{')
	start := len(dst)
	var properties propertyCursor
	properties.open(b, typ, rowValue, path)
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
			dst, err = b.appendJSON(dst, properties.typ, &properties.Value, properties.path())
		}
		if err != nil {
			return dst, err
		}
	}
}

// appendLabel appends the name of a property, after a comma unless it is the first one of the object at start.
func (c *propertyWriter) appendLabel(dst []byte, start int) []byte {
	if len(dst) == start {
		return append(dst, c.label[1:]...)
	}
	return append(dst, c.label...)
}

func (m *propertyCursor) appendValue(dst []byte) ([]byte, error) {
	if out, ok := m.appendFast(dst, value.JSON); ok {
		return out, nil
	}
	converted, err := m.convert()
	if err != nil {
		return dst, err
	}
	if converted.Ticks != 0 {
		return dst, Unexpected(m.path(),
			"no digits after milliseconds in JSON, "+sinkconfig.NameRequestFormat+" = atom accepts them",
			converted.Text)
	}
	return converted.AppendJSON(dst), nil
}

func (m *propertyCursor) appendArray(dst []byte) (_ []byte, err error) {
	dst = append(dst, '[')
	start := len(dst)
	var items rowvalue.Cursor
	m.Value.Items(&items)
	for items.Next() {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		if dst, err = m.writer.appendJSON(dst, m.typ, &items.Value, m.path()); err != nil {
			return dst, err
		}
	}
	if items.Mismatch {
		return dst, Unexpected(m.path(), "an array of "+m.typ.QualifiedName(), "another kind of value")
	}
	return append(dst, ']'), nil
}
