package connectjson

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/internal/java/values"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// A Reader decodes JSON into the value of one schema node. It is compiled once for each schema.
type Reader struct {
	shape   shape
	typ     string // the name of the node's type, for errors
	logical string // Date, Time, Timestamp or ""
	branch  []byte // precedes a value that is not null, if the node is optional
	null    []byte // replaces a null or a missing member. Nil means that neither is allowed.

	schema *record.Schema // for a root reader
	text   []byte         // the JSON of schema

	names       []string       // of the members
	members     []Reader       // of a struct or union
	leads       [][]byte       // the names as documents mostly write them, with quotation marks and colon
	indexByName map[string]int // of names, if there are more than fewNames
	key         *Reader        // of a map
	element     *Reader        // of an array or a map
	scale       int            // of a decimal
}

// CompileReader compiles a node with its children.
func CompileReader(nodes []wit.SchemaNode, node uint32, f Form) (*Reader, error) {
	n := &nodes[node]
	var nested children
	var err error
	switch n.Kind {
	case wit.Array:
		nested.element, err = CompileReader(nodes, n.Element, f)
	case wit.Map:
		nested.mapping = f.mapping(&nodes[n.Key])
		if nested.key, err = CompileReader(nodes, n.Key, f); err == nil {
			nested.element, err = CompileReader(nodes, n.Element, f)
		}
	case wit.Struct:
		nested.members = make([]Reader, len(n.Fields))
		for i, field := range n.Fields {
			member, err := CompileReader(nodes, field.Node, f)
			if err != nil {
				return nil, err
			}
			nested.members[i] = *member
		}
	}
	if err != nil {
		return nil, err
	}
	return newNodeReader(n, nested, f)
}

// children are the readers of a node's children; mapping is the form of a map.
type children struct {
	key     *Reader
	element *Reader
	mapping shape
	members []Reader
}

// newNodeReader returns the reader of a node whose children have the nested readers.
func newNodeReader(n *wit.SchemaNode, nested children, f Form) (*Reader, error) {
	r := &Reader{typ: conversion.TypeName(n.Kind), key: nested.key, element: nested.element, members: nested.members}
	var err error
	if r.shape, r.scale, err = shapeOf(n, f); err != nil {
		return nil, err
	}
	if n.Kind == wit.Map {
		r.shape = nested.mapping
	}
	if n.Name != nil && (*n.Name == wit.NameDate || *n.Name == wit.NameTime || *n.Name == wit.NameTimestamp) {
		r.logical = (*n.Name)[strings.LastIndexByte(*n.Name, '.')+1:]
	}
	if len(n.Fields) > 0 {
		r.names = make([]string, len(n.Fields))
		r.leads = make([][]byte, len(n.Fields))
		for i := range n.Fields {
			r.names[i] = n.Fields[i].Name
			lead, _ := java.AppendJSONText(nil, []byte(n.Fields[i].Name)) // names of schemas are UTF-8
			r.leads[i] = append(lead, ':')
		}
	}
	for i := range r.members {
		if r.shape == UnionShape && len(r.members[i].branch) == 0 {
			return nil, fault.Data("the member %s of a union must be optional", fault.Quoted(r.names[i]))
		}
	}
	if len(r.names) > fewNames {
		r.indexByName = make(map[string]int, len(r.names))
		for i, name := range r.names {
			r.indexByName[name] = i
		}
	}
	r.setNull(n, f)
	return r, nil
}

// setNull sets the branch and null of the reader. null depends on the default of the node.
func (r *Reader) setNull(n *wit.SchemaNode, f Form) {
	if n.Optional {
		r.branch = connectdata.AppendBranch(nil, n, false)
		r.null = connectdata.AppendBranch(nil, n, true)
	}
	if n.DefaultValue != nil && f.ReplaceNull {
		r.null = append(connectdata.AppendBranch([]byte{}, n, false), *n.DefaultValue...)
	}
}

// fewNames is the number of names up to which a linear search is faster.
const fewNames = 8

// Read decodes the value at the parser's position.
func (r *Reader) Read(p *Parser, dst []byte) []byte {
	c := p.peek()
	if c == 'n' {
		p.expectWord("null")
		return r.appendNull(p, dst, p.maxLen)
	}
	return r.readValue(p, append(dst, r.branch...), c)
}

