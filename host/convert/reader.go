package convert

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java/json"
	"github.com/culvert-project/culvert/wit/java/values"
)

// A reader turns the JSON of one node into its structured value. It is compiled once for each schema.
type reader struct {
	shape shape
	typ   string
	// logical is Date, Time or Timestamp where the node is one.
	logical string
	// branch is what stands in front of a value that is not null; null is what a null or a missing member becomes, nil
	// where neither is allowed.
	branch, null []byte
	// schema is the registered one, text its JSON; of root readers only.
	schema *record.Schema
	text   []byte

	names   []string
	members []reader
	// leads are the names as a document mostly has them, with quotation marks and a colon.
	leads [][]byte
	// numbers are those of the members by name, where they are many.
	numbers      map[string]int
	key, element *reader
	scale        int
}

// compileReader compiles a node whose defaults are there.
func compileReader(nodes []wit.Node, node uint32, f form) (*reader, error) {
	n := &nodes[node]
	var below children
	var err error
	switch n.Kind {
	case wit.Array:
		below.element, err = compileReader(nodes, n.Element, f)
	case wit.Mapping:
		below.mapping = f.mapping(&nodes[n.Key])
		if below.key, err = compileReader(nodes, n.Key, f); err == nil {
			below.element, err = compileReader(nodes, n.Element, f)
		}
	case wit.Structure:
		below.members = make([]reader, len(n.Members))
		for i, m := range n.Members {
			member, err := compileReader(nodes, m.Node, f)
			if err != nil {
				return nil, err
			}
			below.members[i] = *member
		}
	}
	if err != nil {
		return nil, err
	}
	return newNodeReader(n, below, f)
}

// children are the readers of what a node names; mapping is the shape of a map.
type children struct {
	key, element *reader
	mapping      shape
	members      []reader
}

// newNodeReader compiles a node from the readers of its children.
func newNodeReader(n *wit.Node, below children, f form) (*reader, error) {
	r := &reader{typ: typeName(n.Kind), key: below.key, element: below.element, members: below.members}
	var err error
	if r.shape, r.scale, err = shapeOf(n, f); err != nil {
		return nil, err
	}
	if n.Kind == wit.Mapping {
		r.shape = below.mapping
	}
	if n.Name != nil && (*n.Name == wit.NameDate || *n.Name == wit.NameTime || *n.Name == wit.NameTimestamp) {
		r.logical = (*n.Name)[strings.LastIndexByte(*n.Name, '.')+1:]
	}
	if len(n.Members) > 0 {
		r.names, r.leads = make([]string, len(n.Members)), make([][]byte, len(n.Members))
		for i := range n.Members {
			r.names[i] = n.Members[i].Name
			lead, _ := json.AppendText(nil, []byte(n.Members[i].Name)) // names of schemas are UTF-8
			r.leads[i] = append(lead, ':')
		}
	}
	for i := range r.members {
		if r.shape == unionShape && len(r.members[i].branch) == 0 {
			return nil, dataError("the member %s of a union must be optional", quoted(r.names[i]))
		}
	}
	if len(r.names) > fewNames {
		r.numbers = make(map[string]int, len(r.names))
		for i, name := range r.names {
			r.numbers[name] = i
		}
	}
	r.nulls(n, f)
	return r, nil
}

// nulls notes what stands for a null.
func (r *reader) nulls(n *wit.Node, f form) {
	if n.Optional {
		r.branch = datum.AppendBranch(nil, n, false)
		r.null = datum.AppendBranch(nil, n, true)
	}
	if n.DefaultValue != nil && f.replaceNull {
		r.null = append(datum.AppendBranch([]byte{}, n, false), *n.DefaultValue...)
	}
}

// fewNames is how many names are looked through one by one.
const fewNames = 8

// read appends the value at the parser's position.
func (r *reader) read(p *parser, dst []byte) ([]byte, *Error) {
	c := p.peek()
	if c == 'n' {
		if err := p.word("null"); err != nil {
			return dst, err
		}
		return r.absent(dst, p.most)
	}
	return r.value(p, append(dst, r.branch...), c)
}

