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

// Program processes rows of one schema, or maps with the same keys, like the row that was traced.
type Program struct {
	kernel.Program
	// Usable reports whether the kernel supports all of the program.
	Usable    bool
	Schema    uint32
	SameBytes bool
	// Layout is the schema of the input, nil for a map.
	Layout *object.Layout
	// Edited holds the values that the caller must compute for a row that the kernel does not edit itself.
	Edited []Edited
	Pieces []kernel.Piece
	// Tail, if it appends, is the program that keeps the value in place and writes only what follows it.
	Tail   kernel.Program
	Misses int

	ops          []programOp
	choices      []kernel.Choice
	writtenEdits []*object.Edit
}

type programOp struct {
	kernel.Op
	bytes []byte
}

// Edited is a value that edits compute from the input or from an attribute of the row.
type Edited struct {
	object.Source
	isMap bool
}

// Compile returns the program for rows like row, whose value was traced as x. r holds the schemas of its result.
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
		if x.Key == nil && len(x.Trace.Edited) == 0 && x.KeepsInput() && !slices.ContainsFunc(x.Headers,
			func(h object.AddedHeader) bool {
				return h.Bytes == nil
			}) {
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
		p.addOp(kernel.Op{Kind: kernel.EndOfKey})
		p.Key, p.GrowthShift = EncodingWord(encoding, r.Key), 1
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
	for i := range x.Trace.Edited { // edits whose result is not written may fail the row
		e := &x.Trace.Edited[i]
		if last := e.Edits[len(e.Edits)-1]; last.NullValue == nil && !slices.Contains(p.writtenEdits, last) {
			p.Edited, p.Edits = append(p.Edited, Edited{*e, x.IsMap}), 1
		}
	}
	p.finish()
	return p
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

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
		code = kernel.FourBytes
	case wit.Float64:
		code = kernel.EightBytes
	case wit.Boolean:
		code = kernel.Boolean
	case wit.String, wit.Bytes:
		code = kernel.LengthPrefixed
	}
	if n.Optional && code != kernel.Other {
		code |= kernel.Optional
		if n.DefaultValue == nil {
			code |= 2 << 8 // branch of a value
		}
	}
	return code
}

// setKeys makes the program match only maps with the keys of the traced one.
func (p *Program) setKeys(x *object.Object, row *wit.Row) {
	var original object.Object
	original.ReadMap(x.Scratch, x.Input)
	keys := make([]kernel.Key, 0, len(original.Fields)+1)
	for _, f := range original.Fields {
		keys = append(keys, encodeKey(f.Key))
	}
	p.Keys, p.FieldCount = unsafe.SliceData(keys[:cap(keys)]), len(keys)
	for i, attribute := range [...]object.Attribute{object.Partition, object.Offset, object.Timestamp} {
		if object.AttributeOf(attribute, row) < 0 {
			p.MissingAttributes |= 1 << i
		}
	}
	head := connectdata.AppendNumber([]byte{connectdata.TagMap}, int64(len(keys)))
	list := maskedWords(head)
	p.Head, p.HeadMask, p.HeadSize = list[0], list[1], len(head)
}

// maskedWords returns the 8-byte words of text in little-endian order, each followed by its mask.
func maskedWords(text []byte) (list []uint64) {
	for at := 0; at < len(text); at += 8 {
		var attribute, mask uint64
		for i, b := range text[at:min(len(text), at+8)] {
			attribute |= uint64(b) << (8 * i)
			mask |= 0xff << (8 * i)
		}
		list = append(list, attribute, mask)
	}
	return list
}

func encodeKey(text []byte) kernel.Key {
	list := append(maskedWords(text), 0, 0, 0, 0)
	return kernel.Key{Size: len(text), First: list[0], Mask: list[1], Second: list[2], SecondMask: list[3],
		Rest: unsafe.Pointer(unsafe.SliceData(list[4:]))}
}

// requireTags restricts the tags that the value of an entry may have.
func (p *Program) requireTags(o *object.Source, allowed uint64) {
	p.choices = append(p.choices, kernel.Choice{Field: 8 * o.Index, KeySize: o.KeySize, Allowed: allowed})
}

func (p *Program) addOp(x kernel.Op) { p.ops = append(p.ops, programOp{Op: x}) }

func (p *Program) addConstant(b []byte) {
	p.Extra += len(b)
	if n := len(p.ops); n > 0 && p.ops[n-1].Kind == kernel.Constant {
		p.ops[n-1].bytes = slices.Concat(p.ops[n-1].bytes, b)
		return
	}
	p.ops = append(p.ops, programOp{bytes: bytes.Clone(b)})
}

