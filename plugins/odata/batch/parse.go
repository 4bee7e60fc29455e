package batch

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/wit"
)

// Document is a batch that was taken apart: an answer, or a request.
type Document struct {
	Parts []Parsed
	// Complete: its last boundary says that it is the last one. What was cut off is not complete.
	Complete bool
}

// Parsed is a part of a document.
type Parsed struct {
	// Changeset: the part is a multipart document of its own. A changeset that failed is none, but a single message in
	// its place.
	Changeset bool
	Messages  []Message
	// Complete: a boundary stands after it.
	Complete bool
}

// Message is what stands in a part of type application/http.
type Message struct {
	// Line is the first one: that of a request or of an answer.
	Line string
	Body []byte
	// ID is the Content-ID of the part or, where it has none, of the message; "" for none.
	ID string
	// Complete: a boundary stands after it, or its body is as long as it says.
	Complete bool
	headers  fields
}

// Status is that of an answer, 0 where the first line is none of an answer.
func (m *Message) Status() uint16 {
	code := ""
	if len(m.Line) > 9 && m.Line[8] == ' ' && m.Line[9] != ' ' && strings.HasPrefix(m.Line, "HTTP/1.") { // nearly all
		code = m.Line[9:]
	} else {
		version, rest, _ := strings.Cut(m.Line, " ")
		if !strings.HasPrefix(version, "HTTP/") {
			return 0
		}
		code = strings.TrimLeft(rest, " ")
	}
	if len(code) < 3 || len(code) > 3 && code[3] != ' ' {
		return 0
	}
	n := uint16(0)
	for _, c := range []byte(code[:3]) {
		if c < '0' || c > '9' {
			return 0
		}
		n = 10*n + uint16(c-'0')
	}
	if n < 100 {
		return 0
	}
	return n
}

// Header is the value of a header, in any case of its name, "" for none.
func (m *Message) Header(name string) string { return m.headers.value(name) }

// Headers are all of them, made again by each call.
func (m *Message) Headers() []wit.Header { return m.headers.all() }

// fields are headers where they stand. Of the many of an answer to a batch few are looked at, so that they are taken
// apart when they are.
type fields struct {
	whole string
	lines []field
}

// field is where the line of a header begins and ends. With goesOn it goes on with the one before.
type field struct {
	from, to int32
	goesOn   bool
}

func (f fields) line(i int) string { return f.whole[f.lines[i].from:f.lines[i].to] }

// from is the value of a header that begins with a text, the lines that go on with it included.
func (f fields) from(i int, text string) string {
	value := trimmed(text)
	for i++; i < len(f.lines) && f.lines[i].goesOn; i++ {
		value += " " + strings.TrimSpace(f.line(i))
	}
	return value
}

// trimmed is [strings.TrimSpace] for what mostly is one blank and a text.
func trimmed(text string) string {
	if len(text) > 1 && text[0] == ' ' {
		text = text[1:]
	}
	if n := len(text); n > 0 && isPlain(text[0]) && isPlain(text[n-1]) {
		return text
	}
	return strings.TrimSpace(text)
}

// isPlain tells whether a byte is a character of ASCII, and none that is trimmed away.
func isPlain(c byte) bool { return c > ' ' && c < utf8.RuneSelf }

func (f fields) value(name string) string {
	for i := range f.lines {
		if f.lines[i].goesOn {
			continue
		}
		line, n := f.line(i), len(name)
		if len(line) < n {
			continue
		}
		if n < len(line) && isPlain(line[n]) && isPlain(line[0]) {
			if line[n] == ':' && line[0]|0x20 == name[0]|0x20 && strings.EqualFold(line[:n], name) {
				return f.from(i, line[n+1:])
			}
			continue
		}
		if found, value, _ := strings.Cut(line, ":"); strings.EqualFold(strings.TrimSpace(found), name) {
			return f.from(i, value)
		}
	}
	return ""
}

func (f fields) all() []wit.Header {
	all := make([]wit.Header, 0, len(f.lines))
	for i := range f.lines {
		if !f.lines[i].goesOn {
			name, value, _ := strings.Cut(f.line(i), ":")
			all = append(all, wit.Header{Name: strings.TrimSpace(name), Value: f.from(i, value)})
		}
	}
	return all
}

