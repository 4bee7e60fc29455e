package paging

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// OffsetField binds a field of an offset to the variable that it stores; one of its pointers is set.
type OffsetField struct {
	Name         string
	Text         *string
	Number       *int
	Min          int // smaller numbers are omitted
	Flag         *bool
	Loop         *LoopDetector
	Capabilities *Capabilities
	Capability   Capabilities // the bit of Capabilities that the field stores
}

// WriteFields returns the entries of an offset. Empty texts, small numbers and false are omitted.
func WriteFields(fields []OffsetField) []wit.OffsetEntry {
	var entries []wit.OffsetEntry
	for _, field := range fields {
		switch {
		case field.Text != nil && *field.Text != "":
			entries = append(entries, wit.StringEntry(field.Name, *field.Text))
		case field.Number != nil && *field.Number >= field.Min:
			entries = append(entries, wit.IntegerEntry(field.Name, int64(*field.Number)))
		case field.Flag != nil && *field.Flag, field.Capabilities != nil && field.Capabilities.has(field.Capability):
			entries = append(entries, wit.BooleanEntry(field.Name, true))
		case field.Loop != nil && field.Loop.steps > 0:
			entries = append(entries, wit.StringEntry(field.Name, field.Loop.String()))
		}
	}
	return entries
}

// urlFields are the names of fields with paths of this host.
var urlFields = []string{"url", "next", "link", "kept"}

// ReadFields reads what [WriteFields] returned and ignores other entries.
func ReadFields(offset []wit.OffsetEntry, fields []OffsetField) error {
	for _, entry := range offset {
		for _, field := range fields {
			if field.Name == entry.Name && !field.set(entry.Value) {
				return &wit.Error{Kind: wit.ErrorIncompatible, Message: "offset: field " + entry.Name +
					" isn't of the form that this connector writes"}
			}
			if field.Name == entry.Name && slices.Contains(urlFields, field.Name) && isForeign(*field.Text) {
				return &wit.Error{Kind: wit.ErrorIncompatible, Message: "offset: expected field " + entry.Name +
					" with a path, found \"" + *field.Text + "\""}
			}
		}
	}
	return nil
}

// isForeign reports whether a URL is not a path of this host: two slashes or a backslash start the name of a host.
func isForeign(address string) bool {
	return address != "" && (address[0] != '/' || (len(address) > 1 && (address[1] == '/' || address[1] == '\\')))
}

func (f *OffsetField) set(scalar wit.Scalar) bool {
	switch {
	case f.Text != nil && scalar.String != nil:
		*f.Text = string([]byte(*scalar.String))
	case f.Number != nil && scalar.Integer != nil && *scalar.Integer >= 0:
		*f.Number = int(*scalar.Integer)
	case f.Flag != nil && scalar.Boolean != nil:
		*f.Flag = *scalar.Boolean
	case f.Capabilities != nil && scalar.Boolean != nil:
		f.Capabilities.set(f.Capability, *scalar.Boolean)
	case f.Loop != nil && scalar.String != nil:
		return f.Loop.parse(*scalar.String)
	default:
		return false
	}
	return true
}

// TextField returns a text of an offset, or "" if the offset has no such field.
func TextField(offset []wit.OffsetEntry, name string) string {
	if value, ok := wit.Lookup(offset, name); ok && value.String != nil {
		return *value.String
	}
	return ""
}

// FlagField returns a flag of an offset, or false if the offset has no such field.
func FlagField(offset []wit.OffsetEntry, name string) bool {
	value, ok := wit.Lookup(offset, name)
	return ok && value.Boolean != nil && *value.Boolean
}
