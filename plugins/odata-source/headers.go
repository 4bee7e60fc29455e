package main

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// headersEnable gives records headers that say where they come from, texts of Connect's type string.
const headersEnable = "sap.odata.headers.enable"

// Names of those headers.
const (
	headerService   = "sap.odata.service"
	headerEntitySet = "sap.odata.entityset"
	headerChange    = "sap.odata.change"
	headerVersion   = "culvert.plugin.version"
)

// change is what happened to a row's entity, as the service says.
type change int

// Changes of entities. A service that does not tell created entities from changed ones has both changed.
const (
	// changeUnknown has no header: the document of a dead letter does not say what it came as.
	changeUnknown change = iota
	// changeRead is a row of a set that is read whole, or behind a cursor.
	changeRead
	changeCreated
	changeChanged
	// changeBefore is the state before a change, as ODP gives it.
	changeBefore
	changeDeleted
)

// changeNames are the values of the header by change.
var changeNames = [...]string{"", "read", "created", "changed", "before", "deleted"}

// Version is that of the plugin, which its main package sets.
var Version string

// makeHeaders makes the blocks of headers of the feed's rows, one for each change.
func (f *Feed) makeHeaders() {
	f.blocks = nil
	if !f.headers {
		return
	}
	f.text = wit.Schema{ID: schemaID(), Nodes: []wit.Node{{Kind: wit.Text}}}
	header := func(name, value string) datum.Header {
		return datum.Header{Name: name, Form: wit.Structured, Schema: f.text.ID, Value: datum.AppendText(nil, value)}
	}
	for _, name := range changeNames {
		headers := []datum.Header{header(headerService, f.service), header(headerEntitySet, f.set),
			header(headerVersion, Version)}
		if name != "" {
			headers = append(headers, header(headerChange, name))
		}
		f.blocks = append(f.blocks, datum.AppendHeaders(nil, headers))
	}
}

// tell puts the headers on a row, where the settings want them.
func (f *Feed) tell(row *wit.Row, data []byte, what change) []byte {
	if f.blocks == nil {
		return data
	}
	block := f.blocks[what]
	row.Headers = wit.Datum{Form: wit.Raw, Start: uint32(len(data)), Size: uint32(len(block))}
	return append(data, block...)
}

// tellAll puts the headers on rows to which the same happened.
func (f *Feed) tellAll(rows []wit.Row, data []byte, what change) []byte {
	for i := range rows {
		data = f.tell(&rows[i], data, what)
	}
	return data
}
