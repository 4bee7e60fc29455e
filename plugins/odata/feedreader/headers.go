package feedreader

import (
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Change is what happened to an entity.
type Change int

// Kinds of changes. Many services report created entities as changed.
const (
	ChangeUnknown Change = iota // adds no header: dead letters do not store the change
	ChangeRead                  // of full loads and cursors
	ChangeCreated
	ChangeChanged
	ChangeBefore // ODP's state before a change
	ChangeDeleted
	ChangeLeft // deleted from the rows that are read, because it no longer meets their conditions
)

var changeNames = [...]string{"", "read", "created", "changed", "before", "deleted", "left"}

// Version is the plugin's version, set by its main package.
var Version string

// encodedHeaders are headers of records, encoded once for each kind of change. They are empty unless configured.
type encodedHeaders struct {
	blocks [][]byte
	schema wit.Schema
}

// buildHeaders encodes the headers of each kind of change.
func (f *Feed) buildHeaders() {
	f.headers.blocks = nil
	if !f.Headers {
		return
	}
	f.headers.schema = wit.Schema{ID: schemaID(), Nodes: []wit.SchemaNode{{Kind: wit.String}}}
	header := func(name, value string) connectdata.Header {
		return connectdata.Header{Name: name, Encoding: wit.WithSchema, Schema: f.headers.schema.ID,
			Value: connectdata.AppendString(nil, value)}
	}
	for _, name := range changeNames {
		headers := []connectdata.Header{header(sourceconfig.HeaderService, f.Service),
			header(sourceconfig.HeaderEntitySet, f.Set), header(sourceconfig.HeaderVersion, Version)}
		if name != "" {
			headers = append(headers, header(sourceconfig.HeaderChange, name))
		}
		f.headers.blocks = append(f.headers.blocks, connectdata.AppendHeaders(nil, headers))
	}
}

// AddHeaders adds the configured headers to a row.
func (f *Feed) AddHeaders(row *wit.Row, data []byte, change Change) []byte {
	if f.headers.blocks == nil {
		return data
	}
	block := f.headers.blocks[change]
	row.Headers = wit.ValueSlice{Encoding: wit.Raw, Start: uint32(len(data)), Size: uint32(len(block))}
	return append(data, block...)
}

// AddHeadersToAll adds the headers to all rows.
func (f *Feed) AddHeadersToAll(rows []wit.Row, data []byte, change Change) []byte {
	for i := range rows {
		data = f.AddHeaders(&rows[i], data, change)
	}
	return data
}
