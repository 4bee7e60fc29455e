package write

import (
	"encoding/base64"
	"errors"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// body writes entities, as verbose JSON without `d` or as Atom entries. Rules for both:
//
//   - a field without property is refused by name, unless it is null, or as the settings say;
//   - properties that metadata say can't be created, or updated, are left out: services refuse them, and rows that
//     were read hold them;
//   - a null goes as null, but a null key or a null of a property that isn't nullable is left out: the service
//     numbers it or takes its default;
//   - structs of navigation properties are inserted along (deep insert); updates with such are refused, or the structs
//     are left to operations of their own.
type body struct {
	p   *Plugin
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

// keyValue is the value of a key property.
type keyValue struct {
	property *edm.Property
	value    value.Converted
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
func (b *body) cell(s *structure, name string, member tree, where string) (c cell, ok bool, err error) {
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

func (b *body) property(s *structure, property *edm.Property, member tree, where string) (c cell, ok bool, err error) {
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

// convert makes a property's value, as the settings want it where it has no room.
func (m *manner) convert(property *edm.Property, n *wit.Node, v any) (value.Converted, error) {
	if m.lossy {
		return value.ConvertLossy(property, n, v)
	}
	c, err := value.ConvertWithin(property, n, v)
	if err != nil && v == nil {
		if misfit := (*value.MisfitError)(nil); errors.As(err, &misfit) {
			err = &value.MisfitError{Expected: misfit.Expected, Found: "null"}
		}
	}
	if err != nil && n == nil && property.Type.Primitive == edm.Decimal {
		err = hinted(err, v)
	}
	return c, err
}

// hinted adds to a refusal what may have made the value: converters to JSON write the bytes of decimals unless they are
// set up in another way, and without schema their scale is lost.
func hinted(err error, v any) error {
	text, ok := v.(string)
	if !ok {
		return err
	}
	if b, bad := base64.StdEncoding.DecodeString(text); bad != nil || len(b) == 0 {
		return err
	}
	return errors.New(err.Error() + ", which may be the bytes of a decimal in Base64, whose scale is lost without a " +
		"schema: let what writes the topic write numbers (value.converter.decimal.format = NUMERIC)")
}

// each visits the members of a struct that are written.
func (b *body) each(s *structure, t tree, where string, visit func(name, where string, c cell,
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
	ok := b.p.members(t, func(name string, member tree) bool {
		if outer && b.keys != nil && s.IsKey(name) {
			return true
		}
		at := join(where, name)
		c, written, err := b.cell(s, name, member, at)
		if err == nil && written {
			err = visit(name, at, c, member)
		}
		failed = err
		return err == nil
	})
	if !ok {
		return misfit(where, "a struct of "+s.QualifiedName(), "another kind of value")
	}
	return failed
}

// entity writes a whole entity in the format of the settings; where is its path from the row, for messages.
func (b *body) entity(s *structure, t tree, where string) ([]byte, error) {
	if b.how.atom {
		return b.atom(nil, s, t, where)
	}
	return b.json(nil, s, t, where)
}

// json writes a struct of a type; where is its path from the row, for messages.
func (b *body) json(dst []byte, s *structure, t tree, where string) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	err := b.each(s, t, where, func(name, where string, c cell, member tree) (err error) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(jsontext.AppendString(dst, name), ':')
		switch {
		case c.null:
			dst = append(dst, "null"...)
		case c.inner == nil && c.plain.Micros != 0:
			err = misfit(where, "no digits after milliseconds in JSON, "+requestFormat+" = atom takes them",
				c.plain.Text)
		case c.inner == nil:
			dst = c.plain.AppendJSON(dst)
		case c.navigation != nil && c.navigation.Many:
			dst, err = b.jsonArray(dst, c.inner, member, where)
		default:
			dst, err = b.json(dst, c.inner, member, where)
		}
		return err
	})
	return append(dst, '}'), err
}

func (b *body) jsonArray(dst []byte, s *structure, t tree, where string) ([]byte, error) {
	items, ok := b.p.items(t)
	if !ok {
		return dst, misfit(where, "an array of "+s.QualifiedName(), "another kind of value")
	}
	dst = append(dst, '[')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = b.json(dst, s, item, where); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
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
func (p *Plugin) deleted(of *structure, content tree) bool {
	names := []string{edm.RecordMode, fieldChangeMode}
	if mode := of.ChangeMode(); mode != nil {
		names = append(names, mode.Name)
	}
	says := false
	for _, name := range names {
		m, ok := p.member(content, name)
		if ok && m.value == "D" {
			return true
		}
		says = says || ok
	}
	at, ok := p.member(content, edm.DeletedAt)
	return ok && !says && !at.null() && of.properties[edm.DeletedAt] == nil
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
