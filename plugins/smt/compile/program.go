package compile

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/plugins/smt/object"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/schemas"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Program is what the kernel does to rows like one that was traced: an object that went through all steps of a route
// says where each of its values comes from.
type Program struct {
	kernel.Program
	// Usable: the kernel knows all of it.
	Usable bool
	// Schema is the result's; same: its bytes are the input's.
	Schema    uint32
	SameBytes bool
	// Layout is the input's schema, nil for a map.
	Layout *object.Layout
	// Edited are the values of which the caller makes pieces, in each row that the kernel does not edit itself.
	Edited []Edited
	Pieces []kernel.Piece
	// Tail, if it appends, is the part after a value that stays; it is written into the room there.
	Tail kernel.Program
	// Misses counts rows that could not be traced.
	Misses int

	ops     []programOp
	choices []kernel.Choice
	// writtenEdits are the edits of all values that are written.
	writtenEdits []*object.Edit
}

// programOp is the kernel's, with its bytes.
type programOp struct {
	kernel.Part
	bytes []byte
}

// Edited is a value that is made of one of the input or the row's.
type Edited struct {
	object.Source
	isMap bool
}

// compile makes the program of an object that was traced.
func Compile(x *object.Object, r *object.Results, row *wit.Row) *Program {
	p := &Program{}
	p.Usable, p.SameBytes, p.Schema, p.Layout = littleEndian, x.SameBytes() && !x.Whole, r.Value, x.Layout
	if x.IsMap {
		p.setKeys(x, row)
	} else {
		if root := &x.Layout.Nodes[0]; root.Optional {
			p.Root = uint64(schemas.Branch(root)[0]) + 1
		}
		p.Fields = memberCodes(x.Layout)
		if x.Key == nil && len(x.Trace.Edited) == 0 && x.KeepsInput() && !slices.ContainsFunc(x.Headers, func(h object.AddedHeader) bool { return h.Bytes == nil }) {
			p.Fields = unsafe.Pointer(&[]uint64{kernel.Rest | uint64(len(x.Layout.Fields))<<8}[0])
		}
	}
	for i := range x.Trace.Allowed {
		p.requireTags(&x.Trace.Allowed[i].Source, x.Trace.Allowed[i].Tags)
	}
	encoding := wit.WithSchema
	if x.IsMap {
		encoding = wit.Schemaless
	}
	if x.Key != nil {
		p.addObject(x.Key)
		p.addOp(kernel.Part{Kind: kernel.KeyEnd})
		p.Key, p.Twice = EncodingWord(encoding, r.Key), 1
	}
	if len(x.Headers) > 0 {
		p.addHeaders(x, r)
	}
	head := len(p.ops)
	if !p.SameBytes {
		p.addObject(x)
	}
	p.checkRequired(x)
	if len(p.Edited) == 0 && head == 0 && !p.SameBytes && !x.Whole {
		p.setTail(x)
	}
	for i := range x.Trace.Edited { // one that is written nowhere may fail the row all the same
		e := &x.Trace.Edited[i]
		if last := e.Edits[len(e.Edits)-1]; last.NullValue == nil && !slices.Contains(p.writtenEdits, last) {
			p.Edited, p.Edits = append(p.Edited, Edited{*e, x.IsMap}), 1
		}
	}
	p.finish()
	return p
}

// littleEndian reports whether rows are in memory as the kernel expects them.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// memberCodes returns the kernel's codes of a struct's fields.
func memberCodes(l *object.Layout) unsafe.Pointer {
	codes := make([]uint64, 0, len(l.Fields)+1)
	for i := range l.Fields {
		codes = append(codes, memberCode(l.Fields[i].Schema()))
	}
	run := uint64(0)
	for i := len(codes) - 1; i >= 0; i-- {
		if run++; codes[i] != kernel.OptionalText {
			run = 0
			continue
		}
		codes[i] |= run << kernel.Run
	}
	return unsafe.Pointer(unsafe.SliceData(append(codes, kernel.Last)))
}

