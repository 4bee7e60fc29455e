package convert

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/culvert-project/culvert/wit/datum"
)

// parser walks over a JSON document as Jackson does with Kafka's settings: strict, but leading zeros of numbers are
// allowed. Its memory is kept from one document to the next.
type parser struct {
	data  []byte
	i     int
	depth int
	ctx   context.Context
	// looked counts the bytes that were walked over beforehand.
	looked int
	// most is how many bytes may be read into the destination, steps counts what stands between commas.
	most, steps int
	// spans is a stack of positions of members in what was read, for structures whose members come in another order
	// than the schema's.
	spans []byteRange
	// seen is a stack of the entries of maps.
	seen []entry
	// ordered holds members or entries while they are put in order.
	ordered []byte
	// leads are the names of the object without schema that came last.
	leads []lead
	// ends are those of all arrays and objects of a document that is walked over level by level, by where they begin.
	ends []byteRange
	// scratch holds a text without its escapes.
	scratch []byte
	// binary holds what base64 says.
	binary []byte
	// defaults: what is read is the default of a schema.
	defaults bool
	// inOrder: members of structures are read in the order of the schema, of those that are there twice the last.
	inOrder bool
	// wide holds a document of UTF-16 or UTF-32 in UTF-8.
	wide []byte
}

type byteRange struct{ from, to int }

// entry is where the name of an entry and its value begin and end.
type entry struct{ name, nameEnd, value, end int }

func (p *parser) reset(ctx context.Context, data []byte, most int) {
	p.ctx, p.data, p.i, p.depth = ctx, data, 0, 0
	p.most, p.steps, p.looked = most, 0, 0
	p.spans, p.seen, p.ends = p.spans[:0], p.seen[:0], p.ends[:0]
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		p.i = 3
	}
}

// bad is an error at the present position.
func (p *parser) bad(what string) *Error {
	found := "the end"
	if p.i < len(p.data) {
		found = strconv.QuoteRune(rune(p.data[p.i]))
	}
	return &Error{serializationException, "JSON, byte " + strconv.Itoa(p.i) + ": expected " + what + ", found " + found}
}

// serializationException is what Kafka's converters get, and do not throw themselves, where a document is no JSON:
// [unreadable] makes of it what they throw.
const serializationException = "org.apache.kafka.common.errors.SerializationException"

// unreadable is an error as the callers of a converter get it. lead is what Kafka Connect says of a document that is no
// JSON; what is wrong with it, which Java has in the exception's cause, stands behind.
func unreadable(lead string, err error) error {
	if ErrorClass(err) == serializationException {
		return &Error{DataException, lead + err.Error()}
	}
	return err
}

// peek skips blanks and returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	for p.i < len(p.data) {
		switch c := p.data[p.i]; c {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return c
		}
	}
	return 0
}

// take skips blanks and one byte, which must be c.
func (p *parser) take(c byte) *Error {
	if p.peek() != c || p.i >= len(p.data) {
		return p.bad(strconv.QuoteRune(rune(c)))
	}
	p.i++
	return nil
}

// end refuses anything but blanks.
func (p *parser) end() *Error {
	p.peek()
	if p.i < len(p.data) {
		return p.bad("the end of the document")
	}
	return nil
}

// more is called before each element or member: it takes the comma that belongs there, or the closing byte.
func (p *parser) more(first bool, closing byte) (bool, *Error) {
	if p.steps++; p.steps%watchEvery == 0 && p.ctx.Err() != nil {
		return false, errEnded
	}
	c := p.peek()
	switch {
	case c == closing:
		p.i++
		p.depth--
		return false, nil
	case first:
		return true, nil
	case c == ',':
		p.i++
		return true, nil
	}
	return false, p.bad("',' or " + strconv.QuoteRune(rune(closing)))
}

// open takes the opening byte of an array or object.
func (p *parser) open(c byte) *Error {
	if err := p.take(c); err != nil {
		return err
	}
	if p.depth++; p.depth > datum.MaxDepth {
		return &Error{serializationException, "JSON: nests deeper than 1000"}
	}
	return nil
}