// Boundary is the boundary that a Content-Type says; ok: it is one of a multipart document.
func Boundary(contentType string) (boundary string, ok bool) {
	kind, rest, _ := strings.Cut(contentType, ";")
	kind = strings.TrimSpace(kind)
	if len(kind) < len(multipart) || !strings.EqualFold(kind[:len(multipart)], multipart) {
		return "", false
	}
	for rest != "" {
		rest = strings.TrimLeft(rest, " \t;")
		name, after, given := strings.Cut(rest, "=")
		if !given {
			break
		}
		value := ""
		if after = strings.TrimLeft(after, " \t"); strings.HasPrefix(after, `"`) {
			value, rest, _ = strings.Cut(after[1:], `"`)
		} else {
			value, rest, _ = strings.Cut(after, ";")
			value = strings.TrimRight(value, " \t\r\n")
		}
		if strings.EqualFold(strings.TrimSpace(name), "boundary") && value != "" {
			return value, true
		}
	}
	return "", true
}

const multipart = "multipart/"

// Parse takes a document apart, whose Content-Type is given. Where that says no boundary, the first line that can be
// one is; ok is false where there is none. Nothing else is an error: what can't be read is missing from the document,
// or not complete. It takes time in proportion to the document's size.
func Parse(contentType string, body []byte) (d Document, ok bool) {
	boundary, _ := Boundary(contentType)
	if boundary == "" {
		if boundary, ok = firstBoundary(body); !ok {
			return d, false
		}
	}
	if len(body) > math.MaxInt32 {
		return d, false
	}
	r := &reader{text: body, whole: string(body), outer: boundary}
	if r.until(); r.found == missing {
		return d, false
	}
	from := r.at
	for r.found == opens {
		d.Parts = append(d.Parts, r.part())
		if len(d.Parts) == 1 && r.at > from { // the others are about as long
			d.Parts = slices.Grow(d.Parts, min((len(body)-r.at)/(r.at-from)+1, len(body)/leastPart))
		}
	}
	d.Complete = r.found == closes
	return d, true
}

// leastPart is the least that a part with an answer in it takes, about.
const leastPart = 64

// firstBoundary finds the first line that begins as boundaries do.
func firstBoundary(body []byte) (string, bool) {
	for at := 0; at < len(body); {
		end, next := lineAt(body, at)
		if text := strings.TrimRight(string(body[at:end]), " \t"); len(text) > 2 && strings.HasPrefix(text, "--") {
			return text[2:], true
		}
		at = next
	}
	return "", false
}

// lineAt is where the line at a place ends, without its line end, and where the next one begins.
func lineAt(text []byte, at int) (end, next int) {
	n := bytes.IndexByte(text[at:], '\n')
	if n < 0 {
		return len(text), len(text)
	}
	if end = at + n; n > 0 && text[end-1] == '\r' {
		end--
	}
	return end, at + n + 1
}

// reader goes through a document once.
type reader struct {
	text []byte
	at   int
	// whole is the text once more, of which headers are parts, and lines are their memory.
	whole string
	lines []field
	// messages is memory for those that are the first of their part.
	messages []Message
	// outer is the document's boundary, inner that of the changeset that is being read, "" outside of one.
	outer, inner string
	// found is the boundary line that the last step ended with; nested: it was of the changeset.
	found  mark
	nested bool
}

type mark int

const (
	// missing: the document ended.
	missing mark = iota
	opens
	closes
)

// markOf tells whether a line is a boundary.
func markOf(line []byte, boundary string) mark {
	if len(line) < 2+len(boundary) || string(line[2:2+len(boundary)]) != boundary {
		return missing
	}
	rest := line[2+len(boundary):]
	for len(rest) > 0 && isBlank(rest[len(rest)-1]) {
		rest = rest[:len(rest)-1]
	}
	switch {
	case len(rest) == 0:
		return opens
	case string(rest) == "--":
		return closes
	}
	return missing
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// boundaryAt goes past a boundary line that stands at a place; false: none does.
func (r *reader) boundaryAt(at int) bool {
	if at+1 >= len(r.text) || r.text[at] != '-' || r.text[at+1] != '-' {
		return false
	}
	end, next := lineAt(r.text, at)
	line := r.text[at:end]
	if r.inner != "" {
		if m := markOf(line, r.inner); m != missing {
			r.found, r.nested, r.at = m, true, next
			return true
		}
	}
	if m := markOf(line, r.outer); m != missing {
		r.found, r.nested, r.at = m, false, next
		return true
	}
	return false
}

// end goes to the end of the document.
func (r *reader) end() { r.found, r.nested, r.at = missing, false, len(r.text) }

// cut tells whether the document ends inside of the line before next.
func (r *reader) cut(next int) bool { return next == len(r.text) && r.text[len(r.text)-1] != '\n' }

// until goes past the next boundary line and returns what stands before it, without the line end that belongs to the
// boundary. Without one it goes to the end.
func (r *reader) until() []byte {
	from := r.at
	for at := from; at < len(r.text); {
		if r.boundaryAt(at) {
			return withoutEnd(r.text[from:at])
		}
		_, at = lineAt(r.text, at)
	}
	r.end()
	return r.text[from:]
}

func withoutEnd(content []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(content, []byte("\n")), []byte("\r"))
}

