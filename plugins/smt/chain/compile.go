package chain

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// program is what the kernel does to rows like one that was traced: an object that went through all steps of a route
// says where each of its values comes from.
type program struct {
	kernel.Program
	// usable: the kernel knows all of it.
	usable bool
	// schema is the result's; same: its bytes are the input's.
	schema uint32
	same   bool
	// layout is the input's schema, nil for a map.
	layout *layout
	// edited are the values of which the caller makes pieces, in each row that the kernel does not edit itself.
	edited []edited
	pieces []kernel.Piece
	// tail, if it appends, is the part after a value that stays; it is written into the room there.
	tail kernel.Program
	// misses counts rows that could not be traced.
	misses int

	parts   []part
	choices []kernel.Choice
	// written are the edits of all values that are written.
	written []*edit
}

// part is the kernel's, with its bytes.
type part struct {
	kernel.Part
	bytes []byte
}

// edited is a value that is made of one of the input or the row's.
type edited struct {
	origin
	isMap bool
}

// compile makes the program of an object that was traced.
func (x *object) compile(p *program, r *results, row *wit.Row) {
	p.usable, p.same, p.schema, p.layout = littleEndian, x.same() && !x.whole, r.value, x.layout
	if x.isMap {
		p.keys(x, row)
	} else {
		p.Root, p.Fields = x.layout.root, x.layout.codes
		if x.key == nil && len(x.trace.edited) == 0 && x.untouched() && !slices.ContainsFunc(x.headers, header.reads) {
			p.Fields = x.layout.unread
		}
	}
	for i := range x.trace.allowed {
		p.choose(&x.trace.allowed[i].origin, x.trace.allowed[i].tags)
	}
	form := wit.WithSchema
	if x.isMap {
		form = wit.Schemaless
	}
	if x.key != nil {
		p.object(x.key)
		p.add(kernel.Part{Kind: kernel.KeyEnd})
		p.Key, p.Twice = datumWord(form, r.key), 1
	}
	if len(x.headers) > 0 {
		p.headers(x, r)
	}
	head := len(p.parts)
	if !p.same {
		p.object(x)
	}
	p.requires(x)
	if len(p.edited) == 0 && head == 0 && !p.same && !x.whole {
		p.append(x)
	}
	for i := range x.trace.edited { // one that is written nowhere may fail the row all the same
		e := &x.trace.edited[i]
		if last := e.edits[len(e.edits)-1]; last.instead == nil && !slices.Contains(p.written, last) {
			p.edited, p.Edits = append(p.edited, edited{*e, x.isMap}), 1
		}
	}
	p.finish()
}

// reads reports whether a header is made of the input's members.
func (h header) reads() bool { return h.bytes == nil }

// keys makes what tells maps of the same names.
func (p *program) keys(x *object, row *wit.Row) {
	var original object
	original.readMap(x.w, x.in)
	keys := make([]kernel.Key, 0, len(original.fields)+1)
	for _, f := range original.fields {
		keys = append(keys, newKey(f.key))
	}
	p.Keys, p.Members = unsafe.SliceData(keys[:cap(keys)]), len(keys)
	for i, w := range [...]what{thePartition, theOffset, theTimestamp} {
		if attributeOf(w, row) < 0 {
			p.Lacks |= 1 << i
		}
	}
	head := connectdata.AppendNumber([]byte{connectdata.TagMap}, int64(len(keys)))
	list := words(head)
	p.Head, p.HeadMask, p.HeadSize = list[0], list[1], len(head)
}

// words are the words of a text, low byte first, each followed by the mask of what counts of it.
func words(text []byte) (list []uint64) {
	for at := 0; at < len(text); at += 8 {
		var w, mask uint64
		for i, b := range text[at:min(len(text), at+8)] {
			w |= uint64(b) << (8 * i)
			mask |= 0xff << (8 * i)
		}
		list = append(list, w, mask)
	}
	return list
}

func newKey(text []byte) kernel.Key {
	list := append(words(text), 0, 0, 0, 0)
	return kernel.Key{Size: len(text), First: list[0], Mask: list[1], Second: list[2], Masking: list[3],
		Rest: unsafe.Pointer(unsafe.SliceData(list[4:]))}
}

// choose has the kernel leave rows alone whose entry has a tag that is not allowed.
func (p *program) choose(o *origin, allowed uint64) {
	p.choices = append(p.choices, kernel.Choice{Place: 8 * o.index, Behind: o.after, Allowed: allowed})
}

func (p *program) add(x kernel.Part) { p.parts = append(p.parts, part{Part: x}) }

