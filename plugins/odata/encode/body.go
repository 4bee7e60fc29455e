package encode

import (
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// Writer writes entities as verbose JSON (without the enclosing "d") or as Atom entries:
//
//   - A field without a property is an error unless it is null or the settings ignore it.
//   - Properties that the metadata mark as not creatable (not updatable) are left out: services reject them.
//   - A null key, or a null for a property that is not nullable, is left out: the service sets its default.
//   - Nested structs of navigation properties are inserted with the entity. In an update they are an error unless
//
// Nested is set.
type Writer struct {
	Config *sinkconfig.Config
	// Update is true if the entity is updated, false if it is inserted.
	Update bool
	// Nested, if not nil, collects the nested entities of an update.
	Nested *[]NestedContent
	// Keys, if not nil, replaces the key properties in the value.
	Keys []KeyValue
}

// NestedContent is the content of a navigation property. Path is its location in the row, for messages.
type NestedContent struct {
	Navigation *edm.Navigation
	Type       *Type
	Value      rowvalue.Value
	Path       string
}

// AppendEntity writes an entity in the configured format. path is its location in the row, for messages.
func (b *Writer) AppendEntity(dst []byte, s *Type, v *rowvalue.Value, path string) ([]byte, error) {
	if b.Config.Atom {
		return b.appendEntry(append(dst, atomHead...), s, v, path, atomStart)
	}
	return b.appendJSON(dst, s, v, path)
}

func (b *Writer) properties(s *Type, v *rowvalue.Value, path string) propertyCursor {
	m := propertyCursor{Cursor: v.Fields(), writer: b, parent: s, parentPath: path, writers: s.writersFor(v)}
	if path == "" {
		m.keys = b.Keys
	}
	return m
}

// propertyCursor iterates over the properties that are written of an entity or complex property.
type propertyCursor struct {
	rowvalue.Cursor
	*propertyWriter
	isNull   bool
	keyValue *value.Converted

	writer      *Writer
	parent      *Type
	parentPath  string
	keys        []KeyValue
	keysWritten int
	writers     []*propertyWriter
	err         error
}

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

func (m *propertyCursor) path() string {
	if m.parentPath == "" {
		return m.Name
	}
	return m.parentPath + "/" + m.Name
}

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
			return false, odataerror.DataError(m.path() + ": its type " + p.Type.Name +
				" is neither a type of OData v2 nor declared in $metadata")
		}
		return true, nil
	}
	m.isNull = false
	switch {
	case !m.Value.Present:
		return false, nil
	case b.Update && b.Nested == nil:
		return false, odataerror.DataError(m.path() +
			": nested content is for inserts only, because OData v2 cannot update an " +
			"entity together with others (" + sinkconfig.NameNestedUpdates +
			" = operations sends separate updates); remove the " +
			"field, or write its entities from another topic")
	case c.typ == nil:
		return false, odataerror.DataError(m.path() + ": $metadata does not declare its target type")
	case b.Update:
		*b.Nested = append(*b.Nested, NestedContent{c.navigation, c.typ, m.Value, m.path()})
		return false, nil
	}
	return true, nil
}

func (m *propertyCursor) unknownField() error {
	c := m.writer.Config
	switch {
	case !m.Value.Present, m.parentPath == "" && isControlField(c, m.Name), c.IgnoreUnknownFields:
		return nil
	case c.FailOnUnknownFields:
		return &wit.Error{Kind: wit.ErrorConfig, Message: m.path() + ": " + m.parent.QualifiedName() +
			" has no such property (" + sinkconfig.NameUnknownFields + " = fail)"}
	}
	return odataerror.DataError(m.path() + ": " + m.parent.QualifiedName() + " has no such property")
}

func (m *propertyCursor) convert() (c value.Converted, err error) {
	if m.keyValue != nil {
		return *m.keyValue, nil
	}
	if c, err = Convert(m.writer.Config, m.property, &m.Value); err != nil {
		return c, odataerror.DataError(m.path() + ": " + err.Error())
	}
	return c, nil
}

// Unexpected returns an error for a value of another kind than expected.
func Unexpected(path, expected, found string) error {
	if path == "" {
		path = "the value"
	}
	return odataerror.DataError(path + ": expected " + expected + ", found " + found)
}

const (
	fieldChangeMode    = "ODQ_CHANGEMODE"
	fieldEntityCounter = "ODQ_ENTITYCNTR"
)

func isControlField(c *sinkconfig.Config, name string) bool {
	return c.Mode == sinkconfig.ModeDynamic && name == c.ModeProperty || c.DeleteRecords && (name == edm.DeletedAt ||
		name == edm.RecordMode || name == fieldChangeMode || name == fieldEntityCounter)
}

// IsDeleteRecord reports whether a source has written the row for a deleted entity: its change mode is D or, if the row
// has no such column, DELETED_AT is set.
func IsDeleteRecord(t *Type, v rowvalue.Value) bool {
	names := []string{edm.RecordMode, fieldChangeMode}
	if mode := t.ChangeMode(); mode != nil {
		names = append(names, mode.Name)
	}
	hasMode := false
	for _, name := range names {
		m, ok := v.Field(name)
		if text, _ := m.Text(); string(text) == "D" {
			return true
		}
		hasMode = hasMode || ok
	}
	at, ok := v.Field(edm.DeletedAt)
	return ok && !hasMode && at.Present && t.properties[edm.DeletedAt] == nil
}
