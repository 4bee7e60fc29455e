package feed

import (
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Change is what happened to a row's entity, as the service says.
type Change int

// Changes of entities. A service that does not tell created entities from changed ones has both changed.
const (
	// ChangeUnknown has no header: the document of a dead letter does not say what it came as.
	ChangeUnknown Change = iota
	// ChangeRead is a row of a set that is read whole, or by a cursor.
	ChangeRead
	ChangeCreated
	ChangeChanged
	// ChangeBefore is the state before a change, as ODP gives it.
	ChangeBefore
	ChangeDeleted
)

// changeNames are the values of the header by change.
var changeNames = [...]string{"", "read", "created", "changed", "before", "deleted"}

// Version is that of the plugin, which its main package sets.
var Version string

// makeHeaders makes the blocks of headers of the feed's rows, one for each change.
func (f *Feed) makeHeaders() {
	f.blocks = nil
	if !f.Headers {
		return
	}
	f.text = wit.Schema{ID: schemaID(), Nodes: []wit.SchemaNode{{Kind: wit.String}}}
	header := func(name, value string) connectdata.Header {
		return connectdata.Header{Name: name, Encoding: wit.WithSchema, Schema: f.text.ID,
			Value: connectdata.AppendString(nil, value)}
	}
	for _, name := range changeNames {
		headers := []connectdata.Header{header(entry.HeaderService, f.Service), header(entry.HeaderEntitySet, f.Set),
			header(entry.HeaderVersion, Version)}
		if name != "" {
			headers = append(headers, header(entry.HeaderChange, name))
		}
		f.blocks = append(f.blocks, connectdata.AppendHeaders(nil, headers))
	}
}

// Tell puts the headers on a row, where the settings want them.
func (f *Feed) Tell(row *wit.Row, data []byte, what Change) []byte {
	if f.blocks == nil {
		return data
	}
	block := f.blocks[what]
	row.Headers = wit.ValueSlice{Encoding: wit.Raw, Start: uint32(len(data)), Size: uint32(len(block))}
	return append(data, block...)
}

// TellAll puts the headers on rows to which the same happened.
func (f *Feed) TellAll(rows []wit.Row, data []byte, what Change) []byte {
	for i := range rows {
		data = f.Tell(&rows[i], data, what)
	}
	return data
}