// ReadDefault decodes the node's own default, which has no branch and is not null.
func (r *Reader) ReadDefault(p *Parser) []byte {
	required := *r
	required.branch = nil
	required.null = nil
	return required.Read(p, []byte{})
}

// appendNull appends the value for a null or a missing member, up to a total length of maxBytes. Other values never
// become much longer than their JSON, so only this method checks the length.
func (r *Reader) appendNull(p *Parser, dst []byte, maxBytes int) []byte {
	if r.null == nil {
		return p.reject(dst, "Invalid null value for required "+r.typ+" field")
	}
	if len(r.null) > maxBytes-len(dst) {
		return p.reject(dst,
			"with the defaults of absent values it has more than "+strconv.Itoa(conversion.MaxDecodedBytes)+" bytes")
	}
	return append(dst, r.null...)
}

// appendNullMember is appendNull for a member of a struct.
func (r *Reader) appendNullMember(p *Parser, dst []byte, m, maxBytes int) []byte {
	dst = r.members[m].appendNull(p, dst, maxBytes)
	if p.Err != nil {
		p.Err = p.Err.InField(r.names[m])
	}
	return dst
}

func (r *Reader) readMember(p *Parser, dst []byte, m int) []byte {
	dst = r.members[m].Read(p, dst)
	if p.Err != nil {
		p.Err = p.Err.InField(r.names[m])
	}
	return dst
}

// rejectType rejects a value of a kind that the reader does not accept. Kafka Connect's message for defaults differs.
func (r *Reader) rejectType(p *Parser, dst []byte, kind string) []byte {
	message := "expected a JSON value for the type " + r.typ + ", found " + kind
	if p.mode == modeDefaults {
		p.fail(fault.SchemaBuilderException, "Invalid default value: "+message)
	}
	return p.reject(dst, message)
}

// readValue decodes a value that is not null and starts with c. dst has its branch.
func (r *Reader) readValue(p *Parser, dst []byte, c byte) []byte {
	switch r.shape {
	case int8Shape, int16Shape, int32Shape, int64Shape:
		return r.readInteger(p, dst, c)
	case float32Shape, float64Shape:
		return r.readReal(p, dst, c)
	case booleanShape:
		switch c {
		case 't':
			p.expectWord("true")
			return append(dst, 1)
		case 'f':
			p.expectWord("false")
			return append(dst, 0)
		}
		return r.rejectType(p, dst, p.kind())
	case textShape:
		if c != '"' {
			return r.rejectType(p, dst, p.kind())
		}
		return connectdata.AppendBytes(dst, p.text())
	case bytesShape:
		if c != '"' {
			return r.rejectType(p, dst, p.kind())
		}
		return r.readBytes(p, dst)
	case decimalText, DecimalNumber:
		if c == '"' {
			return r.readBytes(p, dst)
		}
		return r.readDecimal(p, dst, c)
	case structureShape:
		return r.readStructure(p, dst)
	case UnionShape:
		branch := r.matchingBranch(p, c) // all other members are null
		for m := 0; m < len(r.members) && p.Err == nil; m++ {
			member := &r.members[m]
			if m != branch {
				dst = append(dst, member.branch[0]^2) // the branch of a null: the branches are 0 and 2
				continue
			}
			dst = member.readValue(p, append(dst, member.branch...), c)
			if p.Err != nil {
				p.Err = p.Err.InField(r.names[m])
			}
		}
		return dst
	}
	return r.readItems(p, dst)
}

func isNumber(c byte) bool { return ('0' <= c && c <= '9') || c == '-' }

func (r *Reader) readInteger(p *Parser, dst []byte, c byte) []byte {
	if !isNumber(c) {
		if r.logical != "" {
			return r.rejectLogical(p, dst, p.kind())
		}
		return r.rejectType(p, dst, p.kind())
	}
	from := p.i
	n, ok := p.integer()
	literal := p.data[from:p.i]
	if !ok {
		var isInteger bool
		if literal, isInteger, ok = p.number(); !ok {
			return dst
		}
		switch {
		case isInteger:
			n, ok = parseInteger(literal)
		case r.logical != "":
			return r.rejectLogical(p, dst, "NUMBER")
		default:
			n, ok = p.integralValue(literal)
		}
	}
	// The shapes of integers count from 0: 8 bits, and twice the bits for each further one.
	if shift := 8<<r.shape - 1; !ok || (n>>shift != 0 && n>>shift != -1) {
		if r.logical != "" && r.shape == int32Shape {
			return r.rejectLogical(p, dst, "NUMBER") // Java checks whether it is an int
		}
		return p.reject(dst, "the number "+fault.Truncate(literal)+" does not fit the type "+r.typ)
	}
	if r.logical == "Time" && (n < 0 || n > millisPerDay) {
		return p.reject(dst, "Time values must use number of milliseconds greater than 0 and less than 86400000")
	}
	return connectdata.AppendNumber(dst, n)
}

