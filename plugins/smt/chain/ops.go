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

// endBytes is the size of an element of kernel.Rows.Ends: ops refer to a field by its position there.
const endBytes = 8

func (p *compiledProgram) addOp(op kernel.Op) { p.ops = append(p.ops, programOp{Op: op}) }

// addConstant adds bytes. It extends the previous op if that is a constant, too.
func (p *compiledProgram) addConstant(b []byte) {
	p.Extra += len(b)
	if last := len(p.ops) - 1; last >= 0 && p.ops[last].Kind == kernel.Constant {
		p.ops[last].bytes = slices.Concat(p.ops[last].bytes, b)
		return
	}
	p.ops = append(p.ops, programOp{bytes: bytes.Clone(b)})
}

// addCopy copies a field without its first skipped bytes, in one op with the field before it if both are copied.
func (p *compiledProgram) addCopy(index, skipped int) {
	if last := len(p.ops) - 1; last >= 0 && skipped == 0 && p.ops[last].Kind == kernel.Copied &&
		p.ops[last].Last == endBytes*index {
		p.ops[last].Last += endBytes
		return
	}
	p.addOp(kernel.Op{Kind: kernel.Copied, First: endBytes * index, Last: endBytes * (index + 1), KeySize: skipped})
}

// addObject adds all fields of a key or value.
func (p *compiledProgram) addObject(obj *record.Object) {
	switch {
	case obj.Whole:
		// The result is the value of the only field, without a count or branch before it.
	case obj.IsMap:
		p.addConstant(connectdata.AppendNumber([]byte{connectdata.TagMap}, int64(len(obj.Fields))))
	default:
		if branch := record.Branch(&obj.Root); len(branch) > 0 {
			p.addConstant(branch)
		}
	}
	for i := range obj.Fields {
		field := &obj.Fields[i]
		if obj.IsMap && !obj.Whole {
			if field.Kind == record.FromInput && len(field.Edits) == 0 && field.KeyIndex == field.Index {
				p.addCopy(field.Index, 0)
				continue
			}
			p.addConstant(field.Key)
		}
		p.addValue(field, obj.IsMap)
	}
}

// addValue adds the value of a field with its edits.
func (p *compiledProgram) addValue(field *record.Field, isMap bool) {
	op := kernel.Op{First: endBytes * field.Index, Last: endBytes * (field.Index + 1), KeySize: field.KeySize}
	p.writtenEdits = append(p.writtenEdits, field.Edits...)
	hasOneEdit := field.Kind == record.FromInput && len(field.Edits) == 1
	switch {
	case field.Kind == record.FromConstant:
		p.addConstant(field.Bytes)
	case field.Kind == record.FromAttribute && len(field.Edits) == 0:
		p.addAttribute(field, isMap)
	case len(field.Edits) == 0:
		p.addCopy(field.Index, field.KeySize)
	case hasOneEdit && field.Edits[0].NullValue != nil:
		edit := field.Edits[0]
		p.Extra += len(edit.NullValue)
		op.Kind = kernel.OrDefault
		op.Null = uint64(edit.NullByte)
		p.ops = append(p.ops, programOp{op, edit.NullValue})
	case hasOneEdit && field.Edits[0].Choices != nil:
		p.addChoice(field, op, isMap)
	default:
		p.addEdit(field, op, isMap)
	}
}

func (p *compiledProgram) addAttribute(field *record.Field, isMap bool) {
	if isMap {
		p.addConstant(field.Bytes[:1]) // the tag
	}
	offsets := [...]int{record.PartitionAttribute: kernel.Partition, record.OffsetAttribute: kernel.Offset,
		record.TimestampAttribute: kernel.Timestamp}
	op := kernel.Op{Kind: kernel.Attribute, First: offsets[field.Attribute]}
	if field.Optional {
		op.Null = 1 // a missing attribute becomes null
	}
	if !field.Optional || field.Attribute == record.OffsetAttribute {
		op.Size = 1 // the row must have the attribute
	}
	p.Extra += 1 + binary.MaxVarintLen64
	p.addOp(op)
}

// addChoice adds a value that depends on the first byte of the input.
func (p *compiledProgram) addChoice(field *record.Field, op kernel.Op, isMap bool) {
	edit := field.Edits[0]
	pieces := make([]kernel.Piece, len(edit.Choices))
	var longest int
	var allowed uint64 // tags, one bit each
	for tag, value := range edit.Choices {
		pieces[tag] = kernel.Piece{Bytes: withRoom(value), Size: len(value)}
		longest = max(longest, len(value))
		if value != nil {
			allowed |= 1 << tag
		}
	}
	if isMap {
		p.requireTags(&field.Source, allowed)
	}
	op.Kind = kernel.Choosing
	op.Bytes = unsafe.Pointer(unsafe.SliceData(pieces))
	p.Extra += longest
	p.addOp(op)
}

// addEdit adds a value that the kernel converts or, if it cannot, the caller.
func (p *compiledProgram) addEdit(field *record.Field, op kernel.Op, isMap bool) {
	op.Kind = kernel.Edited
	op.Last = len(p.edited) // index of the piece
	p.edited = append(p.edited, editedValue{Source: field.Source, isMap: isMap})
	p.Extra += kernel.MaxConverted
	if field.Kind == record.FromInput && len(field.Edits) == 1 && field.Edits[0].Conversion != nil {
		conversion := field.Edits[0].Conversion(field.Tag)
		op.Conversion = conversion.Word()
		if conversion.Date != nil {
			op.Date = unsafe.Pointer(conversion.Date)
			p.Extra += conversion.Date.Size
		}
	}
	p.addOp(op)
}

// addHeaders adds the headers of the row and those of the object. A header with edits makes the program unusable.
func (p *compiledProgram) addHeaders(obj *record.Object, results *record.Results) {
	if obj.DropsHeaders {
		p.addConstant(connectdata.AppendNumber(nil, int64(len(obj.Headers))))
	} else {
		p.addOp(kernel.Op{Kind: kernel.HeaderCount, Size: len(obj.Headers)})
	}
	headerSchemas := results.Headers
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
			p.addConstant(connectdata.AppendNumber(head, int64(headerSchemas[0])))
			headerSchemas = headerSchemas[1:]
		}
		switch {
		case field.Kind == record.FromConstant:
			p.addConstant(connectdata.AppendBytes(nil, field.Bytes))
		case field.Kind == record.FromInput && len(field.Edits) == 0:
			p.addOp(kernel.Op{Kind: kernel.CopiedWithSize, First: endBytes * field.Index,
				Last: endBytes * (field.Index + 1), KeySize: field.KeySize})
			p.Extra += binary.MaxVarintLen32
		default:
			p.usable = false
		}
	}
	p.addOp(kernel.Op{Kind: kernel.EndOfHeaders})
	p.Headers = encodingWord(wit.Raw, 0)
	p.GrowthShift++
	p.Extra++
}