// constant adds bytes that all rows get.
func (p *program) constant(b []byte) {
	p.Extra += len(b)
	if n := len(p.parts); n > 0 && p.parts[n-1].Kind == kernel.Constant {
		p.parts[n-1].bytes = slices.Concat(p.parts[n-1].bytes, b)
		return
	}
	p.parts = append(p.parts, part{bytes: bytes.Clone(b)})
}

// copied adds a member or entry of the input.
func (p *program) copied(index, after int) {
	if n := len(p.parts); n > 0 && after == 0 && p.parts[n-1].Kind == kernel.Copied && p.parts[n-1].Last == 8*index {
		p.parts[n-1].Last += 8
		return
	}
	p.add(kernel.Part{Kind: kernel.Copied, First: 8 * index, Last: 8*index + 8, Behind: after})
}

// object adds what writes an object.
func (p *program) object(x *object) {
	switch {
	case x.whole:
	case x.isMap:
		p.constant(connectdata.AppendNumber([]byte{connectdata.TagMap}, int64(len(x.fields))))
	default:
		if lead := branchOf(&x.root); len(lead) > 0 {
			p.constant(lead)
		}
	}
	for i := range x.fields {
		f := &x.fields[i]
		if x.isMap && !x.whole {
			if f.from == input && len(f.edits) == 0 && f.keyAt == f.index {
				p.copied(f.index, 0)
				continue
			}
			p.constant(f.key)
		}
		p.value(f, x.isMap)
	}
}

// value adds a value.
func (p *program) value(f *field, isMap bool) {
	place := kernel.Part{First: 8 * f.index, Last: 8*f.index + 8, Behind: f.after}
	p.written = append(p.written, f.edits...)
	switch {
	case f.from == constant:
		p.constant(f.bytes)
	case f.from == attribute && len(f.edits) == 0:
		if isMap {
			p.constant(f.bytes[:1])
		}
		place.Kind, place.Behind, place.Last = kernel.Attribute, 0, 0
		place.First = [...]int{thePartition: kernel.Partition, theOffset: kernel.Offset,
			theTimestamp: kernel.Timestamp}[f.what]
		if f.optional {
			place.Null = 1
		}
		if !f.optional || f.what == theOffset {
			place.Size = 1
		}
		p.Extra += 1 + binary.MaxVarintLen64
		p.add(place)
	case len(f.edits) == 0:
		p.copied(f.index, f.after)
	case f.from == input && len(f.edits) == 1 && f.edits[0].instead != nil:
		by := f.edits[0]
		p.Extra += len(by.instead)
		place.Kind, place.Null = kernel.OrDefault, uint64(by.null)
		p.parts = append(p.parts, part{place, by.instead})
	case f.from == input && len(f.edits) == 1 && f.edits[0].choice != nil:
		p.chosen(f, place, isMap)
	default:
		p.edit(f, place, isMap)
	}
}

// chosen adds a value that goes by a first byte.
func (p *program) chosen(f *field, place kernel.Part, isMap bool) {
	by := f.edits[0]
	pieces := make([]kernel.Piece, len(by.choice))
	longest, allowed := 0, uint64(0)
	for c, b := range by.choice {
		pieces[c] = kernel.Piece{Bytes: padded(b), Size: len(b)}
		if longest = max(longest, len(b)); b != nil {
			allowed |= 1 << c
		}
	}
	if isMap {
		p.choose(&f.origin, allowed)
	}
	place.Kind, place.Bytes = kernel.Choosing, unsafe.Pointer(unsafe.SliceData(pieces))
	p.Extra += longest
	p.add(place)
}

// edit adds a value that is edited: by a conversion of the kernel, or by the caller.
func (p *program) edit(f *field, place kernel.Part, isMap bool) {
	place.Kind, place.Last = kernel.Edited, len(p.edited) // the index of the piece
	p.edited = append(p.edited, edited{f.origin, isMap})
	p.Extra += kernel.MaxConverted
	if f.from == input && len(f.edits) == 1 && f.edits[0].conversion != nil {
		c := f.edits[0].conversion(f.tag)
		place.How = c.Word()
		if c.date != nil {
			place.Date = unsafe.Pointer(c.date)
			p.Extra += c.date.Size
		}
	}
	p.add(place)
}

