package edm

import "github.com/culvert-project/culvert/plugins/odata/decode"

var columnTypes = [...]decode.Edm{Binary: decode.EdmBinary, Boolean: decode.EdmBoolean, Byte: decode.EdmByte, SByte: decode.EdmSByte,
	Int16: decode.EdmInt16, Int32: decode.EdmInt32, Int64: decode.EdmInt64, Decimal: decode.EdmDecimal, Double: decode.EdmDouble,
	Single: decode.EdmSingle, Guid: decode.EdmGuid, String: decode.EdmString, DateTime: decode.EdmDateTime,
	DateTimeOffset: decode.EdmDateTimeOffset, Time: decode.EdmTime}

// Layout is the decoders' layout of an entity type, whose rows are those of [Model.ValueSchema] and [Model.KeySchema] under the
// same options. The caller sets the schemas' ids.
func (m *Model) Layout(s *Structure, o Options) (*decode.Layout, error) {
	// The schema bounds what the layout comes to.
	if _, err := m.ValueSchema(s, o); err != nil {
		return nil, err
	}
	layout, err := m.layout(s, o, 0)
	if err != nil {
		return nil, err
	}
	for _, key := range m.RowKey(s) {
		for i := range layout.Columns {
			if layout.Columns[i].Name == key.Name {
				layout.Keys = append(layout.Keys, i)
			}
		}
	}
	return layout, layout.Check()
}

func (m *Model) layout(s *Structure, o Options, depth int) (*decode.Layout, error) {
	if depth > maxDepth {
		return nil, &Error{"complex types nest in a circle at " + s.QualifiedName()}
	}
	l := &decode.Layout{Name: s.QualifiedName(), Visible: len(s.Properties)}
	for i := range s.Properties {
		p := &s.Properties[i]
		c := decode.Column{Name: p.Name, Optional: o.optional(s, p)}
		if p.Feed != nil {
			c.Target = p.Feed.Path
		}
		if p.Type.Primitive != NotPrimitive && !p.Type.Collection {
			c.Type = columnTypes[p.Type.Primitive]
			o.decimal(&c, p)
		} else {
			inner, err := m.inner(s, p)
			if err != nil {
				return nil, err
			}
			c.Shape = decode.Complex
			if c.Nested, err = m.layout(inner, o, depth+1); err != nil {
				return nil, err
			}
		}
		l.Columns = append(l.Columns, c)
	}
	for _, n := range s.Navigations {
		l.Known = append(l.Known, n.Name)
	}
	return l, nil
}

// inner is the complex type of a property.
func (m *Model) inner(s *Structure, p *Property) (*Structure, error) {
	if inner := m.Structure(p.Type.Name); inner != nil && !p.Type.Collection {
		return inner, nil
	}
	if p.Type.Collection {
		return nil, &Error{"property " + p.Name + " of " + s.QualifiedName() + ": collections as properties are not part of OData v2"}
	}
	return nil, &Error{"property " + p.Name + " of " + s.QualifiedName() + ": its type " + p.Type.Name +
		" is neither a type of OData v2 nor declared in $metadata"}
}

func (o Options) decimal(c *decode.Column, p *Property) {
	if p.Type.Primitive != Decimal {
		return
	}
	c.Scale, c.Precision, c.Rounding = o.DecimalScale(p), max(p.Precision, 0), o.Rounding
	if p.Scale < 0 && c.Scale > 0 {
		// The point moves: the digits that the facet allows say nothing of those at the fallback's scale.
		c.Precision = 0
	}
	switch {
	case o.PrimitiveDecimals && c.Scale == 0:
		c.As = decode.AsInt64
	case o.PrimitiveDecimals:
		c.As = decode.AsFloat64
	}
}
