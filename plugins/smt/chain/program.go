package chain

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// compiledProgram processes rows of one schema, or maps with the same keys, like the row that was traced.
type compiledProgram struct {
	kernel.Program
	usable    bool                // the kernel supports all of the program
	schema    uint32              // schema of the result
	sameBytes bool                // values keep their bytes
	reader    *record.ValueReader // reader of the input's values, nil for a map
	edited    []editedValue       // values that the caller must compute for a row that the kernel does not edit itself
	pieces    []kernel.Piece      // the computed values, by the index in edited
	// tail keeps the value in place and writes only what follows it. It is valid if tail.Appends is not zero.
	tail   kernel.Program
	misses int // traced rows that no later row could use

	ops          []programOp // nil after finish
	choices      []kernel.Choice
	writtenEdits []*record.Edit // edits whose results are written; nil after finish
}

type programOp struct {
	kernel.Op
	bytes []byte // the constant or replacement, to which finish makes Op point
}

// editedValue is a value that edits compute from the input or from an attribute of the row.
type editedValue struct {
	record.Source
	isMap bool
}

// littleEndian is the byte order that the kernel assumes.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// compile returns the program for rows like row, whose value was traced as obj. results holds the schemas of its
// result, head the bytes before it.
func compile(obj *record.Object, results *record.Results, row *wit.Row, head []byte) *compiledProgram {
	sameBytes := obj.SameBytes() && !obj.Whole && len(head) == 0
	program := &compiledProgram{usable: littleEndian, sameBytes: sameBytes, schema: results.Value, reader: obj.Reader}
	encoding := wit.WithSchema
	if obj.IsMap {
		encoding = wit.Schemaless
		program.setKeys(obj, row)
	} else {
		program.setFields(obj)
	}
	for i := range obj.Trace.Allowed {
		program.requireTags(&obj.Trace.Allowed[i].Source, obj.Trace.Allowed[i].Tags)
	}
	// The kernel writes the new key, then the new headers, then the value.
	if obj.Key != nil {
		program.addObject(obj.Key)
		program.addOp(kernel.Op{Kind: kernel.EndOfKey})
		program.Key = encodingWord(encoding, results.Key)
		program.GrowthShift = 1
	}
	if len(obj.Headers) > 0 {
		program.addHeaders(obj, results)
	} else if obj.DropsHeaders {
		program.Headers = noHeaders
	}
	onlyValue := len(program.ops) == 0
	if !program.sameBytes {
		if len(head) > 0 {
			program.addConstant(head)
		}
		program.addObject(obj)
	}
	// The program is unusable unless one of its ops checks each required attribute.
	for _, attribute := range obj.Trace.Required {
		program.usable = program.usable && slices.ContainsFunc(obj.Fields, func(field record.Field) bool {
			return field.Kind == record.FromAttribute && field.Attribute == attribute && len(field.Edits) == 0 &&
				(!field.Optional || attribute == record.OffsetAttribute)
		})
	}
	if onlyValue && len(program.edited) == 0 && !program.sameBytes && !obj.Whole {
		program.setTail(obj)
	}
	// The caller computes edits whose result is not written, because they may fail the row.
	for i := range obj.Trace.Edited {
		source := &obj.Trace.Edited[i]
		last := source.Edits[len(source.Edits)-1]
		if last.NullValue == nil && !slices.Contains(program.writtenEdits, last) {
			program.edited = append(program.edited, editedValue{Source: *source, isMap: obj.IsMap})
			program.Edits = 1 // the kernel stops at each row for them
		}
	}
	program.finish()
	return program
}

// setFields sets how the program reads the fields of the struct, or skips over them if it uses no fields.
func (p *compiledProgram) setFields(obj *record.Object) {
	if root := &obj.Reader.Nodes[0]; root.Optional {
		p.Root = uint64(record.Branch(root)[0]) + 1 // 0 means no branch
	}
	codes := make([]uint64, 0, len(obj.Reader.Fields)+1)
	for i := range obj.Reader.Fields {
		codes = append(codes, fieldCode(obj.Reader.Fields[i].Schema()))
	}
	runLength := uint64(0) // number of optional strings in a row, see [kernel.Run]
	for i := len(codes) - 1; i >= 0; i-- {
		runLength++
		if codes[i] != kernel.OptionalText {
			runLength = 0
			continue
		}
		codes[i] |= runLength << kernel.Run
	}
	p.Fields = unsafe.Pointer(unsafe.SliceData(append(codes, kernel.Last)))
	copiesField := func(header record.AddedHeader) bool { return header.Bytes == nil }
	readsNoField := obj.Key == nil && len(obj.Trace.Edited) == 0 && obj.KeepsInput()
	if readsNoField && !slices.ContainsFunc(obj.Headers, copiesField) {
		p.Fields = unsafe.Pointer(&[]uint64{kernel.Rest | uint64(len(obj.Reader.Fields))<<8}[0])
	}
}

