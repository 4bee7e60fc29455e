package write

import (
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
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
}

// carried is content of a navigation property in a row that updates.
type carried struct {
	navigation *edm.Navigation
	inner      *structure
	content    field
	where      string
}

// members goes through the members of an entity or complex property that are written.
type members struct {
	// cursor has the name and the value of the member at hand.
	cursor
	// memberType is the member's property or navigation property.
	*memberType
	// null reports a property without a value. key, if not nil, is its value, from the record's key.
	null bool
	key  *value.Converted

	b *bodyWriter
	s *structure
	// outer is the path of the entity from the row, "" for the row itself.
	outer string
	// keys are the values that stand for the row's key properties; done is how many were written.
	keys []keyValue
	done int
	// columns are the types of a struct's members, nil for a map.
	columns []*memberType
	err     error
}

// membersOf starts to go through the members of an entity or complex property.
func (b *bodyWriter) membersOf(s *structure, f *field, where string) members {
	m := members{cursor: f.members(), b: b, s: s, outer: where, columns: s.columnsOf(f)}
	if where == "" {
		m.keys = b.keys
	}
	return m
}

// where returns the member's path from the row, for messages.
func (m *members) where() string {
	if m.outer == "" {
		return m.name
	}
	return m.outer + "/" + m.name
}

// next goes to the next member that is written. It returns false at the end, and sets err if a member is refused.
func (m *members) next() bool {
	for m.done < len(m.keys) {
		k := &m.keys[m.done]
		m.done++
		if !m.b.updates || k.property.Updatable {
			m.name, m.key, m.memberType = k.property.Name, &k.value, m.s.columns[k.property.Name]
			return true
		}
	}
	m.key = nil
	for m.cursor.next() {
		if m.keys != nil && m.s.IsKey(m.name) {
			continue
		}
		if m.columns != nil {
			m.memberType = m.columns[m.fieldIndex()]
		} else {
			m.memberType = m.s.columns[m.name]
		}
		if write, err := m.decide(); write || err != nil {
			m.err = err
			return err == nil
		}
	}
	if m.bad {
		m.err = unexpected(m.outer, "a struct of "+m.s.QualifiedName(), "another kind of value")
	}
	return false
}

// decide finds out whether a member is written.
func (m *members) decide() (write bool, err error) {
	b, c := m.b, m.memberType
	if c == nil {
		return false, m.unknown()
	}
	if p := c.property; p != nil {
		m.null = !m.value.present
		switch {
		case b.updates && !p.Updatable, !b.updates && !p.Creatable && !c.key, m.null && (!p.Nullable || c.key):
			return false, nil
		case m.null || p.Type.Primitive != edm.NotPrimitive:
			return true, nil
		case c.inner == nil:
			return false, fault.Data(m.where() + ": its type " + p.Type.Name +
				" is neither a type of OData v2 nor declared in $metadata")
		}
		return true, nil
	}
	m.null = false
	switch {
	case !m.value.present:
		return false, nil
	case b.updates && b.nested == nil:
		return false, fault.Data(m.where() + ": nested content goes with inserts only, because OData v2 has no update of " +
			"an entity together with others (" + nestedUpdates + " = operations sends updates of its own); leave the " +
			"field out, or write its entities by a topic of their own")
	case c.inner == nil:
		return false, fault.Data(m.where() + ": $metadata doesn't say which type it leads to")
	case b.updates:
		*b.nested = append(*b.nested, carried{c.navigation, c.inner, m.value, m.where()})
		return false, nil
	}
	return true, nil
}

// unknown returns why a field without a property is refused, nil if it is left out.
func (m *members) unknown() error {
	how := m.b.how
	switch {
	case !m.value.present, m.outer == "" && isControlField(how, m.name), how.ignoreUnknown:
		return nil
	case how.failUnknown:
		return &wit.Fault{Kind: wit.FaultConfig, Message: m.where() + ": " + m.s.QualifiedName() +
			" has no such property (" + unknownFields + " = fail)"}
	}
	return fault.Data(m.where() + ": " + m.s.QualifiedName() + " has no such property")
}

// converted returns the value of a primitive property.
func (m *members) converted() (c value.Converted, err error) {
	if m.key != nil {
		return *m.key, nil
	}
	if c, err = convert(m.b.how, m.property, &m.value); err != nil {
		return c, fault.Data(m.where() + ": " + err.Error())
	}
	return c, nil
}

// entity writes a whole entity in the format of the settings; where is its path from the row, for messages.
func (b *bodyWriter) entity(dst []byte, s *structure, f *field, where string) ([]byte, error) {
	if b.how.atom {
		return b.entry(append(dst, atomHead...), s, f, where, atomStart)
	}
	return b.json(dst, s, f, where)
}

// json writes an entity or a complex property.
func (b *bodyWriter) json(dst []byte, s *structure, f *field, where string) (_ []byte, err error) {
	dst = append(dst, '{')
	start := len(dst)
	m := b.membersOf(s, f, where)
	for m.next() {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, m.label...)
		switch {
		case m.null:
			dst = append(dst, "null"...)
		case m.inner == nil:
			dst, err = m.appendJSON(dst)
		case m.navigation != nil && m.navigation.Many:
			dst, err = m.appendArray(dst)
		default:
			dst, err = b.json(dst, m.inner, &m.value, m.where())
		}
		if err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), m.err
}

// appendJSON writes the value of a primitive property.
func (m *members) appendJSON(dst []byte) ([]byte, error) {
	if out, ok := m.appendCommon(dst, true); ok {
		return out, nil
	}
	c, err := m.converted()
	if err != nil {
		return dst, err
	}
	if c.Ticks != 0 {
		return dst, unexpected(m.where(), "no digits after milliseconds in JSON, "+requestFormat+" = atom takes them",
			c.Text)
	}
	return c.AppendJSON(dst), nil
}

// appendArray writes the entities of a navigation property.
func (m *members) appendArray(dst []byte) (_ []byte, err error) {
	dst = append(dst, '[')
	start := len(dst)
	items := m.value.items()
	for items.next() {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		if dst, err = m.b.json(dst, m.inner, &items.value, m.where()); err != nil {
			return dst, err
		}
	}
	if items.bad {
		return dst, unexpected(m.where(), "an array of "+m.inner.QualifiedName(), "another kind of value")
	}
	return append(dst, ']'), nil
}

// without tells which fields of a row say what is to be done with it, and are no properties.
func isControlField(m *manner, name string) bool {
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
func deleted(of *structure, content field) bool {
	names := []string{edm.RecordMode, fieldChangeMode}
	if mode := of.ChangeMode(); mode != nil {
		names = append(names, mode.Name)
	}
	says := false
	for _, name := range names {
		m, ok := content.member(name)
		if text, _ := m.text(); string(text) == "D" {
			return true
		}
		says = says || ok
	}
	at, ok := content.member(edm.DeletedAt)
	return ok && !says && at.present && of.properties[edm.DeletedAt] == nil
}

func unexpected(where, expected, found string) error {
	if where == "" {
		where = "the value"
	}
	return fault.Data(where + ": expected " + expected + ", found " + found)
}
