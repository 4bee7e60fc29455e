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
func (f *Feed) withDerivedProperties(model *edm.Model, entityType *edm.StructuredType) (*edm.StructuredType, error) {
	extended := *entityType
	extended.Properties = slices.Clip(entityType.Properties)
	for _, t := range model.Structures {
		if t == entityType || t.Complex || t.Base == "" || !isDerived(model, t, entityType) {
			continue
		}
		for _, property := range model.Structure(t.QualifiedName()).Properties {
			existing := extended.Property(property.Name)
			problem := ""
			switch {
			case existing == nil:
				property.Nullable = true
				extended.Properties = append(extended.Properties, property)
				continue
			case existing.Type != property.Type:
				problem = ", and " + existing.Type.Name + " in another type of entity set " + f.Set
			case !f.hasSameEncoding(existing, &property):
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
	return &extended, nil
}

// hasSameEncoding reports whether the values of two properties of the same type are written in the same way.
func (f *Feed) hasSameEncoding(a, b *edm.Property) bool {
	options := f.Options
	if options.IsDate(a) != options.IsDate(b) || options.IsZoned(a, false) != options.IsZoned(b, false) {
		return false
	}
	hasSameFacets := a.Scale == b.Scale && a.VariableScale == b.VariableScale && a.Precision == b.Precision
	if a.Type.Primitive == edm.Decimal && !hasSameFacets {
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
		if t == entityType || t.Complex || t.Base == "" || !isDerived(model, t, entityType) {
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
			if expansion.Many && t != base && !t.Complex && t.Base != "" && isDerived(model, t, base) {
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
				if subtype, base, _ := strings.Cut(names, " "); base == nested.Name {
					nested.Types = append(nested.Types, bareName(subtype))
				}
			}
		}
		f.acceptTypes(nested)
	}
}

func bareName(qualified string) string { return qualified[strings.LastIndexByte(qualified, '.')+1:] }

// isDerived reports whether t is base, or a type derived from it. It is true for types that derive in a circle.
func isDerived(model *edm.Model, t, base *edm.StructuredType) bool {
	for range edm.MaxDepth {
		if t == nil || t == base {
			return t == base
		}
		t = model.Structure(t.Base)
	}
	return true
}
