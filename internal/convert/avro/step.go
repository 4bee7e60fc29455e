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

// A step converts a value between the Avro binary of a topic's record and that of a batch, in one direction. The bytes
// are equal unless the branches of a union have another order, or one side has a type that the other lacks: enum,
// fixed, a union of several types, a map with optional keys.
type step struct {
	op stepOp
	// size is in bytes for a fixed or a float, in bits for an integer.
	size int
	// symbols of an enum that is read, with their length prefixes; numbers of an enum that is written, by symbol.
	symbols [][]byte
	numbers map[string]int
	// members of a record or of a union struct that is written, with names for errors.
	members []step
	names   []string
	// branches of a union, in the order of the side that is read.
	branches     []branch
	key, element *step
	// same means that the bytes are copied.
	same bool
}

// branch is a branch of a union: the bytes before and after its value on the written side. A nil step means null.
type branch struct {
	lead, tail []byte
	step       *step
	// refused is why the other side has no such value.
	refused string
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
	// anythingStep reads a value of anythingSchema.
	anythingStep
	// symbolStep writes a string as a symbol of an enum, padStep bytes as a fixed, padDecimalStep a decimal as a fixed.
	symbolStep
	padStep
	padDecimalStep
	// pickStep writes the first member of a union struct that is not null.
	pickStep
)

// A transcoder converts one value. After its first error it consumes nothing more, returns zero values, and its output
// is invalid.
type transcoder struct {
	ctx  context.Context
	in   []byte
	i    int
	most int
	// empty counts items without bytes, items all.
	empty, items uint
	depth        int
	err          *fault.Error
}

// fail records the first error.
func (w *transcoder) fail(text string) {
	if w.err == nil {
		w.err = fault.New(fault.DataException, text)
	}
}

// malformed is fail with the current position.
func (w *transcoder) malformed(text string) {
	if w.err == nil {
		w.fail("byte " + strconv.Itoa(w.i) + " of the Avro value: " + text)
	}
}

// enter starts a nested value until [transcoder.leave]; it returns false after an error.
func (w *transcoder) enter() bool {
	if w.depth++; w.depth > connectdata.MaxDepth {
		w.malformed("more than " + strconv.Itoa(connectdata.MaxDepth) + " values in each other")
	}
	return w.err == nil
}

func (w *transcoder) leave() { w.depth-- }

// checkItem is called for each item of an array or map. It bounds items without bytes, and checks the context.
func (w *transcoder) checkItem(from int, dst []byte) {
	if w.i == from {
		if w.empty++; w.empty > connectdata.MaxEmptyStructs {
			w.malformed("more than " + strconv.Itoa(connectdata.MaxEmptyStructs) + " items without bytes")
		}
	}
	if w.items++; w.items%conversion.ContextCheckItems == 0 && w.err == nil && w.ctx.Err() != nil {
		w.err = fault.Canceled
	}
	if len(dst) > w.most {
		w.fail("the Avro value becomes more than " + strconv.Itoa(conversion.MaxDecodedBytes) + " bytes")
	}
}

func (w *transcoder) number() int64 {
	n, size := connectdata.Number(w.in[w.i:])
	if size <= 0 {
		w.malformed("expected a number")
		return 0
	}
	w.i += size
	return n
}

// readIndex reads a number from 0 to most-1; ok is false after an error.
func (w *transcoder) readIndex(maxBytes int, what, of string) (n int64, ok bool) {
	if n = w.number(); w.err == nil && (n < 0 || n >= int64(maxBytes)) {
		w.malformed(what + " " + strconv.FormatInt(n, 10) + " of " + of + " with " + strconv.Itoa(maxBytes))
	}
	return n, w.err == nil
}

func (w *transcoder) boolean() byte {
	b := w.take(1)
	if w.err != nil {
		return 0
	}
	if b[0] > 1 {
		w.malformed("expected a boolean")
	}
	return b[0]
}

func (w *transcoder) block() []byte {
	content, size := connectdata.LengthPrefixed(w.in[w.i:])
	if size <= 0 {
		w.malformed("expected text or bytes with their length in front")
		return nil
	}
	w.i += size
	return content
}

func (w *transcoder) take(n int) []byte {
	if n > len(w.in)-w.i {
		w.malformed("expected " + strconv.Itoa(n) + " bytes more, found the end")
		return nil
	}
	b := w.in[w.i : w.i+n]
	w.i += n
	return b
}

// decimal returns the shortest form of an unscaled value.
func (w *transcoder) decimal(b []byte) []byte {
	if len(b) == 0 {
		w.malformed("a decimal without bytes")
	}
	if b = values.Shortest(b); len(b) > connectdata.MaxDecimalBytes && w.err == nil {
		w.err = fault.DecimalTooLong()
	}
	return b
}

