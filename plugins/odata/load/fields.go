package load

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// Item is a field of an offset: one of its pointers leads to the value.
type Item struct {
	Name   string
	Text   *string
	Number *int
	Flag   *bool
	Trail  *Trail
	// Least is the least number that is written.
	Least int
	// Facts holds the fact Fact, or not.
	Facts *Facts
	Fact  Facts
}

// Write makes fields of an offset; what is not the case is left out.
func Write(items []Item) []wit.OffsetEntry {
	var fields []wit.OffsetEntry
	for _, i := range items {
		switch {
		case i.Text != nil && *i.Text != "":
			fields = append(fields, wit.StringEntry(i.Name, *i.Text))
		case i.Number != nil && *i.Number >= i.Least:
			fields = append(fields, wit.IntegerEntry(i.Name, int64(*i.Number)))
		case i.Flag != nil && *i.Flag, i.Facts != nil && i.Facts.has(i.Fact):
			fields = append(fields, wit.BooleanEntry(i.Name, true))
		case i.Trail != nil && i.Trail.steps > 0:
			fields = append(fields, wit.StringEntry(i.Name, i.Trail.String()))
		}
	}
	return fields
}

// ReadItems reads what [Write] wrote. Fields that are none of the items are left alone.
func ReadItems(offset []wit.OffsetEntry, items []Item) error {
	for _, f := range offset {
		for _, i := range items {
			if i.Name == f.Name && !i.read(f.Value) {
				return &wit.Error{Kind: wit.ErrorIncompatible, Message: "offset: field " + f.Name +
					" isn't of the form that this connector writes"}
			}
			if i.Name == f.Name && slices.Contains(addresses, i.Name) && elsewhere(*i.Text) {
				return &wit.Error{Kind: wit.ErrorIncompatible, Message: "offset: expected field " + f.Name +
					" with a path, found \"" + *i.Text + "\""}
			}
		}
	}
	return nil
}

// addresses are the fields of offsets that are asked, now or later.
var addresses = []string{"url", "next", "link", "kept"}

// elsewhere reports whether an address is no path of the service's: two slashes, as which some read backslashes too,
// begin another host's.
func elsewhere(address string) bool {
	return address != "" && (address[0] != '/' || len(address) > 1 && (address[1] == '/' || address[1] == '\\'))
}

func (i *Item) read(v wit.Scalar) bool {
	switch {
	case i.Text != nil && v.String != nil:
		*i.Text = string([]byte(*v.String))
	case i.Number != nil && v.Integer != nil && *v.Integer >= 0:
		*i.Number = int(*v.Integer)
	case i.Flag != nil && v.Boolean != nil:
		*i.Flag = *v.Boolean
	case i.Facts != nil && v.Boolean != nil:
		i.Facts.set(i.Fact, *v.Boolean)
	case i.Trail != nil && v.String != nil:
		return i.Trail.parse(*v.String)
	default:
		return false
	}
	return true
}

// Text is a field of an offset that is a text, "" where there is none.
func Text(offset []wit.OffsetEntry, name string) string {
	if v, ok := wit.Lookup(offset, name); ok && v.String != nil {
		return *v.String
	}
	return ""
}

// Flag reports whether a field of an offset is true.
func Flag(offset []wit.OffsetEntry, name string) bool {
	v, ok := wit.Lookup(offset, name)
	return ok && v.Boolean != nil && *v.Boolean
}
