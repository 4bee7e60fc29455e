package convert

import (
	"bytes"
	"encoding/base64"
	"math"
	"math/big"
	"strconv"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// A reader turns the JSON of one node into its structured value. It is compiled once for each schema.
type reader struct {
	shape shape
	typ   string
	// logical: the node is a Date, Time or Timestamp.
	logical bool
	// branch is what stands in front of a value that is not null; null is what a null or a missing member becomes, nil where
	// neither is allowed.
	branch, null []byte
	// id is the registered schema; of root readers only.
	id   uint32
	text []byte

	names        []string
	members      []reader
	key, element *reader
	scale        int
}

// compileReader compiles a node whose defaults are there.
func compileReader(nodes []wit.Node, node uint32, f form) (*reader, error) {
	n := &nodes[node]
	r := &reader{typ: typeName(n.Kind)}
	var err error
	if r.shape, r.scale, err = shapeOf(n, f); err != nil {
		return nil, err
	}
	r.logical = n.Name != nil && (*n.Name == wit.NameDate || *n.Name == wit.NameTime || *n.Name == wit.NameTimestamp)
	if n.Optional {
		r.branch = datum.AppendBranch(nil, n, false)
		r.null = datum.AppendBranch(nil, n, true)
	}
	if n.DefaultValue != nil && f.replaceNull {
		r.null = append(datum.AppendBranch(nil, n, false), *n.DefaultValue...)
	}
	switch n.Kind {
	case wit.Array:
		r.element, err = compileReader(nodes, n.Element, f)
	case wit.Mapping:
		if nodes[n.Key].Kind == wit.Text {
			r.shape = objectShape
		}
		if r.key, err = compileReader(nodes, n.Key, f); err == nil {
			r.element, err = compileReader(nodes, n.Element, f)
		}
	case wit.Structure:
		for _, m := range n.Members {
			member, err := compileReader(nodes, m.Node, f)
			if err != nil {
				return nil, err
			}
			r.members = append(r.members, *member)
			r.names = append(r.names, m.Name)
		}
	}
	return r, err
}

// read appends the value at the parser's position.
func (r *reader) read(p *parser, dst []byte) ([]byte, *Error) {
	c := p.peek()
	if c == 'n' {
		if err := p.word("null"); err != nil {
			return dst, err
		}
		return r.absent(dst)
	}
	return r.value(p, append(dst, r.branch...), c)
}

// absent appends what stands for a null or a missing member.
func (r *reader) absent(dst []byte) ([]byte, *Error) {
	if r.null == nil {
		return dst, &Error{DataException, "Invalid null value for required " + r.typ + " field"}
	}
	return append(dst, r.null...), nil
}

func (r *reader) mismatch(p *parser) *Error {
	return &Error{DataException, "expected a JSON value for the type " + r.typ + ", found " + p.kind()}
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
	}
	return r.readItems(p, dst)
}

func isNumber(c byte) bool { return c-'0' < 10 || c == '-' }

func (r *reader) readInteger(p *parser, dst []byte, c byte) ([]byte, *Error) {
	if !isNumber(c) {
		return dst, r.mismatch(p)
	}
	text, whole, err := p.number()
	if err != nil {
		return dst, err
	}
	n, ok := parseInteger(text)
	if shift := 8<<r.shape - 1; !whole || !ok || (n>>shift != 0 && n>>shift != -1) {
		return dst, &Error{DataException, "the number " + string(text) + " does not fit the type " + r.typ}
	}
	return datum.AppendNumber(dst, n), nil
}

// parseInteger reads digits with or without a minus sign.
func parseInteger(text []byte) (n int64, ok bool) {
	digits, negative := text, text[0] == '-'
	if negative {
		digits = text[1:]
	}
	if len(digits) > 18 {
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
		// beyond the range Java gives an infinity too
		v, _ = strconv.ParseFloat(string(text), size)
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
			return dst, &Error{DataException, "expected a JSON value for the type " + r.typ + ", found the string " + strconv.Quote(string(s))}
		}
	default:
		return dst, r.mismatch(p)
	}
	if size == 32 {
		return datum.AppendFloat32(dst, float32(v)), nil
	}
	return datum.AppendFloat64(dst, v), nil
}

func (r *reader) readBytes(p *parser, dst []byte) ([]byte, *Error) {
	s, err := p.text()
	if err != nil {
		return dst, err
	}
	content, bad := base64.StdEncoding.AppendDecode(p.binary[:0], s)
	if bad != nil {
		return dst, &Error{DataException, "expected base64 for the type " + r.typ + ": " + bad.Error()}
	}
	p.binary = content
	if r.shape != bytesShape {
		if len(content) == 0 {
			return dst, &Error{DataException, "Invalid bytes for Decimal field: none"}
		}
		content = shortest(content)
	}
	return datum.AppendBytes(dst, content), nil
}

