package decode

import (
	"errors"
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// NewRowLayout is the layout of a view, whose rows are those of [edm.Model.ReadSchema] and [edm.Model.KeySchema] under
// the same options; what is hidden in the view's root is after the visible columns. The caller sets the schemas' ids.
func NewRowLayout(m *edm.Model, v *edm.View, o edm.Options) (*RowLayout, error) {
	// The schema bounds what the layout comes to.
	if _, err := m.ReadSchema(v, o); err != nil {
		return nil, err
	}
	layout, err := view(m, v, o, 0)
	if err != nil {
		return nil, err
	}
	if o.Delta {
		var extra []Column
		for _, name := range v.Structure.Extra() {
			extra = append(extra, Column{Name: name, Shape: Blank, Optional: true})
		}
		layout.Columns = slices.Insert(layout.Columns, layout.Visible, extra...)
		layout.Visible += len(extra)
	}
	for _, key := range m.RowKey(v.Structure) {
		for i := range layout.Columns {
			if layout.Columns[i].Name == key.Name {
				layout.Keys = append(layout.Keys, i)
			}
		}
	}
	return layout, layout.Ready()
}

func view(m *edm.Model, v *edm.View, o edm.Options, depth int) (*RowLayout, error) {
	wanted := func(name string) bool { return v.Shows(name) || slices.Contains(v.Hidden, name) }
	whole, err := structure(m, v.Structure, wanted, o, depth)
	if err != nil {
		return nil, err
	}
	l := &RowLayout{Name: whole.Name}
	var hidden []Column
	for _, c := range whole.Columns {
		switch isHidden := slices.Contains(v.Hidden, c.Name); {
		case v.Shows(c.Name), isHidden && depth > 0:
			l.Columns = append(l.Columns, c)
		case isHidden:
			hidden = append(hidden, c)
		}
	}
	for _, n := range whole.Known {
		if v.Expansion(n) == nil {
			l.Known = append(l.Known, n)
		}
	}
	for _, e := range v.Expanded {
		nested, err := view(m, e.View, o, depth+1)
		if err != nil {
			return nil, err
		}
		c := Column{Name: e.Name, Shape: One, Optional: true, Inline: true, Nested: nested}
		if e.Many {
			c.Shape, c.Optional = Many, false
		}
		l.Columns = append(l.Columns, c)
	}
	l.Visible = len(l.Columns)
	l.Columns = append(l.Columns, hidden...)
	return l, nil
}

// structure is the layout of the properties that are wanted, nil: all.
func structure(m *edm.Model, s *edm.Structure, wanted func(name string) bool, o edm.Options, depth int) (*RowLayout,
	error) {
	if depth > edm.MaxDepth {
		return nil, errors.New("complex types nest in a circle at " + s.QualifiedName())
	}
	l := &RowLayout{Name: s.QualifiedName()}
	for i := range s.Properties {
		p := &s.Properties[i]
		if wanted != nil && !wanted(p.Name) {
			l.Known = append(l.Known, p.Name) // its type may be one that can't be read
			continue
		}
		c := Column{Name: p.Name, Optional: o.Optional(s, p)}
		if p.Feed != nil {
			c.Target = p.Feed.Path
		}
		if p.Type.Primitive != edm.NotPrimitive && !p.Type.Collection {
			c.Type = p.Type.Primitive
			switch moment := c.Type == edm.DateTime || c.Type == edm.DateTimeOffset; {
			case o.Date(p):
				c.As = AsDate
			case o.Micros && moment:
				c.As = AsMicros
			}
			if o.Zoned(p, s.IsKey(p.Name)) {
				c.Zone = o.Zone
			}
			scale(&c, p, o)
		} else {
			inner, err := m.Inner(s, p)
			if err != nil {
				return nil, err
			}
			c.Shape = Complex
			if c.Nested, err = structure(m, inner, nil, o, depth+1); err != nil {
				return nil, err
			}
		}
		l.Columns = append(l.Columns, c)
	}
	l.Visible = len(l.Columns)
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
