package paging

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// OffsetField describes a field of an offset; one of its pointers is set.
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

// WriteFields returns the fields of an offset. Empty ones are omitted.
func WriteFields(items []OffsetField) []wit.OffsetEntry {
	var fields []wit.OffsetEntry
	for _, i := range items {
		switch {
		case i.Text != nil && *i.Text != "":
			fields = append(fields, wit.StringEntry(i.Name, *i.Text))
		case i.Number != nil && *i.Number >= i.Min:
			fields = append(fields, wit.IntegerEntry(i.Name, int64(*i.Number)))
		case i.Flag != nil && *i.Flag, i.Capabilities != nil && i.Capabilities.has(i.Capability):
			fields = append(fields, wit.BooleanEntry(i.Name, true))
		case i.Loop != nil && i.Loop.steps > 0:
			fields = append(fields, wit.StringEntry(i.Name, i.Loop.String()))
		}
	}
	return fields
}

// ReadFields reads what [WriteFields] wrote and ignores other fields.
func ReadFields(offset []wit.OffsetEntry, items []OffsetField) error {
	for _, f := range offset {
		for _, i := range items {
			if i.Name == f.Name && !i.read(f.Value) {
				return &wit.Error{Kind: wit.ErrorIncompatible, Message: "offset: field " + f.Name +
					" isn't of the form that this connector writes"}
			}
			if i.Name == f.Name && slices.Contains(urlFields, i.Name) && isForeign(*i.Text) {
				return &wit.Error{Kind: wit.ErrorIncompatible, Message: "offset: expected field " + f.Name +
					" with a path, found \"" + *i.Text + "\""}
			}
		}
	}
	return nil
}

var urlFields = []string{"url", "next", "link", "kept"}

// isForeign reports whether a URL is not a path of this host: two slashes or a backslash start the name of a host.
func isForeign(address string) bool {
	return address != "" && (address[0] != '/' || (len(address) > 1 && (address[1] == '/' || address[1] == '\\')))
}

func (o *OffsetField) read(scalar wit.Scalar) bool {
	switch {
	case o.Text != nil && scalar.String != nil:
		*o.Text = string([]byte(*scalar.String))
	case o.Number != nil && scalar.Integer != nil && *scalar.Integer >= 0:
		*o.Number = int(*scalar.Integer)
	case o.Flag != nil && scalar.Boolean != nil:
		*o.Flag = *scalar.Boolean
	case o.Capabilities != nil && scalar.Boolean != nil:
		o.Capabilities.set(o.Capability, *scalar.Boolean)
	case o.Loop != nil && scalar.String != nil:
		return o.Loop.parse(*scalar.String)
	default:
		return false
	}
	return true
}

// TextField returns a text of an offset, or "" if the offset has no such field.
func TextField(offset []wit.OffsetEntry, name string) string {
	if v, ok := wit.Lookup(offset, name); ok && v.String != nil {
		return *v.String
	}
	return ""
}

// FlagField returns a flag of an offset, or false if the offset has no such field.
func FlagField(offset []wit.OffsetEntry, name string) bool {
	v, ok := wit.Lookup(offset, name)
	return ok && v.Boolean != nil && *v.Boolean
}
