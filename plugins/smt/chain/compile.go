package chain

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/smt/kernel"
	"github.com/culvert-project/culvert/wit"
)

// fastProgram is what the kernel needs of a program.
type fastProgram struct {
	kernel.Program
	// usable: nothing in the program needs the plain way for every row.
	usable bool
	// edited is what pieces are made of, of each row that the kernel does not edit itself.
	edited []edited
	pieces []kernel.Piece
	// tail, where it appends, is what stands after the value, which stays; it fits in the room there.
	tail kernel.Program
}

// append makes the tail of a program whose parts at some place are the whole input, with nothing but what it does not
// have after that.
func (f *fastProgram) append(parts []part, at, members int) {
	if at+1 < len(parts) && parts[at].whole(members) && !slices.ContainsFunc(parts[at+1:], part.reading) &&
		f.Extra+kernel.Slack <= kernel.Room {
		f.tail = f.Program
		f.tail.Parts, f.tail.Appends = &unsafe.Slice(f.Parts, len(parts))[at+1], 1
	}
}

// compile makes the kernel's parts of a program's: those of the key, of headers, of the value.
func (f *fastProgram) compile(key, headers *output, value []part, edits []edited) {
	var parts []part
	if key != nil {
		parts = append(slices.Clone(key.parts), part{from: keyEnd})
	}
	if headers != nil {
		parts = append(append(parts, part{from: headerCount, first: headers.count}), headers.parts...)
		parts = append(parts, part{from: headersEnd})
		f.Headers = datumWord(wit.Raw, 0)
		f.Twice++
		f.Extra++
	}
	parts = append(parts, value...)
	for i := range edits { // one that is written nowhere may fail the row all the same
		if !slices.ContainsFunc(parts, func(x part) bool { return x.from == byEdits && x.first == i }) {
			f.Edits = 1
		}
	}
	f.edited, f.pieces = edits, make([]kernel.Piece, len(edits))
	list := make([]kernel.Part, len(parts)+1)
	for i := range parts {
		f.part(&parts[i], &list[i])
	}
	list[len(parts)].Kind = kernel.End
	f.Parts = unsafe.SliceData(list)
}

// part makes a part of the kernel's.
func (f *fastProgram) part(from *part, to *kernel.Part) {
	to.First, to.Behind, to.Last = from.first*8, from.after, from.last*8+8
	switch from.from {
	case input:
		to.Kind = kernel.Copied
		switch {
		case from.sized:
			to.Kind = kernel.Sized
			f.Extra += binary.MaxVarintLen32
			f.usable = f.usable && from.bytes == nil
		case from.bytes != nil:
			to.Kind, to.Null = kernel.OrDefault, uint64(from.null)
		}
	case keyEnd:
		to.Kind = kernel.KeyEnd
	case headersEnd:
		to.Kind = kernel.HeadersEnd
	case headerCount:
		to.Kind, to.Size = kernel.HeaderCount, from.first
	case byEdits:
		f.editedPart(from.first, to)
	case chosen:
		to.Kind = kernel.Choosing
		pieces := make([]kernel.Piece, len(from.choice))
		longest := 0
		for c, b := range from.choice {
			pieces[c] = kernel.Piece{Bytes: padded(b), Size: len(b)}
			longest = max(longest, len(b))
		}
		to.Bytes = unsafe.Pointer(unsafe.SliceData(pieces))
		f.Extra += longest
	case attribute:
		to.Kind = kernel.Attribute
		to.First = [...]int{thePartition: kernel.Partition, theOffset: kernel.Offset,
			theTimestamp: kernel.Timestamp}[from.what]
		if from.optional {
			to.Null = 1
		}
		if !from.optional || from.what == theOffset {
			to.Size = 1
		}
		f.Extra += 1 + binary.MaxVarintLen64
	}
	if from.bytes != nil {
		to.Bytes, to.Size = padded(from.bytes), len(from.bytes)
		f.Extra += len(from.bytes)
	}
}

// editedPart makes the part of an edited member or entry.
func (f *fastProgram) editedPart(number int, to *kernel.Part) {
	x := &f.edited[number]
	to.Kind, to.Bytes = kernel.Edited, unsafe.Pointer(&f.pieces[number])
	c := x.conversion()
	to.First, to.Behind, to.How = x.from.first*8, x.from.after, c.Word()
	f.Extra += kernel.MaxConverted
	if c.date != nil {
		to.Date = unsafe.Pointer(c.date)
		f.Extra += c.date.Size
	}
}

// padded is a copy of bytes with room after it.
func padded(b []byte) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(append(make([]byte, 0, len(b)+kernel.Room), b...)))
}

// datumWord is the word with form and schema of a datum.
func datumWord(form wit.Form, schema uint32) uint64 { return uint64(form) | uint64(schema)<<32 }
