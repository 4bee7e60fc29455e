package chain

import (
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// headerList walks over a block of headers.
type headerList struct {
	// left is how many there are to come, -1 when the bytes are bad; rest begins with the next one.
	left int64
	rest []byte
}

func headersOf(block []byte) headerList {
	n, size := connectdata.Number(block)
	if size <= 0 || n < 0 || n > connectdata.MaxHeaders {
		return headerList{left: -1}
	}
	return headerList{n, block[size:]}
}

// next takes the next header; ok is false when there is none, or when its bytes are bad.
func (l *headerList) next() (name []byte, ok bool) {
	if l.left <= 0 {
		return nil, false
	}
	l.left--
	b := l.rest
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
	l.rest = b[size:]
	return name, true
}

// beginHeaders appends the block of a row's headers to dst, with a count for n more, which are to follow.
func beginHeaders(dst []byte, c *column, n, stage int) ([]byte, *failure) {
	var list headerList
	if c.form == wit.Raw {
		list = headersOf(c.bytes)
	}
	if list.left < 0 {
		return dst, &failure{stage, dataException, "bytes that are no block of headers"}
	}
	n += int(list.left)
	if n > connectdata.MaxHeaders {
		return dst, &failure{stage, dataException,
			"expected at most " + strconv.Itoa(connectdata.MaxHeaders) + " headers, found " + strconv.Itoa(n)}
	}
	return append(connectdata.AppendNumber(dst, int64(n)), list.rest...), nil
}