func fieldCode(node *wit.SchemaNode) uint64 {
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

// setKeys restricts the program to maps with the keys of the traced one.
func (p *compiledProgram) setKeys(obj *record.Object, row *wit.Row) {
	var original record.Object
	original.ReadMap(obj.Scratch, obj.Input)
	keys := make([]kernel.Key, 0, len(original.Fields)+1)
	for _, field := range original.Fields {
		words := append(maskedWords(field.Key), 0, 0, 0, 0)
		keys = append(keys, kernel.Key{Size: len(field.Key), First: words[0], Mask: words[1], Second: words[2],
			SecondMask: words[3], Rest: unsafe.Pointer(unsafe.SliceData(words[4:]))})
	}
	p.Keys = unsafe.SliceData(keys[:cap(keys)]) // not nil even without keys
	p.FieldCount = len(keys)
	for i, attribute := range [...]record.Attribute{record.PartitionAttribute, record.OffsetAttribute,
		record.TimestampAttribute} {
		if record.AttributeOf(attribute, row) < 0 {
			p.MissingAttributes |= 1 << i
		}
	}
	head := connectdata.AppendNumber([]byte{connectdata.TagMap}, int64(len(keys)))
	words := maskedWords(head)
	p.Head = words[0]
	p.HeadMask = words[1]
	p.HeadSize = len(head)
}

// maskedWords returns the 8-byte words of text in little-endian order, each followed by its mask.
func maskedWords(text []byte) (list []uint64) {
	for index := 0; index < len(text); index += 8 {
		var word, mask uint64
		for i, b := range text[index:min(len(text), index+8)] {
			word |= uint64(b) << (8 * i)
			mask |= 0xff << (8 * i)
		}
		list = append(list, word, mask)
	}
	return list
}

// requireTags restricts the tags that the value of an entry may have.
func (p *compiledProgram) requireTags(source *record.Source, allowed uint64) {
	p.choices = append(p.choices, kernel.Choice{Field: endBytes * source.Index, KeySize: source.KeySize,
		Allowed: allowed})
}

// setTail creates the tail if the program keeps the value, and only constants and attributes follow it.
func (p *compiledProgram) setTail(obj *record.Object) {
	valueOp := 0
	fieldCount := p.FieldCount
	if !obj.IsMap {
		fieldCount = len(obj.Reader.Fields)
	} else {
		// The first op writes the number of entries. The tail changes it in place, which needs a number of one byte.
		count := connectdata.AppendNumber([]byte{connectdata.TagMap}, int64(len(obj.Fields)))
		if p.HeadSize != 2 || len(count) != 2 || len(p.ops) == 0 || !bytes.Equal(p.ops[0].bytes, count) {
			return
		}
		valueOp = 1
		p.tail.Count = int(count[1])
	}
	if valueOp+1 >= len(p.ops) || fieldCount == 0 {
		return
	}
	op := &p.ops[valueOp]
	following := p.ops[valueOp+1:]
	copiesAll := op.Kind == kernel.Copied && op.First == 0 && op.Last == endBytes*fieldCount
	readsInput := func(op programOp) bool { return op.Kind != kernel.Constant && op.Kind != kernel.Attribute }
	if copiesAll && !slices.ContainsFunc(following, readsInput) && p.Extra+kernel.Slack <= kernel.Room {
		p.tail.Appends = valueOp + 1
	}
}

// finish builds the arrays to which the kernel's program points.
func (p *compiledProgram) finish() {
	p.pieces = make([]kernel.Piece, len(p.edited))
	ops := make([]kernel.Op, len(p.ops)+1)
	for i := range p.ops {
		source := &p.ops[i]
		op := &ops[i]
		*op = source.Op
		switch {
		case op.Kind == kernel.Edited:
			op.Bytes = unsafe.Pointer(&p.pieces[op.Last])
		case len(source.bytes) > 0:
			op.Bytes = withRoom(source.bytes)
			op.Size = len(source.bytes)
		}
	}
	ops[len(p.ops)].Kind = kernel.End
	p.Ops = unsafe.SliceData(ops)
	p.choices = append(p.choices, kernel.Choice{}) // padding
	p.Choices = unsafe.SliceData(p.choices)
	p.ChoiceCount = len(p.choices) - 1
	if skipped := p.tail.Appends; skipped > 0 {
		count := p.tail.Count
		p.tail = p.Program
		p.tail.Ops = &ops[skipped]
		p.tail.Appends = 1
		p.tail.Count = count
	}
	p.ops = nil
	p.writtenEdits = nil
}

// append appends the edited value of a row. ends holds the offsets of the fields in the call's data.
func (e *editedValue) append(dst []byte, ends []uint64, input []byte,
	row *wit.Row) (_ []byte, failure *record.Failure) {
	var value []byte
	if e.Kind == record.FromInput {
		value = input[int(ends[e.Index])+e.KeySize : ends[e.Index+1]]
	} else {
		value = record.AppendAttribute(nil, e.Optional, record.AttributeOf(e.Attribute, row))
		if e.isMap {
			value = append([]byte{record.AttributeTags[e.Attribute]}, value...)
		}
	}
	for _, edit := range e.Edits[:len(e.Edits)-1] {
		if value, failure = edit.Apply(nil, value); failure != nil {
			return dst, failure
		}
	}
	return e.Edits[len(e.Edits)-1].Apply(dst, value)
}

func withRoom(b []byte) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(append(make([]byte, 0, len(b)+kernel.Room), b...)))
}

// noHeaders is the encoding word of a row without headers, with a bit in the padding: zero keeps the row's headers.
const noHeaders = uint64(wit.Absent) | 1<<8

// encodingWord returns the first word of a value slice.
func encodingWord(encoding wit.Encoding, schema uint32) uint64 {
	return uint64(encoding) | uint64(schema)<<32
}
