package batch

import (
	"bytes"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/encode"
)

// Plain goes over the answer to a batch in which nothing is out of the ordinary, without taking it apart: each part is
// a changeset with an answer of success to each of its requests, whose bodies are as long as they say. What it accepts
// [Parse] reads the same; all else is left to that.
type Plain struct {
	body []byte
	at   int
	// outer and inner are boundaries with the dashes before them. inside: the changeset of the inner one has not ended.
	outer, inner []byte
	inside       bool
	headers      encode.Headers
	// complete: the last boundary says so.
	complete bool

	// First: the answer is the first one of its part.
	First bool
	// ID, Location and Repeated, that of RepeatabilityResult, are header values, nil where there are none. Body is the
	// answer's, in memory of the whole one.
	ID, Location, Repeated, Body []byte
}

// NewPlain begins to go over an answer. ok is false where it is none of several parts.
func NewPlain(contentType string, body []byte) (p Plain, ok bool) {
	boundary, _ := Boundary(contentType)
	p = Plain{body: body, outer: append([]byte("--"), boundary...)}
	p.headers.Text, p.headers.End = unsafe.Pointer(unsafe.SliceData(body)), len(body)
	return p, boundary != "" && p.skip(p.outer) && p.skip(lineEnd)
}

var (
	lineEnd = []byte("\r\n")
	dashes  = []byte("--")
	version = []byte("HTTP/1.1 2")
	mixed1  = []byte(" multipart/mixed; boundary=")
)

// skip goes behind a text, if it stands here.
func (p *Plain) skip(text []byte) bool {
	if !bytes.HasPrefix(p.body[p.at:], text) {
		return false
	}
	p.at += len(text)
	return true
}

// lines goes over headers, behind the empty line.
func (p *Plain) lines() bool {
	h := &p.headers
	*h = encode.Headers{Text: h.Text, At: p.at, End: h.End}
	if encode.Lines(h) == 0 || h.Message != 0 {
		return false
	}
	p.at = h.At
	return true
}

// value is that of a header without blanks around it.
func (p *Plain) value(from, to int) []byte {
	if from == 0 {
		return nil
	}
	if from < to && p.body[from] == ' ' {
		from++
	}
	if from < to && p.body[from] != ' ' && p.body[to-1] != ' ' {
		return p.body[from:to:to]
	}
	return bytes.TrimSpace(p.body[from:to])
}

// Complete tells whether the answer ended as it should.
func (p *Plain) Complete() bool { return p.complete }

// Next goes to the next answer. ok is false where there is none, or one that is not plain.
func (p *Plain) Next() (ok bool) {
	if p.complete {
		return false
	}
	if p.First = !p.inside; p.First && !p.part() {
		return false
	}
	if !p.lines() {
		return false
	}
	p.ID = p.value(p.headers.IDFrom, p.headers.IDTo)
	from := p.at
	if !p.skip(version) || len(p.body)-p.at < 3 || !isDigit(p.body[p.at]) || !isDigit(p.body[p.at+1]) ||
		p.body[p.at+2] != ' ' && p.body[p.at+2] != '\r' ||
		p.body[p.at] == '0' && (p.body[p.at+1] == '2' || p.body[p.at+1] > '5') { // no proof that all was done
		return false
	}
	p.at = from
	if !p.lines() { // the first line is none of a header that is looked for
		return false
	}
	if p.ID == nil {
		p.ID = p.value(p.headers.IDFrom, p.headers.IDTo)
	}
	p.Location = p.value(p.headers.LocationFrom, p.headers.LocationTo)
	p.Repeated = p.value(p.headers.RepeatedFrom, p.headers.RepeatedTo)
	length := 0
	for _, c := range p.value(p.headers.LengthFrom, p.headers.LengthTo) {
		if !isDigit(c) || length > len(p.body) {
			return false
		}
		length = 10*length + int(c-'0')
	}
	if length > len(p.body)-p.at {
		return false
	}
	p.Body = p.body[p.at : p.at+length : p.at+length]
	p.at += length
	if !p.skip(lineEnd) && length > 0 {
		return false
	}
	for p.skip(lineEnd) {
	}
	return p.skip(p.inner) && (p.skip(lineEnd) || p.closes())
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// part goes to the first answer of the next changeset.
func (p *Plain) part() bool {
	if !p.lines() {
		return false
	}
	boundary, ok := bytes.CutPrefix(p.body[p.headers.TypeFrom:p.headers.TypeTo], mixed1)
	if !ok || len(boundary) == 0 || boundary[0] == '"' || boundary[0] == ' ' || boundary[len(boundary)-1] == ' ' ||
		bytes.IndexByte(boundary, ';') >= 0 || string(boundary) == string(p.outer[2:]) {
		return false
	}
	p.inner = append(append(p.inner[:0], dashes...), boundary...)
	p.inside = true
	return p.skip(p.inner) && p.skip(lineEnd)
}

// closes goes behind the end of a changeset, to the next part or the end of the answer.
func (p *Plain) closes() bool {
	if !p.skip(dashes) || !p.skip(lineEnd) {
		return false
	}
	for p.skip(lineEnd) {
	}
	p.inside = false
	if !p.skip(p.outer) {
		return false
	}
	if p.skip(lineEnd) {
		return true
	}
	p.complete = p.skip(dashes) && (p.at == len(p.body) || p.skip(lineEnd))
	return p.complete
}