// readDecimal reads a number as a Decimal of the schema's scale; places beyond the scale must be zeros.
func (r *reader) readDecimal(p *parser, dst []byte, c byte) ([]byte, *Error) {
	if !isNumber(c) {
		return dst, &Error{DataException, "Invalid type for Decimal, underlying representation should be numeric or bytes but was " + p.kind()}
	}
	text, _, err := p.number()
	if err != nil {
		return dst, err
	}
	mantissa, exponent := text, 0
	if e := bytes.IndexAny(text, "eE"); e >= 0 {
		n, bad := strconv.ParseInt(string(text[e+1:]), 10, 16)
		if bad != nil {
			return dst, &Error{DataException, "the exponent of " + string(text) + " is out of range for a Decimal"}
		}
		mantissa, exponent = text[:e], int(n)
	}
	places := 0
	if point := bytes.IndexByte(mantissa, '.'); point >= 0 {
		places = len(mantissa) - point - 1
		p.scratch = append(append(p.scratch[:0], mantissa[:point]...), mantissa[point+1:]...)
		mantissa = p.scratch
	}
	shift := r.scale - places + exponent
	if n, ok := parseInteger(mantissa); ok {
		if scaled, ok := shifted(n, shift); ok {
			return datum.AppendDecimal64(dst, scaled), nil
		}
	}
	unscaled, _ := new(big.Int).SetString(string(mantissa), 10)
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(shift, -shift))), nil)
	if shift >= 0 {
		return datum.AppendDecimal(dst, unscaled.Mul(unscaled, power)), nil
	}
	rest := new(big.Int)
	if unscaled.QuoRem(unscaled, power, rest); rest.Sign() != 0 {
		return dst, &Error{DataException, "the number " + string(text) + " has more places than the scale " + strconv.Itoa(r.scale) + " of its schema"}
	}
	return datum.AppendDecimal(dst, unscaled), nil
}

// shifted multiplies by a power of ten, or divides where nothing is left over.
func shifted(n int64, places int) (int64, bool) {
	for ; places > 0; places-- {
		if n > math.MaxInt64/10 || n < math.MinInt64/10 {
			return 0, false
		}
		n *= 10
	}
	for ; places < 0; places++ {
		if n == 0 {
			return 0, true
		}
		if n%10 != 0 {
			return 0, false
		}
		n /= 10
	}
	return n, true
}

// readStructure first takes members as they should come, in the order of the schema. Where a member comes out of turn it
// starts over and looks for all of them first.
func (r *reader) readStructure(p *parser, dst []byte) ([]byte, *Error) {
	if p.peek() != '{' {
		return dst, &Error{DataException, "Structs should be encoded as JSON objects, but found " + p.kind()}
	}
	start, from, depth := len(dst), p.i, p.depth
	if err := p.open('{'); err != nil {
		return dst, err
	}
	next := 0
	for first := true; ; first = false {
		on, err := p.more(first, '}')
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
		if next == len(r.members) || string(name) != r.names[next] {
			p.i, p.depth = from, depth
			return r.readShuffled(p, dst[:start])
		}
		if dst, err = r.members[next].read(p, dst); err != nil {
			return dst, within(r.names[next], err)
		}
		next++
	}
	for ; next < len(r.members); next++ {
		var err *Error
		if dst, err = r.members[next].absent(dst); err != nil {
			return dst, within(r.names[next], err)
		}
	}
	return dst, nil
}

func within(field string, err *Error) *Error {
	return &Error{err.Class, "field " + strconv.Quote(field) + ": " + err.Text}
}

// readShuffled notes where the members are and then reads them in the order of the schema. Of a member that is there twice the
// last counts; members that the schema does not know are skipped.
func (r *reader) readShuffled(p *parser, dst []byte) ([]byte, *Error) {
	base := len(p.spans)
	defer func() { p.spans = p.spans[:base] }()
	for range r.members {
		p.spans = append(p.spans, -1)
	}
	if err := p.open('{'); err != nil {
		return dst, err
	}
	guess := 0
	for first := true; ; first = false {
		on, err := p.more(first, '}')
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
		for range r.names {
			if guess++; guess >= len(r.names) {
				guess = 0
			}
			if r.names[guess] == string(name) {
				p.peek()
				p.spans[base+guess] = p.i
				break
			}
		}
		if err := p.skip(); err != nil {
			return dst, err
		}
	}
	end, depth := p.i, p.depth
	for m := range r.members {
		var err *Error
		if at := p.spans[base+m]; at < 0 {
			dst, err = r.members[m].absent(dst)
		} else {
			p.i, p.depth = at, depth+1
			dst, err = r.members[m].read(p, dst)
		}
		if err != nil {
			return dst, within(r.names[m], err)
		}
	}
	p.i, p.depth = end, depth
	return dst, nil
}

