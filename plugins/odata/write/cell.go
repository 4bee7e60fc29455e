package write

import (
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// bodyWriter writes entities, as verbose JSON without `d` or as Atom entries. Rules for both:
//
//   - a field without property is refused by name, unless it is null, or as the settings say;
//   - properties that metadata say can't be created, or updated, are left out: services refuse them, and rows that
//     were read hold them;
//   - a null goes as null, but a null key or a null of a property that isn't nullable is left out: the service
//     numbers it or takes its default;
//   - structs of navigation properties are inserted along (deep insert); updates with such are refused, or the structs
//     are left to operations of their own.
type bodyWriter struct {
	how *manner
	// updates: the entity is changed, not inserted.
	updates bool
	// nested takes what an update leaves to operations of its own; nil: such updates are refused.
	nested *[]carried
	// keys, where they are not nil, stand for the key properties of the row, whatever its value says of them.
	keys []keyValue
	// without are fields of the row that are none of the entity's.
	without func(name string) bool
}

// cell is a member of a struct, as it is to be written.
type cell struct {
	property   *edm.Property
	navigation *edm.Navigation
	// null: a property without a value. plain is that of a primitive property; inner the type of a complex one or of an
	// entity.
	null  bool
	plain value.Converted
	inner *structure
}

// cell decides about a member; ok is false where it is left out.
func (b *bodyWriter) cell(s *structure, name string, member tree, where string) (c cell, ok bool, err error) {
	if c.property = s.properties[name]; c.property != nil {
		return b.property(s, c.property, member, where)
	}
	n := s.navigations[name]
	switch {
	case member.null():
		return c, false, nil
	case n == nil && where == name && b.without != nil && b.without(name), n == nil && b.how.ignoreUnknown:
		return c, false, nil
	case n == nil && b.how.failUnknown:
		return c, false, &wit.Fault{Kind: wit.FaultConfig, Message: where + ": " + s.QualifiedName() +
			" has no such property (" + unknownFields + " = fail)"}
	case n == nil:
		return c, false, refuse(where + ": " + s.QualifiedName() + " has no such property")
	case b.updates && b.nested == nil:
		return c, false, refuse(where + ": nested content goes with inserts only, because OData v2 has no update of " +
			"an entity together with others (" + nestedUpdates + " = operations sends updates of its own); leave the " +
			"field out, or write its entities by a topic of their own")
	case s.inner[name] == nil:
		return c, false, refuse(where + ": $metadata doesn't say which type it leads to")
	case b.updates:
		*b.nested = append(*b.nested, carried{n, s.inner[name], member, where})
		return c, false, nil
	}
	return cell{navigation: n, inner: s.inner[name]}, true, nil
}

func (b *bodyWriter) property(s *structure, property *edm.Property, member tree, where string) (c cell, ok bool,
	err error) {
	key := s.IsKey(property.Name)
	c.property = property
	switch {
	case b.updates && !property.Updatable, !b.updates && !property.Creatable && !key:
		return c, false, nil
	case member.null() && (!property.Nullable || key):
		return c, false, nil
	case member.null():
		c.null = true
		return c, true, nil
	case property.Type.Primitive != edm.NotPrimitive:
		if c.plain, err = b.how.convert(property, member.schema(), member.value); err != nil {
			return c, false, refuse(where + ": " + err.Error())
		}
		return c, true, nil
	case s.inner[property.Name] == nil:
		return c, false, refuse(where + ": its type " + property.Type.Name +
			" is neither a type of OData v2 nor declared in $metadata")
	}
	c.inner = s.inner[property.Name]
	return c, true, nil
}

// carried is content of a navigation property in a row that updates.
type carried struct {
	navigation *edm.Navigation
	inner      *structure
	content    tree
	where      string
}

// each visits the members of a struct that are written.
func (b *bodyWriter) each(s *structure, t tree, where string, visit func(name, where string, c cell,
	member tree) error) error {
	var failed error
	outer := where == ""
	if outer {
		for i := range b.keys {
			k := &b.keys[i]
			if b.updates && !k.property.Updatable {
				continue
			}
			if err := visit(k.property.Name, k.property.Name, cell{property: k.property, plain: k.value},
				tree{}); err != nil {
				return err
			}
		}
	}
	ok := t.members(func(name string, member tree) bool {
		if outer && b.keys != nil && s.IsKey(name) {
			return true
		}
		at := join(where, name)
		c, ok, err := b.cell(s, name, member, at)
		if err == nil && ok {
			err = visit(name, at, c, member)
		}
		failed = err
		return err == nil
	})
	if !ok {
		return unexpected(where, "a struct of "+s.QualifiedName(), "another kind of value")
	}
	return failed
}

func join(where, name string) string {
	if where == "" {
		return name
	}
	return where + "/" + name
}

// without tells which fields of a row say what is to be done with it, and are no properties.
func (m *manner) without(name string) bool {
	return m.mode == modeDynamic && name == m.property || m.deleteRecords && (name == edm.DeletedAt ||
		name == edm.RecordMode || name == fieldChangeMode || name == fieldEntityCounter)
}

// Control fields of ODP, which are no properties at other services.
const (
	fieldChangeMode    = "ODQ_CHANGEMODE"
	fieldEntityCounter = "ODQ_ENTITYCNTR"
)

// deleted tells whether a row is what such a source writes for a deleted entity. It says so in a column that the
// service of the source declares for it, which has any name, or in one of its own; when the entity was deleted stands
// next to it. So where the row has no column that is known to say so, its time does.
func deleted(of *structure, content tree) bool {
	names := []string{edm.RecordMode, fieldChangeMode}
	if mode := of.ChangeMode(); mode != nil {
		names = append(names, mode.Name)
	}
	says := false
	for _, name := range names {
		m, ok := content.member(name)
		if ok && m.value == "D" {
			return true
		}
		says = says || ok
	}
	at, ok := content.member(edm.DeletedAt)
	return ok && !says && !at.null() && of.properties[edm.DeletedAt] == nil
}
