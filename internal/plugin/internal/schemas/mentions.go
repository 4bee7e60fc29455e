package schemas

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// schemaReference is a schema's number inside dynamic bytes or a block of headers.
type schemaReference struct {
	at, size int
	id       uint32
	// inValue: it stands in a dynamic value, whose size may stand in front of that.
	inValue bool
}

// inside collects the schemas that a datum's bytes mention: structs in dynamic values, and headers. refuse makes the
// error for bytes that are neither.
func (s *Numbers) inside(form wit.Encoding, b []byte, refuse func(string, ...any) error) ([]schemaReference, error) {
	if form == wit.Schemaless && unmentioned(b) {
		return nil, nil
	}
	s.references = s.references[:0]
	w := walker{b: b, mentions: s.references, ended: s.callerErr}
	switch form {
	case wit.Schemaless:
		w.dynamic(0)
	case wit.Raw:
		w.headers()
	}
	if w.err != nil {
		return nil, w.err
	}
	if w.bad != "" || w.i != len(b) {
		return nil, refuse("%s of %d bytes: %s at byte %d", map[wit.Encoding]string{wit.Schemaless: "a dynamic value",
			wit.Raw: "a block of headers"}[form],
			len(b), cmp.Or(w.bad, "bytes left over"), w.i)
	}
	s.references = w.mentions
	return w.mentions, nil
}

// unmentioned reports of a dynamic value, by a look at its bytes alone, that it has no structure in it and so mentions
// no schema, and that it does not nest too deep, which takes two bytes a level. What else may be wrong with it is found
// by who reads it.
func unmentioned(b []byte) bool {
	return len(b) <= 2*connectdata.MaxDepth && bytes.IndexByte(b, connectdata.TagStruct) < 0
}

// GiveInside gives the instance what a datum of the host's mentions.
func (s *Numbers) GiveInside(form wit.Encoding, b []byte) error {
	mentions, err := s.inside(form, b, abi.Refused)
	for _, m := range mentions {
		if err == nil {
			err = s.Need(m.id)
		}
	}
	return err
}

// TranslateInside rewrites what a datum of the guest's mentions: it returns b itself when nothing has to change, and
// otherwise dst with the new bytes appended.
func (s *Numbers) TranslateInside(dst []byte, form wit.Encoding, b []byte) (out []byte, changed bool, err error) {
	mentions, err := s.inside(form, b, abi.Violated)
	if err != nil {
		return dst, false, err
	}
	for i := range mentions {
		id := mentions[i].id
		if mentions[i].id, err = s.Host(id); err != nil {
			return dst, false, err
		}
		changed = changed || id != mentions[i].id
	}
	if !changed {
		return dst, false, nil
	}
	if form == wit.Raw && slices.ContainsFunc(mentions, func(m schemaReference) bool { return m.inValue }) {
		return s.translateHeaders(dst, b)
	}
	return splice(dst, b, mentions), true, nil
}

func splice(dst, b []byte, mentions []schemaReference) []byte {
	from := 0
	for _, m := range mentions {
		dst = append(dst, b[from:m.at]...)
		dst = connectdata.AppendNumber(dst, int64(m.id))
		from = m.at + m.size
	}
	return append(dst, b[from:]...)
}

// translateHeaders rewrites a block whose schemas are known to be declared; header by header, since the size of a
// dynamic value may change.
func (s *Numbers) translateHeaders(dst, b []byte) ([]byte, bool, error) {
	headers, err := connectdata.Headers(nil, b)
	if err != nil {
		return dst, false, abi.Violated("a block of headers: %v", err)
	}
	for i := range headers {
		h := &headers[i]
		switch h.Encoding {
		case wit.WithSchema:
			if h.Schema, err = s.Host(h.Schema); err != nil {
				return dst, false, err
			}
		case wit.Schemaless:
			value, changed, err := s.TranslateInside(nil, wit.Schemaless, h.Value)
			if err != nil {
				return dst, false, err
			}
			if changed {
				h.Value = value
			}
		}
	}
	return connectdata.AppendHeaders(dst, headers), true, nil
}

// askEvery is how many values are walked over between two questions whether to go on.
const askEvery = 1024

// walker finds mentions without allocating; bad says what is wrong at i.
type walker struct {
	b        []byte
	i        int
	bad      string
	mentions []schemaReference
	// ended is asked every now and then, and err is what it said; steps counts values.
	ended func() error
	err   error
	steps int
}

func (w *walker) number() int64 {
	n, size := connectdata.Number(w.b[w.i:])
	if size <= 0 {
		w.fail("expected a number")
		return 0
	}
	w.i += size
	return n
}

func (w *walker) skip(n int64) {
	if n < 0 || n > int64(len(w.b)-w.i) {
		w.fail("a size that runs past the end")
		return
	}
	w.i += int(n)
}