// readItems reads an array or a map into one block.
func (r *reader) readItems(p *parser, dst []byte) ([]byte, *Error) {
	opening, what := byte('['), "Maps with non-string fields should be encoded as JSON array of tuples, but found "
	if r.shape == arrayShape {
		what = "Arrays should be encoded as JSON arrays, but found "
	}
	if r.shape == objectShape {
		opening, what = '{', "Maps with string fields should be encoded as JSON objects, but found "
	}
	if p.peek() != opening {
		return dst, &Error{DataException, what + p.kind()}
	}
	if err := p.open(opening); err != nil {
		return dst, err
	}
	start, count := len(dst), 0
	dst = append(dst, 0)
	names := len(p.seen)
	defer func() { p.seen = p.seen[:names] }()
	for first := true; ; first = false {
		on, err := p.more(first, opening+2)
		if err != nil {
			return dst, err
		}
		if !on {
			break
		}
		count++
		if dst, err = r.readItem(p, dst); err != nil {
			return dst, err
		}
	}
	if count == 0 {
		return dst, nil
	}
	return append(putCount(dst, start, count), 0), nil
}

func (r *reader) readItem(p *parser, dst []byte) ([]byte, *Error) {
	var err *Error
	switch r.shape {
	case objectShape:
		name, err := p.name()
		if err != nil {
			return dst, err
		}
		dst = datum.AppendBytes(append(dst, r.key.branch...), name)
		return r.element.read(p, dst)
	case arrayShape:
		return r.element.read(p, dst)
	}
	if p.peek() != '[' {
		return dst, &Error{DataException, "Found invalid map entry instead of array tuple: " + p.kind()}
	}
	if err := p.open('['); err != nil {
		return dst, err
	}
	if dst, err = r.key.read(p, dst); err != nil {
		return dst, err
	}
	if err := p.take(','); err != nil {
		return dst, err
	}
	if dst, err = r.element.read(p, dst); err != nil {
		return dst, err
	}
	p.depth--
	return dst, p.take(']')
}

// putCount writes a count into the one byte that was left for it at start, moving what follows when it takes more.
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

// readDynamic appends the value at the parser's position as a dynamic one: numbers without point and exponent are int64, others
// float64, objects are maps. Of a name that is there twice the last value counts, at the place of the first.
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
	text, whole, err := p.number()
	if err != nil {
		return dst, err
	}
	if !whole {
		v, _ := strconv.ParseFloat(string(text), 64)
		return datum.AppendFloat64(append(dst, datum.TagFloat64), v), nil
	}
	n, ok := parseInteger(text)
	if !ok {
		return dst, &Error{DataException, "the number " + string(text) + " does not fit 64 bits"}
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
	start, count := len(dst)-1, 0
	// entries are remembered by where they begin and where their values do, counted from the map's first entry
	base, content := len(p.seen), len(dst)
	defer func() { p.seen = p.seen[:base] }()
	var hashes uint64
	for first := true; ; first = false {
		on, err := p.more(first, '}')
		if err != nil {
			return dst, err
		}
		if !on {
			return putCount(dst, start, count), nil
		}
		name, err := p.name()
		if err != nil {
			return dst, err
		}
		entry := len(dst)
		dst = datum.AppendBytes(append(dst, datum.TagText), name)
		value := len(dst)
		if dst, err = readDynamic(p, dst); err != nil {
			return dst, err
		}
		bit := uint64(1) << (hash(dst[entry:value]) & 63)
		if hashes&bit != 0 {
			if same := p.twin(base, dst[content:], entry-content, value-content); same >= 0 {
				dst = p.replaceTwin(base, same, dst, content, entry, value)
				continue
			}
		}
		hashes |= bit
		p.seen = append(p.seen, span{entry - content, value - content})
		count++
	}
}

func hash(name []byte) uint32 {
	h := uint32(len(name))
	for _, c := range name {
		h = h*31 + uint32(c)
	}
	return h ^ h>>15
}

// twin finds an earlier entry of the same name.
func (p *parser) twin(base int, content []byte, entry, value int) int {
	for i, s := range p.seen[base:] {
		if bytes.Equal(content[s.from:s.to], content[entry:value]) {
			return base + i
		}
	}
	return -1
}

// replaceTwin puts the last entry's value in the place of an earlier entry's.
func (p *parser) replaceTwin(base, same int, dst []byte, content, entry, value int) []byte {
	old := content + p.seen[same].to
	oldEnd := entry
	if same+1 < len(p.seen) {
		oldEnd = content + p.seen[same+1].from
	}
	fresh := append([]byte(nil), dst[value:]...)
	rest := append([]byte(nil), dst[oldEnd:entry]...)
	dst = append(append(dst[:old], fresh...), rest...)
	for i := same + 1; i < len(p.seen); i++ {
		p.seen[i].from += old + len(fresh) - oldEnd
		p.seen[i].to += old + len(fresh) - oldEnd
	}
	return dst
}