const millisPerDay = 86_400_000

// rejectLogical rejects a Date, Time or Timestamp of a kind that is not an integer.
func (r *Reader) rejectLogical(p *Parser, dst []byte, kind string) []byte {
	integer := "integer"
	if r.logical == "Timestamp" {
		integer = "integral"
	}
	return p.reject(dst, "Invalid type for "+r.logical+", underlying representation should be "+integer+
		" but was "+kind)
}

// integralValue parses a number with point or exponent that is an integer, such as 1e3 or 7.0.
func (p *Parser) integralValue(text []byte) (int64, bool) {
	mantissa, places, exponent, ok := p.parts(text)
	if !ok {
		return 0, false
	}
	unscaled, err := scaledDigits(mantissa, exponent-places)
	if err != nil || unscaled == nil || !unscaled.IsInt64() {
		return 0, false
	}
	return unscaled.Int64(), true
}

// parts splits a number into its digits, how many of them follow the point, and the exponent. ok is false if no type
// has such an exponent.
func (p *Parser) parts(text []byte) (mantissa []byte, places, exponent int, ok bool) {
	mantissa = text
	if e := bytes.IndexAny(text, "eE"); e >= 0 {
		n, err := strconv.ParseInt(string(text[e+1:]), 10, 16)
		if err != nil {
			return nil, 0, 0, false
		}
		mantissa = text[:e]
		exponent = int(n)
	}
	if point := bytes.IndexByte(mantissa, '.'); point >= 0 {
		places = len(mantissa) - point - 1
		p.scratch = append(append(p.scratch[:0], mantissa[:point]...), mantissa[point+1:]...)
		mantissa = p.scratch
	}
	return mantissa, places, exponent, true
}

// shortInteger is the number of digits that cannot overflow 64 bits.
const shortInteger = 18

// integer reads an integer of at most shortInteger digits; ok is false, and nothing is consumed, for other values.
func (p *Parser) integer() (n int64, ok bool) {
	data := p.data
	i := p.i
	negative := i < len(data) && data[i] == '-'
	if negative {
		i++
	}
	from := i
	for ; i < len(data) && '0' <= data[i] && data[i] <= '9'; i++ {
		n = n*10 + int64(data[i]-'0')
	}
	if i == from || i-from > shortInteger || (i < len(data) && (data[i] == '.' || data[i] == 'e' || data[i] == 'E')) {
		return 0, false
	}
	if negative {
		n = -n
	}
	p.i = i
	return n, true
}

func parseInteger(text []byte) (n int64, ok bool) {
	n, err := strconv.ParseInt(string(text), 10, 64)
	return n, err == nil
}

func (r *Reader) readReal(p *Parser, dst []byte, c byte) []byte {
	var v float64
	size := 64
	if r.shape == float32Shape {
		size = 32
	}
	switch {
	case isNumber(c):
		literal, _, _ := p.number()
		v = parseReal(literal, size)
	case c == '"':
		switch s := p.text(); string(s) {
		case "NaN":
			v = math.NaN()
		case "Infinity":
			v = math.Inf(1)
		case "-Infinity":
			v = math.Inf(-1)
		default:
			return r.rejectType(p, dst, "the string "+fault.Quoted(s))
		}
	default:
		return r.rejectType(p, dst, p.kind())
	}
	if size == 32 {
		return connectdata.AppendFloat32(dst, float32(v))
	}
	return connectdata.AppendFloat64(dst, v)
}

// parseReal parses like Java's BigDecimal.doubleValue: infinite outside the range, and no negative zero.
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