func memberCode(n *wit.SchemaNode) uint64 {
	code := kernel.Other
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		code = kernel.Number
	case wit.Float32:
		code = kernel.Four
	case wit.Float64:
		code = kernel.Eight
	case wit.Boolean:
		code = kernel.Boolean
	case wit.String, wit.Bytes:
		code = kernel.Block
	}
	if n.Optional && code != kernel.Other {
		code |= kernel.Optional
		if n.DefaultValue == nil {
			code |= 2 << 8 // the branch of a value
		}
	}
	return code
}

// setKeys makes what tells maps of the same names.
func (p *Program) setKeys(x *object.Object, row *wit.Row) {
	var original object.Object
	original.ReadMap(x.Scratch, x.Input)
	keys := make([]kernel.Key, 0, len(original.Fields)+1)
	for _, f := range original.Fields {
		keys = append(keys, encodeKey(f.Key))
	}
	p.Keys, p.Members = unsafe.SliceData(keys[:cap(keys)]), len(keys)
	for i, w := range [...]object.Attribute{object.Partition, object.Offset, object.Timestamp} {
		if object.AttributeOf(w, row) < 0 {
			p.Lacks |= 1 << i
		}
	}
	head := connectdata.AppendNumber([]byte{connectdata.TagMap}, int64(len(keys)))
	list := maskedWords(head)
	p.Head, p.HeadMask, p.HeadSize = list[0], list[1], len(head)
}

