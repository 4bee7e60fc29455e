package plugin

import (
	"bytes"

	"github.com/culvert-project/culvert/host/abi"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// schemas translates between the host's numbers for schemas and those of one instance. Outside this package only the host's
// exist; inside a guest both do, and either side may name the other's.
type schemas struct {
	registry *record.Registry
	// given is the set of the host's ids that the instance knows, pending those that come with the call under way.
	given   []uint64
	pending []uint32
	// declared maps the guest's ids to the host's.
	declared map[uint32]uint32
	// mentions is a buffer.
	mentions []mention
}

func (s *schemas) has(id uint32) bool {
	return int(id/64) < len(s.given) && s.given[id/64]&(1<<(id%64)) != 0
}

// need puts a schema of the host's among those that go with the call, unless the instance has it.
func (s *schemas) need(id uint32) error {
	if s.has(id) {
		return nil
	}
	if s.registry.Get(id) == nil {
		return abi.Refused("a row names schema %d, which is not registered", id)
	}
	for int(id/64) >= len(s.given) {
		s.given = append(s.given, 0)
	}
	s.given[id/64] |= 1 << (id % 64)
	s.pending = append(s.pending, id)
	return nil
}

// sent settles what was pending: a call that failed may not have looked at its schemas, so they will be given again.
func (s *schemas) sent(ok bool) {
	if !ok {
		for _, id := range s.pending {
			s.given[id/64] &^= 1 << (id % 64)
		}
	}
	s.pending = s.pending[:0]
}

// list is the pending schemas as they cross.
func (s *schemas) list() []wit.Schema {
	list := make([]wit.Schema, len(s.pending))
	for i, id := range s.pending {
		list[i] = s.registry.Get(id).Wit()
	}
	return list
}

// declare registers schemas that the guest made.
func (s *schemas) declare(list []wit.Schema) error {
	for i := range list {
		if _, err := s.declareOne(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *schemas) declareOne(w *wit.Schema) (uint32, error) {
	if w.ID < wit.GuestSchemas {
		return 0, abi.Violated("declares schema %d: expected an id of %d or above, those below are the host's", w.ID, uint32(wit.GuestSchemas))
	}
	registered, err := s.registry.Intern(w.Nodes)
	if err != nil {
		return 0, abi.Violated("declares schema %#x: %v", w.ID, err)
	}
	if before, ok := s.declared[w.ID]; ok && before != registered.ID {
		return 0, abi.Violated("declares schema %#x twice with different nodes", w.ID)
	}
	if s.declared == nil {
		s.declared = map[uint32]uint32{}
	}
	s.declared[w.ID] = registered.ID
	return registered.ID, nil
}

// adopt registers a schema outside of rows and puts the host's id into it. It may also be one of the host's that the guest was
// given.
func (s *schemas) adopt(w *wit.Schema) (err error) {
	if w.ID < wit.GuestSchemas {
		w.ID, err = s.host(w.ID)
		return err
	}
	w.ID, err = s.declareOne(w)
	return err
}

// host is the host's id for one that a guest names.
func (s *schemas) host(id uint32) (uint32, error) {
	if id >= wit.GuestSchemas {
		if h, ok := s.declared[id]; ok {
			return h, nil
		}
		return 0, abi.Violated("names schema %#x, which it has not declared", id)
	}
	if !s.has(id) {
		return 0, abi.Violated("names schema %d, which it was not given", id)
	}
	return id, nil
}

// mention is a schema's number inside dynamic bytes or a block of headers.
type mention struct {
	at, size int
	id       uint32
}

// inside collects the schemas that a datum's bytes mention: structs in dynamic values, and headers. refuse makes the error for
// bytes that are neither.
func (s *schemas) inside(form wit.Form, b []byte, refuse func(string, ...any) error) ([]mention, error) {
	s.mentions = s.mentions[:0]
	w := walker{b: b, mentions: s.mentions}
	switch form {
	case wit.Dynamic:
		if bytes.IndexByte(b, datum.TagStruct) < 0 {
			return nil, nil
		}
		w.dynamic(0)
	case wit.Raw:
		w.headers()
	}
	if w.bad != "" || w.i != len(b) {
		return nil, refuse("%s of %d bytes: %s at byte %d", map[wit.Form]string{wit.Dynamic: "a dynamic value", wit.Raw: "a block of headers"}[form],
			len(b), cmpOr(w.bad, "bytes left over"), w.i)
	}
	s.mentions = w.mentions
	return w.mentions, nil
}

// giveInside gives the instance what a datum of the host's mentions.
func (s *schemas) giveInside(form wit.Form, b []byte) error {
	mentions, err := s.inside(form, b, abi.Refused)
	for _, m := range mentions {
		if err == nil {
			err = s.need(m.id)
		}
	}
	return err
}

// translateInside rewrites what a datum of the guest's mentions: it returns b itself when nothing has to change, and otherwise
// dst with the new bytes appended.
func (s *schemas) translateInside(dst []byte, form wit.Form, b []byte) (out []byte, changed bool, err error) {
	mentions, err := s.inside(form, b, abi.Violated)
	if err != nil {
		return dst, false, err
	}
	for i := range mentions {
		id := mentions[i].id
		if mentions[i].id, err = s.host(id); err != nil {
			return dst, false, err
		}
		changed = changed || id != mentions[i].id
	}
	if !changed {
		return dst, false, nil
	}
	if form == wit.Raw {
		return s.translateHeaders(dst, b)
	}
	return splice(dst, b, mentions), true, nil
}

func splice(dst, b []byte, mentions []mention) []byte {
	from := 0
	for _, m := range mentions {
		dst = append(dst, b[from:m.at]...)
		dst = datum.AppendNumber(dst, int64(m.id))
		from = m.at + m.size
	}
	return append(dst, b[from:]...)
}

// translateHeaders rewrites a block whose schemas are known to be declared; header by header, since a value's size may change.
func (s *schemas) translateHeaders(dst, b []byte) ([]byte, bool, error) {
	headers, err := datum.Headers(nil, b)
	if err != nil {
		return dst, false, abi.Violated("a block of headers: %v", err)
	}
	for i := range headers {
		h := &headers[i]
		switch h.Form {
		case wit.Structured:
			if h.Schema, err = s.host(h.Schema); err != nil {
				return dst, false, err
			}
		case wit.Dynamic:
			value, changed, err := s.translateInside(nil, wit.Dynamic, h.Value)
			if err != nil {
				return dst, false, err
			}
			if changed {
				h.Value = value
			}
		}
	}
	return datum.AppendHeaders(dst, headers), true, nil
}

// walker finds mentions without allocating; bad says what is wrong at i.
type walker struct {
	b        []byte
	i        int
	bad      string
	mentions []mention
}

func (w *walker) number() int64 {
	n, size := datum.Number(w.b[w.i:])
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

// mention reads a schema's number.
func (w *walker) mention() {
	at := w.i
	id := w.number()
	if id < 0 || id > 1<<32-1 {
		w.fail("a schema's number that is out of range")
	}
	w.mentions = append(w.mentions, mention{at, w.i - at, uint32(id)})
}

func (w *walker) dynamic(depth int) {
	if depth > datum.MaxDepth {
		w.fail("nests too deep")
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
	case datum.TagNull, datum.TagFalse, datum.TagTrue:
	case datum.TagInt8, datum.TagInt16, datum.TagInt32, datum.TagInt64, datum.TagInstant:
		w.number()
	case datum.TagFloat32:
		w.skip(4)
	case datum.TagFloat64:
		w.skip(8)
	case datum.TagText, datum.TagBytes:
		w.skip(w.number())
	case datum.TagDecimal:
		w.number()
		w.skip(w.number())
	case datum.TagStruct:
		w.mention()
		w.skip(w.number())
	case datum.TagArray, datum.TagMap:
		n := w.number()
		if n < 0 || n > int64(len(w.b)-w.i) {
			w.fail("a count that runs past the end")
			return
		}
		for n *= int64(1 + btoi(tag == datum.TagMap)); n > 0 && w.bad == ""; n-- {
			w.dynamic(depth + 1)
		}
	default:
		w.fail("unknown tag")
	}
}

func (w *walker) headers() {
	for n := w.number(); n > 0 && w.bad == ""; n-- {
		w.skip(w.number())
		if w.i >= len(w.b) {
			w.fail("expected a header's form")
			return
		}
		form := wit.Form(w.b[w.i])
		w.i++
		if form == wit.Structured {
			w.mention()
		} else if form != wit.Dynamic && form != wit.Raw {
			w.fail("expected the form 2, 3 or 4")
		} else {
			w.number()
		}
		size := w.number()
		if start := w.i; form == wit.Dynamic && w.bad == "" && size >= 0 && size <= int64(len(w.b)-w.i) {
			w.nested(start, start+int(size))
		}
		w.skip(size)
	}
}

// nested collects what the dynamic value of a header mentions. Its mentions serve for looking only: a block with any to change
// is written anew.
func (w *walker) nested(from, to int) {
	if bytes.IndexByte(w.b[from:to], datum.TagStruct) < 0 {
		return
	}
	inner := walker{b: w.b[:to], i: from, mentions: w.mentions}
	inner.dynamic(1)
	w.mentions = inner.mentions
	if inner.bad != "" {
		w.fail(inner.bad)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
