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
	Reader *object.ValueReader
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
func Compile(obj *object.Object, results *object.Results, row *wit.Row) *Program {
	program := &Program{}
	program.Usable, program.SameBytes, program.Schema, program.Reader = littleEndian, obj.SameBytes() && !obj.Whole,
		results.Value, obj.Reader
	if obj.IsMap {
		program.setKeys(obj, row)
	} else {
		if root := &obj.Reader.Nodes[0]; root.Optional {
			program.Root = uint64(schemas.Branch(root)[0]) + 1
		}
		program.Fields = memberCodes(obj.Reader)
		if obj.Key == nil && len(obj.Trace.Edited) == 0 && obj.KeepsInput() && !slices.ContainsFunc(obj.Headers,
			func(header object.AddedHeader) bool {
				return header.Bytes == nil
			}) {
			program.Fields = unsafe.Pointer(&[]uint64{kernel.Rest | uint64(len(obj.Reader.Fields))<<8}[0])
		}
	}
	for i := range obj.Trace.Allowed {
		program.requireTags(&obj.Trace.Allowed[i].Source, obj.Trace.Allowed[i].Tags)
	}
	encoding := wit.WithSchema
	if obj.IsMap {
		encoding = wit.Schemaless
	}
	if obj.Key != nil {
		program.addObject(obj.Key)
		program.addOp(kernel.Op{Kind: kernel.EndOfKey})
		program.Key, program.GrowthShift = EncodingWord(encoding, results.Key), 1
	}
	if len(obj.Headers) > 0 {
		program.addHeaders(obj, results)
	}
	head := len(program.ops)
	if !program.SameBytes {
		program.addObject(obj)
	}
	program.checkRequired(obj)
	if len(program.Edited) == 0 && head == 0 && !program.SameBytes && !obj.Whole {
		program.setTail(obj)
	}
	for i := range obj.Trace.Edited { // edits whose result is not written may fail the row
		e := &obj.Trace.Edited[i]
		if last := e.Edits[len(e.Edits)-1]; last.NullValue == nil && !slices.Contains(program.writtenEdits, last) {
			program.Edited, program.Edits = append(program.Edited, Edited{*e, obj.IsMap}), 1
		}
	}
	program.finish()
	return program
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func memberCodes(reader *object.ValueReader) unsafe.Pointer {
	codes := make([]uint64, 0, len(reader.Fields)+1)
	for i := range reader.Fields {
		codes = append(codes, memberCode(reader.Fields[i].Schema()))
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

func memberCode(node *wit.SchemaNode) uint64 {
	code := kernel.Other
	switch node.Kind {
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
	if node.Optional && code != kernel.Other {
		code |= kernel.Optional
		if node.DefaultValue == nil {
			code |= 2 << 8 // branch of a value
		}
	}
	return code
}

// setKeys makes the program match only maps with the keys of the traced one.
func (p *Program) setKeys(obj *object.Object, row *wit.Row) {
	var original object.Object
	original.ReadMap(obj.Scratch, obj.Input)
	keys := make([]kernel.Key, 0, len(original.Fields)+1)
	for _, field := range original.Fields {
		keys = append(keys, encodeKey(field.Key))
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
	for index := 0; index < len(text); index += 8 {
		var attribute, mask uint64
		for i, b := range text[index:min(len(text), index+8)] {
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
func (p *Program) requireTags(source *object.Source, allowed uint64) {
	p.choices = append(p.choices, kernel.Choice{Field: 8 * source.Index, KeySize: source.KeySize, Allowed: allowed})
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

func (p *Program) addObject(obj *object.Object) {
	switch {
	case obj.Whole:
	case obj.IsMap:
		p.addConstant(connectdata.AppendNumber([]byte{connectdata.TagMap}, int64(len(obj.Fields))))
	default:
		if lead := schemas.Branch(&obj.Root); len(lead) > 0 {
			p.addConstant(lead)
		}
	}
	for i := range obj.Fields {
		field := &obj.Fields[i]
		if obj.IsMap && !obj.Whole {
			if field.Kind == object.FromInput && len(field.Edits) == 0 && field.KeyIndex == field.Index {
				p.addCopy(field.Index, 0)
				continue
			}
			p.addConstant(field.Key)
		}
		p.addValue(field, obj.IsMap)
	}
}

func (p *Program) addValue(field *object.Field, isMap bool) {
	op := kernel.Op{First: 8 * field.Index, Last: 8*field.Index + 8, KeySize: field.KeySize}
	p.writtenEdits = append(p.writtenEdits, field.Edits...)
	switch {
	case field.Kind == object.FromConstant:
		p.addConstant(field.Bytes)
	case field.Kind == object.FromAttribute && len(field.Edits) == 0:
		if isMap {
			p.addConstant(field.Bytes[:1])
		}
		op.Kind, op.KeySize, op.Last = kernel.Attribute, 0, 0
		op.First = [...]int{object.Partition: kernel.Partition, object.Offset: kernel.Offset,
			object.Timestamp: kernel.Timestamp}[field.Attribute]
		if field.Optional {
			op.Null = 1
		}
		if !field.Optional || field.Attribute == object.Offset {
			op.Size = 1
		}
		p.Extra += 1 + binary.MaxVarintLen64
		p.addOp(op)
	case len(field.Edits) == 0:
		p.addCopy(field.Index, field.KeySize)
	case field.Kind == object.FromInput && len(field.Edits) == 1 && field.Edits[0].NullValue != nil:
		edit := field.Edits[0]
		p.Extra += len(edit.NullValue)
		op.Kind, op.Null = kernel.OrDefault, uint64(edit.NullByte)
		p.ops = append(p.ops, programOp{op, edit.NullValue})
	case field.Kind == object.FromInput && len(field.Edits) == 1 && field.Edits[0].Choices != nil:
		p.addChoice(field, op, isMap)
	default:
		p.addEdit(field, op, isMap)
	}
}

// addChoice adds a value that depends on the first byte of the input.
func (p *Program) addChoice(field *object.Field, op kernel.Op, isMap bool) {
	edit := field.Edits[0]
	pieces := make([]kernel.Piece, len(edit.Choices))
	longest, allowed := 0, uint64(0)
	for c, b := range edit.Choices {
		pieces[c] = kernel.Piece{Bytes: withRoom(b), Size: len(b)}
		if longest = max(longest, len(b)); b != nil {
			allowed |= 1 << c
		}
	}
	if isMap {
		p.requireTags(&field.Source, allowed)
	}
	op.Kind, op.Bytes = kernel.Choosing, unsafe.Pointer(unsafe.SliceData(pieces))
	p.Extra += longest
	p.addOp(op)
}

func (p *Program) addEdit(field *object.Field, op kernel.Op, isMap bool) {
	op.Kind, op.Last = kernel.Edited, len(p.Edited) // index of the piece
	p.Edited = append(p.Edited, Edited{field.Source, isMap})
	p.Extra += kernel.MaxConverted
	if field.Kind == object.FromInput && len(field.Edits) == 1 && field.Edits[0].Conversion != nil {
		conversion := field.Edits[0].Conversion(field.Tag)
		op.Conversion = conversion.Word()
		if conversion.Date != nil {
			op.Date = unsafe.Pointer(conversion.Date)
			p.Extra += conversion.Date.Size
		}
	}
	p.addOp(op)
}

func (p *Program) addHeaders(obj *object.Object, results *object.Results) {
	p.addOp(kernel.Op{Kind: kernel.HeaderCount, Size: len(obj.Headers)})
	schemas := results.Headers
	for i := range obj.Headers {
		header := &obj.Headers[i]
		field := &header.Field
		switch {
		case header.Bytes != nil:
			p.addConstant(header.Bytes)
			continue
		case obj.IsMap:
			p.addConstant(append(connectdata.AppendString(nil, header.Name), byte(wit.Schemaless), 0))
		default:
			head := append(connectdata.AppendString(nil, header.Name), byte(wit.WithSchema))
			p.addConstant(connectdata.AppendNumber(head, int64(schemas[0])))
			schemas = schemas[1:]
		}
		switch {
		case field.Kind == object.FromConstant:
			p.addConstant(connectdata.AppendBytes(nil, field.Bytes))
		case field.Kind == object.FromInput && len(field.Edits) == 0:
			p.addOp(kernel.Op{Kind: kernel.CopiedWithSize, First: 8 * field.Index, Last: 8*field.Index + 8,
				KeySize: field.KeySize})
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
func (p *Program) checkRequired(obj *object.Object) {
	for _, attribute := range obj.Trace.Required {
		p.Usable = p.Usable && slices.ContainsFunc(obj.Fields, func(field object.Field) bool {
			return field.Kind == object.FromAttribute && field.Attribute == attribute && len(field.Edits) == 0 &&
				(!field.Optional || attribute == object.Offset)
		})
	}
}

// setTail creates the tail if the value stays and only constants and attributes follow it.
func (p *Program) setTail(obj *object.Object) {
	index := 0
	if obj.IsMap {
		count := connectdata.AppendNumber([]byte{connectdata.TagMap}, int64(len(obj.Fields)))
		if index = 1; p.HeadSize != 2 || len(count) != 2 || len(p.ops) == 0 || !bytes.Equal(p.ops[0].bytes, count) {
			return
		}
		p.Tail.Count = int(count[1])
	}
	members := p.FieldCount
	if !obj.IsMap {
		members = len(obj.Reader.Fields)
	}
	readsInput := func(op programOp) bool { return op.Kind != kernel.Constant && op.Kind != kernel.Attribute }
	if index+1 < len(p.ops) && members > 0 && p.ops[index].Kind == kernel.Copied && p.ops[index].First == 0 &&
		p.ops[index].Last == 8*members && !slices.ContainsFunc(p.ops[index+1:], readsInput) &&
		p.Extra+kernel.Slack <= kernel.Room {
		p.Tail.Appends = index + 1
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
func (e *Edited) Append(dst []byte, ends []uint64, input []byte, row *wit.Row) (_ []byte, failure *rowerror.Failure) {
	var value []byte
	if e.Kind == object.FromInput {
		value = input[int(ends[e.Index])+e.KeySize : ends[e.Index+1]]
	} else if value = object.AppendAttribute(nil, e.Optional, object.AttributeOf(e.Attribute, row)); e.isMap {
		value = append([]byte{object.AttributeTags[e.Attribute]}, value...)
	}
	for _, edit := range e.Edits[:len(e.Edits)-1] {
		if value, failure = edit.Apply(nil, value); failure != nil {
			return dst, failure
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
