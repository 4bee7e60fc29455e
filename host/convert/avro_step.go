package convert

import (
	"context"
	"strconv"
	"unicode/utf8"

	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java/values"
)

// A step rewrites one value of Avro binary: from what the schema of a topic's record says to the structured bytes of a
// batch, or back. Both are Avro binary, so that a value is copied as it is wherever the two schemas lay it out alike.
// They differ where the branches of a union stand in another order, and where one side has a type that the other does
// not know: enum, fixed, a union of several types, a map with optional keys.
type step struct {
	op stepOp
	// size: bytes of a fixed or a float, bits of an integer.
	size int
	// symbols of an enum that is read: texts with their lengths in front. numbers: of an enum that is written.
	symbols [][]byte
	numbers map[string]int
	// members of a record with their names, for errors; of a union struct that is written.
	members []step
	names   []string
	// branches of a union, in the order of the side that is read.
	branches     []branch
	key, element *step
	// same: the bytes are those of the other side.
	same bool
}

// branch is one of a union: what stands before and behind its value on the side that is written. step nil is null.
type branch struct {
	lead, tail []byte
	step       *step
	// refused: there is no such value on the other side.
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
	// swappedStep is a map whose entries have the value in front of the key.
	swappedStep
	unionStep
	// anythingStep reads what schemaless values are in Avro.
	anythingStep
	// symbolStep writes a text as a symbol of an enum, padStep bytes as a fixed, padDecimalStep a decimal as a fixed.
	symbolStep
	padStep
	padDecimalStep
	// pickStep writes the first member of a union struct that is not null.
	pickStep
)

// A walk is one rewriting of one value.
type walk struct {
	ctx  context.Context
	in   []byte
	i    int
	most int
	// empty counts items without bytes, items all.
	empty, items uint
	depth        int
}

func (w *walk) bad(text string) *Error {
	return &Error{dataException, "byte " + strconv.Itoa(w.i) + " of the Avro value: " + text}
}

// look is called for each item of an array or map: it bounds the work on items that take no bytes, and looks at the
// context.
func (w *walk) look(from int, dst []byte) *Error {
	if w.i == from {
		if w.empty++; w.empty > datum.MaxEmptyStructures {
			return w.bad("more than " + strconv.Itoa(datum.MaxEmptyStructures) + " items without bytes")
		}
	}
	if w.items++; w.items%watchEvery == 0 && w.ctx.Err() != nil {
		return errEnded
	}
	if len(dst) > w.most {
		return &Error{dataException, "the Avro value becomes more than " + strconv.Itoa(maxDecodedBytes) + " bytes"}
	}
	return nil
}

func (w *walk) number() (int64, *Error) {
	n, size := datum.Number(w.in[w.i:])
	if size <= 0 {
		return 0, w.bad("expected a number")
	}
	w.i += size
	return n, nil
}

func (w *walk) block() ([]byte, *Error) {
	content, size := datum.Block(w.in[w.i:])
	if size <= 0 {
		return nil, w.bad("expected text or bytes with their length in front")
	}
	w.i += size
	return content, nil
}

func (w *walk) take(n int) ([]byte, *Error) {
	if n > len(w.in)-w.i {
		return nil, w.bad("expected " + strconv.Itoa(n) + " bytes more, found the end")
	}
	b := w.in[w.i : w.i+n]
	w.i += n
	return b, nil
}

// run appends the rewritten value at the walk's position.
func (s *step) run(w *walk, dst []byte) ([]byte, *Error) {
	switch s.op {
	case numberStep:
		n, err := w.number()
		if err != nil {
			return dst, err
		}
		if shift := s.size - 1; n>>shift != 0 && n>>shift != -1 {
			return dst, w.bad("the number " + strconv.FormatInt(n, 10) + " does not fit " + strconv.Itoa(s.size) +
				" bits")
		}
		return datum.AppendNumber(dst, n), nil
	case booleanStep:
		b, err := w.take(1)
		if err == nil && b[0] > 1 {
			err = w.bad("expected a boolean")
		}
		return append(dst, b...), err
	case floatStep:
		b, err := w.take(s.size)
		return append(dst, b...), err
	case textStep:
		b, err := w.block()
		if err == nil && !utf8.Valid(b) {
			err = w.bad("a text that is not UTF-8")
		}
		if err != nil {
			return dst, err
		}
		return datum.AppendBytes(dst, b), nil
	case bytesStep, decimalStep:
		b, err := w.block()
		if err == nil && s.op == decimalStep {
			b, err = w.decimal(b)
		}
		if err != nil {
			return dst, err
		}
		return datum.AppendBytes(dst, b), nil
	case fixedStep, fixedDecimalStep:
		b, err := w.take(s.size)
		if err == nil && s.op == fixedDecimalStep {
			b, err = w.decimal(b)
		}
		if err != nil {
			return dst, err
		}
		return datum.AppendBytes(dst, b), nil
	case enumStep:
		n, err := w.number()
		if err == nil && (n < 0 || n >= int64(len(s.symbols))) {
			err = w.bad("symbol " + strconv.FormatInt(n, 10) + " of an enum with " + strconv.Itoa(len(s.symbols)))
		}
		if err != nil {
			return dst, err
		}
		return append(dst, s.symbols[n]...), nil
	case recordStep:
		return s.record(w, dst)
	case arrayStep, mapStep, swappedStep:
		return s.blocks(w, dst)
	case unionStep:
		n, err := w.number()
		if err == nil && (n < 0 || n >= int64(len(s.branches))) {
			err = w.bad("branch " + strconv.FormatInt(n, 10) + " of a union with " + strconv.Itoa(len(s.branches)))
		}
		if err != nil {
			return dst, err
		}
		return s.branches[n].run(w, dst)
	case anythingStep:
		return readAnything(w, dst)
	}
	return s.write(w, dst)
}

