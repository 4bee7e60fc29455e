package encode

import (
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
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
	dst = w.appendActive(dst, typ, rowValue, path)
	for {
		for writer := properties.peekWriter(); writer != nil; writer = properties.peekWriter() {
			out, ok := writer.appendFast(writer.appendLabel(dst, start), properties.Peek(), typ.form)
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
		case properties.isNull && properties.isCollection:
			dst = append(dst, "[]"...)
		case properties.isNull:
			dst = append(dst, "null"...)
		case properties.isCollection, properties.navigation != nil && properties.navigation.Many:
			dst, err = properties.appendArray(dst)
		case properties.typ == nil:
			dst, err = properties.appendValue(dst)
		default:
			dst, err = properties.contentWriter().appendJSON(dst, properties.typ, &properties.Value, properties.path())
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
	if out, ok := p.appendFast(dst, p.parent.form); ok {
		return out, nil
	}
	converted, err := p.convert()
	if err != nil {
		return dst, err
	}
	if converted.Ticks != 0 && p.parent.form == value.JSON {
		return dst, Unexpected(p.path(),
			"no digits after milliseconds in JSON, "+sinkconfig.NameRequestFormat+" = atom accepts them",
			converted.Text)
	}
	return converted.AppendJSON(dst, p.parent.form), nil
}

// appendArray writes the entities of a navigation property, or the values of a collection.
func (p *propertyCursor) appendArray(dst []byte) (_ []byte, err error) {
	dst = append(dst, '[')
	start := len(dst)
	writer := p.contentWriter()
	var items rowvalue.Cursor
	p.Value.Items(&items)
	for items.Next() {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		switch {
		case !items.Value.Present && p.isCollection:
			dst = append(dst, "null"...)
		case p.typ == nil:
			var converted value.Converted
			if err = Convert(&converted, p.writer.Config, p.property, &items.Value); err != nil {
				return dst, odataerror.DataError(p.path() + ": " + err.Error())
			}
			dst = converted.AppendJSON(dst, p.parent.form)
		default:
			if dst, err = writer.appendJSON(dst, p.typ, &items.Value, p.path()); err != nil {
				return dst, err
			}
		}
	}
	if items.Mismatch {
		return dst, Unexpected(p.path(), "an array of "+p.itemType(), "another kind of value")
	}
	return append(dst, ']'), nil
}

// contentWriter returns the writer of nested structs. The entities of a deep update are written as inserted ones,
// because the service replaces them: it needs their keys, and properties that only inserts set.
func (p *propertyCursor) contentWriter() *Writer {
	if p.navigation == nil || !p.writer.Update {
		return p.writer
	}
	inserted := *p.writer
	inserted.Update = false
	return &inserted
}

// itemType returns the name of the type of an array's items.
func (p *propertyCursor) itemType() string {
	if p.typ == nil {
		return p.property.Type.Primitive.String()
	}
	return p.typ.QualifiedName()
}
