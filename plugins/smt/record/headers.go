package record

import (
	"strconv"

	"github.com/culvert-project/culvert/wit"
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

// beginHeaders appends the record's headers to dst, with a count that includes the added ones, which must follow.
func beginHeaders(dst []byte, part *Part, added, stage int) ([]byte, *Failure) {
	var list HeaderReader
	if part.Encoding == wit.Raw {
		list = ReadHeaders(part.Bytes)
	}
	if list.Remaining < 0 {
		return dst, DataFailure(stage, "invalid bytes of headers")
	}
	count := added + int(list.Remaining)
	if count > connectdata.MaxHeaders {
		return dst, DataFailure(stage, "expected at most "+strconv.Itoa(connectdata.MaxHeaders)+" headers, found "+
			strconv.Itoa(count))
	}
	return append(connectdata.AppendNumber(dst, int64(count)), list.Rest...), nil
}