func (b *branch) run(w *walk, dst []byte) ([]byte, *Error) {
	if b.refused != "" {
		return dst, &Error{dataException, b.refused}
	}
	dst = append(dst, b.lead...)
	if b.step != nil {
		var err *Error
		if dst, err = b.step.run(w, dst); err != nil {
			return dst, err
		}
	}
	return append(dst, b.tail...), nil
}

// decimal is the shortest form of an unscaled value.
func (w *walk) decimal(b []byte) ([]byte, *Error) {
	if len(b) == 0 {
		return nil, w.bad("a decimal without bytes")
	}
	if b = values.Shortest(b); len(b) > datum.MaxDecimalBytes {
		return nil, manyDigits()
	}
	return b, nil
}

func (s *step) record(w *walk, dst []byte) ([]byte, *Error) {
	if w.depth++; w.depth > datum.MaxDepth {
		return dst, w.bad("more than " + strconv.Itoa(datum.MaxDepth) + " values in each other")
	}
	var err *Error
	for m := range s.members {
		if dst, err = s.members[m].run(w, dst); err != nil {
			return dst, err.in(s.names[m])
		}
	}
	w.depth--
	return dst, nil
}

// blocks reads an array or map, of several blocks where the writer made several, and writes one.
func (s *step) blocks(w *walk, dst []byte) ([]byte, *Error) {
	start, total := len(dst), int64(0)
	dst = append(dst, 0)
	for {
		count, err := w.number()
		if err == nil && count < 0 {
			// The block's size in bytes follows; it is of use to those who skip.
			if count = -count; count < 0 {
				return dst, w.bad("expected a count")
			}
			_, err = w.number()
		}
		if err != nil {
			return dst, err
		}
		if count == 0 {
			break
		}
		for ; count > 0; count-- {
			from := w.i
			if dst, err = s.item(w, dst); err != nil {
				return dst, err
			}
			if err = w.look(from, dst); err != nil {
				return dst, err
			}
			total++
		}
	}
	if total == 0 {
		return dst, nil
	}
	return append(putCount(dst, start, int(total)), 0), nil
}

func (s *step) item(w *walk, dst []byte) ([]byte, *Error) {
	var err *Error
	switch s.op {
	case arrayStep:
		return s.element.run(w, dst)
	case swappedStep:
		from := len(dst)
		if dst, err = s.element.run(w, dst); err != nil {
			return dst, err
		}
		value := append([]byte(nil), dst[from:]...)
		if dst, err = s.key.run(w, dst[:from]); err != nil {
			return dst, err
		}
		return append(dst, value...), nil
	}
	if dst, err = s.key.run(w, dst); err != nil {
		return dst, err
	}
	return s.element.run(w, dst)
}

// write runs the steps that only a topic's side needs.
func (s *step) write(w *walk, dst []byte) ([]byte, *Error) {
	switch s.op {
	case symbolStep:
		b, err := w.block()
		if err != nil {
			return dst, err
		}
		n, known := s.numbers[string(b)]
		if !known {
			return dst, &Error{dataException, "the text " + quoted(b) + " is no symbol of its enum"}
		}
		return datum.AppendNumber(dst, int64(n)), nil
	case padStep, padDecimalStep:
		b, err := w.block()
		if err != nil {
			return dst, err
		}
		if len(b) > s.size || s.op == padStep && len(b) < s.size {
			return dst, &Error{dataException, "expected " + strconv.Itoa(s.size) + " bytes for a fixed, found " +
				strconv.Itoa(len(b))}
		}
		sign := byte(0)
		if len(b) > 0 && b[0] >= 0x80 {
			sign = 0xff
		}
		for range s.size - len(b) {
			dst = append(dst, sign)
		}
		return append(dst, b...), nil
	}
	return s.pick(w, dst)
}

// noValue is what a union struct is refused for.
const noValue = "the union has no value"

// pick reads all members of a union struct. The first that has a value counts, as in AvroData.
func (s *step) pick(w *walk, dst []byte) ([]byte, *Error) {
	found := false
	for m := range s.members {
		before := len(dst)
		var err *Error
		if dst, err = s.members[m].run(w, dst); err != nil {
			return dst, err.in(s.names[m])
		}
		if found {
			dst = dst[:before]
		}
		found = found || len(dst) > before // a null writes nothing
	}
	if !found {
		return dst, &Error{dataException, noValue}
	}
	return dst, nil
}
