package edm

import "github.com/culvert-project/culvert/sdk/go/pack"

// Closure lists the types that rows of a type need, each once, the type itself first: complex types of properties and,
// if navigations is true, target entity types (for nested writes).
func (m *Model) Closure(s *StructuredType, navigations bool) []*StructuredType {
	list := []*StructuredType{s}
	add := func(name string) {
		found := m.Structure(name)
		for _, have := range list {
			if have == found {
				return
			}
		}
		if found != nil {
			list = append(list, found)
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
	dst = pack.Int(dst, len(structures))
	for _, s := range structures {
		dst = pack.String(pack.String(dst, s.Namespace), s.Name)
		dst = pack.Bool(pack.Bool(dst, s.Complex), s.Stream)
		dst = pack.Strings(dst, s.Key)
		dst = pack.Int(dst, len(s.Properties))
		for i := range s.Properties {
			dst = packProperty(dst, &s.Properties[i])
		}
		dst = pack.Int(dst, len(s.Navigations))
		for _, n := range s.Navigations {
			dst = pack.Bool(pack.String(pack.String(dst, n.Name), n.Target), n.Many)
		}
	}
	return dst
}

// control returns a property's semantics if it affects rows.
func control(p *Property) string {
	if p.Semantics == semanticsChangeMode || p.Semantics == semanticsEntityCounter {
		return p.Semantics
	}
	return ""
}

func packProperty(dst []byte, p *Property) []byte {
	dst = pack.String(dst, p.Name)
	dst = pack.Int(dst, int(p.Type.Primitive))
	if p.Type.Primitive == NotPrimitive {
		dst = pack.String(dst, p.Type.Name)
	}
	dst = pack.Bool(pack.Bool(dst, p.Type.Collection), p.Nullable)
	dst = pack.Int(pack.Int(pack.Int(dst, p.Length), p.Precision), p.Scale)
	dst = pack.String(pack.Bool(pack.Bool(dst, p.VariableScale), p.Etag), control(p))
	dst = pack.Bool(pack.Bool(dst, p.Sortable), p.Filterable)
	dst = pack.Bool(pack.Bool(dst, p.Creatable), p.Updatable)
	dst = pack.Bool(pack.Bool(dst, p.DisplayFormat == displayDate), p.FeedMapping != nil)
	if p.FeedMapping != nil {
		dst = pack.Bool(pack.String(pack.String(dst, p.FeedMapping.Path), p.FeedMapping.Namespace), p.FeedMapping.Keep)
	}
	return dst
}

// Unpack reads types written by [Pack] into a model.
func Unpack(r *pack.Reader) *Model {
	m := &Model{}
	for n := r.Count(); n > 0 && !r.Failed; n-- {
		s := &StructuredType{Namespace: r.String(), Name: r.String(), Complex: r.Bool(), Stream: r.Bool(),
			Key: r.Strings()}
		for i := r.Count(); i > 0; i-- {
			s.Properties = append(s.Properties, unpackProperty(r))
		}
		for i := r.Count(); i > 0; i-- {
			s.Navigations = append(s.Navigations, Navigation{Name: r.String(), Target: r.String(), Many: r.Bool()})
		}
		m.Structures = append(m.Structures, s)
	}
	return m
}

func unpackProperty(r *pack.Reader) Property {
	p := Property{Name: r.String()}
	p.Type.Primitive = Primitive(r.Int())
	if p.Type.Primitive == NotPrimitive {
		p.Type.Name = r.String()
	} else if int(p.Type.Primitive) < len(primitives) {
		p.Type.Name = p.Type.Primitive.String()
	}
	p.Type.Collection, p.Nullable = r.Bool(), r.Bool()
	p.Length, p.Precision, p.Scale = r.Int(), r.Int(), r.Int()
	p.VariableScale, p.Etag = r.Bool(), r.Bool()
	p.Semantics = r.String()
	p.Sortable, p.Filterable = r.Bool(), r.Bool()
	p.Creatable, p.Updatable = r.Bool(), r.Bool()
	if r.Bool() {
		p.DisplayFormat = displayDate
	}
	if r.Bool() {
		p.FeedMapping = &FeedMapping{Path: r.String(), Namespace: r.String(), Keep: r.Bool()}
	}
	return p
}