// headers reads lines to the empty one after them; a line that begins with a blank goes on with the one before.
// complete is false where the document ends, or a boundary stands, before the empty line.
func (r *reader) headers() (all fields, complete bool) {
	first := len(r.lines)
	for r.at < len(r.text) {
		at := r.at
		begins := r.text[at]
		if begins == '-' && r.boundaryAt(at) {
			return r.since(first), false
		}
		end, next := lineAt(r.text, at)
		if r.cut(next) {
			break
		}
		r.at = next
		if at == end || !isPlain(begins) && len(bytes.TrimSpace(r.text[at:end])) == 0 {
			return r.since(first), true
		}
		if len(r.lines) == cap(r.lines) { // what is done with stays where it is
			r.lines, first = append(make([]field, 0, 2*(len(r.lines)-first)+512), r.lines[first:]...), 0
		}
		goesOn := (begins == ' ' || begins == '\t') && len(r.lines) > first
		r.lines = append(r.lines, field{int32(at), int32(end), goesOn})
	}
	r.end()
	return r.since(first), false
}

func (r *reader) since(first int) fields {
	return fields{r.whole, r.lines[first:len(r.lines):len(r.lines)]}
}

// part reads one part after its boundary, to the next boundary of the document.
func (r *reader) part() Parsed {
	r.found, r.inner = opens, "" // until a step finds another one
	own, complete := r.headers()
	if !complete {
		return Parsed{Complete: r.found != missing}
	}
	inner, multipart := Boundary(own.value("Content-Type"))
	if !multipart || inner == "" || inner == r.outer {
		m := r.message(own)
		return Parsed{Messages: r.first(m), Complete: m.Complete && r.found != missing}
	}
	p := Parsed{Changeset: true}
	r.inner = inner
	r.until()
	for r.found == opens && r.nested {
		own, complete := r.headers()
		if !complete {
			p.Messages = append(p.Messages, Message{})
			continue
		}
		if m := r.message(own); p.Messages == nil {
			p.Messages = r.first(m)
		} else {
			p.Messages = append(p.Messages, m)
		}
	}
	p.Complete = r.found != missing
	if r.nested { // it has ended: what comes before the document's own boundary is no content
		r.inner = ""
		r.until()
	}
	return p
}

// first is a list of one message.
func (r *reader) first(m Message) []Message {
	if len(r.messages) == cap(r.messages) {
		r.messages = make([]Message, 0, min(2*cap(r.messages)+8, 512))
	}
	r.messages = append(r.messages, m)
	end := len(r.messages)
	return r.messages[end-1 : end : end]
}

// message reads a message to the boundary after it. Its own Content-Length counts where a boundary follows there, or
// nothing: texts may look like boundaries, and lengths are wrong often.
func (r *reader) message(own fields) Message {
	m := Message{ID: own.value("Content-ID")}
	for r.at < len(r.text) { // empty lines before the first one
		if r.boundaryAt(r.at) {
			return m
		}
		end, next := lineAt(r.text, r.at)
		if r.cut(next) {
			r.end()
			return m
		}
		text := trimmed(r.whole[r.at:end])
		r.at = next
		if text != "" {
			m.Line = text
			break
		}
	}
	var complete bool
	m.headers, complete = r.headers()
	if m.ID == "" {
		m.ID = m.Header("Content-ID")
	}
	if !complete {
		// An answer without a body may do without the empty line, where a boundary shows that nothing is missing.
		m.Complete = r.found != missing
		return m
	}
	if n, ok := length(&m); ok && n <= len(r.text)-r.at {
		m.Body = r.text[r.at : r.at+n]
		after := r.at + n
		for after < len(r.text) && (r.text[after] == '\r' || r.text[after] == '\n') {
			after++
		}
		from := r.at
		if after == len(r.text) {
			r.end()
			m.Complete = true
			return m
		}
		if (after > from+n || n == 0) && r.boundaryAt(after) {
			m.Complete = true
			return m
		}
	}
	m.Body = r.until()
	m.Complete = r.found != missing
	if status := m.Status(); status == 204 || status == 304 || len(bytes.Trim(m.Body, "\r\n")) == 0 {
		m.Body = nil
	}
	return m
}

func length(m *Message) (int, bool) {
	n, err := strconv.ParseUint(m.Header("Content-Length"), 10, 31)
	return int(n), err == nil
}
