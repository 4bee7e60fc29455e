package feedreader

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// withDerivedProperties adds the properties of derived types as nullable ones.
func (f *Feed) withDerivedProperties(model *edm.Model, s *edm.StructuredType) (*edm.StructuredType, error) {
	wide := *s
	wide.Properties = slices.Clip(s.Properties)
	for _, t := range model.Structures {
		if t == s || t.Complex || t.Base == "" || !derives(model, t, s) {
			continue
		}
		for _, property := range model.Structure(t.QualifiedName()).Properties {
			declared := wide.Property(property.Name)
			problem := ""
			switch {
			case declared == nil:
				property.Nullable = true
				wide.Properties = append(wide.Properties, property)
				continue
			case declared.Type != property.Type:
				problem = ", and " + declared.Type.Name + " in another type of entity set " + f.Set
			case !f.sameEncoding(declared, &property):
				problem = " with another Precision, Scale, sap:display-format or m:FC_TargetPath than in another " +
					"type of entity set " + f.Set
			default:
				continue
			}
			return nil, odataerror.ForSetting(f.Setting(sourceconfig.NameDerived), "property "+property.Name+" of "+
				t.QualifiedName()+" is "+property.Type.Name+problem+"; expected ignore, which leaves out what types "+
				"add")
		}
	}
	return &wide, nil
}

// sameEncoding reports whether the values of two properties of the same type are written in the same way.
func (f *Feed) sameEncoding(a, b *edm.Property) bool {
	o := f.Options
	if o.IsDate(a) != o.IsDate(b) || o.IsZoned(a, false) != o.IsZoned(b, false) {
		return false
	}
	sameFacets := a.Scale == b.Scale && a.VariableScale == b.VariableScale && a.Precision == b.Precision
	if a.Type.Primitive == edm.Decimal && !sameFacets {
		return false
	}
	if a.FeedMapping == nil || b.FeedMapping == nil {
		return a.FeedMapping == b.FeedMapping
	}
	return *a.FeedMapping == *b.FeedMapping
}

// derivedProperties returns the properties that derived types add, each as "property type".
func derivedProperties(model *edm.Model, entityType *edm.StructuredType) (properties []string) {
	for _, t := range model.Structures {
		if t == entityType || t.Complex || t.Base == "" || !derives(model, t, entityType) {
			continue
		}
		t = model.Structure(t.QualifiedName())
		for i := range t.Properties {
			if name := t.Properties[i].Name; entityType.Property(name) == nil && len(properties) < maxDerived {
				properties = append(properties, name+" "+t.QualifiedName())
			}
		}
	}
	return properties
}

const maxDerived = 1000 // properties

// subtypes returns the types that derive from types of expanded collections, each as "type base".
func subtypes(model *edm.Model, view *edm.View) (names []string) {
	for _, expansion := range view.Expanded {
		base := expansion.View.Structure
		for _, t := range model.Structures {
			if expansion.Many && t != base && !t.Complex && t.Base != "" && derives(model, t, base) {
				names = append(names, t.QualifiedName()+" "+base.QualifiedName())
			}
		}
		names = append(names, subtypes(model, expansion.View)...)
	}
	return names
}

// acceptTypes sets the types that entities of expanded collections may have.
func (f *Feed) acceptTypes(schema *decode.RowSchema) {
	for i := range schema.Columns {
		nested := schema.Columns[i].Nested
		if nested == nil {
			continue
		}
		if schema.Columns[i].Kind == decode.NavigationToMany {
			nested.Types = []string{bareName(nested.Name)}
			for _, names := range f.Subtypes {
				if t, base, _ := strings.Cut(names, " "); base == nested.Name {
					nested.Types = append(nested.Types, bareName(t))
				}
			}
		}
		f.acceptTypes(nested)
	}
}

func bareName(qualified string) string { return qualified[strings.LastIndexByte(qualified, '.')+1:] }

// derives reports whether t is the type from, or derived from it.
func derives(model *edm.Model, t, from *edm.StructuredType) bool {
	for range edm.MaxDepth {
		if t == nil || t == from {
			return t == from
		}
		t = model.Structure(t.Base)
	}
	return true
}
