package decode

import "github.com/culvert-project/culvert/plugins/odata/scan"

// jsonForm is the part of a decoder that differs between the versions of OData.
type jsonForm interface {
	format
	// findRows reads the object at start around the rows, up to the first row, or up to its end if it has none.
	findRows(start int, out *Output) *scan.Error
	// role returns what a member of an object around the rows contains.
	role(name []byte) memberRole
	// control returns what a member of a struct is that is no column.
	control(s *structure, name []byte) controlKind
	// readControl reads a member of kind controlRead.
	readControl(s *structure, name []byte, value textRange)
	// appendPrimitive appends the value of a primitive column whose JSON is text.
	appendPrimitive(dst []byte, s *structure, column *Column, text []byte) ([]byte, *conversionError)
	// finishObject adds the item that was decoded last, whose output ends at end.
	finishObject(row []byte, pageOffset int64, end int, out *Output)
	// typeName returns the type that a row names, or nil.
	typeName(row []byte) []byte
}

// memberRole is what a member of an object around the rows contains.
type memberRole uint8

const (
	otherRole memberRole = iota
	rowsRole
	nextRole
	deltaRole
	countRole
	errorRole
	contextRole // the URL against which links are resolved
)

// controlKind is what a member of a struct is that is no column.
type controlKind uint8

const (
	controlUnknown controlKind = iota // a property that the page reports, unless the schema ignores it
	controlSkipped
	controlRead // Go has to look at its value each time
)
