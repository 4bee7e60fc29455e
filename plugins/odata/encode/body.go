package encode

import (
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// Writer writes entities as JSON (verbose in OData v2, without the enclosing "d") or as Atom entries:
//
//   - A field without a property is an error unless it is null or the settings ignore it.
//   - Properties that the metadata mark as not creatable (not updatable) are omitted: services reject them.
//   - A null key, or a null for a property that is not nullable, is omitted: the service sets its default.
//   - A null for a collection is an empty one, because collections are never null (OData CSDL 4.0, 6.2.1).
//   - Nested structs of navigation properties are inserted with the entity. In an update they are an error, unless
//     Nested is set.
type Writer struct {
	Config *sinkconfig.Config
	Update bool             // the entity is updated, not inserted
	Nested *[]NestedContent // collects the nested entities of an update; nil means that these are an error
	Keys   []KeyValue       // replaces the key properties in the value; nil means that these are written
	// NeedsMetadata, if not nil, reports whether the metadata must be read again before a field counts as unknown. Then
	// it is skipped, because the entity is not sent.
	NeedsMetadata func(typ *Type, name string) bool
}

// NestedContent is the content of a navigation property. Path is its location in the row, for messages.
type NestedContent struct {
	Navigation *edm.Navigation
	Type       *Type
	Value      rowvalue.Value
	Path       string
}

// AppendEntity writes an entity in the configured format. path is its location in the row, for messages.
func (w *Writer) AppendEntity(dst []byte, typ *Type, rowValue *rowvalue.Value, path string) ([]byte, error) {
	if w.Config.Atom {
		return w.appendEntry(append(dst, atomHead...), typ, rowValue, path, atomStart)
	}
	return w.appendJSON(dst, typ, rowValue, path)
}

// propertyCursor iterates over the properties of an entity or complex property that are written. The embedded parts are
// its position: name and value of the property, and how it is written.
type propertyCursor struct {
	rowvalue.Cursor
	*propertyWriter
	isNull   bool             // null is written
	keyValue *value.Converted // written instead of the value; nil means that the value is written

	writer      *Writer
	parent      *Type      // the type of the properties
	parentPath  string     // location of the parent in the row, for messages
	keys        []KeyValue // written first
	keysWritten int
	writers     []*propertyWriter // by the index of a field, nil for values without schema
	err         error             // ends the iteration
}

// open starts the iteration. A cursor is not copied, because large copies are slow in Wasm.
func (p *propertyCursor) open(writer *Writer, typ *Type, rowValue *rowvalue.Value, path string) {
	rowValue.Fields(&p.Cursor)
	p.writer = writer
	p.parent = typ
	p.parentPath = path
	p.writers = typ.writersFor(rowValue)
	if path == "" {
		p.keys = writer.Keys
	}
}

// next goes to the next property that is written. It returns false at the end, or with err.
func (p *propertyCursor) next() bool {
	for p.keysWritten < len(p.keys) {
		key := &p.keys[p.keysWritten]
		p.keysWritten++
		if !p.writer.Update || key.Property.Updatable {
			p.propertyWriter = p.parent.writers[key.Property.Name]
			p.keyValue = &key.Value
			p.Name = key.Property.Name
			return true
		}
	}
	p.keyValue = nil
	for p.Cursor.Next() {
		if p.keys != nil && p.parent.IsKey(p.Name) {
			continue
		}
		if p.writers != nil {
			p.propertyWriter = p.writers[p.Index()-1]
		} else {
			p.propertyWriter = p.parent.writerAt(p.Index()-1, p.Name) // the position is a hint only
		}
		if p.Value.Present && p.propertyWriter != nil && p.isUnrestricted {
			p.isNull = false
			return true
		}
		if write, err := p.isWritten(); write || err != nil {
			p.err = err
			return err == nil
		}
	}
	if p.Mismatch {
		p.err = Unexpected(p.parentPath, "a struct of "+p.parent.QualifiedName(), "another kind of value")
	}
	return false
}

// peekWriter returns the writer of the next property, with its encoding, if [propertyWriter.appendFast] may be able to
// write it. It returns nil if [propertyCursor.next] has to read it.
func (p *propertyCursor) peekWriter() *propertyWriter {
	if p.keys != nil || !p.CanPeek() {
		return nil
	}
	var writer *propertyWriter
	if p.writers != nil {
		writer = p.writers[p.Index()]
	} else {
		name, kind := p.PeekEntry()
		if writer = p.parent.writerAt(p.Index(), name); writer != nil {
			writer.setEncoding(kind, nil)
		}
	}
	if writer == nil || !writer.isUnrestricted || writer.encoding == encodeConverted {
		return nil
	}
	return writer
}

// appendFast is [propertyWriter.appendFast] for the current property.
func (p *propertyCursor) appendFast(dst []byte, form value.Form) (_ []byte, ok bool) {
	if p.keyValue != nil {
		return dst, false
	}
	if p.writers == nil { // the kind may change with each value
		p.setEncoding(p.Value.Kind(), p.Value.Schema())
	}
	return p.propertyWriter.appendFast(dst, p.Value.Raw(), form)
}

func (p *propertyCursor) path() string {
	if p.parentPath == "" {
		return p.Name
	}
	return p.parentPath + "/" + p.Name
}

// isWritten reports whether the current field is written, and returns an error if it must not be in the record.
func (p *propertyCursor) isWritten() (write bool, err error) {
	switch {
	case p.propertyWriter == nil:
		return false, p.checkUnknownField()
	case p.property != nil:
		return p.isPropertyWritten()
	}
	return p.isNavigationWritten()
}

// isPropertyWritten is isWritten for a property. It also sets isNull.
func (p *propertyCursor) isPropertyWritten() (write bool, err error) {
	property := p.property
	isUpdate := p.writer.Update
	p.isNull = !p.Value.Present
	switch { // the first case that applies counts
	case isUpdate && !property.Updatable, !isUpdate && !property.Creatable && !p.isKey:
		return false, nil
	case p.isNull && p.isReference && isUpdate:
		return false, odataerror.DataError(p.path() + ": expected the address of an entity, found null: an update " +
			"removes no link; leave out the field")
	case p.isNull && p.isCollection:
		return !p.isReference, nil
	case p.isNull:
		return property.Nullable && !p.isKey, nil
	case property.Type.Primitive == edm.NotPrimitive && p.typ == nil:
		return false, odataerror.DataError(p.path() + ": its type " + property.Type.Name +
			" is neither a type of OData " + p.parent.dialect.Version + " nor declared in $metadata")
	}
	return true, nil
}

// isNavigationWritten is isWritten for a navigation property. In an update, it adds the content to Writer.Nested.
func (p *propertyCursor) isNavigationWritten() (write bool, err error) {
	isUpdate := p.writer.Update
	nested := p.writer.Nested
	p.isNull = false
	switch {
	case !p.Value.Present:
		return false, nil
	case isUpdate && nested == nil && !p.writer.Config.DeepUpdates:
		return false, odataerror.DataError(p.path() + ": nested content is for inserts only, " +
			p.writer.Config.NestedAdvice() + "; remove the field, or write its entities from another topic")
	case p.typ == nil:
		return false, odataerror.DataError(p.path() + ": $metadata does not declare its target type")
	case isUpdate && !p.writer.Config.DeepUpdates:
		*nested = append(*nested, NestedContent{Navigation: p.navigation, Type: p.typ, Value: p.Value, Path: p.path()})
		return false, nil
	}
	return true, nil
}

// checkUnknownField returns an error for a field without a property, nil if the field may be ignored.
func (p *propertyCursor) checkUnknownField() error {
	config := p.writer.Config
	switch {
	case !p.Value.Present, p.parentPath == "" && isControlField(config, p.Name):
		return nil
	case p.writer.NeedsMetadata != nil && p.writer.NeedsMetadata(p.parent, p.Name), config.IgnoreUnknownFields:
		return nil
	case config.FailOnUnknownFields:
		return &wit.Error{Kind: wit.ErrorConfig, Message: p.path() + ": " + p.parent.QualifiedName() +
			" has no such property (" + sinkconfig.NameUnknownFields + " = fail)"}
	}
	return odataerror.DataError(p.path() + ": " + p.parent.QualifiedName() + " has no such property")
}

func (p *propertyCursor) convert() (converted value.Converted, err error) {
	if p.keyValue != nil {
		return *p.keyValue, nil
	}
	if err = Convert(&converted, p.writer.Config, p.property, &p.Value); err != nil {
		return converted, odataerror.DataError(p.path() + ": " + err.Error())
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

// isControlField reports whether a field controls whether the row is written or deleted, and is not a property.
func isControlField(config *sinkconfig.Config, name string) bool {
	if config.Mode == sinkconfig.ModeDynamic && name == config.ModeProperty {
		return true
	}
	switch name {
	case edm.DeletedAt, edm.RecordMode, fieldChangeMode, fieldEntityCounter:
		return config.DeleteRecords
	}
	return false
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
		if mode, _ := field.Text(); string(mode) == "D" {
			return true
		}
		hasMode = hasMode || ok
	}
	var deletedAt rowvalue.Value
	isDeleted := rowValue.Field(&deletedAt, edm.DeletedAt) && deletedAt.Present
	return isDeleted && !hasMode && typ.properties[edm.DeletedAt] == nil
}
