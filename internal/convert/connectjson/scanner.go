package connectjson

import (
	"bytes"
	"context"
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Parser reads a JSON document as Jackson does with Kafka's settings: strictly, but numbers may have leading zeros.
// Reset starts the next document.
type Parser struct {
	data        []byte
	i           int // the index in data of the next byte
	depth       int // of open arrays and objects
	ctx         context.Context
	scanned     int          // counts the bytes that were scanned in advance, for the members of unions
	maxLen      int          // the largest length of the destination
	steps       int          // counts array elements and members, for checks of the context
	spans       []byteRange  // a stack of the positions of struct members that are out of order
	entries     []entry      // a stack of the entries of maps
	ordered     []byte       // members or entries while they are sorted
	recentNames []recentName // the names of the last schemaless object
	ends        []byteRange  // the ends of all arrays and objects, by their positions, after index
	scratch     []byte       // the last string that had escapes, or the digits of the last number with a point
	binary      []byte       // decoded base64
	mode        mode
	// Err is the first error. After it arrays and objects end, and the output is invalid.
	Err *fault.Error
}

// mode determines which errors a [Reader] reports.
type mode uint8

const (
	modeValues mode = iota
	// modeDefaults reads defaults of a schema, whose errors have other messages.
	modeDefaults
	// modeSchemaOrder reads a value again, in schema order, for the error that Kafka Connect reports first.
	modeSchemaOrder
)

type byteRange struct{ from, to int }

// entry has the positions of a name and its value, see [entries].
type entry struct {
	name    int
	nameEnd int
	value   int // follows the name, unless the value of a duplicate replaces it
	end     int // of the value
}

// Reset starts a document and forgets the previous one. maxBytes bounds the length of the destination.
func (p *Parser) Reset(ctx context.Context, data []byte, maxBytes int) {
	p.ctx = ctx
	p.data = data
	p.i = 0
	p.depth = 0
	p.maxLen = maxBytes
	p.steps = 0
	p.scanned = 0
	p.Err = nil
	p.spans = p.spans[:0]
	p.entries = p.entries[:0]
	p.ends = p.ends[:0]
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		p.i = 3 // after the byte order mark
	}
}

func (p *Parser) fail(class, text string) {
	if p.Err == nil {
		p.Err = fault.New(class, text)
	}
}

// reject rejects the content of a document and returns dst.
func (p *Parser) reject(dst []byte, text string) []byte {
	p.fail(fault.DataException, text)
	return dst
}

// syntaxError reports a syntax error at the current position.
func (p *Parser) syntaxError(expected string) {
	actual := "the end"
	if p.i < len(p.data) {
		actual = strconv.QuoteRune(rune(p.data[p.i]))
	}
	p.fail(fault.SerializationException, "JSON, byte "+strconv.Itoa(p.i)+": expected "+expected+", found "+actual)
}

// peek skips whitespace and returns the next byte, 0 at the end.
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

// expect consumes whitespace and the byte c.
func (p *Parser) expect(c byte) {
	if p.peek() != c || p.i >= len(p.data) {
		p.syntaxError(strconv.QuoteRune(rune(c)))
		return
	}
	p.i++
}

// End rejects anything but whitespace.
func (p *Parser) End() {
	p.peek()
	if p.i < len(p.data) {
		p.syntaxError("the end of the document")
	}
}

// more is called before each element or member: it consumes the comma or the closing byte, and reports whether another
// follows. It is false after an error.
func (p *Parser) more(first bool, closing byte) bool {
	if p.Err != nil {
		return false
	}
	p.steps++
	if p.steps%conversion.ContextCheckItems == 0 && p.ctx.Err() != nil {
		p.Err = fault.Canceled
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
	p.syntaxError("',' or " + strconv.QuoteRune(rune(closing)))
	return false
}

// open consumes the opening byte of an array or object.
func (p *Parser) open(c byte) {
	p.expect(c)
	p.depth++
	if p.depth > connectdata.MaxDepth {
		p.fail(fault.SerializationException, "JSON: nests deeper than 1000")
	}
}

// expectWord consumes true, false or null.
func (p *Parser) expectWord(w string) {
	if len(p.data)-p.i < len(w) || string(p.data[p.i:p.i+len(w)]) != w {
		p.syntaxError(w)
		return
	}
	p.i += len(w)
}

// text reads a string, which is valid until the next string or number is read.
func (p *Parser) text() []byte {
	s, hasEscapes := p.rawText()
	if hasEscapes {
		p.scratch = java.UnescapeJSON(p.scratch[:0], s)
		return p.scratch
	}
	return s
}

// name reads a member's name, which is valid like text, and the colon.
func (p *Parser) name() []byte {
	if p.peek() != '"' {
		p.syntaxError("a name in quotation marks")
		return nil
	}
	from := p.i
	s, hasEscapes := p.rawText()
	if hasEscapes {
		if java.HasLoneSurrogate(s) {
			p.i = from
			p.syntaxError("a name of whole characters, no half of a surrogate pair")
			return nil
		}
		p.scratch = java.UnescapeJSON(p.scratch[:0], s)
		s = p.scratch
	}
	p.expect(':')
	return s
}

// rawText validates a string and returns the text between the quotation marks, and whether it has escapes.
func (p *Parser) rawText() (s []byte, hasEscapes bool) {
	from := p.i + 1
	end, hasEscapes, expected := java.ScanJSONString(p.data, p.i)
	p.i = end
	if expected != "" {
		p.syntaxError(expected)
		return nil, false
	}
	return p.data[from : end-1], hasEscapes
}

// number reads a number; isInteger reports that it has neither point nor exponent. ok is false after an error.
func (p *Parser) number() (text []byte, isInteger, ok bool) {
	from := p.i
	end, isInteger, expected := java.ScanJSONNumber(p.data, from)
	p.i = end
	if expected != "" {
		p.syntaxError(expected)
		return nil, false, false
	}
	return p.data[from:end], isInteger, true
}

// skip consumes a value of any kind.
func (p *Parser) skip() {
	switch c := p.peek(); c {
	case '{', '[':
		if p.jump() {
			return
		}
		p.open(c)
		for first := true; p.more(first, c+2); first = false { // in ASCII, closing brackets are two after opening ones
			if c == '{' {
				p.name()
			}
			p.skip()
		}
	case '"':
		p.rawText()
	case 't':
		p.expectWord("true")
	case 'f':
		p.expectWord("false")
	case 'n':
		p.expectWord("null")
	default:
		p.number()
	}
}

// count returns the number of elements of the array at the current position.
func (p *Parser) count() (n int) {
	p.open('[')
	for ; p.more(n == 0, ']'); n++ {
		p.skip()
	}
	return n
}

// index records where the arrays and objects of the current value end, without moving. From then on skip jumps over
// them, so that nested levels are not scanned again and again.
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
		i := len(ends)
		ends = append(ends, byteRange{from: p.i})
		p.open(c)
		for first := true; p.more(first, c+2); first = false {
			if c == '{' {
				p.name()
			}
			walk()
		}
		ends[i].to = p.i
	}
	walk()
	p.i = start
	p.ends = ends
}

// jump skips the current array or object if its end is known.
func (p *Parser) jump() bool {
	if len(p.ends) == 0 {
		return false
	}
	n, ok := slices.BinarySearchFunc(p.ends, p.i, func(s byteRange, pos int) int { return s.from - pos })
	if ok {
		p.i = p.ends[n].to
	}
	return ok
}

// kind returns Jackson's JsonNodeType of the current value.
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
