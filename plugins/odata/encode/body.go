package encode

import (
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
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
type Writer struct {
	Config *sinkconfig.Config
	// updates: the entity is changed, not inserted.
	Update bool
	// nested takes what an update leaves to operations of its own; nil: such updates are refused.
	Nested *[]NestedContent
	// keys, where they are not nil, stand for the key properties of the row, whatever its value says of them.
	Keys []KeyValue
}

// carried is content of a navigation property in a row that updates.
type NestedContent struct {
	Navigation *edm.Navigation
	Type       *Type
	Value      rowvalue.Value
	Path       string
}

// members goes through the members of an entity or complex property that are written.
type propertyCursor struct {
	// cursor has the name and the value of the member at hand.
	rowvalue.Cursor
	// memberType is the member's property or navigation property.
	*propertyWriter
	// null reports a property without a value. key, if not nil, is its value, from the record's key.
	isNull   bool
	keyValue *value.Converted

	writer *Writer
	parent *Type
	// outer is the path of the entity from the row, "" for the row itself.
	parentPath string
	// keys are the values that stand for the row's key properties; done is how many were written.
	keys        []KeyValue
	keysWritten int
	// columns are the types of a struct's members, nil for a map.
	writers []*propertyWriter
	err     error
}

// membersOf starts to go through the members of an entity or complex property.
func (b *Writer) properties(s *Type, f *rowvalue.Value, where string) propertyCursor {
	m := propertyCursor{Cursor: f.Fields(), writer: b, parent: s, parentPath: where, writers: s.writersFor(f)}
	if where == "" {
		m.keys = b.Keys
	}
	return m
}

// where returns the member's path from the row, for messages.
func (m *propertyCursor) path() string {
	if m.parentPath == "" {
		return m.Name
	}
	return m.parentPath + "/" + m.Name
}

// next goes to the next member that is written. It returns false at the end, and sets err if a member is refused.
func (m *propertyCursor) next() bool {
	for m.keysWritten < len(m.keys) {
		k := &m.keys[m.keysWritten]
		m.keysWritten++
		if !m.writer.Update || k.Property.Updatable {
			m.Name, m.keyValue, m.propertyWriter = k.Property.Name, &k.Value, m.parent.writers[k.Property.Name]
			return true
		}
	}
	m.keyValue = nil
	for m.Cursor.Next() {
		if m.keys != nil && m.parent.IsKey(m.Name) {
			continue
		}
		if m.writers != nil {
			m.propertyWriter = m.writers[m.FieldIndex()]
		} else {
			m.propertyWriter = m.parent.writers[m.Name]
		}
		if write, err := m.isWritten(); write || err != nil {
			m.err = err
			return err == nil
		}
	}
	if m.Mismatch {
		m.err = Unexpected(m.parentPath, "a struct of "+m.parent.QualifiedName(), "another kind of value")
	}
	return false
}

// decide finds out whether a member is written.
func (m *propertyCursor) isWritten() (write bool, err error) {
	b, c := m.writer, m.propertyWriter
	if c == nil {
		return false, m.unknownField()
	}
	if p := c.property; p != nil {
		m.isNull = !m.Value.Present
		switch {
		case b.Update && !p.Updatable, !b.Update && !p.Creatable && !c.isKey, m.isNull && (!p.Nullable || c.isKey):
			return false, nil
		case m.isNull || p.Type.Primitive != edm.NotPrimitive:
			return true, nil
		case c.typ == nil:
			return false, fault.Data(m.path() + ": its type " + p.Type.Name +
				" is neither a type of OData v2 nor declared in $metadata")
		}
		return true, nil
	}
	m.isNull = false
	switch {
	case !m.Value.Present:
		return false, nil
	case b.Update && b.Nested == nil:
		return false, fault.Data(m.path() + ": nested content goes with inserts only, because OData v2 has no update of " +
			"an entity together with others (" + sinkconfig.NameNestedUpdates + " = operations sends updates of its own); leave the " +
			"field out, or write its entities by a topic of their own")
	case c.typ == nil:
		return false, fault.Data(m.path() + ": $metadata doesn't say which type it leads to")
	case b.Update:
		*b.Nested = append(*b.Nested, NestedContent{c.navigation, c.typ, m.Value, m.path()})
		return false, nil
	}
	return true, nil
}

// unknown returns why a field without a property is refused, nil if it is left out.
func (m *propertyCursor) unknownField() error {
	how := m.writer.Config
	switch {
	case !m.Value.Present, m.parentPath == "" && isControlField(how, m.Name), how.IgnoreUnknownFields:
		return nil
	case how.FailOnUnknownFields:
		return &wit.Fault{Kind: wit.FaultConfig, Message: m.path() + ": " + m.parent.QualifiedName() +
			" has no such property (" + sinkconfig.NameUnknownFields + " = fail)"}
	}
	return fault.Data(m.path() + ": " + m.parent.QualifiedName() + " has no such property")
}

// converted returns the value of a primitive property.
func (m *propertyCursor) convert() (c value.Converted, err error) {
	if m.keyValue != nil {
		return *m.keyValue, nil
	}
	if c, err = Convert(m.writer.Config, m.property, &m.Value); err != nil {
		return c, fault.Data(m.path() + ": " + err.Error())
	}
	return c, nil
}

// entity writes a whole entity in the format of the settings; where is its path from the row, for messages.
func (b *Writer) AppendEntity(dst []byte, s *Type, f *rowvalue.Value, where string) ([]byte, error) {
	if b.Config.Atom {
		return b.appendEntry(append(dst, atomHead...), s, f, where, atomStart)
	}
	return b.appendJSON(dst, s, f, where)
}

// json writes an entity or a complex property.
func (b *Writer) appendJSON(dst []byte, s *Type, f *rowvalue.Value, where string) (_ []byte, err error) {
	dst = append(dst, '{')
	start := len(dst)
	m := b.properties(s, f, where)
	for m.next() {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, m.label...)
		switch {
		case m.isNull:
			dst = append(dst, "null"...)
		case m.typ == nil:
			dst, err = m.appendValue(dst)
		case m.navigation != nil && m.navigation.Many:
			dst, err = m.appendArray(dst)
		default:
			dst, err = b.appendJSON(dst, m.typ, &m.Value, m.path())
		}
		if err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), m.err
}

