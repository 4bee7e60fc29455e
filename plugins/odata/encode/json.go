package encode

import (
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/value"
)

func (b *Writer) appendJSON(dst []byte, typ *Type, rowValue *rowvalue.Value, path string) (_ []byte, err error) {
	dst = append(dst, '{')
	start := len(dst)
	properties := b.properties(typ, rowValue, path)
	for properties.next() {
		if label := properties.label; len(dst) > start {
			dst = append(dst, label...)
		} else {
			dst = append(dst, label[1:]...)
		}
		switch {
		case properties.isNull:
			dst = append(dst, "null"...)
		case properties.typ == nil:
			if out, ok := properties.appendFast(dst, value.JSON); ok {
				dst = out
				continue
			}
			dst, err = properties.appendConverted(dst)
		case properties.navigation != nil && properties.navigation.Many:
			dst, err = properties.appendArray(dst)
		default:
			dst, err = b.appendJSON(dst, properties.typ, &properties.Value, properties.path())
		}
		if err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), properties.err
}

func (m *propertyCursor) appendConverted(dst []byte) ([]byte, error) {
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
