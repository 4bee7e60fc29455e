package connectjson

import (
	"bytes"
	"context"
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java/json"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Parser walks over a JSON document as Jackson does with Kafka's settings: strict, but leading zeros of numbers are
// allowed. Its memory is kept from one document to the next.
type Parser struct {
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
	mode   mode
	// Err is the first fault. After it arrays and objects end, and what was read is of no use.
	Err *fault.Error
}

// mode is what a document is read for.
type mode uint8

const (
	// ofValues reads the values of a topic.
	ofValues mode = iota
	// ofDefaults reads the defaults of a schema.
	ofDefaults
	// inOrder reads a value again for its first fault: members of structures in the order of the schema, of those that
	// are there twice the last.
	inOrder
)

type byteRange struct{ from, to int }

// entry is where the name of an entry and its value begin and end.
type entry struct{ name, nameEnd, value, end int }

// Reset begins a document. most is how long the destination may become.
func (p *Parser) Reset(ctx context.Context, data []byte, most int) {
	p.ctx, p.data, p.i, p.depth = ctx, data, 0, 0
	p.most, p.steps, p.looked, p.Err = most, 0, 0, nil
	p.spans, p.seen, p.ends = p.spans[:0], p.seen[:0], p.ends[:0]
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		p.i = 3
	}
}

// fail notes a fault, unless there is one already.
func (p *Parser) fail(class, text string) {
	if p.Err == nil {
		p.Err = fault.New(class, text)
	}
}

// refuse fails at what the document says, and returns dst.
func (p *Parser) refuse(dst []byte, text string) []byte {
	p.fail(fault.DataException, text)
	return dst
}

// bad fails at the present position.
func (p *Parser) bad(expected string) {
	found := "the end"
	if p.i < len(p.data) {
		found = strconv.QuoteRune(rune(p.data[p.i]))
	}
	p.fail(fault.SerializationException, "JSON, byte "+strconv.Itoa(p.i)+": expected "+expected+", found "+found)
}

// peek skips blanks and returns the next byte, 0 at the end.
func (p *Parser) peek() byte {
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
func (p *Parser) take(c byte) {
	if p.peek() != c || p.i >= len(p.data) {
		p.bad(strconv.QuoteRune(rune(c)))
		return
	}
	p.i++
}

// End refuses anything but blanks.
func (p *Parser) End() {
	p.peek()
	if p.i < len(p.data) {
		p.bad("the end of the document")
	}
}

// more is called before each element or member: it takes the comma that belongs there, or the closing byte. It is false
// after a fault.
func (p *Parser) more(first bool, closing byte) bool {
	if p.Err != nil {
		return false
	}
	if p.steps++; p.steps%conversion.WatchEvery == 0 && p.ctx.Err() != nil {
		p.Err = fault.Ended
		return false
	}
	switch c := p.peek(); {
	case c == closing:
		p.i++
		p.depth--
		return false
	case first:
		return true
	case c == ',':
		p.i++
		return true
	}
	p.bad("',' or " + strconv.QuoteRune(rune(closing)))
	return false
}

// open takes the opening byte of an array or object.
func (p *Parser) open(c byte) {
	p.take(c)
	if p.depth++; p.depth > connectdata.MaxDepth {
		p.fail(fault.SerializationException, "JSON: nests deeper than 1000")
	}
}

// word takes true, false or null.
func (p *Parser) word(w string) {
	if len(p.data)-p.i < len(w) || string(p.data[p.i:p.i+len(w)]) != w {
		p.bad(w)
		return
	}
	p.i += len(w)
}

// text takes a string and returns what it says; the bytes are valid until the next call.
func (p *Parser) text() []byte {
	s, slashes := p.rawText()
	if slashes {
		p.scratch = json.Unescape(p.scratch[:0], s)
		return p.scratch
	}
	return s
}

// name takes a member's name and the colon.
func (p *Parser) name() []byte {
	if p.peek() != '"' {
		p.bad("a name in quotation marks")
		return nil
	}
	from := p.i
	s, slashes := p.rawText()
	if slashes {
		if json.HasLoneSurrogate(s) {
			p.i = from
			p.bad("a name of whole characters, no half of a surrogate pair")
			return nil
		}
		p.scratch = json.Unescape(p.scratch[:0], s)
		s = p.scratch
	}
	p.take(':')
	return s
}

// rawText takes a string and returns what stands between the quotation marks, checked. slashes: there are escapes in
// it.
func (p *Parser) rawText() (s []byte, slashes bool) {
	from := p.i + 1
	end, slashes, expected := json.ScanString(p.data, p.i)
	if p.i = end; expected != "" {
		p.bad(expected)
		return nil, false
	}
	return p.data[from : end-1], slashes
}

// number takes a number. whole: it has neither point nor exponent. ok is false after a fault.
func (p *Parser) number() (text []byte, whole, ok bool) {
	from := p.i
	end, whole, expected := json.ScanNumber(p.data, from)
	if p.i = end; expected != "" {
		p.bad(expected)
		return nil, false, false
	}
	return p.data[from:end], whole, true
}

// skip takes a value of any kind.
func (p *Parser) skip() {
	switch c := p.peek(); c {
	case '{', '[':
		if p.jump() {
			return
		}
		p.open(c)
		for first := true; p.more(first, c+2); first = false {
			if c == '{' {
				p.name()
			}
			p.skip()
		}
	case '"':
		p.rawText()
	case 't':
		p.word("true")
	case 'f':
		p.word("false")
	case 'n':
		p.word("null")
	default:
		p.number()
	}
}

// count walks over the array at the present position and tells how many elements it has.
func (p *Parser) count() (n int) {
	p.open('[')
	for ; p.more(n == 0, ']'); n++ {
		p.skip()
	}
	return n
}

// index walks over the value at the present position, notes where its arrays and objects end, and goes back. From then
// on skip jumps over them, so that a document whose levels are looked at one by one is not walked over once for each of
// them.
func (p *Parser) index() {
	start := p.i
	var ends []byteRange
	var walk func()
	walk = func() {
		c := p.peek()
		if c != '{' && c != '[' {
			p.skip()
			return
		}
		at := len(ends)
		ends = append(ends, byteRange{from: p.i})
		p.open(c)
		for first := true; p.more(first, c+2); first = false {
			if c == '{' {
				p.name()
			}
			walk()
		}
		ends[at].to = p.i
	}
	walk()
	p.i, p.ends = start, ends
}

// jump moves to the end of the array or object at the present position where its end is known.
func (p *Parser) jump() bool {
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
func (p *Parser) kind() string {
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
