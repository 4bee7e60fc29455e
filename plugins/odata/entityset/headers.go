package entityset

import (
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
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

// buildHeaders makes the blocks of headers of the feed's rows, one for each change.
func (f *Feed) buildHeaders() {
	f.headerBlocks = nil
	if !f.Headers {
		return
	}
	f.headerSchema = wit.Schema{ID: schemaID(), Nodes: []wit.SchemaNode{{Kind: wit.String}}}
	header := func(name, value string) connectdata.Header {
		return connectdata.Header{Name: name, Form: wit.WithSchema, Schema: f.headerSchema.ID,
			Value: connectdata.AppendString(nil, value)}
	}
	for _, name := range changeNames {
		headers := []connectdata.Header{header(sourceconfig.HeaderService, f.Service),
			header(sourceconfig.HeaderEntitySet, f.Set),
			header(sourceconfig.HeaderVersion, Version)}
		if name != "" {
			headers = append(headers, header(sourceconfig.HeaderChange, name))
		}
		f.headerBlocks = append(f.headerBlocks, connectdata.AppendHeaders(nil, headers))
	}
}

// AddHeaders puts the headers on a row, where the settings want them.
func (f *Feed) AddHeaders(row *wit.Row, data []byte, what Change) []byte {
	if f.headerBlocks == nil {
		return data
	}
	block := f.headerBlocks[what]
	row.Headers = wit.ValueSlice{Encoding: wit.Raw, Start: uint32(len(data)), Size: uint32(len(block))}
	return append(data, block...)
}

// AddHeadersToAll puts the headers on rows to which the same happened.
func (f *Feed) AddHeadersToAll(rows []wit.Row, data []byte, what Change) []byte {
	for i := range rows {
		data = f.AddHeaders(&rows[i], data, what)
	}
	return data
}
