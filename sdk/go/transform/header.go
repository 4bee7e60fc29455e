package transform

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// headers contains the headers of a record. They are decoded when they are first used.
type headers struct {
	// slice is the place of the encoded headers in data.
	slice wit.ValueSlice
	data  []byte
	// decoded contains the headers if read is true.
	decoded []header
	read    bool
	changed bool
	err     error
}

// header is a record header.
type header struct {
	connectdata.Header
	// nodes is the schema of a header that was set and has no schema number yet, else nil.
	nodes []wit.SchemaNode
}

// load selects the headers of another row of the same data.
func (h *headers) load(slice wit.ValueSlice) {
	h.slice = slice
	h.read = false
	h.changed = false
	if h.err != nil {
		h.err = nil
	}
}

// list decodes the headers the first time.
func (h *headers) list() []header {
	if h.read {
		return h.decoded
	}
	h.read = true
	h.decoded = h.decoded[:0]
	if h.slice.Encoding == wit.Absent {
		return nil
	}
	var decoded []connectdata.Header
	decoded, h.err = connectdata.Headers(nil, h.data[h.slice.Start:h.slice.Start+h.slice.Size])
	for _, entry := range decoded {
		h.decoded = append(h.decoded, header{Header: entry})
	}
	return h.decoded
}