// absent appends what stands for a null or a missing member. Only here a few bytes can become many, up to the length
// most.
func (r *reader) absent(dst []byte, most int) ([]byte, *Error) {
	if r.null == nil {
		return dst, &Error{dataException, "Invalid null value for required " + r.typ + " field"}
	}
	if len(r.null) > most-len(dst) {
		return dst, &Error{dataException, "with the defaults of absent values it has more than " +
			strconv.Itoa(maxDecodedBytes) + " bytes"}
	}
	return append(dst, r.null...), nil
}

func (r *reader) mismatch(p *parser) *Error {
	return r.another(p, p.kind())
}

// another refuses a value of another type than the node's. Of defaults Kafka Connect says it in other words.
func (r *reader) another(p *parser, found string) *Error {
	text := "expected a JSON value for the type " + r.typ + ", found " + found
	if p.defaults {
		return &Error{schemaBuilderException, "Invalid default value: " + text}
	}
	return &Error{dataException, text}
}

// value appends a value that is not null, without its branch.
func (r *reader) value(p *parser, dst []byte, c byte) ([]byte, *Error) {
	switch r.shape {
	case int8Shape, int16Shape, int32Shape, int64Shape:
		return r.readInteger(p, dst, c)
	case float32Shape, float64Shape:
		return r.readReal(p, dst, c)
	case booleanShape:
		switch c {
		case 't':
			return append(dst, 1), p.word("true")
		case 'f':
			return append(dst, 0), p.word("false")
		}
		return dst, r.mismatch(p)
	case textShape:
		if c != '"' {
			return dst, r.mismatch(p)
		}
		s, err := p.text()
		if err != nil {
			return dst, err
		}
		return datum.AppendBytes(dst, s), nil
	case bytesShape:
		if c != '"' {
			return dst, r.mismatch(p)
		}
		return r.readBytes(p, dst)
	case decimalText, decimalNumber:
		if c == '"' {
			return r.readBytes(p, dst)
		}
		return r.readDecimal(p, dst, c)
	case structureShape:
		return r.readStructure(p, dst)
	case unionShape:
		return r.readUnion(p, dst, c)
	}
	return r.readItems(p, dst)
}

func isNumber(c byte) bool { return c-'0' < 10 || c == '-' }

func (r *reader) readInteger(p *parser, dst []byte, c byte) ([]byte, *Error) {
	if !isNumber(c) {
		if r.logical != "" {
			return dst, r.notIntegral(p.kind())
		}
		return dst, r.mismatch(p)
	}
	from := p.i
	n, ok := p.integer()
	text := p.data[from:p.i]
	if !ok {
		var whole bool
		var err *Error
		if text, whole, err = p.number(); err != nil {
			return dst, err
		}
		switch {
		case whole:
			n, ok = parseInteger(text)
		case r.logical != "":
			return dst, r.notIntegral("NUMBER")
		default:
			n, ok = p.wholeOf(text)
		}
	}
	if shift := 8<<r.shape - 1; !ok || (n>>shift != 0 && n>>shift != -1) {
		if r.logical != "" && r.shape == int32Shape {
			return dst, r.notIntegral("NUMBER") // Java's int is meant
		}
		return dst, &Error{dataException, "the number " + cut(text) + " does not fit the type " + r.typ}
	}
	if r.logical == "Time" && (n < 0 || n > millisPerDay) {
		return dst, &Error{dataException,
			"Time values must use number of milliseconds greater than 0 and less than 86400000"}
	}
	return datum.AppendNumber(dst, n), nil
}

const millisPerDay = 86_400_000

// notIntegral refuses a Date, Time or Timestamp.
func (r *reader) notIntegral(found string) *Error {
	integer := "integer"
	if r.logical == "Timestamp" {
		integer = "integral"
	}
	return &Error{dataException, "Invalid type for " + r.logical + ", underlying representation should be " + integer +
		" but was " + found}
}

