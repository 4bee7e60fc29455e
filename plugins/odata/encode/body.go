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
//   - Properties that the metadata mark as not creatable (not updatable) are omitted: services reject them.
//   - A null key, or a null for a property that is not nullable, is omitted: the service sets its default.
//   - Nested structs of navigation properties are inserted with the entity. In an update they are an error, unless
//     Nested is set.
type Writer struct {
	Config *sinkconfig.Config
	Update bool             // the entity is updated, not inserted
	Nested *[]NestedContent // if not nil, collects the nested entities of an update
	Keys   []KeyValue       // if not nil, replaces the key properties in the value
}

// NestedContent is the content of a navigation property. Path is its location in the row, for messages.
type NestedContent struct {
	Navigation *edm.Navigation
	Type       *Type
	Value      rowvalue.Value
	Path       string
}

// AppendEntity writes an entity in the configured format. path is its location in the row, for messages.
func (b *Writer) AppendEntity(dst []byte, typ *Type, rowValue *rowvalue.Value, path string) ([]byte, error) {
	if b.Config.Atom {
		return b.appendEntry(append(dst, atomHead...), typ, rowValue, path, atomStart)
	}
	return b.appendJSON(dst, typ, rowValue, path)
}

// open starts the iteration. A cursor is not copied, because large copies are slow in Wasm.
func (m *propertyCursor) open(writer *Writer, typ *Type, rowValue *rowvalue.Value, path string) {
	rowValue.Fields(&m.Cursor)
	m.writer = writer
	m.parent = typ
	m.parentPath = path
	m.writers = typ.writersFor(rowValue)
	if path == "" {
		m.keys = writer.Keys
	}
}

// propertyCursor iterates over the properties that are written of an entity or complex property. Its position is the
// embedded parts: name and value, and how the property is written.
type propertyCursor struct {
	rowvalue.Cursor
	*propertyWriter
	isNull   bool
	keyValue *value.Converted // if not nil, is written instead of the value

	writer      *Writer
	parent      *Type
	parentPath  string
	keys        []KeyValue // written first
	keysWritten int
	writers     []*propertyWriter // by the index of a field, nil for values without schema
	err         error
}