func (r *Reader) readBytes(p *Parser, dst []byte) []byte {
	content, err := base64.StdEncoding.AppendDecode(p.binary[:0], p.text())
	p.binary = content
	switch {
	case err != nil && r.shape == bytesShape:
		return p.reject(dst, "Invalid bytes field: "+err.Error())
	case err != nil:
		return p.reject(dst, "Invalid bytes for Decimal field: "+err.Error())
	case r.shape == bytesShape:
		return connectdata.AppendBytes(dst, content)
	case len(content) == 0:
		return p.reject(dst, "Invalid bytes for Decimal field: none")
	}
	if content = values.Shortest(content); len(content) > connectdata.MaxDecimalBytes {
		return p.reject(dst, fault.DecimalTooLong().Text)
	}
	return connectdata.AppendBytes(dst, content)
}

// readDecimal reads a number as a Decimal; more digits after the point than the schema's scale must be zeros.
func (r *Reader) readDecimal(p *Parser, dst []byte, c byte) []byte {
	if !isNumber(c) {
		return p.reject(dst, "Invalid type for Decimal, underlying representation should be numeric or bytes but was "+
			p.kind())
	}
	literal, _, ok := p.number()
	if !ok {
		return dst
	}
	mantissa, places, exponent, ok := p.parts(literal)
	if !ok {
		return p.reject(dst, "the exponent of "+fault.Truncate(literal)+" is out of range for a Decimal")
	}
	shift := r.scale - places + exponent
	if n, ok := parseInteger(mantissa); ok {
		if scaled, ok := scaleInteger(n, shift); ok {
			return connectdata.AppendDecimal64(dst, scaled)
		}
	}
	unscaled, err := scaledDigits(mantissa, shift)
	switch {
	case err != nil:
		return p.reject(dst, err.Text)
	case unscaled == nil:
		// Kafka Connect accepts the value here, and fails with this message when it writes the value.
		return p.reject(dst, "Decimal value has mismatching scale for given Decimal schema. Schema has scale "+
			strconv.Itoa(r.scale)+", value has scale "+strconv.Itoa(places-exponent)+".")
	}
	return connectdata.AppendDecimal(dst, unscaled)
}

// scaledDigits multiplies digits by a power of ten, nil if the result is not an integer. It adds or drops zeros before
// any arithmetic, so that a large exponent costs nothing.
func scaledDigits(mantissa []byte, shift int) (*big.Int, *fault.Error) {
	digits := mantissa
	negative := mantissa[0] == '-'
	if negative {
		digits = mantissa[1:]
	}
	if digits = bytes.TrimLeft(digits, "0"); len(digits) == 0 {
		return new(big.Int), nil
	}
	if shift < 0 {
		significant := len(bytes.TrimRight(digits, "0"))
		if len(digits)+shift < significant {
			return nil, nil
		}
		digits = digits[:len(digits)+shift]
		shift = 0
	}
	const fittingDigits = connectdata.MaxDecimalBytes * 24 / 10 // a byte holds 2.408 digits
	if len(digits)+shift > fittingDigits {
		return nil, fault.DecimalTooLong()
	}
	n, _ := new(big.Int).SetString(string(digits)+strings.Repeat("0", shift), 10)
	if negative {
		n.Neg(n)
	}
	return n, nil
}

