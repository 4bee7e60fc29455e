package batch

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

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
	// Complete: a boundary stands behind it.
	Complete bool
}

// Message is what stands in a part of type application/http.
type Message struct {
	// Line is the first one: that of a request or of an answer.
	Line    string
	Headers []wit.Header
	Body    []byte
	// ID is the Content-ID of the part or, where it has none, of the message; "" for none.
	ID string
	// Complete: a boundary stands behind it, or its body is as long as it says.
	Complete bool
}

// Status is that of an answer, 0 where the first line is none of an answer.
func (m *Message) Status() uint16 {
	version, rest, _ := strings.Cut(m.Line, " ")
	code, _, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if !strings.HasPrefix(version, "HTTP/") || len(code) != 3 {
		return 0
	}
	n, err := strconv.ParseUint(code, 10, 16)
	if err != nil || n < 100 {
		return 0
	}
	return uint16(n)
}

// Header is the value of a header, in any case of its name, "" for none.
func (m *Message) Header(name string) string { return header(m.Headers, name) }

func header(all []wit.Header, name string) string {
	for _, h := range all {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// Boundary is the boundary that a Content-Type says; ok: it is one of a multipart document.
func Boundary(contentType string) (boundary string, ok bool) {
	kind, rest, _ := strings.Cut(contentType, ";")
	if !strings.HasPrefix(strings.ToLower(strings.TrimSpace(kind)), "multipart/") {
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
	r := &reader{text: body, whole: string(body)}
	if !r.start(boundary) {
		return d, false
	}
	from := r.at
	for r.found == opens {
		d.Parts = append(d.Parts, r.part(boundary))
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
		line, next := cutLine(body, at)
		if text := strings.TrimRight(string(line), " \t"); len(text) > 2 && strings.HasPrefix(text, "--") {
			return text[2:], true
		}
		at = next
	}
	return "", false
}

// cutLine is the line at a place, without its end, and where the next one begins.
func cutLine(text []byte, at int) (line []byte, next int) {
	end := bytes.IndexByte(text[at:], '\n')
	if end < 0 {
		return text[at:], len(text)
	}
	return bytes.TrimSuffix(text[at:at+end], []byte("\r")), at + end + 1
}

// reader goes through a document once.
type reader struct {
	text []byte
	at   int
	// whole is the text once more, of which headers are parts, and all are their memory.
	whole string
	all   []wit.Header
	// messages is memory for those that are the first of their part.
	messages []Message
	// found is the boundary line that the last step ended with; of is its boundary.
	found mark
	of    string
}

type mark int

const (
	// missing: the document ended.
	missing mark = iota
	opens
	closes
)

// start goes behind the first line with the boundary, over whatever stands before it.
func (r *reader) start(boundary string) bool {
	r.until([]string{boundary})
	return r.found != missing
}

// markOf tells whether a line is a boundary.
func markOf(line []byte, boundary string) mark {
	if len(line) < 2+len(boundary) || line[0] != '-' || line[1] != '-' || string(line[2:2+len(boundary)]) != boundary {
		return missing
	}
	switch rest := strings.TrimRight(string(line[2+len(boundary):]), " \t\r"); rest {
	case "":
		return opens
	case "--":
		return closes
	}
	return missing
}

// boundaryAt goes behind a boundary line that stands at a place; false: none of these does.
func (r *reader) boundaryAt(at int, boundaries []string) bool {
	if at+1 >= len(r.text) || r.text[at] != '-' || r.text[at+1] != '-' {
		return false
	}
	line, next := cutLine(r.text, at)
	for _, b := range boundaries {
		if m := markOf(line, b); m != missing {
			r.found, r.of, r.at = m, b, next
			return true
		}
	}
	return false
}

// until goes behind the next boundary line and returns what stands before it, without the line end that belongs to the
// boundary. Without one it goes to the end.
func (r *reader) until(boundaries []string) []byte {
	from := r.at
	for at := from; at < len(r.text); {
		if r.boundaryAt(at, boundaries) {
			return withoutEnd(r.text[from:at])
		}
		_, at = cutLine(r.text, at)
	}
	r.found, r.of, r.at = missing, "", len(r.text)
	return r.text[from:]
}

func withoutEnd(content []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(content, []byte("\n")), []byte("\r"))
}

// headers reads lines to the empty one behind them; a line that begins with a blank goes on with the one before.
// complete is false where the document ends, or a boundary stands, before the empty line.
func (r *reader) headers(boundaries []string) (all []wit.Header, complete bool) {
	first := len(r.all)
	defer func() { all = r.all[first:len(r.all):len(r.all)] }()
	for r.at < len(r.text) {
		if r.boundaryAt(r.at, boundaries) {
			return nil, false
		}
		line, next := cutLine(r.text, r.at)
		at := r.at
		if next == len(r.text) && r.text[len(r.text)-1] != '\n' {
			break // cut off inside the line
		}
		r.at = next
		if len(bytes.TrimSpace(line)) == 0 {
			return nil, true
		}
		text := r.whole[at : at+len(line)]
		if n := len(r.all); (line[0] == ' ' || line[0] == '\t') && n > first {
			r.all[n-1].Value += " " + strings.TrimSpace(text)
			continue
		}
		name, value, _ := strings.Cut(text, ":")
		if len(r.all) == cap(r.all) { // what is done with stays where it is
			r.all, first = append(make([]wit.Header, 0, 2*(len(r.all)-first)+512), r.all[first:]...), 0
		}
		r.all = append(r.all, wit.Header{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)})
	}
	r.found, r.of, r.at = missing, "", len(r.text)
	return nil, false
}

// part reads one part behind its boundary, to the next boundary of the document.
func (r *reader) part(outer string) Parsed {
	r.found = opens // until a step finds another one
	own, complete := r.headers([]string{outer})
	if !complete {
		return Parsed{Complete: r.found != missing}
	}
	inner, multipart := Boundary(header(own, "Content-Type"))
	if !multipart || inner == "" || inner == outer {
		m := r.message(own, []string{outer})
		return Parsed{Messages: r.first(m), Complete: m.Complete && r.found != missing}
	}
	p := Parsed{Changeset: true}
	both := []string{inner, outer}
	r.until(both)
	for r.found == opens && r.of == inner {
		own, complete := r.headers(both)
		if !complete {
			p.Messages = append(p.Messages, Message{})
			continue
		}
		if m := r.message(own, both); p.Messages == nil {
			p.Messages = r.first(m)
		} else {
			p.Messages = append(p.Messages, m)
		}
	}
	p.Complete = r.found != missing
	if r.of == inner { // it has ended: what comes before the document's own boundary is no content
		r.until([]string{outer})
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

// message reads a message to the boundary behind it. Its own Content-Length counts where a boundary follows there, or
// nothing: texts may look like boundaries, and lengths are wrong often.
func (r *reader) message(own []wit.Header, boundaries []string) Message {
	m := Message{ID: header(own, "Content-ID")}
	for r.at < len(r.text) { // empty lines before the first one
		if r.boundaryAt(r.at, boundaries) {
			return m
		}
		line, next := cutLine(r.text, r.at)
		if next == len(r.text) && r.text[len(r.text)-1] != '\n' {
			r.found, r.of, r.at = missing, "", len(r.text)
			return m
		}
		text := strings.TrimSpace(r.whole[r.at : r.at+len(line)])
		r.at = next
		if text != "" {
			m.Line = text
			break
		}
	}
	var complete bool
	if m.Headers, complete = r.headers(boundaries); !complete {
		// An answer without a body may do without the empty line, where a boundary shows that nothing is missing.
		m.Complete = r.found != missing
		return m.identified()
	}
	if n, ok := length(&m); ok && n <= len(r.text)-r.at {
		m.Body = r.text[r.at : r.at+n]
		behind := r.at + n
		for behind < len(r.text) && (r.text[behind] == '\r' || r.text[behind] == '\n') {
			behind++
		}
		from := r.at
		if behind == len(r.text) {
			r.found, r.of, r.at = missing, "", behind
			m.Complete = true
			return m.identified()
		}
		if (behind > from+n || n == 0) && r.boundaryAt(behind, boundaries) {
			m.Complete = true
			return m.identified()
		}
	}
	m.Body = r.until(boundaries)
	m.Complete = r.found != missing
	if status := m.Status(); status == 204 || status == 304 || len(bytes.Trim(m.Body, "\r\n")) == 0 {
		m.Body = nil
	}
	return m.identified()
}

func (m Message) identified() Message {
	if m.ID == "" {
		m.ID = m.Header("Content-ID")
	}
	return m
}

func length(m *Message) (int, bool) {
	n, err := strconv.ParseUint(m.Header("Content-Length"), 10, 31)
	return int(n), err == nil
}
