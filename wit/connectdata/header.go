package connectdata

import "github.com/culvert-project/culvert/wit"

// Header is a record header. Value aliases the bytes that it was read from.
type Header struct {
	Name     string
	Encoding wit.Encoding // wit.WithSchema, wit.Schemaless or wit.Raw
	Schema   uint32       // the number of the schema, 0 unless Encoding is wit.WithSchema
	Value    []byte
}

// AppendHeaders appends the headers of a row.
func AppendHeaders(dst []byte, headers []Header) []byte {
	dst = AppendNumber(dst, int64(len(headers)))
	for _, h := range headers {
		dst = AppendString(dst, h.Name)
		dst = append(dst, byte(h.Encoding))
		dst = AppendNumber(dst, int64(h.Schema))
		dst = AppendBytes(dst, h.Value)
	}
	return dst
}

// Headers reads the headers of a row and appends them to dst. It returns an error if data has other bytes after them.
func Headers(dst []Header, data []byte) ([]Header, error) {
	r := reader{b: data}
	count, err := r.number()
	if err != nil {
		return dst, err
	}
	if count > MaxHeaders {
		return dst, newError(0, "more than 10000 headers")
	}
	if count < 0 || count > int64(len(data)) {
		return dst, newError(0, "a count of headers that runs past the block")
	}
	for ; count > 0; count-- {
		h, err := r.header()
		if err != nil {
			return dst, err
		}
		dst = append(dst, h)
	}
	if r.i != len(data) {
		return dst, newError(r.i, "bytes left over")
	}
	return dst, nil
}

func (r *reader) header() (Header, *Error) {
	name, err := r.text()
	if err != nil {
		return Header{}, err
	}
	if r.i >= len(r.b) || wit.Encoding(r.b[r.i]) < wit.WithSchema || wit.Encoding(r.b[r.i]) > wit.Raw {
		return Header{}, newError(r.i, "expected the encoding 2, 3 or 4 of a header")
	}
	encoding := wit.Encoding(r.b[r.i])
	r.i++
	start := r.i
	id, err := r.number()
	if err != nil {
		return Header{}, err
	}
	if id < 0 || id > 1<<32-1 || (encoding != wit.WithSchema && id != 0) {
		return Header{}, newError(start, "a schema id out of range, or one where the form has none")
	}
	v, err := r.lengthPrefixed()
	return Header{Name: name, Encoding: encoding, Schema: uint32(id), Value: v}, err
}
