package convert

import (
	"bytes"
	"context"
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java/json"
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
		return &Error{dataException, lead + err.Error()}
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
	p.scratch = json.Unescape(p.scratch[:0], s)
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
		if json.Halved(s) {
			p.i = from
			return nil, p.bad("a name of whole characters, no half of a surrogate pair")
		}
		p.scratch = json.Unescape(p.scratch[:0], s)
		s = p.scratch
	}
	return s, p.take(':')
}

// rawText takes a string and returns what stands between the quotation marks, checked. slashes: there are escapes in
// it.
func (p *parser) rawText() (s []byte, slashes bool, err *Error) {
	from := p.i + 1
	end, slashes, expected := json.Quoted(p.data, p.i)
	if p.i = end; expected != "" {
		return nil, false, p.bad(expected)
	}
	return p.data[from : end-1], slashes, nil
}

// number takes a number. whole: it has neither point nor exponent.
func (p *parser) number() (text []byte, whole bool, err *Error) {
	from := p.i
	end, whole, expected := json.Number(p.data, from)
	if p.i = end; expected != "" {
		return nil, false, p.bad(expected)
	}
	return p.data[from:end], whole, nil
}

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
