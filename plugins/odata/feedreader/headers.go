package feedreader

import (
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Change is what happened to an entity.
type Change int

// Services that report no created entities have only changed ones.
const (
	// ChangeUnknown adds no header: a dead letter does not tell the change.
	ChangeUnknown Change = iota
	// ChangeRead is for rows of full loads and cursors.
	ChangeRead
	ChangeCreated
	ChangeChanged
	// ChangeBefore is ODP's state before a change.
	ChangeBefore
	ChangeDeleted
)

var changeNames = [...]string{"", "read", "created", "changed", "before", "deleted"}

// Version is the plugin's version, set by its main package.
var Version string

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

// AddHeaders adds the configured headers to a row.
func (f *Feed) AddHeaders(row *wit.Row, data []byte, what Change) []byte {
	if f.headerBlocks == nil {
		return data
	}
	block := f.headerBlocks[what]
	row.Headers = wit.ValueSlice{Encoding: wit.Raw, Start: uint32(len(data)), Size: uint32(len(block))}
	return append(data, block...)
}

// AddHeadersToAll adds the headers to all rows.
func (f *Feed) AddHeadersToAll(rows []wit.Row, data []byte, what Change) []byte {
	for i := range rows {
		data = f.AddHeaders(&rows[i], data, what)
	}
	return data
}
