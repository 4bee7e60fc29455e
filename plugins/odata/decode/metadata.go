package decode

import (
	"errors"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// NewLayout is the layout of an entity type, whose rows are those of [edm.Model.ValueSchema] and [edm.Model.KeySchema] under the
// same options. The caller sets the schemas' ids.
func NewLayout(m *edm.Model, s *edm.Structure, o edm.Options) (*Layout, error) {
	// The schema bounds what the layout comes to.
	if _, err := m.ValueSchema(s, o); err != nil {
		return nil, err
	}
	layout, err := structure(m, s, o, 0)
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

func structure(m *edm.Model, s *edm.Structure, o edm.Options, depth int) (*Layout, error) {
	if depth > edm.MaxDepth {
		return nil, errors.New("complex types nest in a circle at " + s.QualifiedName())
	}
	l := &Layout{Name: s.QualifiedName(), Visible: len(s.Properties)}
	for i := range s.Properties {
		p := &s.Properties[i]
		c := Column{Name: p.Name, Optional: o.Optional(s, p)}
		if p.Feed != nil {
			c.Target = p.Feed.Path
		}
		if p.Type.Primitive != edm.NotPrimitive && !p.Type.Collection {
			c.Type = p.Type.Primitive
			scale(&c, p, o)
		} else {
			inner, err := m.Inner(s, p)
			if err != nil {
				return nil, err
			}
			c.Shape = Complex
			if c.Nested, err = structure(m, inner, o, depth+1); err != nil {
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

// scale says how a decimal is written.
func scale(c *Column, p *edm.Property, o edm.Options) {
	if p.Type.Primitive != edm.Decimal {
		return
	}
	c.Scale, c.Precision, c.Rounding = o.DecimalScale(p), max(p.Precision, 0), o.Rounding
	if p.Scale < 0 && c.Scale > 0 {
		// The point moves: the digits that the facet allows say nothing of those at the fallback's scale.
		c.Precision = 0
	}
	switch {
	case o.PrimitiveDecimals && c.Scale == 0:
		c.As = AsInt64
	case o.PrimitiveDecimals:
		c.As = AsFloat64
	}
}
