package abi

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// schemaReference is a schema ID inside a schemaless value or a block of headers.
type schemaReference struct {
	at      int // the offset of the ID
	size    int // the bytes of the ID
	id      uint32
	inValue bool // inside a schemaless value, whose size may precede it
}

// findReferences returns the schema IDs in the bytes of a value: of structs in schemaless values, and of headers.
// newError creates the error for invalid bytes.
func (t *Translator) findReferences(encoding wit.Encoding, data []byte,
	newError func(string, ...any) error) ([]schemaReference, error) {
	if encoding == wit.Schemaless && hasNoStruct(data) {
		return nil, nil
	}
	t.references = t.references[:0]
	scan := scanner{data: data, references: t.references, callerErr: t.callerErr}
	switch encoding {
	case wit.Schemaless:
		scan.readSchemaless(0)
	case wit.Raw:
		scan.readHeaders()
	}
	if scan.err != nil {
		return nil, scan.err
	}
	if scan.problem != "" || scan.at != len(data) {
		return nil, newError("%s of %d bytes: %s at byte %d",
			map[wit.Encoding]string{wit.Schemaless: "a schemaless value", wit.Raw: "a block of headers"}[encoding],
			len(data), cmp.Or(scan.problem, "unexpected bytes"), scan.at)
	}
	t.references = scan.references
	return scan.references, nil
}

// hasNoStruct reports whether a schemaless value certainly refers to no schema: no byte is the tag of a struct, and it
// is too short to nest too deeply, which takes two bytes a level. Its reader finds other errors.
func hasNoStruct(b []byte) bool {
	return len(b) <= 2*connectdata.MaxDepth && bytes.IndexByte(b, connectdata.TagStruct) < 0
}

// NeedReferenced calls [Translator.Need] for each schema that a value of the host refers to.
func (t *Translator) NeedReferenced(encoding wit.Encoding, data []byte) error {
	references, err := t.findReferences(encoding, data, NewRefusal)
	for _, m := range references {
		if err == nil {
			err = t.Need(m.id)
		}
	}
	return err
}

// TranslateReferences translates the schema IDs in a value of the guest. If any ID changes (isChanged), it appends the
// new bytes to dst.
func (t *Translator) TranslateReferences(dst []byte, encoding wit.Encoding,
	data []byte) (out []byte, isChanged bool, err error) {
	references, err := t.findReferences(encoding, data, NewViolation)
	if err != nil {
		return dst, false, err
	}
	for i := range references {
		id := references[i].id
		if references[i].id, err = t.Host(id); err != nil {
			return dst, false, err
		}
		isChanged = isChanged || id != references[i].id
	}
	if !isChanged {
		return dst, false, nil
	}
	if encoding == wit.Raw && slices.ContainsFunc(references, func(m schemaReference) bool { return m.inValue }) {
		return t.translateHeaders(dst, data)
	}
	from := 0
	for _, m := range references {
		dst = append(dst, data[from:m.at]...)
		dst = connectdata.AppendNumber(dst, int64(m.id))
		from = m.at + m.size
	}
	return append(dst, data[from:]...), true, nil
}

// translateHeaders rewrites a block whose schemas are declared, header by header, since the size of a value may change.
func (t *Translator) translateHeaders(dst, data []byte) ([]byte, bool, error) {
	headers, err := connectdata.Headers(nil, data)
	if err != nil {
		return dst, false, NewViolation("a block of headers: %v", err)
	}
	for i := range headers {
		header := &headers[i]
		switch header.Encoding {
		case wit.WithSchema:
			if header.Schema, err = t.Host(header.Schema); err != nil {
				return dst, false, err
			}
		case wit.Schemaless:
			value, isChanged, err := t.TranslateReferences(nil, wit.Schemaless, header.Value)
			if err != nil {
				return dst, false, err
			}
			if isChanged {
				header.Value = value
			}
		}
	}
	return connectdata.AppendHeaders(dst, headers), true, nil
}

// checkEvery is the number of values between two checks whether the caller has given up.
const checkEvery = 1024

// scanner finds schema IDs without allocating. problem describes what is invalid at index at.
type scanner struct {
	data       []byte
	at         int
	problem    string
	references []schemaReference
	callerErr  func() error
	err        error
	steps      int
}

func (s *scanner) readNumber() int64 {
	n, size := connectdata.Number(s.data[s.at:])
	if size <= 0 {
		s.fail("expected a number")
		return 0
	}
	s.at += size
	return n
}

func (s *scanner) skip(n int64) {
	if n < 0 || n > int64(len(s.data)-s.at) {
		s.fail("a size that exceeds the value")
		return
	}
	s.at += int(n)
}

func (s *scanner) fail(problem string) {
	if s.problem == "" {
		s.problem = problem
	}
}

func (s *scanner) readReference() {
	start := s.at
	id := s.readNumber()
	if id < 0 || id > 1<<32-1 {
		s.fail("a schema ID that is out of range")
	}
	s.references = append(s.references, schemaReference{at: start, size: s.at - start, id: uint32(id)})
}