func (p *Program) addCopy(index, after int) {
	if n := len(p.ops); n > 0 && after == 0 && p.ops[n-1].Kind == kernel.Copied && p.ops[n-1].Last == 8*index {
		p.ops[n-1].Last += 8
		return
	}
	p.addOp(kernel.Op{Kind: kernel.Copied, First: 8 * index, Last: 8*index + 8, KeySize: after})
}

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

func (p *Program) addValue(f *object.Field, isMap bool) {
	op := kernel.Op{First: 8 * f.Index, Last: 8*f.Index + 8, KeySize: f.KeySize}
	p.writtenEdits = append(p.writtenEdits, f.Edits...)
	switch {
	case f.Kind == object.FromConstant:
		p.addConstant(f.Bytes)
	case f.Kind == object.FromAttribute && len(f.Edits) == 0:
		if isMap {
			p.addConstant(f.Bytes[:1])
		}
		op.Kind, op.KeySize, op.Last = kernel.Attribute, 0, 0
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

// addChoice adds a value that depends on the first byte of the input.
func (p *Program) addChoice(f *object.Field, op kernel.Op, isMap bool) {
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

func (p *Program) addEdit(f *object.Field, op kernel.Op, isMap bool) {
	op.Kind, op.Last = kernel.Edited, len(p.Edited) // index of the piece
	p.Edited = append(p.Edited, Edited{f.Source, isMap})
	p.Extra += kernel.MaxConverted
	if f.Kind == object.FromInput && len(f.Edits) == 1 && f.Edits[0].Conversion != nil {
		c := f.Edits[0].Conversion(f.Tag)
		op.Conversion = c.Word()
		if c.Date != nil {
			op.Date = unsafe.Pointer(c.Date)
			p.Extra += c.Date.Size
		}
	}
	p.addOp(op)
}

func (p *Program) addHeaders(x *object.Object, r *object.Results) {
	p.addOp(kernel.Op{Kind: kernel.HeaderCount, Size: len(x.Headers)})
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
			p.addOp(kernel.Op{Kind: kernel.Sized, First: 8 * f.Index, Last: 8*f.Index + 8, KeySize: f.KeySize})
			p.Extra += binary.MaxVarintLen32
		default:
			p.Usable = false
		}
	}
	p.addOp(kernel.Op{Kind: kernel.EndOfHeaders})
	p.Headers = EncodingWord(wit.Raw, 0)
	p.GrowthShift++
	p.Extra++
}

// checkRequired makes the program unusable unless one of its ops checks each required attribute.
func (p *Program) checkRequired(x *object.Object) {
	for _, attribute := range x.Trace.Required {
		p.Usable = p.Usable && slices.ContainsFunc(x.Fields, func(f object.Field) bool {
			return f.Kind == object.FromAttribute && f.Attribute == attribute && len(f.Edits) == 0 &&
				(!f.Optional || attribute == object.Offset)
		})
	}
}

// setTail creates the tail if the value stays and only constants and attributes follow it.
func (p *Program) setTail(x *object.Object) {
	at := 0
	if x.IsMap {
		count := connectdata.AppendNumber([]byte{connectdata.TagMap}, int64(len(x.Fields)))
		if at = 1; p.HeadSize != 2 || len(count) != 2 || len(p.ops) == 0 || !bytes.Equal(p.ops[0].bytes, count) {
			return
		}
		p.Tail.Count = int(count[1])
	}
	members := p.FieldCount
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

func (p *Program) finish() {
	p.Pieces = make([]kernel.Piece, len(p.Edited))
	list := make([]kernel.Op, len(p.ops)+1)
	for i := range p.ops {
		from := &p.ops[i]
		list[i] = from.Op
		switch to := &list[i]; {
		case to.Kind == kernel.Edited:
			to.Bytes = unsafe.Pointer(&p.Pieces[to.Last])
		case len(from.bytes) > 0:
			to.Bytes, to.Size = withRoom(from.bytes), len(from.bytes)
		}
	}
	list[len(p.ops)].Kind = kernel.End
	p.Ops = unsafe.SliceData(list)
	p.choices = append(p.choices, kernel.Choice{}) // padding
	p.Choices, p.ChoiceCount = unsafe.SliceData(p.choices), len(p.choices)-1
	if skip := p.Tail.Appends; skip > 0 {
		count := p.Tail.Count
		p.Tail = p.Program
		p.Tail.Ops, p.Tail.Appends, p.Tail.Count = &list[skip], 1, count
	}
	p.ops, p.writtenEdits = nil, nil
}

// Append appends the edited value of a row. ends holds the offsets of the fields in the call's data.
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

// withRoom copies bytes and leaves room after them.
func withRoom(b []byte) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(append(make([]byte, 0, len(b)+kernel.Room), b...)))
}

// EncodingWord returns the word of encoding and schema in a value slice.
func EncodingWord(encoding wit.Encoding, schema uint32) uint64 {
	return uint64(encoding) | uint64(schema)<<32
}
