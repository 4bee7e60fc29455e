package decode

import (
	"errors"
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// NewRowSchema returns the schema of a view, whose rows match [edm.Model.ReadSchema] and [edm.Model.KeySchema] under
// the same options. The properties hidden in the view's root follow the value columns. The caller sets the schema IDs.
func NewRowSchema(m *edm.Model, v *edm.View, o edm.Options) (*RowSchema, error) {
	// The schema limits the size of the result.
	if _, err := m.ReadSchema(v, o); err != nil {
		return nil, err
	}
	layout, err := viewSchema(m, v, o, 0)
	if err != nil {
		return nil, err
	}
	if o.Delta {
		var extra []Column
		for _, name := range v.Structure.Extra() {
			extra = append(extra, Column{Name: name, Kind: Synthetic, Optional: true})
		}
		layout.Columns = slices.Insert(layout.Columns, layout.ValueColumns, extra...)
		layout.ValueColumns += len(extra)
	}
	for _, key := range m.RowKey(v.Structure) {
		for i := range layout.Columns {
			if layout.Columns[i].Name == key.Name {
				layout.Keys = append(layout.Keys, i)
			}
		}
	}
	return layout, layout.Init()
}

func viewSchema(m *edm.Model, v *edm.View, o edm.Options, depth int) (*RowSchema, error) {
	wanted := func(name string) bool { return v.Includes(name) || slices.Contains(v.Hidden, name) }
	whole, err := structureSchema(m, v.Structure, wanted, o, depth)
	if err != nil {
		return nil, err
	}
	l := &RowSchema{Name: whole.Name}
	var hidden []Column
	for _, c := range whole.Columns {
		switch isHidden := slices.Contains(v.Hidden, c.Name); {
		case v.Includes(c.Name), isHidden && depth > 0:
			l.Columns = append(l.Columns, c)
		case isHidden:
			hidden = append(hidden, c)
		}
	}
	for _, n := range whole.Ignored {
		if v.Expansion(n) == nil {
			l.Ignored = append(l.Ignored, n)
		}
	}
	for _, e := range v.Expanded {
		nested, err := viewSchema(m, e.View, o, depth+1)
		if err != nil {
			return nil, err
		}
		c := Column{Name: e.Name, Kind: NavigationToOne, Optional: true, Inline: true, Nested: nested}
		if e.Many {
			c.Kind, c.Optional = NavigationToMany, false
		}
		l.Columns = append(l.Columns, c)
	}
	l.ValueColumns = len(l.Columns)
	l.Columns = append(l.Columns, hidden...)
	return l, nil
}

// structureSchema describes the wanted properties. If wanted is nil, it describes all.
func structureSchema(m *edm.Model, s *edm.StructuredType, wanted func(name string) bool, o edm.Options,
	depth int) (*RowSchema,
	error) {
	if depth > edm.MaxDepth {
		return nil, errors.New("complex types nest in a circle at " + s.QualifiedName())
	}
	l := &RowSchema{Name: s.QualifiedName()}
	for i := range s.Properties {
		p := &s.Properties[i]
		if wanted != nil && !wanted(p.Name) {
			l.Ignored = append(l.Ignored, p.Name) // its type may be one that can't be read
			continue
		}
		c := Column{Name: p.Name, Optional: o.IsOptional(s, p)}
		if p.FeedMapping != nil {
			c.Target = p.FeedMapping.Path
		}
		if p.Type.Primitive != edm.NotPrimitive && !p.Type.Collection {
			c.Type = p.Type.Primitive
			switch isDateTime := c.Type == edm.DateTime || c.Type == edm.DateTimeOffset; {
			case o.IsDate(p):
				c.Mapping = DateMapping
			case o.Micros && isDateTime:
				c.Mapping = MicrosMapping
			}
			if o.IsZoned(p, s.IsKey(p.Name)) {
				c.Zone = o.Zone
			}
			setDecimal(&c, p, o)
		} else {
			inner, err := m.ComplexType(s, p)
			if err != nil {
				return nil, err
			}
			c.Kind = Complex
			if c.Nested, err = structureSchema(m, inner, nil, o, depth+1); err != nil {
				return nil, err
			}
		}
		l.Columns = append(l.Columns, c)
	}
	l.ValueColumns = len(l.Columns)
	for _, n := range s.Navigations {
		l.Ignored = append(l.Ignored, n.Name)
	}
	return l, nil
}

func setDecimal(c *Column, p *edm.Property, o edm.Options) {
	if p.Type.Primitive != edm.Decimal {
		return
	}
	c.Scale, c.Precision, c.Rounding = o.DecimalScale(p), max(p.Precision, 0), o.Rounding
	if p.Scale < 0 && c.Scale > 0 {
		// At the fallback scale, the precision facet no longer limits the digits before the point.
		c.Precision = 0
	}
	switch {
	case o.PrimitiveDecimals && c.Scale == 0:
		c.Mapping = Int64Mapping
	case o.PrimitiveDecimals:
		c.Mapping = Float64Mapping
	}
}
