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
func (s *Translator) findReferences(encoding wit.Encoding, data []byte, refuse func(string, ...any) error) ([]schemaReference, error) {
	if encoding == wit.Schemaless && hasNoStruct(data) {
		return nil, nil
	}
	s.references = s.references[:0]
	scan := scanner{data: data, references: s.references, callerErr: s.callerErr}
	switch encoding {
	case wit.Schemaless:
		scan.schemaless(0)
	case wit.Raw:
		scan.headers()
	}
	if scan.err != nil {
		return nil, scan.err
	}
	if scan.problem != "" || scan.at != len(data) {
		return nil, refuse("%s of %d bytes: %s at byte %d", map[wit.Encoding]string{wit.Schemaless: "a dynamic value",
			wit.Raw: "a block of headers"}[encoding],
			len(data), cmp.Or(scan.problem, "bytes left over"), scan.at)
	}
	s.references = scan.references
	return scan.references, nil
}

// unmentioned reports of a dynamic value, by a look at its bytes alone, that it has no structure in it and so mentions
// no schema, and that it does not nest too deep, which takes two bytes a level. What else may be wrong with it is found
// by who reads it.
func hasNoStruct(b []byte) bool {
	return len(b) <= 2*connectdata.MaxDepth && bytes.IndexByte(b, connectdata.TagStruct) < 0
}

// GiveInside gives the instance what a datum of the host's mentions.
func (s *Translator) NeedReferenced(encoding wit.Encoding, data []byte) error {
	references, err := s.findReferences(encoding, data, abi.NewRefusal)
	for _, m := range references {
		if err == nil {
			err = s.Need(m.id)
		}
	}
	return err
}

// TranslateInside rewrites what a datum of the guest's mentions: it returns b itself when nothing has to change, and
// otherwise dst with the new bytes appended.
func (s *Translator) TranslateReferences(dst []byte, encoding wit.Encoding, data []byte) (out []byte, changed bool, err error) {
	references, err := s.findReferences(encoding, data, abi.NewViolation)
	if err != nil {
		return dst, false, err
	}
	for i := range references {
		id := references[i].id
		if references[i].id, err = s.Host(id); err != nil {
			return dst, false, err
		}
		changed = changed || id != references[i].id
	}
	if !changed {
		return dst, false, nil
	}
	if encoding == wit.Raw && slices.ContainsFunc(references, func(m schemaReference) bool { return m.inValue }) {
		return s.translateHeaders(dst, data)
	}
	return splice(dst, data, references), true, nil
}

func splice(dst, data []byte, references []schemaReference) []byte {
	from := 0
	for _, m := range references {
		dst = append(dst, data[from:m.at]...)
		dst = connectdata.AppendNumber(dst, int64(m.id))
		from = m.at + m.size
	}
	return append(dst, data[from:]...)
}

// translateHeaders rewrites a block whose schemas are known to be declared; header by header, since the size of a
// dynamic value may change.
func (s *Translator) translateHeaders(dst, data []byte) ([]byte, bool, error) {
	headers, err := connectdata.Headers(nil, data)
	if err != nil {
		return dst, false, abi.NewViolation("a block of headers: %v", err)
	}
	for i := range headers {
		header := &headers[i]
		switch header.Encoding {
		case wit.WithSchema:
			if header.Schema, err = s.Host(header.Schema); err != nil {
				return dst, false, err
			}
		case wit.Schemaless:
			value, changed, err := s.TranslateReferences(nil, wit.Schemaless, header.Value)
			if err != nil {
				return dst, false, err
			}
			if changed {
				header.Value = value
			}
		}
	}
	return connectdata.AppendHeaders(dst, headers), true, nil
}

// askEvery is how many values are walked over between two questions whether to go on.
const checkEvery = 1024

// walker finds mentions without allocating; bad says what is wrong at i.
type scanner struct {
	data        []byte
	at        int
	problem      string
	references []schemaReference
	// ended is asked every now and then, and err is what it said; steps counts values.
	callerErr func() error
	err   error
	steps int
}

