package paging

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// OffsetField binds a field of an offset to the variable that it stores; one of its pointers is set.
type OffsetField struct {
	Name   string
	Text   *string
	Number *int
	Min    int // smaller numbers are omitted
	Flag   *bool
	Loop   *LoopDetector
}

// Text returns a field that stores a text, unless it is empty.
func Text(name string, text *string) OffsetField { return OffsetField{Name: name, Text: text} }

// Number returns a field that stores a positive number.
func Number(name string, number *int) OffsetField {
	return OffsetField{Name: name, Number: number, Min: 1}
}

// Flag returns a field that stores true.
func Flag(name string, flag *bool) OffsetField { return OffsetField{Name: name, Flag: flag} }

// Loop returns a field that stores a detector that has visited something.
func Loop(name string, loop *LoopDetector) OffsetField { return OffsetField{Name: name, Loop: loop} }

// WriteFields returns the entries of an offset. Empty texts, small numbers and false are omitted.
func WriteFields(fields []OffsetField) []wit.OffsetEntry {
	var entries []wit.OffsetEntry
	for _, field := range fields {
		switch {
		case field.Text != nil && *field.Text != "":
			entries = append(entries, wit.StringEntry(field.Name, *field.Text))
		case field.Number != nil && *field.Number >= field.Min:
			entries = append(entries, wit.IntegerEntry(field.Name, int64(*field.Number)))
		case field.Flag != nil && *field.Flag:
			entries = append(entries, wit.BooleanEntry(field.Name, true))
		case field.Loop != nil && field.Loop.steps > 0:
			entries = append(entries, wit.StringEntry(field.Name, field.Loop.String()))
		}
	}
	return entries
}

// urlFields are the names of fields with paths of this host.
var urlFields = []string{"url", "next", "link"}

// readerFields are fields that package feedreader appends to an offset.
var readerFields = []string{"guids", "unformatted"}

// ReadFields reads what [WriteFields] returned. isOwn means that this connector wrote the offset: then another entry
// shows a format that this version does not know, and is an error. Otherwise other entries are ignored.
func ReadFields(offset []wit.OffsetEntry, fields []OffsetField, isOwn bool) error {
	last := 0
	for _, entry := range offset {
		n := 0
		for n < len(fields) && fields[(last+n)%len(fields)].Name != entry.Name { // entries have the fields' order
			n++
		}
		if n == len(fields) {
			if isOwn && !slices.Contains(readerFields, entry.Name) {
				return &wit.Error{Kind: wit.ErrorIncompatible, Message: "offset: found the field " + entry.Name +
					", which this version does not know: use the version that wrote it, or reset the connector's " +
					"offsets"}
			}
			continue
		}
		last = (last + n) % len(fields)
		field := &fields[last]
		if !field.set(entry.Value) {
			return &wit.Error{Kind: wit.ErrorIncompatible, Message: "offset: field " + entry.Name +
				" isn't of the form that this connector writes"}
		}
		if slices.Contains(urlFields, field.Name) && isForeign(*field.Text) {
			return &wit.Error{Kind: wit.ErrorIncompatible, Message: "offset: expected field " + entry.Name +
				" with a path, found \"" + *field.Text + "\""}
		}
	}
	return nil
}

// isForeign reports whether a URL is not a path of this host: two slashes or a backslash start the name of a host.
func isForeign(address string) bool {
	return address != "" && (address[0] != '/' || (len(address) > 1 && (address[1] == '/' || address[1] == '\\')))
}

// set stores a value in the variable. It returns false for a value of another kind.
func (f *OffsetField) set(scalar wit.Scalar) bool {
	switch {
	case f.Text != nil && scalar.String != nil:
		*f.Text = string([]byte(*scalar.String))
	case f.Number != nil && scalar.Integer != nil && *scalar.Integer >= 0:
		*f.Number = int(*scalar.Integer)
	case f.Flag != nil && scalar.Boolean != nil:
		*f.Flag = *scalar.Boolean
	case f.Loop != nil && scalar.String != nil:
		return f.Loop.parse(*scalar.String)
	default:
		return false
	}
	return true
}

// LookupText returns a text of an offset, or "" if the offset has no such field.
func LookupText(offset []wit.OffsetEntry, name string) string {
	if value, ok := wit.Lookup(offset, name); ok && value.String != nil {
		return *value.String
	}
	return ""
}

// LookupFlag returns a flag of an offset, or false if the offset has no such field.
func LookupFlag(offset []wit.OffsetEntry, name string) bool {
	value, ok := wit.Lookup(offset, name)
	return ok && value.Boolean != nil && *value.Boolean
}
