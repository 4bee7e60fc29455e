package avro

import (
	"context"
	"strconv"
	"unicode/utf8"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java/values"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// step converts one value between the Avro binary of a topic and the structured bytes of a batch, which are Avro binary
// of Connect's schema. The two differ in the order of union branches, and in types that one side does not have: enums,
// fixed, unions of several types, maps with optional keys.
type step struct {
	op       stepOp
	size     int            // bytes of a fixed or a float, bits of an integer
	symbols  [][]byte       // of an enum that is read, each with its length in front
	numbers  map[string]int // of the symbols of an enum that is written
	members  []step         // of a record, or of a union struct that is written
	names    []string       // of the members, for errors
	branches []branch       // of a union, in the order of the input
	key      *step          // of a map
	element  *step          // of an array or a map
	identity bool           // output and input are the same bytes
}

// branch is a branch of a union: the output before and after its value. A nil step means null.
type branch struct {
	prefix  []byte
	suffix  []byte
	step    *step
	problem string // why the output has no such value; "" if it has
}

type stepOp uint8

const (
	numberStep stepOp = iota
	booleanStep
	floatStep
	textStep
	bytesStep
	decimalStep
	fixedStep
	fixedDecimalStep
	enumStep
	recordStep
	arrayStep
	mapStep
	// swappedStep is a map whose entries have the value before the key.
	swappedStep
	unionStep
	// anythingStep reads schemaless values.
	anythingStep
	// symbolStep writes a string as a symbol of an enum, padStep bytes as a fixed, padDecimalStep a decimal as a fixed.
	symbolStep
	padStep
	padDecimalStep
	// pickStep writes the first member of a union struct that is not null.
	pickStep
)

// rewrite is one conversion of one value. After the first error it reads no more and its output is useless.
type rewrite struct {
	ctx       context.Context
	input     []byte
	pos       int  // the index of the next byte of input
	maxOutput int  // the largest length of the output
	empty     uint // the number of items without bytes
	items     uint // the number of all items of arrays and maps
	depth     int  // of the values around the current one, see enter
	err       *fault.Error
}

// fail records the first error.
func (r *rewrite) fail(text string) {
	if r.err == nil {
		r.err = fault.New(fault.DataException, text)
	}
}

// failHere is fail with the position.
func (r *rewrite) failHere(text string) {
	if r.err == nil {
		r.fail("byte " + strconv.Itoa(r.pos) + " of the Avro value: " + text)
	}
}

// enter counts nested values until leave, and returns false after an error.
func (r *rewrite) enter() bool {
	r.depth++
	if r.depth > connectdata.MaxDepth {
		r.failHere("more than " + strconv.Itoa(connectdata.MaxDepth) + " values in each other")
	}
	return r.err == nil
}

func (r *rewrite) leave() { r.depth-- }

// checkItem is called for each item of an array or map. It bounds items without bytes, and checks the context.
func (r *rewrite) checkItem(from int, dst []byte) {
	if r.pos == from {
		r.empty++
		if r.empty > connectdata.MaxEmptyStructs {
			r.failHere("more than " + strconv.Itoa(connectdata.MaxEmptyStructs) + " items without bytes")
		}
	}
	r.items++
	if r.items%conversion.ContextCheckItems == 0 && r.err == nil && r.ctx.Err() != nil {
		r.err = fault.Canceled
	}
	if len(dst) > r.maxOutput {
		r.fail("the Avro value becomes more than " + strconv.Itoa(conversion.MaxDecodedBytes) + " bytes")
	}
}

// readNumber reads a number of variable length.
func (r *rewrite) readNumber() int64 {
	n, size := connectdata.Number(r.input[r.pos:])
	if size <= 0 {
		r.failHere("expected a number")
		return 0
	}
	r.pos += size
	return n
}

// readIndex reads a number from 0 to count-1.
func (r *rewrite) readIndex(count int, item, container string) (n int64, ok bool) {
	if n = r.readNumber(); r.err == nil && (n < 0 || n >= int64(count)) {
		r.failHere(item + " " + strconv.FormatInt(n, 10) + " of " + container + " with " + strconv.Itoa(count))
	}
	return n, r.err == nil
}

func (r *rewrite) readBoolean() byte {
	b := r.readBytes(1)
	if r.err != nil {
		return 0
	}
	if b[0] > 1 {
		r.failHere("expected a boolean")
	}
	return b[0]
}

func (r *rewrite) readLengthPrefixed() []byte {
	content, size := connectdata.LengthPrefixed(r.input[r.pos:])
	if size <= 0 {
		r.failHere("expected text or bytes with their length in front")
		return nil
	}
	r.pos += size
	return content
}

// readBytes reads n bytes, nil after an error.
func (r *rewrite) readBytes(n int) []byte {
	if n > len(r.input)-r.pos {
		r.failHere("expected " + strconv.Itoa(n) + " bytes more, found the end")
		return nil
	}
	b := r.input[r.pos : r.pos+n]
	r.pos += n
	return b
}

// shortestDecimal returns the shortest form of an unscaled value, and fails if it is empty or too long.
func (r *rewrite) shortestDecimal(b []byte) []byte {
	if len(b) == 0 {
		r.failHere("a decimal without bytes")
	}
	if b = values.Shortest(b); len(b) > connectdata.MaxDecimalBytes && r.err == nil {
		r.err = fault.DecimalTooLong()
	}
	return b
}

// run converts the value at the position and appends it to dst.
func (s *step) run(w *rewrite, dst []byte) []byte {
	switch s.op {
	case numberStep:
		n := w.readNumber()
		if shift := s.size - 1; n>>shift != 0 && n>>shift != -1 { // the bits above are not all the sign
			w.failHere("the number " + strconv.FormatInt(n, 10) + " does not fit " + strconv.Itoa(s.size) + " bits")
		}
		return connectdata.AppendNumber(dst, n)
	case booleanStep:
		return append(dst, w.readBoolean())
	case floatStep:
		return append(dst, w.readBytes(s.size)...)
	case textStep:
		b := w.readLengthPrefixed()
		if !utf8.Valid(b) {
			w.failHere("a text that is not UTF-8")
		}
		return connectdata.AppendBytes(dst, b)
	case bytesStep:
		return connectdata.AppendBytes(dst, w.readLengthPrefixed())
	case decimalStep:
		return connectdata.AppendBytes(dst, w.shortestDecimal(w.readLengthPrefixed()))
	case fixedStep:
		return connectdata.AppendBytes(dst, w.readBytes(s.size))
	case fixedDecimalStep:
		return connectdata.AppendBytes(dst, w.shortestDecimal(w.readBytes(s.size)))
	case enumStep:
		if n, ok := w.readIndex(len(s.symbols), "symbol", "an enum"); ok {
			dst = append(dst, s.symbols[n]...)
		}
		return dst
	case recordStep:
		if !w.enter() {
			return dst
		}
		for m := range s.members {
			dst = s.runMember(w, dst, m)
			if w.err != nil {
				return dst
			}
		}
		w.leave()
		return dst
	case arrayStep, mapStep, swappedStep:
		return s.runBlocks(w, dst)
	case unionStep:
		if n, ok := w.readIndex(len(s.branches), "branch", "a union"); ok {
			dst = s.branches[n].run(w, dst)
		}
		return dst
	case anythingStep:
		return readAnything(w, dst)
	}
	return s.runWrite(w, dst)
}

func (b *branch) run(w *rewrite, dst []byte) []byte {
	if b.problem != "" {
		w.fail(b.problem)
	}
	dst = append(dst, b.prefix...)
	if b.step != nil {
		dst = b.step.run(w, dst)
	}
	return append(dst, b.suffix...)
}

// runMember converts a member, whose name precedes its errors.
func (s *step) runMember(w *rewrite, dst []byte, m int) []byte {
	dst = s.members[m].run(w, dst)
	if w.err != nil {
		w.err = w.err.InField(s.names[m])
	}
	return dst
}

// runBlocks reads an array or map of any number of blocks, and writes one block.
func (s *step) runBlocks(w *rewrite, dst []byte) []byte {
	start := len(dst)
	total := 0
	dst = append(dst, 0) // for the count, or the end marker of an empty one
	for w.err == nil {
		count := w.readNumber()
		if count == 0 {
			break
		}
		if count < 0 {
			if count = -count; count < 0 {
				w.failHere("expected a count")
			}
			w.readNumber() // the size of the block, for readers that skip it
		}
		for ; count > 0 && w.err == nil; count-- {
			from := w.pos
			dst = s.runItem(w, dst)
			w.checkItem(from, dst)
			total++
		}
	}
	if total == 0 || w.err != nil {
		return dst
	}
	return append(connectdata.PutCount(dst, start, total), 0)
}

// runItem converts an item of an array, or the key and value of a map.
func (s *step) runItem(w *rewrite, dst []byte) []byte {
	switch s.op {
	case arrayStep:
		return s.element.run(w, dst)
	case swappedStep:
		from := len(dst)
		dst = s.element.run(w, dst)
		value := append([]byte(nil), dst[from:]...)
		return append(s.key.run(w, dst[:from]), value...)
	}
	return s.element.run(w, s.key.run(w, dst))
}

// runWrite runs steps that exist only for writing to a topic.
func (s *step) runWrite(w *rewrite, dst []byte) []byte {
	switch s.op {
	case symbolStep:
		b := w.readLengthPrefixed()
		n, ok := s.numbers[string(b)]
		if !ok {
			w.fail("the text " + fault.Quoted(b) + " is no symbol of its enum")
		}
		return connectdata.AppendNumber(dst, int64(n))
	case padStep, padDecimalStep:
		b := w.readLengthPrefixed()
		if len(b) > s.size || (s.op == padStep && len(b) < s.size) {
			w.fail("expected " + strconv.Itoa(s.size) + " bytes for a fixed, found " + strconv.Itoa(len(b)))
		}
		// Only a decimal may be shorter; it is extended by its sign.
		sign := byte(0)
		if len(b) > 0 && b[0] >= 0x80 {
			sign = 0xff
		}
		for range s.size - len(b) {
			dst = append(dst, sign)
		}
		return append(dst, b...)
	}
	// The first member of a union struct that has a value is written, as in AvroData.
	hasValue := false
	for m := range s.members {
		start := len(dst)
		dst = s.runMember(w, dst, m)
		if w.err != nil {
			return dst
		}
		if hasValue {
			dst = dst[:start]
		}
		hasValue = hasValue || len(dst) > start // a null writes nothing
	}
	if !hasValue {
		w.fail(fault.NoValue)
	}
	return dst
}
