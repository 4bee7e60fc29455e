package edm

import "github.com/culvert-project/culvert/sdk/go/pack"

// Closure lists the structures that rows of a type need: the type, the complex types of its properties and, where
// navigations is true, the entity types that it leads to (for nested writes), each once, the type itself first.
func (m *Model) Closure(s *Structure, navigations bool) []*Structure {
	list := []*Structure{s}
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

// Pack appends structures for [Unpack]: what schemas, layouts and writing need; annotations for display are left out.
func Pack(dst []byte, structures []*Structure) []byte {
	dst = pack.Number(dst, len(structures))
	for _, s := range structures {
		dst = pack.Text(pack.Text(dst, s.Namespace), s.Name)
		dst = pack.Flag(pack.Flag(dst, s.Complex), s.Stream)
		dst = pack.Texts(dst, s.Key)
		dst = pack.Number(dst, len(s.Properties))
		for i := range s.Properties {
			dst = packProperty(dst, &s.Properties[i])
		}
		dst = pack.Number(dst, len(s.Navigations))
		for _, n := range s.Navigations {
			dst = pack.Flag(pack.Text(pack.Text(dst, n.Name), n.Target), n.Many)
		}
	}
	return dst
}

// control is a property's semantics where rows go by them.
func control(p *Property) string {
	if p.Semantics == semanticsChangeMode || p.Semantics == semanticsEntityCounter {
		return p.Semantics
	}
	return ""
}

func packProperty(dst []byte, p *Property) []byte {
	dst = pack.Text(dst, p.Name)
	dst = pack.Number(dst, int(p.Type.Primitive))
	if p.Type.Primitive == NotPrimitive {
		dst = pack.Text(dst, p.Type.Name)
	}
	dst = pack.Flag(pack.Flag(dst, p.Type.Collection), p.Nullable)
	dst = pack.Number(pack.Number(pack.Number(dst, p.Length), p.Precision), p.Scale)
	dst = pack.Text(pack.Flag(pack.Flag(dst, p.VariableScale), p.Etag), control(p))
	dst = pack.Flag(pack.Flag(dst, p.Sortable), p.Filterable)
	dst = pack.Flag(pack.Flag(dst, p.Creatable), p.Updatable)
	dst = pack.Flag(pack.Flag(dst, p.DisplayFormat == displayDate), p.Feed != nil)
	if p.Feed != nil {
		dst = pack.Flag(pack.Text(pack.Text(dst, p.Feed.Path), p.Feed.Namespace), p.Feed.Keep)
	}
	return dst
}

// Unpack reads what [Pack] wrote into a model that holds these structures; the first is the one that was asked for.
func Unpack(r *pack.Reader) *Model {
	m := &Model{}
	for n := r.Count(); n > 0 && !r.Bad; n-- {
		s := &Structure{Namespace: r.Text(), Name: r.Text(), Complex: r.Flag(), Stream: r.Flag(), Key: r.Texts()}
		for i := r.Count(); i > 0; i-- {
			s.Properties = append(s.Properties, unpackProperty(r))
		}
		for i := r.Count(); i > 0; i-- {
			s.Navigations = append(s.Navigations, Navigation{Name: r.Text(), Target: r.Text(), Many: r.Flag()})
		}
		m.Structures = append(m.Structures, s)
	}
	return m
}

func unpackProperty(r *pack.Reader) Property {
	p := Property{Name: r.Text()}
	p.Type.Primitive = Primitive(r.Number())
	if p.Type.Primitive == NotPrimitive {
		p.Type.Name = r.Text()
	} else if int(p.Type.Primitive) < len(primitives) {
		p.Type.Name = p.Type.Primitive.String()
	}
	p.Type.Collection, p.Nullable = r.Flag(), r.Flag()
	p.Length, p.Precision, p.Scale = r.Number(), r.Number(), r.Number()
	p.VariableScale, p.Etag = r.Flag(), r.Flag()
	p.Semantics = r.Text()
	p.Sortable, p.Filterable = r.Flag(), r.Flag()
	p.Creatable, p.Updatable = r.Flag(), r.Flag()
	if r.Flag() {
		p.DisplayFormat = displayDate
	}
	if r.Flag() {
		p.Feed = &FeedPlace{Path: r.Text(), Namespace: r.Text(), Keep: r.Flag()}
	}
	return p
}