// word takes true, false or null.
func (p *parser) word(w string) *Error {
	if len(p.data)-p.i < len(w) || string(p.data[p.i:p.i+len(w)]) != w {
		return p.bad(w)
	}
	p.i += len(w)
	return nil
}

// text takes a string and returns what it says; the bytes are valid until the next call.
func (p *parser) text() ([]byte, *Error) {
	s, slashes, err := p.rawText()
	if err != nil || !slashes {
		return s, err
	}
	p.scratch = unescape(p.scratch[:0], s)
	return p.scratch, nil
}

// name takes a member's name and the colon.
func (p *parser) name() ([]byte, *Error) {
	if p.peek() != '"' {
		return nil, p.bad("a name in quotation marks")
	}
	from := p.i
	s, slashes, err := p.rawText()
	if err != nil {
		return nil, err
	}
	if slashes {
		if halved(s) {
			p.i = from
			return nil, p.bad("a name of whole characters, no half of a surrogate pair")
		}
		p.scratch = unescape(p.scratch[:0], s)
		s = p.scratch
	}
	return s, p.take(':')
}

// halved tells whether an escape in a checked string is half a surrogate pair without the other one. Jackson takes
// such texts, and refuses such names.
func halved(s []byte) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if i++; s[i] != 'u' {
			continue
		}
		r := unit(s[i+1:])
		if i += 4; !utf16.IsSurrogate(r) {
			continue
		}
		if i+6 >= len(s) || s[i+1] != '\\' || s[i+2] != 'u' || utf16.DecodeRune(r, unit(s[i+3:])) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}

// rawText takes a string and returns what stands between the quotation marks, checked. slashes: there are escapes in
// it.
func (p *parser) rawText() (s []byte, slashes bool, err *Error) {
	p.i++
	from, wide := p.i, false
	p.i += plainRun(p.data[p.i:])
	for {
		if p.i >= len(p.data) {
			return nil, false, p.bad("the end of a string")
		}
		c := p.data[p.i]
		switch {
		case manner[c] == plain:
		case c == '"':
			s = p.data[from:p.i]
			if wide && !utf8.Valid(s) {
				p.i = from
				return nil, false, p.bad("a string in UTF-8")
			}
			p.i++
			return s, slashes, nil
		case c == '\\':
			slashes = true
			if err := p.escape(); err != nil {
				return nil, false, err
			}
			continue
		case c >= 0x80:
			wide = true
		default:
			return nil, false, p.bad("no control character in a string")
		}
		p.i++
	}
}