func (m *propertyCursor) next() bool {
	for m.keysWritten < len(m.keys) {
		key := &m.keys[m.keysWritten]
		m.keysWritten++
		if !m.writer.Update || key.Property.Updatable {
			m.Name, m.keyValue, m.propertyWriter = key.Property.Name, &key.Value, m.parent.writers[key.Property.Name]
			return true
		}
	}
	m.keyValue = nil
	for m.Cursor.Next() {
		if m.keys != nil && m.parent.IsKey(m.Name) {
			continue
		}
		if m.writers != nil {
			m.propertyWriter = m.writers[m.Index()-1]
		} else {
			m.propertyWriter = m.parent.writerAt(m.Index()-1, m.Name) // any position will do
		}
		if m.Value.Present && m.propertyWriter != nil && m.isUnrestricted {
			m.isNull = false
			return true
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

// peekWriter returns the writer of the next property, with its encoding, if [propertyWriter.appendFast] may be able to
// write it. It returns nil if [propertyCursor.next] has to read it.
func (m *propertyCursor) peekWriter() *propertyWriter {
	if m.keys != nil || !m.CanPeek() {
		return nil
	}
	var writer *propertyWriter
	if m.writers != nil {
		writer = m.writers[m.Index()]
	} else {
		name, kind := m.PeekEntry()
		if writer = m.parent.writerAt(m.Index(), name); writer != nil {
			writer.setEncoding(kind, nil)
		}
	}
	if writer == nil || !writer.isUnrestricted || writer.encoding == encodeConverted {
		return nil
	}
	return writer
}

// appendFast is [propertyWriter.appendFast] for the current property.
func (m *propertyCursor) appendFast(dst []byte, form value.Form) (_ []byte, ok bool) {
	if m.keyValue != nil {
		return dst, false
	}
	if m.writers == nil { // the kind may change with each value
		m.setEncoding(m.Value.Kind(), m.Value.Schema())
	}
	return m.propertyWriter.appendFast(dst, m.Value.Raw(), form)
}

func (m *propertyCursor) path() string {
	if m.parentPath == "" {
		return m.Name
	}
	return m.parentPath + "/" + m.Name
}

// isWritten reports whether the current field is written, and returns an error if it must not be in the record.
func (m *propertyCursor) isWritten() (write bool, err error) {
	switch {
	case m.propertyWriter == nil:
		return false, m.unknownField()
	case m.property != nil:
		return m.isPropertyWritten()
	}
	return m.isNavigationWritten()
}

func (m *propertyCursor) isPropertyWritten() (write bool, err error) {
	property, isUpdate := m.property, m.writer.Update
	m.isNull = !m.Value.Present
	switch { // the first case that applies counts
	case isUpdate && !property.Updatable, !isUpdate && !property.Creatable && !m.isKey:
		return false, nil
	case m.isNull:
		return property.Nullable && !m.isKey, nil
	case property.Type.Primitive == edm.NotPrimitive && m.typ == nil:
		return false, odataerror.DataError(m.path() + ": its type " + property.Type.Name +
			" is neither a type of OData v2 nor declared in $metadata")
	}
	return true, nil
}

// isNavigationWritten returns false for nested content that is collected for updates of its own.
func (m *propertyCursor) isNavigationWritten() (write bool, err error) {
	isUpdate, nested := m.writer.Update, m.writer.Nested
	m.isNull = false
	switch {
	case !m.Value.Present:
		return false, nil
	case isUpdate && nested == nil:
		return false, odataerror.DataError(m.path() + ": nested content is for inserts only, because OData v2 cannot " +
			"update an entity together with others (" + sinkconfig.NameNestedUpdates +
			" = operations sends separate updates); remove the field, or write its entities from another topic")
	case m.typ == nil:
		return false, odataerror.DataError(m.path() + ": $metadata does not declare its target type")
	case isUpdate:
		*nested = append(*nested, NestedContent{m.navigation, m.typ, m.Value, m.path()})
		return false, nil
	}
	return true, nil
}

func (m *propertyCursor) unknownField() error {
	config := m.writer.Config
	switch {
	case !m.Value.Present, m.parentPath == "" && isControlField(config, m.Name), config.IgnoreUnknownFields:
		return nil
	case config.FailOnUnknownFields:
		return &wit.Error{Kind: wit.ErrorConfig, Message: m.path() + ": " + m.parent.QualifiedName() +
			" has no such property (" + sinkconfig.NameUnknownFields + " = fail)"}
	}
	return odataerror.DataError(m.path() + ": " + m.parent.QualifiedName() + " has no such property")
}

func (m *propertyCursor) convert() (converted value.Converted, err error) {
	if m.keyValue != nil {
		return *m.keyValue, nil
	}
	if err = Convert(&converted, m.writer.Config, m.property, &m.Value); err != nil {
		return converted, odataerror.DataError(m.path() + ": " + err.Error())
	}
	return converted, nil
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

func isControlField(config *sinkconfig.Config, name string) bool {
	return config.Mode == sinkconfig.ModeDynamic && name == config.ModeProperty || config.DeleteRecords &&
		(name == edm.DeletedAt ||
			name == edm.RecordMode || name == fieldChangeMode || name == fieldEntityCounter)
}

// IsDeleteRecord reports whether a source has written the row for a deleted entity: its change mode is D or, if the row
// has no such column, DELETED_AT is set.
func IsDeleteRecord(typ *Type, rowValue rowvalue.Value) bool {
	names := []string{edm.RecordMode, fieldChangeMode}
	if mode := typ.ChangeMode(); mode != nil {
		names = append(names, mode.Name)
	}
	hasMode := false
	for _, name := range names {
		var field rowvalue.Value
		ok := rowValue.Field(&field, name)
		if text, _ := field.Text(); string(text) == "D" {
			return true
		}
		hasMode = hasMode || ok
	}
	var at rowvalue.Value
	return rowValue.Field(&at, edm.DeletedAt) && !hasMode && at.Present && typ.properties[edm.DeletedAt] == nil
}
