package connectjson

import (
	"bytes"
	"context"
	"math"
	"strconv"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/internal/java/values"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// schemalessWriter writes schemaless values.
type schemalessWriter struct {
	conversion.Budget
	// shapes has the shapes of the maps of a value, in the order in which they begin. scanMaps fills it.
	shapes    []shape
	nextShape int // the index in shapes of the next map
	// objects writes all maps as JSON objects without scanMaps, until [errNonStringKey] reports another key.
	objects bool
	// recentNames caches the encoded names of the last object, because the next one mostly has the same.
	recentNames []recentName
}

// recentName is a name of the last object: as JSON with quotation marks and colon, as a key in the batch, its [bitOf].
type recentName struct {
	text []byte
	key  []byte
	bit  uint64
}

// maxRecentNames bounds the number of cached names, recentNameBytes the length of each.
const maxRecentNames, recentNameBytes = 128, 128

// start resets the writer for a value of at most maxBytes, which is appended to dst.
func (w *schemalessWriter) start(ctx context.Context, dst []byte, maxBytes int) {
	w.Budget.Start(ctx, dst, maxBytes)
	w.shapes = w.shapes[:0]
	w.nextShape = 0
	w.objects = false
}

// Write writes the value at in[i:] and returns where it ends.
func (w *schemalessWriter) Write(dst, in []byte, i, depth int) ([]byte, int, *fault.Error) {
	if i >= len(in) || depth > connectdata.MaxDepth {
		return dst, i, fault.Malformed(i, "expected a tag, nested at most 1000 deep")
	}
	tag := in[i]
	i++
	switch tag {
	case connectdata.TagNull:
		return append(dst, "null"...), i, nil
	case connectdata.TagInt8, connectdata.TagInt16, connectdata.TagInt32, connectdata.TagInt64:
		return dynamicScalars[tag].writeInteger(dst, in, i)
	case connectdata.TagFalse:
		return append(dst, "false"...), i, nil
	case connectdata.TagTrue:
		return append(dst, "true"...), i, nil
	case connectdata.TagString:
		n, size := length(in, i)
		if size <= 0 {
			return dst, i, fault.Malformed(i, "ends inside a text")
		}
		i += size
		if n > w.MaxLen-len(dst) {
			return dst, i, w.TooLarge()
		}
		out, ok := java.AppendJSONText(dst, in[i:i+n])
		if !ok {
			return dst, i, fault.Malformed(i, "text that is not UTF-8")
		}
		return out, i + n, nil
	case connectdata.TagFloat32, connectdata.TagFloat64, connectdata.TagBytes:
		return dynamicScalars[tag].Write(&w.Budget, dst, in, i)
	case connectdata.TagArray:
		return w.writeItems(dst, in, i, depth, arrayShape)
	case connectdata.TagMap:
		s := ObjectShape // unless scanMaps has found another shape
		if w.nextShape < len(w.shapes) {
			s = w.shapes[w.nextShape]
		}
		w.nextShape++
		return w.writeItems(dst, in, i, depth, s)
	case connectdata.TagDecimal:
		n, err := connectdata.SkipSchemaless(in[i-1:])
		if err != nil {
			return dst, i, fault.Malformed(i, err.Error())
		}
		scale, size := connectdata.Number(in[i:])
		unscaled, _ := connectdata.LengthPrefixed(in[i+size:])
		return values.AppendDecimal(dst, unscaled, int(scale)), i - 1 + n, nil
	case connectdata.TagInstant:
		return dst, i, fault.New(fault.DataException,
			"Java class class java.util.Date does not have corresponding schema type.")
	case connectdata.TagStruct:
		return dst, i, fault.New(fault.DataException, "Mismatching schema.")
	}
	return dst, i, fault.Malformed(i-1, "unknown tag")
}

// dynamicScalars are the writers of schemaless scalars by tag.
var dynamicScalars = [...]Writer{
	connectdata.TagInt8:    {Shape: int8Shape},
	connectdata.TagInt16:   {Shape: int16Shape},
	connectdata.TagInt32:   {Shape: int32Shape},
	connectdata.TagInt64:   {Shape: int64Shape},
	connectdata.TagFloat32: {Shape: float32Shape},
	connectdata.TagFloat64: {Shape: float64Shape},
	connectdata.TagBytes:   {Shape: bytesShape},
}

// errNonStringKey reports that a map has a key that is not a string, so that scanMaps must find the shapes of all maps.
var errNonStringKey = &fault.Error{Text: "a key that is no text"}

// skip is scanMaps with a fast path for scalars. It returns where the value ends.
func (w *schemalessWriter) skip(in []byte, i, depth int) int {
	if i < len(in) && in[i] != connectdata.TagArray && in[i] != connectdata.TagMap {
		switch in[i] {
		case connectdata.TagNull, connectdata.TagFalse, connectdata.TagTrue:
			return i + 1
		case connectdata.TagString:
			if n, size := length(in, i+1); size > 0 {
				return i + 1 + size + n
			}
			return -1
		case connectdata.TagFloat64:
			if i+9 <= len(in) { // the tag and eight bytes
				return i + 9
			}
			return -1
		}
		n, err := connectdata.SkipSchemaless(in[i:])
		if err != nil {
			return -1
		}
		return i + n
	}
	return w.scanMaps(in, i, depth)
}

// scanMaps records the shapes of all maps of the value at in[i:]: an object if all keys are strings, otherwise pairs.
// It returns where an array or map ends, i for a scalar, and -1 if the value is malformed, which Write reports, or the
// context ends.
func (w *schemalessWriter) scanMaps(in []byte, i, depth int) int {
	if i >= len(in) || depth > connectdata.MaxDepth {
		return -1
	}
	tag := in[i]
	if tag != connectdata.TagArray && tag != connectdata.TagMap {
		return i
	}
	count, size := connectdata.Number(in[i+1:])
	if size <= 0 || count < 0 || count > int64(len(in)-i) {
		return -1
	}
	i += 1 + size
	shapeIndex := len(w.shapes)
	if tag == connectdata.TagMap {
		w.shapes = append(w.shapes, ObjectShape)
	}
	for n := range count {
		if n%conversion.ContextCheckItems == conversion.ContextCheckItems-1 && w.Ctx.Err() != nil {
			return -1
		}
		if tag == connectdata.TagMap {
			if i < len(in) && in[i] == connectdata.TagString {
				keyLen, size := length(in, i+1)
				if size <= 0 {
					return -1
				}
				i += 1 + size + keyLen
			} else {
				w.shapes[shapeIndex] = pairsShape
				if i = w.skip(in, i, depth+1); i < 0 {
					return -1
				}
			}
		}
		if i = w.skip(in, i, depth+1); i < 0 {
			return -1
		}
	}
	return i
}

func (w *schemalessWriter) writeItems(dst, in []byte, i, depth int, s shape) ([]byte, int, *fault.Error) {
	count, size := connectdata.Number(in[i:])
	if size <= 0 || count < 0 || count > int64(len(in)-i) {
		return dst, i, fault.Malformed(i, "expected a count")
	}
	i += size
	open := byte('[')
	closing := byte(']')
	if s == ObjectShape {
		open = '{'
		closing = '}'
	}
	dst = append(dst, open)
	var err *fault.Error
	for n := range count {
		if err = w.CountItem(dst); err != nil {
			return dst, i, err
		}
		if s == ObjectShape {
			dst, i, err = w.writeName(dst, in, i, int(n), depth)
		} else {
			if n > 0 {
				dst = append(dst, ',')
			}
			if s == pairsShape {
				dst, i, err = w.Write(append(dst, '['), in, i, depth+1)
				dst = append(dst, ',')
			}
		}
		if err != nil {
			return dst, i, err
		}
		if dst, i, err = w.Write(dst, in, i, depth+1); err != nil {
			return dst, i, err
		}
		if s == pairsShape {
			dst = append(dst, ']')
		}
	}
	return append(dst, closing), i, nil
}

// writeName writes the key of entry n of an object, with comma and colon. It copies a key of the previous object.
func (w *schemalessWriter) writeName(dst, in []byte, i, n, depth int) ([]byte, int, *fault.Error) {
	isCached := depth == 0 && n < maxRecentNames // names of nested objects are not cached
	if isCached && n < len(w.recentNames) && bytes.HasPrefix(in[i:], w.recentNames[n].key) {
		return append(dst, w.recentNames[n].text...), i + len(w.recentNames[n].key), nil
	}
	if w.objects && i < len(in) && in[i] != connectdata.TagString {
		return dst, i, errNonStringKey
	}
	from := len(dst)
	start := i
	if n > 0 {
		dst = append(dst, ',')
	}
	dst, i, err := w.Write(dst, in, i, depth+1)
	if err != nil {
		return dst, i, err
	}
	dst = append(dst, ':')
	if isCached && n <= len(w.recentNames) && in[start] == connectdata.TagString && i-start <= recentNameBytes {
		if n == len(w.recentNames) {
			w.recentNames = append(w.recentNames, recentName{})
		}
		name := &w.recentNames[n]
		name.text = append(name.text[:0], dst[from:]...)
		name.key = append(name.key[:0], in[start:i]...)
	}
	return dst, i, nil
}

// readDynamic reads a schemaless value: numbers without point and exponent as int64, others as float64, or as decimals
// if that would lose digits; objects as maps. Of duplicate names the last value counts, at the place of the first.
func readDynamic(p *Parser, dst []byte) []byte {
	switch c := p.peek(); c {
	case '"':
		return connectdata.AppendBytes(append(dst, connectdata.TagString), p.text())
	case 't':
		p.expectWord("true")
		return append(dst, connectdata.TagTrue)
	case 'f':
		p.expectWord("false")
		return append(dst, connectdata.TagFalse)
	case 'n':
		p.expectWord("null")
		return append(dst, connectdata.TagNull)
	case '[':
		p.open('[')
		dst = append(dst, connectdata.TagArray, 0) // PutCount sets the count
		start := len(dst) - 1
		count := 0
		for ; p.more(count == 0, ']'); count++ {
			dst = readDynamic(p, dst)
		}
		return connectdata.PutCount(dst, start, count)
	case '{':
		return readDynamicMap(p, dst)
	}
	if n, ok := p.integer(); ok {
		return connectdata.AppendNumber(append(dst, connectdata.TagInt64), n)
	}
	literal, isInteger, ok := p.number()
	switch {
	case !ok:
		return dst
	case !isInteger:
		return readReal(p, dst, literal)
	}
	n, ok := parseInteger(literal)
	if !ok {
		return p.reject(dst, "the number "+fault.Truncate(literal)+" does not fit 64 bits")
	}
	return connectdata.AppendNumber(append(dst, connectdata.TagInt64), n)
}

const maxDigits = 3 * connectdata.MaxDecimalBytes // more than any decimal has: a byte holds fewer than three digits

// readReal reads a number with point or exponent: a double if its shortest form, or Java's, equals the text, otherwise
// a decimal. Kafka Connect would use the nearest double.
func readReal(p *Parser, dst, text []byte) []byte {
	v := parseReal(text, 64)
	exact := len(text) <= shortReal && !bytes.ContainsAny(text, "eE")
	if !exact && !math.IsInf(v, 0) {
		var shortest, javaText [32]byte
		exact = sameNumber(text, strconv.AppendFloat(shortest[:0], v, 'e', -1, 64)) ||
			sameNumber(text, java.AppendFloat(javaText[:0], v, 64))
	}
	if exact {
		return connectdata.AppendFloat64(append(dst, connectdata.TagFloat64), v)
	}
	if len(text) <= maxDigits {
		if d, ok := values.ParseDecimal(string(text)); ok && d.Fits() {
			dst = connectdata.AppendNumber(append(dst, connectdata.TagDecimal), d.Scale)
			return connectdata.AppendDecimal(dst, d.Unscaled)
		}
	}
	return p.reject(dst, "the number "+fault.Truncate(text)+" fits neither a double nor a decimal of "+
		strconv.Itoa(connectdata.MaxDecimalBytes)+" bytes and a scale from -1000 to 1000")
}

// shortReal is the length up to which a double represents all digits of a number without exponent.
const shortReal = 15

// sameNumber reports whether two texts are the same decimal number, ignoring the sign.
func sameNumber(a, b []byte) bool {
	digits, exponent := significant(a)
	otherDigits, otherExponent := significant(b)
	return bytes.Equal(digits, otherDigits) && (exponent == otherExponent || len(digits) == 0)
}

// significant returns the digits of a number without zeros at both ends, and the power of ten of the last.
func significant(text []byte) (digits []byte, exponent int64) {
	mantissa := text
	if e := bytes.IndexAny(text, "eE"); e >= 0 {
		mantissa = text[:e]
		exponent, _ = strconv.ParseInt(string(text[e+1:]), 10, 32) // the scanner has checked that it fits
	}
	integer, fraction, _ := bytes.Cut(bytes.TrimPrefix(mantissa, []byte("-")), []byte("."))
	joined := append(append(make([]byte, 0, len(mantissa)), integer...), fraction...)
	digits = bytes.TrimRight(joined, "0")
	return bytes.TrimLeft(digits, "0"), exponent - int64(len(fraction)) + int64(len(joined)-len(digits))
}

func readDynamicMap(p *Parser, dst []byte) []byte {
	p.open('{')
	dst = append(dst, connectdata.TagMap, 0) // PutCount sets the count
	start := len(dst) - 1
	names := entries{base: len(p.entries), content: len(dst)}
	nameIndex := 0
	if p.depth > 1 {
		nameIndex = maxRecentNames // names of nested objects are not cached
	}
	defer func() { p.entries = p.entries[:names.base] }()
	for first := true; p.more(first, '}'); first = false {
		from := len(dst)
		var bit uint64
		dst, bit = p.dynamicName(dst, &nameIndex)
		valueStart := len(dst)
		dst = readDynamic(p, dst)
		if p.Err == nil {
			names.append(p, dst, from, valueStart, bit)
		}
	}
	count := len(p.entries) - names.base
	return connectdata.PutCount(names.moveDuplicates(p, dst), start, count)
}

// dynamicName reads the name of a member and the colon, and appends it as a key; bit is its [bitOf]. Mostly the
// previous document has the same name at *nameIndex, which dynamicName increments.
func (p *Parser) dynamicName(dst []byte, nameIndex *int) (_ []byte, bit uint64) {
	n := *nameIndex
	*nameIndex++
	if n < len(p.recentNames) && bytes.HasPrefix(p.data[p.i:], p.recentNames[n].text) {
		name := &p.recentNames[n]
		p.i += len(name.text)
		return append(dst, name.key...), name.bit
	}
	p.peek()
	from := p.i
	start := len(dst)
	dst = connectdata.AppendBytes(append(dst, connectdata.TagString), p.name())
	bit = bitOf(dst[start:])
	if n < maxRecentNames && n <= len(p.recentNames) && p.i-from <= recentNameBytes && p.Err == nil {
		if n == len(p.recentNames) {
			p.recentNames = append(p.recentNames, recentName{})
		}
		name := &p.recentNames[n]
		name.text = append(name.text[:0], p.data[from:p.i]...)
		name.key = append(name.key[:0], dst[start:]...)
		name.bit = bit
	}
	return dst, bit
}