// wholeOf reads a number with a point or an exponent that is a whole one all the same, such as 1e3 or 7.0.
func (p *parser) wholeOf(text []byte) (int64, bool) {
	mantissa, places, exponent, ok := p.parts(text)
	if !ok {
		return 0, false
	}
	unscaled, failed := scaledDigits(mantissa, exponent-places)
	if failed != nil || unscaled == nil || !unscaled.IsInt64() {
		return 0, false
	}
	return unscaled.Int64(), true
}

// parts takes a number apart: its digits without the point, how many of them stand behind it, and the exponent. ok is
// false for exponents beyond any type.
func (p *parser) parts(text []byte) (mantissa []byte, places, exponent int, ok bool) {
	mantissa = text
	if e := bytes.IndexAny(text, "eE"); e >= 0 {
		n, bad := strconv.ParseInt(string(text[e+1:]), 10, 16)
		if bad != nil {
			return nil, 0, 0, false
		}
		mantissa, exponent = text[:e], int(n)
	}
	if point := bytes.IndexByte(mantissa, '.'); point >= 0 {
		places = len(mantissa) - point - 1
		p.scratch = append(append(p.scratch[:0], mantissa[:point]...), mantissa[point+1:]...)
		mantissa = p.scratch
	}
	return mantissa, places, exponent, true
}

// shortInteger is how many digits are read without a thought of 64 bits.
const shortInteger = 18

// integer takes a whole number of at most shortInteger digits. Of another value it takes nothing: ok is false.
func (p *parser) integer() (n int64, ok bool) {
	data, i := p.data, p.i
	negative := i < len(data) && data[i] == '-'
	if negative {
		i++
	}
	from := i
	for ; i < len(data) && data[i]-'0' < 10; i++ {
		n = n*10 + int64(data[i]-'0')
	}
	if i == from || i-from > shortInteger || i < len(data) && (data[i] == '.' || data[i]|0x20 == 'e') {
		return 0, false
	}
	if negative {
		n = -n
	}
	p.i = i
	return n, true
}