// scaleInteger multiplies or divides by a power of ten; ok is false if the result is not an integer.
func scaleInteger(n int64, places int) (_ int64, ok bool) {
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

// readStructure reads members in schema order directly into dst. readShuffled reads the others.
func (r *Reader) readStructure(p *Parser, dst []byte) []byte {
	if p.peek() != '{' {
		return p.reject(dst, "Structs should be encoded as JSON objects, but found "+p.kind())
	}
	if p.mode == modeSchemaOrder {
		p.open('{')
		// Each member is skipped first, which is cheap: the parser's index has recorded where members end.
		positions := make([]int, len(r.members)) // 0 means that the member is missing
		for guess := 0; p.more(guess == 0, '}'); guess++ {
			name := p.name()
			p.peek()
			if member := r.memberIndex(name, guess); member >= 0 {
				positions[member] = p.i
			}
			p.skip()
		}
		end := p.i
		for m := 0; m < len(r.members) && p.Err == nil; m++ {
			if p.i = positions[m]; p.i == 0 {
				dst = r.appendNullMember(p, dst, m, p.maxLen)
			} else {
				dst = r.readMember(p, dst, m)
			}
		}
		p.i = end
		return dst
	}
	p.open('{')
	base := len(p.spans)
	defer func() { p.spans = p.spans[:base] }()
	next := 0
	for p.more(next == 0, '}') {
		if next < len(r.members) && bytes.HasPrefix(p.data[p.i:], r.leads[next]) {
			p.i += len(r.leads[next])
		} else {
			name := p.name()
			if p.Err != nil {
				return dst
			}
			if next == len(r.members) || string(name) != r.names[next] {
				return r.readShuffled(p, dst, base, next, name)
			}
		}
		from := len(dst)
		dst = r.readMember(p, dst, next)
		p.spans = append(p.spans, byteRange{from, len(dst)})
		next++
	}
	for ; next < len(r.members) && p.Err == nil; next++ {
		dst = r.appendNullMember(p, dst, next, p.maxLen)
	}
	return dst
}

// readShuffled continues readStructure after the name of a member that is out of order; next members precede it, with
// their positions in p.spans from base on. Of duplicate members the last counts, and each must be valid; unknown
// members are skipped.
func (r *Reader) readShuffled(p *Parser, dst []byte, base, next int, name []byte) []byte {
	start := len(dst)
	if next > 0 {
		start = p.spans[base].from
	}
	for range len(r.members) - next {
		p.spans = append(p.spans, byteRange{-1, -1}) // missing
	}
	for guess := next; p.Err == nil; {
		if member := r.memberIndex(name, guess); member < 0 {
			p.skip()
		} else {
			from := len(dst)
			dst = r.readMember(p, dst, member)
			p.spans[base+member] = byteRange{from, len(dst)}
			guess = member + 1
		}
		if !p.more(false, '}') {
			break
		}
		name = p.name()
	}
	// Copy the members in schema order, missing ones as null, and replace the output from start on.
	p.ordered = p.ordered[:0]
	for m := 0; m < len(r.members) && p.Err == nil; m++ {
		if s := p.spans[base+m]; s.from >= 0 {
			p.ordered = append(p.ordered, dst[s.from:s.to]...)
		} else {
			p.ordered = r.appendNullMember(p, p.ordered, m, p.maxLen-start)
		}
	}
	return append(dst[:start], p.ordered...)
}

// memberIndex returns the index of a member, -1 for no member; guess is its likely index.
func (r *Reader) memberIndex(name []byte, guess int) int {
	if guess < len(r.names) && r.names[guess] == string(name) {
		return guess
	}
	if r.indexByName != nil {
		if n, ok := r.indexByName[string(name)]; ok {
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

// readItems reads an array or a map. Of duplicate keys the last value counts, at the place of the first; keys of bytes
// are never equal, like Java arrays.
func (r *Reader) readItems(p *Parser, dst []byte) []byte {
	opening := byte('[')
	mismatch := "Maps with non-string fields should be encoded as JSON array of tuples, but found "
	switch r.shape {
	case keyedShape:
		mismatch = "Maps with non-string fields should be encoded as JSON array of objects, but found "
	case arrayShape:
		mismatch = "Arrays should be encoded as JSON arrays, but found "
	case ObjectShape:
		opening = '{'
		mismatch = "Maps with string fields should be encoded as JSON objects, but found "
	}
	if p.peek() != opening {
		return p.reject(dst, mismatch+p.kind())
	}
	p.open(opening)
	start := len(dst)
	count := 0
	dst = append(dst, 0) // for the count, or the end marker of an empty array or map
	keys := entries{base: len(p.entries), content: len(dst)}
	defer func() { p.entries = p.entries[:keys.base] }()
	hasUniqueKeys := r.shape != arrayShape && r.key.shape != bytesShape
	for ; p.more(count == 0, opening+2); count++ { // in ASCII, closing brackets are two after the opening ones
		from := len(dst)
		valueStart := 0
		dst, valueStart = r.readItem(p, dst)
		if hasUniqueKeys && p.Err == nil {
			keys.append(p, dst, from, valueStart, bitOf(dst[from:valueStart]))
		}
	}
	if hasUniqueKeys {
		count = len(p.entries) - keys.base
		dst = keys.moveDuplicates(p, dst)
	}
	if count == 0 || p.Err != nil {
		return dst
	}
	return append(connectdata.PutCount(dst, start, count), 0)
}

// readItem reads an element, or a key and its value, and returns where in dst the value begins, 0 for an element.
func (r *Reader) readItem(p *Parser, dst []byte) (_ []byte, valueStart int) {
	switch r.shape {
	case ObjectShape:
		dst = connectdata.AppendBytes(append(dst, r.key.branch...), p.name())
		valueStart = len(dst)
		return r.element.Read(p, dst), valueStart
	case arrayShape:
		return r.element.Read(p, dst), 0
	case keyedShape:
		return r.readKeyed(p, dst)
	}
	if p.peek() != '[' {
		return p.reject(dst, "Found invalid map entry instead of array tuple: "+p.kind()), 0
	}
	from := p.i
	p.open('[')
	dst = r.key.Read(p, dst)
	p.expect(',')
	valueStart = len(dst)
	dst = r.element.Read(p, dst)
	p.depth--
	p.expect(']')
	if p.Err != nil && p.mode == modeSchemaOrder {
		// Kafka Connect checks the length of the tuple first.
		problem := p.Err
		p.i = from
		p.Err = nil
		if n := p.count(); n != 2 {
			p.fail(fault.DataException, "Found invalid map entry, expected length 2 but found :"+strconv.Itoa(n))
		} else {
			p.Err = problem
		}
	}
	return dst, valueStart
}

// entries are the entries of one map, in p.entries from base on. Positions are relative to content, the first entry.
type entries struct {
	base    int
	content int
	// hashes has the bits of all names while they are few, to detect most new names fast; indexByName has many names.
	hashes      uint64
	indexByName map[string]int
	// hasDuplicates reports duplicate names: some values are not next to their names.
	hasDuplicates bool
}

// manyEntries is the number of entries from which on their names are indexed.
const manyEntries = 32

// append adds the entry at the end of dst, whose name and value begin at these positions; bit is the [bitOf] its name.
func (en *entries) append(p *Parser, dst []byte, name, value int, bit uint64) {
	e := entry{name: name - en.content, nameEnd: value - en.content, value: value - en.content,
		end: len(dst) - en.content}
	if en.hashes&bit != 0 || len(p.entries)-en.base >= manyEntries-1 {
		en.appendOrReplace(p, dst, e)
		return
	}
	en.hashes |= bit
	p.entries = append(p.entries, e)
}

// appendOrReplace adds an entry, or replaces the value of an earlier one with the same name.
func (en *entries) appendOrReplace(p *Parser, dst []byte, e entry) {
	name := dst[en.content+e.name : en.content+e.value]
	earlier := -1
	if en.indexByName != nil {
		if i, ok := en.indexByName[string(name)]; ok {
			earlier = i
		}
	} else {
		for i, s := range p.entries[en.base:] {
			if bytes.Equal(dst[en.content+s.name:en.content+s.nameEnd], name) {
				earlier = i
				break
			}
		}
	}
	if earlier >= 0 {
		en.hasDuplicates = true
		first := &p.entries[en.base+earlier]
		first.value = e.value
		first.end = e.end
		return
	}
	p.entries = append(p.entries, e)
	switch count := len(p.entries) - en.base; {
	case en.indexByName != nil:
		en.indexByName[string(name)] = count - 1
	case count == manyEntries:
		en.indexByName = make(map[string]int, 2*manyEntries)
		for i, s := range p.entries[en.base:] {
			en.indexByName[string(dst[en.content+s.name:en.content+s.nameEnd])] = i
		}
	}
}

// moveDuplicates moves the last values of duplicate names to the first of these.
func (en *entries) moveDuplicates(p *Parser, dst []byte) []byte {
	if !en.hasDuplicates {
		return dst
	}
	p.ordered = p.ordered[:0]
	for _, e := range p.entries[en.base:] {
		p.ordered = append(p.ordered, dst[en.content+e.name:en.content+e.nameEnd]...)
		p.ordered = append(p.ordered, dst[en.content+e.value:en.content+e.end]...)
	}
	return append(dst[:en.content], p.ordered...)
}

// bitOf hashes a name to one of 64 bits, by its length and last bytes, in which names mostly differ.
func bitOf(name []byte) uint64 {
	var w uint64
	if n := len(name); n >= 8 {
		w = binary.LittleEndian.Uint64(name[n-8:])
	} else {
		for _, c := range name {
			w = w<<8 | uint64(c)
		}
	}
	// Multiplying by the golden ratio mixes all bits into the highest six, which select the bit.
	return 1 << ((w ^ uint64(len(name))) * 0x9e3779b97f4a7c15 >> 58)
}