func (w *scanner) number() int64 {
	n, size := connectdata.Number(w.data[w.at:])
	if size <= 0 {
		w.fail("expected a number")
		return 0
	}
	w.at += size
	return n
}

func (w *scanner) skip(n int64) {
	if n < 0 || n > int64(len(w.data)-w.at) {
		w.fail("a size that runs past the end")
		return
	}
	w.at += int(n)
}

func (w *scanner) fail(what string) {
	if w.problem == "" {
		w.problem = what
	}
}

func (w *scanner) reference() {
	at := w.at
	id := w.number()
	if id < 0 || id > 1<<32-1 {
		w.fail("a schema's number that is out of range")
	}
	w.references = append(w.references, schemaReference{at: at, size: w.at - at, id: uint32(id)})
}

func (w *scanner) schemaless(depth int) {
	if depth > connectdata.MaxDepth {
		w.fail("nests too deep")
	}
	if w.steps++; w.steps%checkEvery == 0 && w.callerErr != nil {
		if w.err = w.callerErr(); w.err != nil {
			w.fail("not read to its end")
		}
	}
	if w.problem != "" {
		return
	}
	if w.at >= len(w.data) {
		w.fail("expected a tag")
		return
	}
	tag := w.data[w.at]
	w.at++
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
		w.reference()
		w.references[len(w.references)-1].inValue = true
		w.skip(w.number())
	case connectdata.TagArray, connectdata.TagMap:
		count := w.number()
		if count < 0 || count > int64(len(w.data)-w.at) {
			w.fail("a count that runs past the end")
			return
		}
		if tag == connectdata.TagMap {
			count *= 2
		}
		for count = w.skipScalars(count); count > 0 && w.problem == ""; count = w.skipScalars(count - 1) {
			w.schemaless(depth + 1)
		}
	default:
		w.fail("unknown tag")
	}
}

// scalars passes over items of a list that are short and hold nothing, and returns how many are left. It stops in front
// of what dynamic has to look at: what is longer, or bad, or near the end, and where the time is to be asked.
func (w *scanner) skipScalars(count int64) int64 {
	const most = 1 + binary.MaxVarintLen64
	b, i := w.data, w.at
	for ; count > 0 && len(b)-i >= most && (w.steps+1)%checkEvery != 0; count-- {
		size := 1
		switch tag := b[i]; {
		case tag <= connectdata.TagTrue:
		case tag <= connectdata.TagInt64:
			stop := ^binary.LittleEndian.Uint64(b[i+1:]) & 0x8080808080808080
			if stop == 0 {
				w.at = i
				return count
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
				w.at = i
				return count
			}
		default:
			w.at = i
			return count
		}
		i += size
		w.steps++
	}
	w.at = i
	return count
}

func (w *scanner) headers() {
	count := w.number()
	if count > connectdata.MaxHeaders {
		w.fail("more than 10000 headers")
	}
	for ; count > 0 && w.problem == ""; count-- {
		w.skip(w.number())
		if w.at >= len(w.data) {
			w.fail("expected a header's form")
			return
		}
		encoding := wit.Encoding(w.data[w.at])
		w.at++
		if encoding == wit.WithSchema {
			w.reference()
		} else if encoding != wit.Schemaless && encoding != wit.Raw {
			w.fail("expected the form 2, 3 or 4")
		} else {
			w.number()
		}
		size := w.number()
		if start := w.at; encoding == wit.Schemaless && w.problem == "" && size >= 0 && size <= int64(len(w.data)-w.at) {
			w.headerValue(start, start+int(size))
		}
		w.skip(size)
	}
}

// nested collects what the dynamic value of a header mentions. Its mentions serve for looking only: a block with any to
// change is written again.
func (w *scanner) headerValue(from, to int) {
	if hasNoStruct(w.data[from:to]) {
		return
	}
	inner := scanner{data: w.data[:to], at: from, references: w.references, callerErr: w.callerErr, steps: w.steps}
	inner.schemaless(1)
	w.references, w.err, w.steps = inner.references, inner.err, inner.steps
	if inner.problem != "" {
		w.fail(inner.problem)
	}
}
