package encode

import (
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
)

func (b *Writer) appendJSON(dst []byte, s *Type, v *rowvalue.Value, path string) (_ []byte, err error) {
	dst = append(dst, '{')
	start := len(dst)
	m := b.properties(s, v, path)
	for m.next() {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, m.label...)
		switch {
		case m.isNull:
			dst = append(dst, "null"...)
		case m.typ == nil:
			dst, err = m.appendValue(dst)
		case m.navigation != nil && m.navigation.Many:
			dst, err = m.appendArray(dst)
		default:
			dst, err = b.appendJSON(dst, m.typ, &m.Value, m.path())
		}
		if err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), m.err
}

func (m *propertyCursor) appendValue(dst []byte) ([]byte, error) {
	if out, ok := m.appendFast(dst, true); ok {
		return out, nil
	}
	c, err := m.convert()
	if err != nil {
		return dst, err
	}
	if c.Ticks != 0 {
		return dst, Unexpected(m.path(),
			"no digits after milliseconds in JSON, "+sinkconfig.NameRequestFormat+" = atom accepts them",
			c.Text)
	}
	return c.AppendJSON(dst), nil
}

func (m *propertyCursor) appendArray(dst []byte) (_ []byte, err error) {
	dst = append(dst, '[')
	start := len(dst)
	items := m.Value.Items()
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