func (s *scanner) readSchemaless(depth int) {
	if depth > connectdata.MaxDepth {
		s.fail("nested too deeply")
	}
	s.steps++
	if s.steps%checkEvery == 0 && s.callerErr != nil {
		if s.err = s.callerErr(); s.err != nil {
			s.fail("not read completely")
		}
	}
	if s.problem != "" {
		return
	}
	if s.at >= len(s.data) {
		s.fail("expected a tag")
		return
	}
	tag := s.data[s.at]
	s.at++
	switch tag {
	case connectdata.TagNull, connectdata.TagFalse, connectdata.TagTrue: // the tag is the value
	case connectdata.TagInt8, connectdata.TagInt16, connectdata.TagInt32, connectdata.TagInt64, connectdata.TagInstant:
		s.readNumber()
	case connectdata.TagFloat32:
		s.skip(4)
	case connectdata.TagFloat64:
		s.skip(8)
	case connectdata.TagString, connectdata.TagBytes:
		s.skip(s.readNumber())
	case connectdata.TagDecimal:
		if scale := s.readNumber(); scale > connectdata.MaxScale || scale < -connectdata.MaxScale {
			s.fail("a decimal's scale beyond 1000")
		}
		size := s.readNumber()
		if size > connectdata.MaxDecimalBytes {
			s.fail("a decimal of more than 4096 bytes")
		}
		s.skip(size)
	case connectdata.TagStruct:
		s.readReference()
		s.references[len(s.references)-1].inValue = true
		s.skip(s.readNumber())
	case connectdata.TagArray, connectdata.TagMap:
		count := s.readNumber()
		if count < 0 || count > int64(len(s.data)-s.at) {
			s.fail("a count that exceeds the value")
			return
		}
		if tag == connectdata.TagMap {
			count *= 2
		}
		for count = s.skipScalars(count); count > 0 && s.problem == ""; count = s.skipScalars(count - 1) {
			s.readSchemaless(depth + 1)
		}
	default:
		s.fail("unknown tag")
	}
}

// skipScalars skips short scalars of a list and returns the number of remaining items. It stops before an item that
// readSchemaless must read: a longer or invalid one, one near the end, and before a check of callerErr.
func (s *scanner) skipScalars(count int64) int64 {
	const longestNumber = 1 + binary.MaxVarintLen64
	data := s.data
	i := s.at
	for ; count > 0 && len(data)-i >= longestNumber && (s.steps+1)%checkEvery != 0; count-- {
		size := 1
		switch tag := data[i]; {
		case tag <= connectdata.TagTrue: // the tag is the value
		case tag <= connectdata.TagInt64:
			// A number ends at its first byte below 0x80.
			stop := ^binary.LittleEndian.Uint64(data[i+1:]) & 0x8080808080808080
			if stop == 0 { // not among these eight bytes
				s.at = i
				return count
			}
			size += bits.TrailingZeros64(stop)/8 + 1
		case tag == connectdata.TagString || tag == connectdata.TagBytes:
			// The size is a zigzag number of one or two bytes: its lowest bit is the sign.
			content := int(data[i+1])
			size = 2
			if content >= 0x80 {
				content = content&0x7f | int(data[i+2])<<7
				size = 3
			}
			size += content >> 1
			if content&1 != 0 || content >= 1<<14 || size > len(data)-i {
				s.at = i
				return count
			}
		default:
			s.at = i
			return count
		}
		i += size
		s.steps++
	}
	s.at = i
	return count
}

func (s *scanner) readHeaders() {
	count := s.readNumber()
	if count > connectdata.MaxHeaders {
		s.fail("more than 10000 headers")
	}
	for ; count > 0 && s.problem == ""; count-- {
		s.skip(s.readNumber())
		if s.at >= len(s.data) {
			s.fail("expected a header's encoding")
			return
		}
		encoding := wit.Encoding(s.data[s.at])
		s.at++
		if encoding == wit.WithSchema {
			s.readReference()
		} else if encoding != wit.Schemaless && encoding != wit.Raw {
			s.fail("expected the encoding 2, 3 or 4")
		} else {
			s.readNumber() // the unused schema ID
		}
		size := s.readNumber()
		start := s.at
		if encoding == wit.Schemaless && s.problem == "" && size >= 0 && size <= int64(len(s.data)-s.at) {
			// The positions of the references are not used: a block in which any ID changes is encoded again.
			end := start + int(size)
			if !hasNoStruct(s.data[start:end]) {
				inner := scanner{data: s.data[:end], at: start, references: s.references, callerErr: s.callerErr,
					steps: s.steps}
				inner.readSchemaless(1)
				s.references = inner.references
				s.err = inner.err
				s.steps = inner.steps
				if inner.problem != "" {
					s.fail(inner.problem)
				}
			}
		}
		s.skip(size)
	}
}
