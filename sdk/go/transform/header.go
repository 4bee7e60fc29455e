package transform

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// headers contains the headers of a record. They are decoded when they are first used.
type headers struct {
	// at is their place in data.
	at      wit.ValueSlice
	data    []byte
	all     []header
	read    bool
	changed bool
	err     error
}

// header is a record header. nodes is the schema of a header that was set and has no schema number yet.
type header struct {
	connectdata.Header
	nodes []wit.SchemaNode
}

// load selects the headers of another row of the same data.
func (h *headers) load(at wit.ValueSlice) {
	h.at = at
	h.read = false
	h.changed = false
	if h.err != nil {
		h.err = nil
	}
}

// list decodes the headers the first time.
func (h *headers) list() []header {
	if h.read {
		return h.all
	}
	h.read = true
	h.all = h.all[:0]
	if h.at.Encoding == wit.Absent {
		return nil
	}
	var all []connectdata.Header
	all, h.err = connectdata.Headers(nil, h.data[h.at.Start:h.at.Start+h.at.Size])
	for _, one := range all {
		h.all = append(h.all, header{Header: one})
	}
	return h.all
}
