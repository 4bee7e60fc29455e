package decode

import (
	"errors"
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// NewRowSchema returns the schema of a view, whose rows match [edm.Model.ReadSchema] and [edm.Model.KeySchema] under
// the same options. The properties hidden in the view's root follow the value columns. The caller sets the schema IDs.
func NewRowSchema(model *edm.Model, view *edm.View, options edm.Options) (*RowSchema, error) {
	// ReadSchema rejects views that have too many properties or are nested too deep.
	if _, err := model.ReadSchema(view, options); err != nil {
		return nil, err
	}
	schema, err := viewSchema(model, view, options, 0)
	if err != nil {
		return nil, err
	}
	if options.Delta {
		var extra []Column
		for _, name := range view.Structure.Extra() {
			extra = append(extra, Column{Name: name, Kind: Synthetic, Optional: true})
		}
		schema.Columns = slices.Insert(schema.Columns, schema.ValueColumns, extra...)
		schema.ValueColumns += len(extra)
	}
	for _, key := range model.RowKey(view.Structure) {
		for i := range schema.Columns {
			if schema.Columns[i].Name == key.Name {
				schema.Keys = append(schema.Keys, i)
			}
		}
	}
	return schema, schema.Init()
}

// viewSchema returns the schema of a view's rows, without keys. depth is 0 for the root.
func viewSchema(model *edm.Model, view *edm.View, options edm.Options, depth int) (*RowSchema, error) {
	isRead := func(name string) bool { return view.Includes(name) || slices.Contains(view.Hidden, name) }
	wantedSchema, err := structureSchema(model, view.Structure, isRead, options, depth)
	if err != nil {
		return nil, err
	}
	schema := &RowSchema{Name: wantedSchema.Name}
	var hidden []Column
	for _, column := range wantedSchema.Columns {
		switch isHidden := slices.Contains(view.Hidden, column.Name); {
		case view.Includes(column.Name), isHidden && depth > 0:
			schema.Columns = append(schema.Columns, column)
		case isHidden:
			hidden = append(hidden, column)
		}
	}
	for _, n := range wantedSchema.Ignored {
		if view.Expansion(n) == nil {
			schema.Ignored = append(schema.Ignored, n)
		}
	}
	for _, e := range view.Expanded {
		nested, err := viewSchema(model, e.View, options, depth+1)
		if err != nil {
			return nil, err
		}
		c := Column{Name: e.Name, Kind: NavigationToOne, Optional: true, Inline: true, Nested: nested}
		if e.Many {
			c.Kind = NavigationToMany
			c.Optional = false
			nested.Keys = nested.columnsOf(e.View.Structure.Key)
		}
		schema.Columns = append(schema.Columns, c)
	}
	schema.ValueColumns = len(schema.Columns)
	schema.Columns = append(schema.Columns, hidden...)
	return schema, nil
}

// columnsOf returns the columns of properties. It returns nil if one of them is not read or not primitive.
func (r *RowSchema) columnsOf(properties []string) (columns []int) {
	for _, name := range properties {
		i := slices.IndexFunc(r.Columns, func(c Column) bool { return c.Name == name && c.Kind == Primitive })
		if i < 0 {
			return nil
		}
		columns = append(columns, i)
	}
	return columns
}

// structureSchema returns the schema of the properties that isRead selects; the others are ignored. If isRead is nil,
// it describes all properties.
func structureSchema(model *edm.Model, typ *edm.StructuredType, isRead func(name string) bool,
	options edm.Options, depth int) (*RowSchema, error) {
	if depth > edm.MaxDepth {
		return nil, errors.New("complex types nest in a circle at " + typ.QualifiedName())
	}
	schema := &RowSchema{Name: typ.QualifiedName()}
	for i := range typ.Properties {
		property := &typ.Properties[i]
		if isRead != nil && !isRead(property.Name) {
			schema.Ignored = append(schema.Ignored, property.Name) // its type may be one that can't be read
			continue
		}
		column, err := propertyColumn(model, typ, property, options, depth)
		if err != nil {
			return nil, err
		}
		if property.Type.Collection {
			item := column
			item.Name = ""
			item.Optional = property.Nullable
			column = Column{Name: property.Name, Kind: Collection, Optional: column.Optional,
				Nested: &RowSchema{Name: property.Type.Name, Columns: []Column{item}, ValueColumns: 1}}
		}
		schema.Columns = append(schema.Columns, column)
	}
	schema.ValueColumns = len(schema.Columns)
	schema.Ignored = append(schema.Ignored, typ.LeftOut...)
	for _, n := range typ.Navigations {
		schema.Ignored = append(schema.Ignored, n.Name)
	}
	return schema, nil
}

// propertyColumn returns the column of a property, or of the items of a collection.
func propertyColumn(model *edm.Model, typ *edm.StructuredType, property *edm.Property, options edm.Options,
	depth int) (column Column, err error) {
	column = Column{Name: property.Name, Optional: options.IsOptional(typ, property), Enum: property.Type.Enum}
	if property.FeedMapping != nil {
		column.Target = property.FeedMapping.Path
	}
	if property.Type.Primitive == edm.NotPrimitive {
		single := *property
		single.Type.Collection = false
		inner, err := model.ComplexType(typ, &single)
		if err != nil {
			return column, err
		}
		column.Kind = Complex
		column.Nested, err = structureSchema(model, inner, nil, options, depth+1)
		return column, err
	}
	column.Type = property.Type.Primitive
	switch isDateTime := column.Type == edm.DateTime || column.Type == edm.DateTimeOffset; {
	case options.IsDate(property):
		column.Mapping = DateMapping
	case options.Micros && isDateTime:
		column.Mapping = MicrosMapping
	}
	if options.IsZoned(property, typ.IsKey(property.Name)) {
		column.Zone = options.Zone
	}
	setDecimal(&column, property, options)
	return column, nil
}

func setDecimal(column *Column, property *edm.Property, options edm.Options) {
	if property.Type.Primitive != edm.Decimal {
		return
	}
	column.Scale = options.DecimalScale(property)
	column.Precision = max(property.Precision, 0)
	column.Rounding = options.Rounding
	if property.Scale < 0 && column.Scale > 0 {
		// At the fallback scale, the precision facet no longer limits the digits before the point.
		column.Precision = 0
	}
	switch {
	case options.PrimitiveDecimals && column.Scale == 0:
		column.Mapping = Int64Mapping
	case options.PrimitiveDecimals:
		column.Mapping = Float64Mapping
	}
}
