package transform

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// headers are those of a record. They are read when they are asked for.
type headers struct {
	// at is where they lie in data.
	at      wit.ValueSlice
	data    []byte
	all     []header
	read    bool
	changed bool
	err     error
}

// header is one of them. nodes is the schema of one that was set, which has no number yet.
type header struct {
	connectdata.Header
	nodes []wit.SchemaNode
}

// load points h at those of another row of the same data.
func (h *headers) load(at wit.ValueSlice) {
	h.at, h.read, h.changed = at, false, false
	if h.err != nil {
		h.err = nil
	}
}

// list reads the headers, once.
func (h *headers) list() []header {
	if h.read {
		return h.all
	}
	h.read, h.all = true, h.all[:0]
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