// run converts the value at the transcoder's position.
func (s *step) run(w *transcoder, dst []byte) []byte {
	switch s.op {
	case numberStep:
		n := w.number()
		if shift := s.size - 1; n>>shift != 0 && n>>shift != -1 {
			w.malformed("the number " + strconv.FormatInt(n, 10) + " does not fit " + strconv.Itoa(s.size) + " bits")
		}
		return connectdata.AppendNumber(dst, n)
	case booleanStep:
		return append(dst, w.boolean())
	case floatStep:
		return append(dst, w.take(s.size)...)
	case textStep:
		b := w.block()
		if !utf8.Valid(b) {
			w.malformed("a text that is not UTF-8")
		}
		return connectdata.AppendBytes(dst, b)
	case bytesStep:
		return connectdata.AppendBytes(dst, w.block())
	case decimalStep:
		return connectdata.AppendBytes(dst, w.decimal(w.block()))
	case fixedStep:
		return connectdata.AppendBytes(dst, w.take(s.size))
	case fixedDecimalStep:
		return connectdata.AppendBytes(dst, w.decimal(w.take(s.size)))
	case enumStep:
		if n, ok := w.readIndex(len(s.symbols), "symbol", "an enum"); ok {
			dst = append(dst, s.symbols[n]...)
		}
		return dst
	case recordStep:
		return s.record(w, dst)
	case arrayStep, mapStep, swappedStep:
		return s.blocks(w, dst)
	case unionStep:
		if n, ok := w.readIndex(len(s.branches), "branch", "a union"); ok {
			dst = s.branches[n].run(w, dst)
		}
		return dst
	case anythingStep:
		return readAnything(w, dst)
	}
	return s.write(w, dst)
}

func (b *branch) run(w *transcoder, dst []byte) []byte {
	if b.refused != "" {
		w.fail(b.refused)
	}
	dst = append(dst, b.lead...)
	if b.step != nil {
		dst = b.step.run(w, dst)
	}
	return append(dst, b.tail...)
}

func (s *step) record(w *transcoder, dst []byte) []byte {
	if !w.enter() {
		return dst
	}
	for m := range s.members {
		if dst = s.member(w, dst, m); w.err != nil {
			return dst
		}
	}
	w.leave()
	return dst
}

// member converts a member and prefixes errors with its name.
func (s *step) member(w *transcoder, dst []byte, m int) []byte {
	if dst = s.members[m].run(w, dst); w.err != nil {
		w.err = w.err.InField(s.names[m])
	}
	return dst
}

// blocks reads an array or map of any number of blocks and writes one.
func (s *step) blocks(w *transcoder, dst []byte) []byte {
	start, total := len(dst), 0
	dst = append(dst, 0)
	for w.err == nil {
		count := w.number()
		if count == 0 {
			break
		}
		if count < 0 {
			if count = -count; count < 0 {
				w.malformed("expected a count")
			}
			w.number() // the block's size in bytes is of use to those who skip
		}
		for ; count > 0 && w.err == nil; count-- {
			from := w.i
			dst = s.item(w, dst)
			w.checkItem(from, dst)
			total++
		}
	}
	if total == 0 || w.err != nil {
		return dst
	}
	return append(connectdata.PutCount(dst, start, total), 0)
}

func (s *step) item(w *transcoder, dst []byte) []byte {
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

// write converts types that only topics have.
func (s *step) write(w *transcoder, dst []byte) []byte {
	switch s.op {
	case symbolStep:
		b := w.block()
		n, known := s.numbers[string(b)]
		if !known {
			w.fail("the text " + fault.Quoted(b) + " is no symbol of its enum")
		}
		return connectdata.AppendNumber(dst, int64(n))
	case padStep, padDecimalStep:
		b := w.block()
		if len(b) > s.size || s.op == padStep && len(b) < s.size {
			w.fail("expected " + strconv.Itoa(s.size) + " bytes for a fixed, found " + strconv.Itoa(len(b)))
		}
		sign := byte(0)
		if len(b) > 0 && b[0] >= 0x80 {
			sign = 0xff
		}
		for range s.size - len(b) {
			dst = append(dst, sign)
		}
		return append(dst, b...)
	}
	return s.pick(w, dst)
}

// pick reads all members of a union struct. The first that has a value counts, as in AvroData.
func (s *step) pick(w *transcoder, dst []byte) []byte {
	found := false
	for m := range s.members {
		before := len(dst)
		if dst = s.member(w, dst, m); w.err != nil {
			return dst
		}
		if found {
			dst = dst[:before]
		}
		found = found || len(dst) > before // a null writes nothing
	}
	if !found {
		w.fail(fault.NoValue)
	}
	return dst
}