// headers adds what writes the headers.
func (p *program) headers(x *object, r *results) {
	p.add(kernel.Part{Kind: kernel.HeaderCount, Size: len(x.headers)})
	schemas := r.headers
	for i := range x.headers {
		h := &x.headers[i]
		f := &h.field
		switch {
		case h.bytes != nil:
			p.constant(h.bytes)
			continue
		case x.isMap:
			p.constant(append(connectdata.AppendString(nil, h.name), byte(wit.Schemaless), 0))
		default:
			head := append(connectdata.AppendString(nil, h.name), byte(wit.WithSchema))
			p.constant(connectdata.AppendNumber(head, int64(schemas[0])))
			schemas = schemas[1:]
		}
		switch {
		case f.from == constant:
			p.constant(connectdata.AppendBytes(nil, f.bytes))
		case f.from == input && len(f.edits) == 0:
			p.add(kernel.Part{Kind: kernel.Sized, First: 8 * f.index, Last: 8*f.index + 8, Behind: f.after})
			p.Extra += binary.MaxVarintLen32
		default:
			p.usable = false
		}
	}
	p.add(kernel.Part{Kind: kernel.HeadersEnd})
	p.Headers = datumWord(wit.Raw, 0)
	p.Twice++
	p.Extra++
}

// requires sees to it that rows without what they need are left to the plain way: a part that writes it finds out.
func (p *program) requires(x *object) {
	for _, w := range x.trace.required {
		p.usable = p.usable && slices.ContainsFunc(x.fields, func(f field) bool {
			return f.from == attribute && f.what == w && len(f.edits) == 0 && (!f.optional || w == theOffset)
		})
	}
}

// append makes the tail, where the value of the input stays and constants and attributes follow it.
func (p *program) append(x *object) {
	at := 0
	if x.isMap {
		count := connectdata.AppendNumber([]byte{connectdata.TagMap}, int64(len(x.fields)))
		if at = 1; p.HeadSize != 2 || len(count) != 2 || len(p.parts) == 0 || !bytes.Equal(p.parts[0].bytes, count) {
			return
		}
		p.tail.Count = int(count[1])
	}
	members := p.Members
	if !x.isMap {
		members = len(x.layout.fields)
	}
	reading := func(x part) bool { return x.Kind != kernel.Constant && x.Kind != kernel.Attribute }
	if at+1 < len(p.parts) && members > 0 && p.parts[at].Kind == kernel.Copied && p.parts[at].First == 0 &&
		p.parts[at].Last == 8*members && !slices.ContainsFunc(p.parts[at+1:], reading) &&
		p.Extra+kernel.Slack <= kernel.Room {
		p.tail.Appends = at + 1
	}
}

// finish makes the kernel's parts.
func (p *program) finish() {
	p.pieces = make([]kernel.Piece, len(p.edited))
	list := make([]kernel.Part, len(p.parts)+1)
	for i := range p.parts {
		from := &p.parts[i]
		list[i] = from.Part
		switch to := &list[i]; {
		case to.Kind == kernel.Edited:
			to.Bytes = unsafe.Pointer(&p.pieces[to.Last])
		case len(from.bytes) > 0:
			to.Bytes, to.Size = padded(from.bytes), len(from.bytes)
		}
	}
	list[len(p.parts)].Kind = kernel.End
	p.Parts = unsafe.SliceData(list)
	p.choices = append(p.choices, kernel.Choice{}) // room after them
	p.Choices, p.Chosen = unsafe.SliceData(p.choices), len(p.choices)-1
	if skip := p.tail.Appends; skip > 0 {
		count := p.tail.Count
		p.tail = p.Program
		p.tail.Parts, p.tail.Appends, p.tail.Count = &list[skip], 1, count
	}
	p.parts, p.written = nil, nil
}

// append appends what is made of a value.
func (e *edited) append(dst []byte, ends []uint64, in []byte, row *wit.Row) (_ []byte, f *failure) {
	var value []byte
	if e.from == input {
		value = in[int(ends[e.index])+e.after : ends[e.index+1]]
	} else if value = appendAttribute(nil, e.optional, attributeOf(e.what, row)); e.isMap {
		value = append([]byte{tags[e.what]}, value...)
	}
	for _, by := range e.edits[:len(e.edits)-1] {
		if value, f = by.make(nil, value); f != nil {
			return dst, f
		}
	}
	return e.edits[len(e.edits)-1].make(dst, value)
}

// padded is a copy of bytes with room after it.
func padded(b []byte) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(append(make([]byte, 0, len(b)+kernel.Room), b...)))
}

// datumWord is the word with form and schema of a datum.
func datumWord(form wit.Encoding, schema uint32) uint64 { return uint64(form) | uint64(schema)<<32 }