// maskedWords are the words of a text, low byte first, each followed by the mask of what counts of it.
func maskedWords(text []byte) (list []uint64) {
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

func encodeKey(text []byte) kernel.Key {
	list := append(maskedWords(text), 0, 0, 0, 0)
	return kernel.Key{Size: len(text), First: list[0], Mask: list[1], Second: list[2], Masking: list[3],
		Rest: unsafe.Pointer(unsafe.SliceData(list[4:]))}
}

// requireTags has the kernel leave rows alone whose entry has a tag that is not allowed.
func (p *Program) requireTags(o *object.Source, allowed uint64) {
	p.choices = append(p.choices, kernel.Choice{Place: 8 * o.Index, Behind: o.KeySize, Allowed: allowed})
}

func (p *Program) addOp(x kernel.Part) { p.ops = append(p.ops, programOp{Part: x}) }

// addConstant adds bytes that all rows get.
func (p *Program) addConstant(b []byte) {
	p.Extra += len(b)
	if n := len(p.ops); n > 0 && p.ops[n-1].Kind == kernel.Constant {
		p.ops[n-1].bytes = slices.Concat(p.ops[n-1].bytes, b)
		return
	}
	p.ops = append(p.ops, programOp{bytes: bytes.Clone(b)})
}

// addCopy adds a member or entry of the input.
func (p *Program) addCopy(index, after int) {
	if n := len(p.ops); n > 0 && after == 0 && p.ops[n-1].Kind == kernel.Copied && p.ops[n-1].Last == 8*index {
		p.ops[n-1].Last += 8
		return
	}
	p.addOp(kernel.Part{Kind: kernel.Copied, First: 8 * index, Last: 8*index + 8, Behind: after})
}

// addObject adds what writes an object.
func (p *Program) addObject(x *object.Object) {
	switch {
	case x.Whole:
	case x.IsMap:
		p.addConstant(connectdata.AppendNumber([]byte{connectdata.TagMap}, int64(len(x.Fields))))
	default:
		if lead := schemas.Branch(&x.Root); len(lead) > 0 {
			p.addConstant(lead)
		}
	}
	for i := range x.Fields {
		f := &x.Fields[i]
		if x.IsMap && !x.Whole {
			if f.Kind == object.FromInput && len(f.Edits) == 0 && f.KeyIndex == f.Index {
				p.addCopy(f.Index, 0)
				continue
			}
			p.addConstant(f.Key)
		}
		p.addValue(f, x.IsMap)
	}
}

// addValue adds a value.
func (p *Program) addValue(f *object.Field, isMap bool) {
	op := kernel.Part{First: 8 * f.Index, Last: 8*f.Index + 8, Behind: f.KeySize}
	p.writtenEdits = append(p.writtenEdits, f.Edits...)
	switch {
	case f.Kind == object.FromConstant:
		p.addConstant(f.Bytes)
	case f.Kind == object.FromAttribute && len(f.Edits) == 0:
		if isMap {
			p.addConstant(f.Bytes[:1])
		}
		op.Kind, op.Behind, op.Last = kernel.Attribute, 0, 0
		op.First = [...]int{object.Partition: kernel.Partition, object.Offset: kernel.Offset,
			object.Timestamp: kernel.Timestamp}[f.Attribute]
		if f.Optional {
			op.Null = 1
		}
		if !f.Optional || f.Attribute == object.Offset {
			op.Size = 1
		}
		p.Extra += 1 + binary.MaxVarintLen64
		p.addOp(op)
	case len(f.Edits) == 0:
		p.addCopy(f.Index, f.KeySize)
	case f.Kind == object.FromInput && len(f.Edits) == 1 && f.Edits[0].NullValue != nil:
		edit := f.Edits[0]
		p.Extra += len(edit.NullValue)
		op.Kind, op.Null = kernel.OrDefault, uint64(edit.NullByte)
		p.ops = append(p.ops, programOp{op, edit.NullValue})
	case f.Kind == object.FromInput && len(f.Edits) == 1 && f.Edits[0].Choices != nil:
		p.addChoice(f, op, isMap)
	default:
		p.addEdit(f, op, isMap)
	}
}

// addChoice adds a value that goes by a first byte.
func (p *Program) addChoice(f *object.Field, op kernel.Part, isMap bool) {
	edit := f.Edits[0]
	pieces := make([]kernel.Piece, len(edit.Choices))
	longest, allowed := 0, uint64(0)
	for c, b := range edit.Choices {
		pieces[c] = kernel.Piece{Bytes: withRoom(b), Size: len(b)}
		if longest = max(longest, len(b)); b != nil {
			allowed |= 1 << c
		}
	}
	if isMap {
		p.requireTags(&f.Source, allowed)
	}
	op.Kind, op.Bytes = kernel.Choosing, unsafe.Pointer(unsafe.SliceData(pieces))
	p.Extra += longest
	p.addOp(op)
}

// addEdit adds a value that is edited: by a conversion of the kernel, or by the caller.
func (p *Program) addEdit(f *object.Field, op kernel.Part, isMap bool) {
	op.Kind, op.Last = kernel.Edited, len(p.Edited) // the index of the piece
	p.Edited = append(p.Edited, Edited{f.Source, isMap})
	p.Extra += kernel.MaxConverted
	if f.Kind == object.FromInput && len(f.Edits) == 1 && f.Edits[0].Conversion != nil {
		c := f.Edits[0].Conversion(f.Tag)
		op.How = c.Word()
		if c.Date != nil {
			op.Date = unsafe.Pointer(c.Date)
			p.Extra += c.Date.Size
		}
	}
	p.addOp(op)
}

// addHeaders adds what writes the headers.
func (p *Program) addHeaders(x *object.Object, r *object.Results) {
	p.addOp(kernel.Part{Kind: kernel.HeaderCount, Size: len(x.Headers)})
	schemas := r.Headers
	for i := range x.Headers {
		h := &x.Headers[i]
		f := &h.Field
		switch {
		case h.Bytes != nil:
			p.addConstant(h.Bytes)
			continue
		case x.IsMap:
			p.addConstant(append(connectdata.AppendString(nil, h.Name), byte(wit.Schemaless), 0))
		default:
			head := append(connectdata.AppendString(nil, h.Name), byte(wit.WithSchema))
			p.addConstant(connectdata.AppendNumber(head, int64(schemas[0])))
			schemas = schemas[1:]
		}
		switch {
		case f.Kind == object.FromConstant:
			p.addConstant(connectdata.AppendBytes(nil, f.Bytes))
		case f.Kind == object.FromInput && len(f.Edits) == 0:
			p.addOp(kernel.Part{Kind: kernel.Sized, First: 8 * f.Index, Last: 8*f.Index + 8, Behind: f.KeySize})
			p.Extra += binary.MaxVarintLen32
		default:
			p.Usable = false
		}
	}
	p.addOp(kernel.Part{Kind: kernel.HeadersEnd})
	p.Headers = EncodingWord(wit.Raw, 0)
	p.Twice++
	p.Extra++
}

// checkRequired sees to it that rows without what they need are left to the plain way: a part that writes it finds out.
func (p *Program) checkRequired(x *object.Object) {
	for _, w := range x.Trace.Required {
		p.Usable = p.Usable && slices.ContainsFunc(x.Fields, func(f object.Field) bool {
			return f.Kind == object.FromAttribute && f.Attribute == w && len(f.Edits) == 0 && (!f.Optional || w == object.Offset)
		})
	}
}

// setTail makes the tail, where the value of the input stays and constants and attributes follow it.
func (p *Program) setTail(x *object.Object) {
	at := 0
	if x.IsMap {
		count := connectdata.AppendNumber([]byte{connectdata.TagMap}, int64(len(x.Fields)))
		if at = 1; p.HeadSize != 2 || len(count) != 2 || len(p.ops) == 0 || !bytes.Equal(p.ops[0].bytes, count) {
			return
		}
		p.Tail.Count = int(count[1])
	}
	members := p.Members
	if !x.IsMap {
		members = len(x.Layout.Fields)
	}
	readsInput := func(x programOp) bool { return x.Kind != kernel.Constant && x.Kind != kernel.Attribute }
	if at+1 < len(p.ops) && members > 0 && p.ops[at].Kind == kernel.Copied && p.ops[at].First == 0 &&
		p.ops[at].Last == 8*members && !slices.ContainsFunc(p.ops[at+1:], readsInput) &&
		p.Extra+kernel.Slack <= kernel.Room {
		p.Tail.Appends = at + 1
	}
}

// finish makes the kernel's parts.
func (p *Program) finish() {
	p.Pieces = make([]kernel.Piece, len(p.Edited))
	list := make([]kernel.Part, len(p.ops)+1)
	for i := range p.ops {
		from := &p.ops[i]
		list[i] = from.Part
		switch to := &list[i]; {
		case to.Kind == kernel.Edited:
			to.Bytes = unsafe.Pointer(&p.Pieces[to.Last])
		case len(from.bytes) > 0:
			to.Bytes, to.Size = withRoom(from.bytes), len(from.bytes)
		}
	}
	list[len(p.ops)].Kind = kernel.End
	p.Parts = unsafe.SliceData(list)
	p.choices = append(p.choices, kernel.Choice{}) // room after them
	p.Choices, p.Chosen = unsafe.SliceData(p.choices), len(p.choices)-1
	if skip := p.Tail.Appends; skip > 0 {
		count := p.Tail.Count
		p.Tail = p.Program
		p.Tail.Parts, p.Tail.Appends, p.Tail.Count = &list[skip], 1, count
	}
	p.ops, p.writtenEdits = nil, nil
}

// Append appends what is made of a value.
func (e *Edited) Append(dst []byte, ends []uint64, in []byte, row *wit.Row) (_ []byte, f *rowerror.Failure) {
	var value []byte
	if e.Kind == object.FromInput {
		value = in[int(ends[e.Index])+e.KeySize : ends[e.Index+1]]
	} else if value = object.AppendAttribute(nil, e.Optional, object.AttributeOf(e.Attribute, row)); e.isMap {
		value = append([]byte{object.AttributeTags[e.Attribute]}, value...)
	}
	for _, edit := range e.Edits[:len(e.Edits)-1] {
		if value, f = edit.Apply(nil, value); f != nil {
			return dst, f
		}
	}
	return e.Edits[len(e.Edits)-1].Apply(dst, value)
}

// withRoom is a copy of bytes with room after it.
func withRoom(b []byte) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(append(make([]byte, 0, len(b)+kernel.Room), b...)))
}

// EncodingWord is the word with form and schema of a datum.
func EncodingWord(encoding wit.Encoding, schema uint32) uint64 {
	return uint64(encoding) | uint64(schema)<<32
}