// appendJSON writes the value of a primitive property.
func (m *propertyCursor) appendValue(dst []byte) ([]byte, error) {
	if out, ok := m.appendFast(dst, true); ok {
		return out, nil
	}
	c, err := m.convert()
	if err != nil {
		return dst, err
	}
	if c.Ticks != 0 {
		return dst, Unexpected(m.path(), "no digits after milliseconds in JSON, "+sinkconfig.NameRequestFormat+" = atom takes them",
			c.Text)
	}
	return c.AppendJSON(dst), nil
}

// appendArray writes the entities of a navigation property.
func (m *propertyCursor) appendArray(dst []byte) (_ []byte, err error) {
	dst = append(dst, '[')
	start := len(dst)
	items := m.Value.Items()
	for items.Next() {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		if dst, err = m.writer.appendJSON(dst, m.typ, &items.Value, m.path()); err != nil {
			return dst, err
		}
	}
	if items.Mismatch {
		return dst, Unexpected(m.path(), "an array of "+m.typ.QualifiedName(), "another kind of value")
	}
	return append(dst, ']'), nil
}

// without tells which fields of a row say what is to be done with it, and are no properties.
func isControlField(m *sinkconfig.Config, name string) bool {
	return m.Mode == sinkconfig.ModeDynamic && name == m.ModeProperty || m.DeleteRecords && (name == edm.DeletedAt ||
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
func IsDeleteRecord(of *Type, content rowvalue.Value) bool {
	names := []string{edm.RecordMode, fieldChangeMode}
	if mode := of.ChangeMode(); mode != nil {
		names = append(names, mode.Name)
	}
	says := false
	for _, name := range names {
		m, ok := content.Field(name)
		if text, _ := m.Text(); string(text) == "D" {
			return true
		}
		says = says || ok
	}
	at, ok := content.Field(edm.DeletedAt)
	return ok && !says && at.Present && of.properties[edm.DeletedAt] == nil
}

func Unexpected(where, expected, found string) error {
	if where == "" {
		where = "the value"
	}
	return fault.Data(where + ": expected " + expected + ", found " + found)
}