// parseInteger reads digits with or without a minus sign.
func parseInteger(text []byte) (n int64, ok bool) {
	digits, negative := text, text[0] == '-'
	if negative {
		digits = text[1:]
	}
	if len(digits) > shortInteger {
		n, err := strconv.ParseInt(string(text), 10, 64)
		return n, err == nil
	}
	for _, c := range digits {
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

func (r *reader) readReal(p *parser, dst []byte, c byte) ([]byte, *Error) {
	var v float64
	size := 64
	if r.shape == float32Shape {
		size = 32
	}
	switch {
	case isNumber(c):
		text, _, err := p.number()
		if err != nil {
			return dst, err
		}
		v = parseReal(text, size)
	case c == '"':
		s, err := p.text()
		if err != nil {
			return dst, err
		}
		switch string(s) {
		case "NaN":
			v = math.NaN()
		case "Infinity":
			v = math.Inf(1)
		case "-Infinity":
			v = math.Inf(-1)
		default:
			return dst, r.another(p, "the string "+quoted(s))
		}
	default:
		return dst, r.mismatch(p)
	}
	if size == 32 {
		return datum.AppendFloat32(dst, float32(v)), nil
	}
	return datum.AppendFloat64(dst, v), nil
}

// parseReal reads a number as Java's BigDecimal and its doubleValue do: beyond the range it is an infinity, and a zero
// has no sign.
func parseReal(text []byte, size int) float64 {
	v, _ := strconv.ParseFloat(string(text), size)
	if v == 0 {
		mantissa := text
		if e := bytes.IndexAny(text, "eE"); e >= 0 {
			mantissa = text[:e]
		}
		if !bytes.ContainsAny(mantissa, "123456789") {
			return 0
		}
	}
	return v
}

func (r *reader) readBytes(p *parser, dst []byte) ([]byte, *Error) {
	s, err := p.text()
	if err != nil {
		return dst, err
	}
	content, bad := base64.StdEncoding.AppendDecode(p.binary[:0], s)
	if bad != nil {
		return dst, r.badBytes(bad.Error())
	}
	p.binary = content
	if r.shape != bytesShape {
		if len(content) == 0 {
			return dst, r.badBytes("none")
		}
		if content = values.Shortest(content); len(content) > datum.MaxDecimalBytes {
			return dst, manyDigits()
		}
	}
	return datum.AppendBytes(dst, content), nil
}

// badBytes refuses a text that holds no bytes, or none of a Decimal.
func (r *reader) badBytes(why string) *Error {
	if r.shape == bytesShape {
		return &Error{dataException, "Invalid bytes field: " + why}
	}
	return &Error{dataException, "Invalid bytes for Decimal field: " + why}
}

// readDecimal reads a number as a Decimal of the schema's scale; places beyond the scale must be zeros.
func (r *reader) readDecimal(p *parser, dst []byte, c byte) ([]byte, *Error) {
	if !isNumber(c) {
		return dst, &Error{dataException,
			"Invalid type for Decimal, underlying representation should be numeric or bytes but was " + p.kind()}
	}
	text, _, err := p.number()
	if err != nil {
		return dst, err
	}
	mantissa, places, exponent, ok := p.parts(text)
	if !ok {
		return dst, &Error{dataException, "the exponent of " + cut(text) + " is out of range for a Decimal"}
	}
	shift := r.scale - places + exponent
	if n, ok := parseInteger(mantissa); ok {
		if scaled, ok := shifted(n, shift); ok {
			return datum.AppendDecimal64(dst, scaled), nil
		}
	}
	unscaled, bad := scaledDigits(mantissa, shift)
	switch {
	case bad != nil:
		return dst, bad
	case unscaled == nil:
		// Kafka reads it, and has these words when it is to be written.
		return dst, &Error{dataException, "Decimal value has mismatching scale for given Decimal schema. Schema has " +
			"scale " + strconv.Itoa(r.scale) + ", value has scale " + strconv.Itoa(places-exponent) + "."}
	}
	return datum.AppendDecimal(dst, unscaled), nil
}

// scaledDigits multiplies digits, with or without a minus sign, by a power of ten; nil where something would be left
// over. It does so by writing zeros or leaving them out, before there is any arithmetic.
func scaledDigits(mantissa []byte, shift int) (*big.Int, *Error) {
	digits, negative := mantissa, mantissa[0] == '-'
	if negative {
		digits = mantissa[1:]
	}
	if digits = bytes.TrimLeft(digits, "0"); len(digits) == 0 {
		return new(big.Int), nil
	}
	if shift < 0 {
		kept := len(bytes.TrimRight(digits, "0"))
		if len(digits)+shift < kept {
			return nil, nil
		}
		digits, shift = digits[:len(digits)+shift], 0
	}
	// So many digits fit the bytes that a decimal may have: a byte takes 2.408.
	const most = datum.MaxDecimalBytes * 24 / 10
	if len(digits)+shift > most {
		return nil, manyDigits()
	}
	n, _ := new(big.Int).SetString(string(digits)+strings.Repeat("0", shift), 10)
	if negative {
		n.Neg(n)
	}
	return n, nil
}

func manyDigits() *Error {
	return &Error{dataException, "a Decimal of more than " + strconv.Itoa(datum.MaxDecimalBytes) + " bytes"}
}

// shifted multiplies by a power of ten, or divides where nothing is left over.
func shifted(n int64, places int) (int64, bool) {
	if n == 0 {
		return 0, true
	}
	for ; places > 0; places-- {
		if n > math.MaxInt64/10 || n < math.MinInt64/10 {
			return 0, false
		}
		n *= 10
	}
	for ; places < 0; places++ {
		if n%10 != 0 {
			return 0, false
		}
		n /= 10
	}
	return n, true
}

// readStructure first takes members as they should come, in the order of the schema. From the first one on that comes
// out of turn it notes where each lies in what was read, and puts them in order at the end.
func (r *reader) readStructure(p *parser, dst []byte) ([]byte, *Error) {
	if p.peek() != '{' {
		return dst, &Error{dataException, "Structs should be encoded as JSON objects, but found " + p.kind()}
	}
	if p.inOrder {
		return r.readInOrder(p, dst)
	}
	if err := p.open('{'); err != nil {
		return dst, err
	}
	base := len(p.spans)
	defer func() { p.spans = p.spans[:base] }()
	next := 0
	for first := true; ; first = false {
		on, err := p.more(first, '}')
		if err != nil {
			return dst, err
		}
		if !on {
			break
		}
		if next < len(r.members) && bytes.HasPrefix(p.data[p.i:], r.leads[next]) {
			p.i += len(r.leads[next])
		} else {
			name, err := p.name()
			if err != nil {
				return dst, err
			}
			if next == len(r.members) || string(name) != r.names[next] {
				return r.readShuffled(p, dst, base, next, name)
			}
		}
		from := len(dst)
		if dst, err = r.members[next].read(p, dst); err != nil {
			return dst, err.in(r.names[next])
		}
		p.spans = append(p.spans, byteRange{from, len(dst)})
		next++
	}
	for ; next < len(r.members); next++ {
		var err *Error
		if dst, err = r.members[next].absent(dst, p.most); err != nil {
			return dst, err.in(r.names[next])
		}
	}
	return dst, nil
}

// readShuffled goes on behind the name of a member that comes out of turn; next members were read before it, their
// places are in p.spans from base on. Every value is read once, where it stands. Of a member that is there twice the
// last counts, and each must fit its type; members that the schema does not know are skipped.
func (r *reader) readShuffled(p *parser, dst []byte, base, next int, name []byte) ([]byte, *Error) {
	start := len(dst)
	if next > 0 {
		start = p.spans[base].from
	}
	for range len(r.members) - next {
		p.spans = append(p.spans, byteRange{-1, -1})
	}
	for guess := next; ; {
		if member := r.member(name, guess); member < 0 {
			if err := p.skip(); err != nil {
				return dst, err
			}
		} else {
			var err *Error
			from := len(dst)
			if dst, err = r.members[member].read(p, dst); err != nil {
				return dst, err.in(r.names[member])
			}
			p.spans[base+member], guess = byteRange{from, len(dst)}, member+1
		}
		on, err := p.more(false, '}')
		if err != nil {
			return dst, err
		}
		if !on {
			break
		}
		if name, err = p.name(); err != nil {
			return dst, err
		}
	}
	p.ordered = p.ordered[:0]
	for m := range r.members {
		if s := p.spans[base+m]; s.from >= 0 {
			p.ordered = append(p.ordered, dst[s.from:s.to]...)
			continue
		}
		var err *Error
		if p.ordered, err = r.members[m].absent(p.ordered, p.most-start); err != nil {
			return dst, err.in(r.names[m])
		}
	}
	return append(dst[:start], p.ordered...), nil
}

// faultInOrder is the fault, of several, that Kafka Connect's class comes to first: it has the whole document before it
// looks for each field of the schema in turn. nil: there is none. The value begins at from and is JSON.
func (r *reader) faultInOrder(p *parser, from int, dst []byte) *Error {
	p.reset(p.ctx, p.data, p.most)
	p.i = max(p.i, from)
	if err := p.index(); err != nil {
		return err
	}
	p.inOrder = true
	defer func() { p.inOrder, p.ends = false, nil }()
	_, err := r.read(p, dst)
	return err
}

// readInOrder reads a structure whose members' ends are known.
func (r *reader) readInOrder(p *parser, dst []byte) ([]byte, *Error) {
	if err := p.open('{'); err != nil {
		return dst, err
	}
	at := make([]int, len(r.members)) // 0: not there
	for guess := 0; ; guess++ {
		on, err := p.more(guess == 0, '}')
		if err != nil {
			return dst, err
		}
		if !on {
			break
		}
		name, err := p.name()
		if err != nil {
			return dst, err
		}
		p.peek()
		if member := r.member(name, guess); member >= 0 {
			at[member] = p.i
		}
		if err := p.skip(); err != nil {
			return dst, err
		}
	}
	end := p.i
	for m := range r.members {
		var err *Error
		if p.i = at[m]; p.i == 0 {
			dst, err = r.members[m].absent(dst, p.most)
		} else {
			dst, err = r.members[m].read(p, dst)
		}
		if err != nil {
			return dst, err.in(r.names[m])
		}
	}
	p.i = end
	return dst, nil
}

// member is the number of the member of that name, -1 for none; guess is where it should be.
func (r *reader) member(name []byte, guess int) int {
	if guess < len(r.names) && r.names[guess] == string(name) {
		return guess
	}
	if r.numbers != nil {
		if n, ok := r.numbers[string(name)]; ok {
			return n
		}
		return -1
	}
	for n := range r.names {
		if r.names[n] == string(name) {
			return n
		}
	}
	return -1
}

// readItems reads an array or a map into one block. Of a key that is there twice the last value counts, at the place of
// the first; bytes are never the same key, as Java's arrays are not.
func (r *reader) readItems(p *parser, dst []byte) ([]byte, *Error) {
	opening, what := byte('['), "Maps with non-string fields should be encoded as JSON array of tuples, but found "
	if r.shape == keyedShape {
		what = "Maps with non-string fields should be encoded as JSON array of objects, but found "
	}
	if r.shape == arrayShape {
		what = "Arrays should be encoded as JSON arrays, but found "
	}
	if r.shape == objectShape {
		opening, what = '{', "Maps with string fields should be encoded as JSON objects, but found "
	}
	if p.peek() != opening {
		return dst, &Error{dataException, what + p.kind()}
	}
	if err := p.open(opening); err != nil {
		return dst, err
	}
	start, count := len(dst), 0
	dst = append(dst, 0)
	keys := entries{base: len(p.seen), content: len(dst)}
	defer func() { p.seen = p.seen[:keys.base] }()
	unique := r.shape != arrayShape && r.key.shape != bytesShape
	for first := true; ; first = false {
		on, err := p.more(first, opening+2)
		if err != nil {
			return dst, err
		}
		if !on {
			break
		}
		count++
		from, value := len(dst), 0
		if dst, value, err = r.readItem(p, dst); err != nil {
			return dst, err
		}
		if unique {
			keys.note(p, dst, from, value, bitOf(dst[from:value]))
		}
	}
	if unique {
		count = len(p.seen) - keys.base
		dst = keys.order(p, dst)
	}
	if count == 0 {
		return dst, nil
	}
	return append(putCount(dst, start, count), 0), nil
}

// readItem reads an element, or a key and its value, and tells where in dst the value begins.
func (r *reader) readItem(p *parser, dst []byte) (_ []byte, value int, err *Error) {
	switch r.shape {
	case objectShape:
		name, err := p.name()
		if err != nil {
			return dst, 0, err
		}
		dst = datum.AppendBytes(append(dst, r.key.branch...), name)
		value = len(dst)
		dst, err = r.element.read(p, dst)
		return dst, value, err
	case arrayShape:
		dst, err = r.element.read(p, dst)
		return dst, 0, err
	case keyedShape:
		return r.readKeyed(p, dst)
	}
	if p.peek() != '[' {
		return dst, 0, &Error{dataException, "Found invalid map entry instead of array tuple: " + p.kind()}
	}
	from := p.i
	if dst, value, err = r.readPair(p, dst); err != nil && p.inOrder {
		// What Kafka Connect looks at first is how many values the tuple has.
		p.i = from
		if n, bad := p.count(); bad == nil && n != 2 {
			err = &Error{dataException, "Found invalid map entry, expected length 2 but found :" + strconv.Itoa(n)}
		}
	}
	return dst, value, err
}

// readPair reads the array of a key and its value.
func (r *reader) readPair(p *parser, dst []byte) (_ []byte, value int, err *Error) {
	if err := p.open('['); err != nil {
		return dst, 0, err
	}
	if dst, err = r.key.read(p, dst); err != nil {
		return dst, 0, err
	}
	if err := p.take(','); err != nil {
		return dst, 0, err
	}
	value = len(dst)
	if dst, err = r.element.read(p, dst); err != nil {
		return dst, 0, err
	}
	p.depth--
	return dst, value, p.take(']')
}

// putCount writes a count at start, where one byte was left for it. A longer count moves the bytes behind it.
func putCount(dst []byte, start, count int) []byte {
	if count < 64 {
		dst[start] = byte(count << 1)
		return dst
	}
	var head [10]byte
	size := len(datum.AppendNumber(head[:0], int64(count)))
	dst = append(dst, head[:size-1]...)
	copy(dst[start+size:], dst[start+1:len(dst)-size+1])
	copy(dst[start:], head[:size])
	return dst
}

// readDynamic appends the value at the parser's position as a dynamic one: numbers without point and exponent are
// int64, others float64, objects are maps. Of a name that is there twice the last value counts, at the place of the
// first.
func readDynamic(p *parser, dst []byte) ([]byte, *Error) {
	switch c := p.peek(); c {
	case '"':
		s, err := p.text()
		if err != nil {
			return dst, err
		}
		return datum.AppendBytes(append(dst, datum.TagText), s), nil
	case 't':
		return append(dst, datum.TagTrue), p.word("true")
	case 'f':
		return append(dst, datum.TagFalse), p.word("false")
	case 'n':
		return append(dst, datum.TagNull), p.word("null")
	case '[':
		return readDynamicArray(p, dst)
	case '{':
		return readDynamicMap(p, dst)
	}
	if n, ok := p.integer(); ok {
		return datum.AppendNumber(append(dst, datum.TagInt64), n), nil
	}
	text, whole, err := p.number()
	if err != nil {
		return dst, err
	}
	if !whole {
		return datum.AppendFloat64(append(dst, datum.TagFloat64), parseReal(text, 64)), nil
	}
	n, ok := parseInteger(text)
	if !ok {
		return dst, &Error{dataException, "the number " + cut(text) + " does not fit 64 bits"}
	}
	return datum.AppendNumber(append(dst, datum.TagInt64), n), nil
}

func readDynamicArray(p *parser, dst []byte) ([]byte, *Error) {
	if err := p.open('['); err != nil {
		return dst, err
	}
	dst = append(dst, datum.TagArray, 0)
	start, count := len(dst)-1, 0
	for first := true; ; first = false {
		on, err := p.more(first, ']')
		if err != nil {
			return dst, err
		}
		if !on {
			return putCount(dst, start, count), nil
		}
		count++
		if dst, err = readDynamic(p, dst); err != nil {
			return dst, err
		}
	}
}

func readDynamicMap(p *parser, dst []byte) ([]byte, *Error) {
	if err := p.open('{'); err != nil {
		return dst, err
	}
	dst = append(dst, datum.TagMap, 0)
	start := len(dst) - 1
	names, at := entries{base: len(p.seen), content: len(dst)}, 0
	if p.depth > 1 {
		at = fewLeads // those inside of others are not remembered
	}
	defer func() { p.seen = p.seen[:names.base] }()
	for opened := true; ; opened = false {
		on, err := p.more(opened, '}')
		if err != nil {
			return dst, err
		}
		if !on {
			count := len(p.seen) - names.base
			return putCount(names.order(p, dst), start, count), nil
		}
		first, bit := len(dst), uint64(0)
		if dst, bit, err = p.dynamicName(dst, &at); err != nil {
			return dst, err
		}
		value := len(dst)
		if dst, err = readDynamic(p, dst); err != nil {
			return dst, err
		}
		names.note(p, dst, first, value, bit)
	}
}

// lead is a name that an object without schema had: as it stood in the document, with quotation marks and colon, and as
// a key, which bit stands for.
type lead struct {
	text, key []byte
	bit       uint64
}

// fewLeads is how many names of the object that came last are remembered, and how long they may be.
const fewLeads, leadBytes = 128, 128

// dynamicName takes the name of a member and the colon, and appends the name as a key, which bit stands for. Mostly it
// is the name that stood at the same place, at, in the document before.
func (p *parser) dynamicName(dst []byte, at *int) (_ []byte, bit uint64, err *Error) {
	n := *at
	*at++
	if n < len(p.leads) && bytes.HasPrefix(p.data[p.i:], p.leads[n].text) {
		l := &p.leads[n]
		p.i += len(l.text)
		return append(dst, l.key...), l.bit, nil
	}
	p.peek()
	from, start := p.i, len(dst)
	name, err := p.name()
	if err != nil {
		return dst, 0, err
	}
	dst = datum.AppendBytes(append(dst, datum.TagText), name)
	bit = bitOf(dst[start:])
	if n < fewLeads && n <= len(p.leads) && p.i-from <= leadBytes {
		if n == len(p.leads) {
			p.leads = append(p.leads, lead{})
		}
		l := &p.leads[n]
		l.text, l.key, l.bit = append(l.text[:0], p.data[from:p.i]...), append(l.key[:0], dst[start:]...), bit
	}
	return dst, bit, nil
}

// entries are those of one map, in p.seen from base on, with places counted from the object's first
// entry, which begins at content.
type entries struct {
	base, content int
	// hashes has a bit for each name while names are few, so that most are known to be new; numbers are those of
	// entries by name when they are many.
	hashes  uint64
	numbers map[string]int
	// twice: the value of an entry stands at another place than its name.
	twice bool
}

// manyEntries is the number of entries from which on their names are kept in a map.
const manyEntries = 32

// note notes the entry that ends dst, by where its name and its value begin; bit stands for its name.
func (n *entries) note(p *parser, dst []byte, name, value int, bit uint64) {
	e := entry{name - n.content, value - n.content, value - n.content, len(dst) - n.content}
	if n.hashes&bit != 0 || len(p.seen)-n.base >= manyEntries-1 {
		n.add(p, dst, e)
		return
	}
	n.hashes |= bit
	p.seen = append(p.seen, e)
}

// add notes an entry whose name may have been there before. One whose name was there before takes the earlier one's
// place.
func (n *entries) add(p *parser, dst []byte, e entry) {
	name := dst[n.content+e.name : n.content+e.value]
	earlier := -1
	if n.numbers != nil {
		if at, ok := n.numbers[string(name)]; ok {
			earlier = at
		}
	} else {
		for at, s := range p.seen[n.base:] {
			if bytes.Equal(dst[n.content+s.name:n.content+s.nameEnd], name) {
				earlier = at
				break
			}
		}
	}
	if earlier >= 0 {
		n.twice = true
		before := &p.seen[n.base+earlier]
		before.value, before.end = e.value, e.end
		return
	}
	p.seen = append(p.seen, e)
	switch count := len(p.seen) - n.base; {
	case n.numbers != nil:
		n.numbers[string(name)] = count - 1
	case count == manyEntries:
		n.numbers = make(map[string]int, 2*manyEntries)
		for at, s := range p.seen[n.base:] {
			n.numbers[string(dst[n.content+s.name:n.content+s.nameEnd])] = at
		}
	}
}

// order puts the values of names that were there twice to the first of them, all at once.
func (n *entries) order(p *parser, dst []byte) []byte {
	if !n.twice {
		return dst
	}
	p.ordered = p.ordered[:0]
	for _, e := range p.seen[n.base:] {
		p.ordered = append(p.ordered, dst[n.content+e.name:n.content+e.nameEnd]...)
		p.ordered = append(p.ordered, dst[n.content+e.value:n.content+e.end]...)
	}
	return append(dst[:n.content], p.ordered...)
}

// bitOf is the bit that stands for a name: of its length and its last bytes, in which names mostly differ.
func bitOf(name []byte) uint64 {
	var w uint64
	if n := len(name); n >= 8 {
		w = binary.LittleEndian.Uint64(name[n-8:])
	} else {
		for _, c := range name {
			w = w<<8 | uint64(c)
		}
	}
	return 1 << ((w ^ uint64(len(name))) * 0x9e3779b97f4a7c15 >> 58)
}
