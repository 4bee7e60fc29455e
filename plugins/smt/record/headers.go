package record

import (
	"github.com/culvert-project/culvert/wit/connectdata"
)

// HeaderReader iterates over encoded headers.
type HeaderReader struct {
	Remaining int64  // number of unread headers, -1 for invalid bytes
	Rest      []byte // starts with the next header
}

// ReadHeaders returns a reader of encoded headers.
func ReadHeaders(block []byte) HeaderReader {
	n, size := connectdata.Number(block)
	if size <= 0 || n < 0 || n > connectdata.MaxHeaders {
		return HeaderReader{Remaining: -1}
	}
	return HeaderReader{n, block[size:]}
}

// Next returns the name of the next header. ok is false at the end and for invalid bytes.
func (h *HeaderReader) Next() (name []byte, ok bool) {
	if h.Remaining <= 0 {
		return nil, false
	}
	h.Remaining--
	b := h.Rest
	name, size := connectdata.LengthPrefixed(b)
	if size <= 0 || size >= len(b) {
		return nil, false
	}
	b = b[size+1:] // the encoding
	if _, size = connectdata.Number(b); size <= 0 {
		return nil, false
	}
	b = b[size:]
	if _, size = connectdata.LengthPrefixed(b); size <= 0 {
		return nil, false
	}
	h.Rest = b[size:]
	return name, true
}
