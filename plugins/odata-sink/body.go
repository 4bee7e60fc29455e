package main

import (
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// body writes an entity as verbose JSON, without `d`, which services take. Rules:
//
//   - a field without property is refused by name, unless it is null;
//   - properties that metadata say can't be created are left out: services refuse them, and rows that were read hold them;
//   - a null goes as null, but a null key or a null of a property that isn't nullable is left out: the service numbers it or takes
//     its default;
//   - structs of navigation properties are inserted along (deep insert).
func (p *plugin) body(dst []byte, s *structure, t tree) ([]byte, error) {
	return p.object(dst, s, t, "")
}

// object writes a struct of a type; where is its path from the row, for messages.
func (p *plugin) object(dst []byte, s *structure, t tree, where string) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	var failed error
	ok := p.members(t, func(name string, member tree) bool {
		mark := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		dst = append(jsontext.AppendString(dst, name), ':')
		written := false
		dst, written, failed = p.field(dst, s, name, member, where)
		if !written {
			dst = dst[:mark]
		}
		first = first && !written
		return failed == nil
	})
	if !ok {
		failed = misfit(where, "a struct of "+s.QualifiedName(), "another kind of value")
	}
	return append(dst, '}'), failed
}

// field writes a member's value; written is false where it is left out.
func (p *plugin) field(dst []byte, s *structure, name string, member tree, where string) (out []byte, written bool, err error) {
	where = join(where, name)
	if property := s.properties[name]; property != nil {
		return p.property(dst, s, property, member, where)
	}
	n := s.navigations[name]
	switch {
	case member.null():
		return dst, false, nil
	case n == nil:
		return dst, false, refuse(where + ": " + s.QualifiedName() + " has no such property")
	case s.inner[name] == nil:
		return dst, false, refuse(where + ": $metadata doesn't say which type it leads to")
	case n.Many:
		dst, err = p.array(dst, s.inner[name], member, where)
	default:
		dst, err = p.object(dst, s.inner[name], member, where)
	}
	return dst, true, err
}

func (p *plugin) property(dst []byte, s *structure, property *edm.Property, member tree, where string) (out []byte, written bool, err error) {
	switch {
	case !property.Creatable && !s.IsKey(property.Name):
		return dst, false, nil
	case member.null() && (!property.Nullable || s.IsKey(property.Name)):
		return dst, false, nil
	case member.null():
		return append(dst, "null"...), true, nil
	case property.Type.Primitive != edm.NotPrimitive:
		c, err := value.Convert(property, member.schema(), member.value)
		if err != nil {
			return dst, false, refuse(where + ": " + err.Error())
		}
		return c.AppendJSON(dst), true, nil
	case s.inner[property.Name] == nil:
		return dst, false, refuse(where + ": its type " + property.Type.Name + " is neither a type of OData v2 nor declared in $metadata")
	}
	dst, err = p.object(dst, s.inner[property.Name], member, where)
	return dst, true, err
}

func (p *plugin) array(dst []byte, s *structure, t tree, where string) ([]byte, error) {
	items, ok := p.items(t)
	if !ok {
		return dst, misfit(where, "an array of "+s.QualifiedName(), "another kind of value")
	}
	dst = append(dst, '[')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = p.object(dst, s, item, where); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func join(where, name string) string {
	if where == "" {
		return name
	}
	return where + "/" + name
}

func misfit(where, expected, found string) error {
	if where == "" {
		where = "the value"
	}
	return refuse(where + ": expected " + expected + ", found " + found)
}

func refuse(text string) error { return &wit.Fault{Kind: wit.FaultData, Message: text} }
