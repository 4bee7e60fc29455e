package edm

import (
	"slices"

	"github.com/culvert-project/culvert/sdk/go/pack"
)

// Closure returns the type and, recursively, the complex types of its properties. With navigations, which nested writes
// need, it includes the targets of navigation properties.
func (m *Model) Closure(s *StructuredType, navigations bool) []*StructuredType {
	list := []*StructuredType{s}
	add := func(name string) {
		if structure := m.Structure(name); structure != nil && !slices.Contains(list, structure) {
			list = append(list, structure)
		}
	}
	for i := 0; i < len(list); i++ {
		for j := range list[i].Properties {
			if t := list[i].Properties[j].Type; t.Primitive == NotPrimitive {
				add(t.Name)
			}
		}
		if !navigations {
			continue
		}
		for j := range list[i].Navigations {
			add(list[i].Navigations[j].Target)
		}
	}
	return list
}

// Pack appends types for [Unpack], without annotations for display.
func Pack(dst []byte, structures []*StructuredType) []byte {
	enums := map[*EnumType]int{} // the number of each enumeration, which is packed once
	dst = pack.Int(dst, len(structures))
	for _, structure := range structures {
		dst = pack.String(pack.String(dst, structure.Namespace), structure.Name)
		dst = pack.Bool(pack.Bool(pack.Bool(dst, structure.Complex), structure.Stream), structure.Open)
		dst = pack.Strings(pack.Strings(dst, structure.Key), structure.LeftOut)
		dst = pack.Int(dst, len(structure.Properties))
		for i := range structure.Properties {
			property := &structure.Properties[i]
			dst = pack.String(dst, property.Name)
			dst = pack.Int(dst, int(property.Type.Primitive))
			if property.Type.Primitive == NotPrimitive || property.Type.Primitive == Enum {
				dst = pack.String(dst, property.Type.Name)
			}
			if enum := property.Type.Enum; enum != nil {
				index, ok := enums[enum]
				if !ok {
					index = len(enums)
					enums[enum] = index
				}
				dst = pack.Int(dst, index)
				if !ok {
					dst = pack.Bool(pack.Strings(dst, enum.Members), enum.Flags)
				}
			}
			dst = pack.Bool(pack.Bool(dst, property.Type.Collection), property.Nullable)
			dst = pack.Int(pack.Int(pack.Int(dst, property.Length), property.Precision), property.Scale)
			semantics := "" // only of ODP's control fields
			if property.Semantics == semanticsChangeMode || property.Semantics == semanticsEntityCounter {
				semantics = property.Semantics
			}
			dst = pack.String(pack.Bool(pack.Bool(dst, property.VariableScale), property.Etag), semantics)
			dst = pack.Bool(pack.Bool(dst, property.Sortable), property.Filterable)
			dst = pack.Bool(pack.Bool(dst, property.Creatable), property.Updatable)
			dst = pack.Bool(pack.Bool(dst, property.DisplayFormat == displayDate), property.FeedMapping != nil)
			if property.FeedMapping != nil {
				mapping := property.FeedMapping
				dst = pack.Bool(pack.String(pack.String(dst, mapping.Path), mapping.Namespace), mapping.Keep)
			}
		}
		dst = pack.Int(dst, len(structure.Navigations))
		for _, n := range structure.Navigations {
			dst = pack.Bool(pack.String(pack.String(dst, n.Name), n.Target), n.Many)
		}
	}
	return dst
}

// Unpack reads types written by [Pack] into a model of the dialect. The caller checks r for errors.
func Unpack(r *pack.Reader, dialect *Dialect) *Model {
	model := &Model{Dialect: dialect}
	var enums []*EnumType
	for n := r.Count(); n > 0 && !r.Failed; n-- {
		structure := &StructuredType{Namespace: r.String(), Name: r.String(), Complex: r.Bool(), Stream: r.Bool(),
			Open: r.Bool(), Key: r.Strings(), LeftOut: r.Strings()}
		for i := r.Count(); i > 0; i-- {
			property := Property{Name: r.String()}
			property.Type.Primitive = Primitive(r.Int())
			if property.Type.Primitive == NotPrimitive || property.Type.Primitive == Enum {
				property.Type.Name = r.String()
			} else if int(property.Type.Primitive) < len(primitives) {
				property.Type.Name = property.Type.Primitive.String()
			}
			if property.Type.Primitive == Enum {
				index := r.Int()
				if index == len(enums) {
					enums = append(enums, &EnumType{Members: r.Strings(), Flags: r.Bool()})
				}
				if r.Failed || index < 0 || index >= len(enums) {
					r.Failed = true
					return model
				}
				property.Type.Enum = enums[index]
			}
			property.Type.Collection = r.Bool()
			property.Nullable = r.Bool()
			property.Length = r.Int()
			property.Precision = r.Int()
			property.Scale = r.Int()
			property.VariableScale = r.Bool()
			property.Etag = r.Bool()
			property.Semantics = r.String()
			property.Sortable = r.Bool()
			property.Filterable = r.Bool()
			property.Creatable = r.Bool()
			property.Updatable = r.Bool()
			if r.Bool() {
				property.DisplayFormat = displayDate
			}
			if r.Bool() {
				property.FeedMapping = &FeedMapping{Path: r.String(), Namespace: r.String(), Keep: r.Bool()}
			}
			structure.Properties = append(structure.Properties, property)
		}
		for i := r.Count(); i > 0; i-- {
			structure.Navigations = append(structure.Navigations, Navigation{Name: r.String(), Target: r.String(),
				Many: r.Bool()})
		}
		model.Structures = append(model.Structures, structure)
	}
	return model
}