func (w *walker) fail(what string) {
	if w.bad == "" {
		w.bad = what
	}
}

func (w *walker) mention() {
	at := w.i
	id := w.number()
	if id < 0 || id > 1<<32-1 {
		w.fail("a schema's number that is out of range")
	}
	w.mentions = append(w.mentions, schemaReference{at: at, size: w.i - at, id: uint32(id)})
}

func (w *walker) dynamic(depth int) {
	if depth > connectdata.MaxDepth {
		w.fail("nests too deep")
	}
	if w.steps++; w.steps%askEvery == 0 && w.ended != nil {
		if w.err = w.ended(); w.err != nil {
			w.fail("not read to its end")
		}
	}
	if w.bad != "" {
		return
	}
	if w.i >= len(w.b) {
		w.fail("expected a tag")
		return
	}
	tag := w.b[w.i]
	w.i++
	switch tag {
	case connectdata.TagNull, connectdata.TagFalse, connectdata.TagTrue:
	case connectdata.TagInt8, connectdata.TagInt16, connectdata.TagInt32, connectdata.TagInt64, connectdata.TagInstant:
		w.number()
	case connectdata.TagFloat32:
		w.skip(4)
	case connectdata.TagFloat64:
		w.skip(8)
	case connectdata.TagString, connectdata.TagBytes:
		w.skip(w.number())
	case connectdata.TagDecimal:
		if scale := w.number(); scale > connectdata.MaxScale || scale < -connectdata.MaxScale {
			w.fail("a decimal's scale beyond 1000")
		}
		size := w.number()
		if size > connectdata.MaxDecimalBytes {
			w.fail("a decimal of more than 4096 bytes")
		}
		w.skip(size)
	case connectdata.TagStruct:
		w.mention()
		w.mentions[len(w.mentions)-1].inValue = true
		w.skip(w.number())
	case connectdata.TagArray, connectdata.TagMap:
		n := w.number()
		if n < 0 || n > int64(len(w.b)-w.i) {
			w.fail("a count that runs past the end")
			return
		}
		if tag == connectdata.TagMap {
			n *= 2
		}
		for n = w.scalars(n); n > 0 && w.bad == ""; n = w.scalars(n - 1) {
			w.dynamic(depth + 1)
		}
	default:
		w.fail("unknown tag")
	}
}

// scalars passes over items of a list that are short and hold nothing, and returns how many are left. It stops in front
// of what dynamic has to look at: what is longer, or bad, or near the end, and where the time is to be asked.
func (w *walker) scalars(n int64) int64 {
	const most = 1 + binary.MaxVarintLen64
	b, i := w.b, w.i
	for ; n > 0 && len(b)-i >= most && (w.steps+1)%askEvery != 0; n-- {
		size := 1
		switch tag := b[i]; {
		case tag <= connectdata.TagTrue:
		case tag <= connectdata.TagInt64:
			stop := ^binary.LittleEndian.Uint64(b[i+1:]) & 0x8080808080808080
			if stop == 0 {
				w.i = i
				return n
			}
			size += bits.TrailingZeros64(stop)/8 + 1
		case tag == connectdata.TagString || tag == connectdata.TagBytes:
			content := int(b[i+1])
			size = 2
			if content >= 0x80 {
				content = content&0x7f | int(b[i+2])<<7
				size = 3
			}
			size += content >> 1
			if content&1 != 0 || content >= 1<<14 || size > len(b)-i {
				w.i = i
				return n
			}
		default:
			w.i = i
			return n
		}
		i += size
		w.steps++
	}
	w.i = i
	return n
}

func (w *walker) headers() {
	n := w.number()
	if n > connectdata.MaxHeaders {
		w.fail("more than 10000 headers")
	}
	for ; n > 0 && w.bad == ""; n-- {
		w.skip(w.number())
		if w.i >= len(w.b) {
			w.fail("expected a header's form")
			return
		}
		form := wit.Encoding(w.b[w.i])
		w.i++
		if form == wit.WithSchema {
			w.mention()
		} else if form != wit.Schemaless && form != wit.Raw {
			w.fail("expected the form 2, 3 or 4")
		} else {
			w.number()
		}
		size := w.number()
		if start := w.i; form == wit.Schemaless && w.bad == "" && size >= 0 && size <= int64(len(w.b)-w.i) {
			w.nested(start, start+int(size))
		}
		w.skip(size)
	}
}

// nested collects what the dynamic value of a header mentions. Its mentions serve for looking only: a block with any to
// change is written again.
func (w *walker) nested(from, to int) {
	if unmentioned(w.b[from:to]) {
		return
	}
	inner := walker{b: w.b[:to], i: from, mentions: w.mentions, ended: w.ended, steps: w.steps}
	inner.dynamic(1)
	w.mentions, w.err, w.steps = inner.mentions, inner.err, inner.steps
	if inner.bad != "" {
		w.fail(inner.bad)
	}
}
