package record

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// HeaderReader walks over a block of headers.
type HeaderReader struct {
	// Remaining is how many there are to come, -1 when the bytes are bad; rest begins with the next one.
	Remaining int64
	Rest      []byte
}

func ReadHeaders(block []byte) HeaderReader {
	n, size := connectdata.Number(block)
	if size <= 0 || n < 0 || n > connectdata.MaxHeaders {
		return HeaderReader{Remaining: -1}
	}
	return HeaderReader{n, block[size:]}
}

// Next takes the next header; ok is false when there is none, or when its bytes are bad.
func (l *HeaderReader) Next() (name []byte, ok bool) {
	if l.Remaining <= 0 {
		return nil, false
	}
	l.Remaining--
	b := l.Rest
	name, size := connectdata.LengthPrefixed(b)
	if size <= 0 || size >= len(b) {
		return nil, false
	}
	b = b[size+1:] // the form
	if _, size = connectdata.Number(b); size <= 0 {
		return nil, false
	}
	b = b[size:]
	if _, size = connectdata.LengthPrefixed(b); size <= 0 {
		return nil, false
	}
	l.Rest = b[size:]
	return name, true
}

// beginHeaders appends the block of a row's headers to dst, with a count for n more, which are to follow.
func beginHeaders(dst []byte, c *Part, n, stage int) ([]byte, *rowerror.Failure) {
	var list HeaderReader
	if c.Encoding == wit.Raw {
		list = ReadHeaders(c.Bytes)
	}
	if list.Remaining < 0 {
		return dst, rowerror.Data(stage, "bytes that are no block of headers")
	}
	n += int(list.Remaining)
	if n > connectdata.MaxHeaders {
		return dst, rowerror.Data(stage, "expected at most "+strconv.Itoa(connectdata.MaxHeaders)+" headers, found "+strconv.Itoa(n))
	}
	return append(connectdata.AppendNumber(dst, int64(n)), list.Rest...), nil
}
