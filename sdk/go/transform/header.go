package transform

import (
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// headers contains the headers of a record. They are decoded when they are first used.
type headers struct {
	slice     wit.ValueSlice // the place of the encoded headers in data
	data      []byte
	decoded   []header // the headers if isRead is true
	isRead    bool
	isChanged bool
	err       error
}

type header struct {
	connectdata.Header
	nodes []wit.SchemaNode // the schema of a header that was set and has no schema number yet, else nil
}

// load selects the headers of another row of the same data.
func (h *headers) load(slice wit.ValueSlice) {
	h.slice = slice
	h.isRead = false
	h.isChanged = false
	h.err = nil
}

// list decodes the headers the first time.
func (h *headers) list() []header {
	if h.isRead {
		return h.decoded
	}
	h.isRead = true
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