// escape takes a backslash and what belongs to it.
func (p *parser) escape() *Error {
	p.i++
	if p.i >= len(p.data) {
		return p.bad("an escape")
	}
	switch p.data[p.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		p.i++
		return nil
	case 'u':
		for n := 1; n <= 4; n++ {
			if p.i+n >= len(p.data) || !isHex(p.data[p.i+n]) {
				return p.bad("u and four hexadecimal digits")
			}
		}
		p.i += 5
		return nil
	}
	return p.bad("an escape")
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

// unescape appends what a checked string says. Half a surrogate pair, which UTF-8 cannot say, becomes
// a question mark, as Java writes it.
func unescape(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		i++
		switch s[i] {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := unit(s[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				low := rune(utf8.RuneError)
				if i+6 < len(s) && s[i+1] == '\\' && s[i+2] == 'u' {
					low = unit(s[i+3:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				} else {
					r = '?'
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

func unit(s []byte) (r rune) {
	for _, c := range s[:4] {
		if c >= 'a' {
			c -= 'a' - 'A'
		}
		if c >= 'A' {
			c -= 'A' - 10 - '0'
		}
		r = r<<4 | rune(c-'0')
	}
	return r
}

// number takes a number. whole: it has neither point nor exponent.
func (p *parser) number() (text []byte, whole bool, err *Error) {
	from := p.i
	if p.i < len(p.data) && p.data[p.i] == '-' {
		p.i++
	}
	digits := func() bool {
		start := p.i
		for p.i < len(p.data) && p.data[p.i]-'0' < 10 {
			p.i++
		}
		return p.i > start
	}
	if !digits() {
		return nil, false, p.bad("a value")
	}
	whole = true
	if p.i < len(p.data) && p.data[p.i] == '.' {
		whole = false
		p.i++
		if !digits() {
			return nil, false, p.bad("a digit behind the decimal point")
		}
	}
	if p.i < len(p.data) && p.data[p.i]|0x20 == 'e' {
		whole = false
		p.i++
		if p.i < len(p.data) && (p.data[p.i] == '+' || p.data[p.i] == '-') {
			p.i++
		}
		start := p.i
		if !digits() {
			return nil, false, p.bad("a digit of the exponent")
		}
		const fits = 9 // digits in 32 bits
		if p.i-start > fits {
			if _, bad := strconv.ParseInt(string(p.data[start:p.i]), 10, 32); bad != nil {
				p.i = start
				return nil, false, p.bad("an exponent of 32 bits")
			}
		}
	}
	if p.i-from > maxNumber {
		marks := 0
		for _, c := range p.data[from:p.i] {
			if c-'0' >= 10 {
				marks++
			}
		}
		if p.i-from-marks > maxNumber {
			return nil, false, &Error{serializationException, "JSON, byte " + strconv.Itoa(from) +
				": expected a number of at most " + strconv.Itoa(maxNumber) + " digits, found " +
				strconv.Itoa(p.i-from-marks)}
		}
	}
	return p.data[from:p.i], whole, nil
}

// maxNumber is how many digits a number may have, as to Jackson.
const maxNumber = 1000

// skip takes a value of any kind.
func (p *parser) skip() *Error {
	switch c := p.peek(); c {
	case '{', '[':
		if p.jump() {
			return nil
		}
		closing := c + 2
		if err := p.open(c); err != nil {
			return err
		}
		for first := true; ; first = false {
			on, err := p.more(first, closing)
			if err != nil || !on {
				return err
			}
			if c == '{' {
				if _, err := p.name(); err != nil {
					return err
				}
			}
			if err := p.skip(); err != nil {
				return err
			}
		}
	case '"':
		_, _, err := p.rawText()
		return err
	case 't':
		return p.word("true")
	case 'f':
		return p.word("false")
	case 'n':
		return p.word("null")
	}
	_, _, err := p.number()
	return err
}

// count walks over the array at the present position and tells how many elements it has.
func (p *parser) count() (n int, err *Error) {
	if err := p.open('['); err != nil {
		return 0, err
	}
	for ; ; n++ {
		on, err := p.more(n == 0, ']')
		if err != nil || !on {
			return n, err
		}
		if err := p.skip(); err != nil {
			return n, err
		}
	}
}

// index walks over the value at the present position, notes where its arrays and objects end, and goes back. From then
// on skip jumps over them, so that a document whose levels are looked at one by one is not walked over once for each of
// them.
func (p *parser) index() *Error {
	start := p.i
	var ends []byteRange
	var walk func() *Error
	walk = func() *Error {
		c := p.peek()
		if c != '{' && c != '[' {
			return p.skip()
		}
		at := len(ends)
		ends = append(ends, byteRange{from: p.i})
		if err := p.open(c); err != nil {
			return err
		}
		for first := true; ; first = false {
			on, err := p.more(first, c+2)
			if err != nil {
				return err
			}
			if !on {
				ends[at].to = p.i
				return nil
			}
			if c == '{' {
				if _, err := p.name(); err != nil {
					return err
				}
			}
			if err := walk(); err != nil {
				return err
			}
		}
	}
	err := walk()
	p.i, p.ends = start, ends
	return err
}

// jump moves behind the array or object at the present position where its end is known.
func (p *parser) jump() bool {
	if len(p.ends) == 0 {
		return false
	}
	n, found := slices.BinarySearchFunc(p.ends, p.i, func(s byteRange, at int) int { return s.from - at })
	if found {
		p.i = p.ends[n].to
	}
	return found
}

// kind names the value at the present position as Jackson's JsonNodeType does.
func (p *parser) kind() string {
	switch p.peek() {
	case '{':
		return "OBJECT"
	case '[':
		return "ARRAY"
	case '"':
		return "STRING"
	case 't', 'f':
		return "BOOLEAN"
	case 'n':
		return "NULL"
	case 0:
		if p.i >= len(p.data) {
			return "MISSING"
		}
	}
	return "NUMBER"
}
