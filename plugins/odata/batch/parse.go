package batch

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/culvert-project/culvert/wit"
)

// Document is a parsed batch: a request or a response.
type Document struct {
	Parts []ParsedPart
	// Complete is false if the document was cut off before its last boundary.
	Complete bool
}

// ParsedPart is a part of a document.
type ParsedPart struct {
	// Changeset is true for a nested multipart document. A failed changeset is a single message instead.
	Changeset bool
	Messages  []Message
	Complete  bool
}

// Message is the content of a part of type application/http.
type Message struct {
	Line string // the first line, a request line or a status line
	Body []byte
	// ID is the Content-ID of the part or else of the message, "" if there is none.
	ID string
	// Complete is true if a boundary follows, or the body has its announced length.
	Complete bool
	status   uint16
	headers  fields
}

// Status returns the status of a response, 0 if the first line is no status line.
func (m *Message) Status() uint16 { return m.status }

// statusOf returns the status in the first line of a response, 0 if that is no status line.
func statusOf(line string) uint16 {
	code := ""
	if len(line) > 9 && line[8] == ' ' && line[9] != ' ' && strings.HasPrefix(line, "HTTP/1.") { // the usual line
		code = line[9:]
	} else {
		version, status, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(version, "HTTP/") {
			return 0
		}
		code = strings.TrimLeft(status, " ")
	}
	if len(code) < 3 || (len(code) > 3 && code[3] != ' ') {
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

// Header returns the value of a header, "" if it is missing.
func (m *Message) Header(name string) string { return m.headers.value(name) }

// Headers returns a new list of all headers.
func (m *Message) Headers() []wit.Header { return m.headers.all() }

// fields are unparsed headers: lines with their ends. A line that continues another one starts with a blank. The values
// of frequent headers are found when their lines are read.
type fields struct {
	text     string
	frequent [len(frequentNames)]span // the first value of each name, not trimmed
	isOdd    bool                     // a header has several lines, or blanks around its name, or no colon
}

// span is a part of a text. The zero span means that the header is missing.
type span struct{ start, end int32 }

// Indexes of frequentNames.
const (
	indexType = iota // of Content-Type
	indexID
	indexLength
	noFrequent  = -1
	oddFrequent = -2 // see fields.isOdd
)

// frequentNames differ in length.
var frequentNames = [...]string{"Content-Type", "Content-ID", "Content-Length", "Location", "ETag", "sap-message",
	"RepeatabilityResult", "Repeatability-Result"}

// frequentIn returns the index of the frequent name in a header line, and where its value starts.
func frequentIn(line string) (name, value int) {
	if !isPlain(line[0]) {
		return oddFrequent, 0
	}
	switch line[0] | 0x20 {
	case 'c', 'l', 'e', 's', 'r': // the first letters of frequentNames
		for i, name := range frequentNames {
			if len(name) < len(line) && line[len(name)] == ':' && strings.EqualFold(line[:len(name)], name) {
				return i, len(name) + 1
			}
		}
		if colon := strings.IndexByte(line, ':'); colon < 0 || !isPlain(line[colon-1]) {
			return oddFrequent, 0
		}
	}
	return noFrequent, 0
}

// value returns the first value of a header, "" if it is missing.
func (f *fields) value(name string) string {
	for i := range frequentNames {
		if frequentNames[i] == name && !f.isOdd {
			return f.frequentValue(i)
		}
	}
	for pos := 0; pos < len(f.text); {
		line, next := cutLine(f.text, pos)
		headerName, size := cutName(line)
		if !f.continues(pos) && strings.EqualFold(headerName, name) {
			return f.valueAt(pos + size)
		}
		pos = next
	}
	return ""
}

// frequentValue is value for a frequent name.
func (f *fields) frequentValue(name int) string {
	if f.isOdd {
		return f.value(frequentNames[name])
	}
	return trimmed(f.text[f.frequent[name].start:f.frequent[name].end])
}

// valueAt returns the value that starts at pos, with the lines that continue it.
func (f *fields) valueAt(pos int) string {
	line, next := cutLine(f.text, pos)
	value := trimmed(line)
	for next < len(f.text) && f.continues(next) {
		line, next = cutLine(f.text, next)
		value += " " + strings.TrimSpace(line)
	}
	return value
}

// continues reports whether the line at pos continues the header before.
func (f *fields) continues(pos int) bool {
	return pos > 0 && (f.text[pos] == ' ' || f.text[pos] == '\t')
}

func (f *fields) all() []wit.Header {
	headers := make([]wit.Header, 0, usualHeaders)
	for pos := 0; pos < len(f.text); {
		line, next := cutLine(f.text, pos)
		if !f.continues(pos) {
			name, size := cutName(line)
			headers = append(headers, wit.Header{Name: name, Value: f.valueAt(pos + size)})
		}
		pos = next
	}
	return headers
}

const usualHeaders = 8 // in a message

// cutName returns the name of a header, and its size with the colon.
func cutName(line string) (name string, size int) {
	if colon := strings.IndexByte(line, ':'); colon >= 0 {
		return strings.TrimSpace(line[:colon]), colon + 1
	}
	return strings.TrimSpace(line), len(line)
}

// cutLine returns the line at pos without its end, and where the next one starts.
func cutLine(text string, pos int) (line string, next int) {
	end := strings.IndexByte(text[pos:], '\n')
	if end < 0 {
		return text[pos:], len(text)
	}
	return strings.TrimSuffix(text[pos:pos+end], "\r"), pos + end + 1
}

func trimmed(text string) string {
	if len(text) > 1 && text[0] == ' ' {
		text = text[1:]
	}
	if n := len(text); n > 0 && isPlain(text[0]) && isPlain(text[n-1]) {
		return text
	}
	return strings.TrimSpace(text)
}

func isPlain(c byte) bool { return c > ' ' && c < utf8.RuneSelf }

// Boundary returns the boundary in a Content-Type. ok is true for a multipart type.
func Boundary(contentType string) (boundary string, ok bool) {
	if value, ok := strings.CutPrefix(contentType, "multipart/mixed; boundary="); ok && isToken(value) {
		return value, true
	}
	kind, parameters, _ := strings.Cut(contentType, ";")
	kind = strings.TrimSpace(kind)
	if len(kind) < len(multipart) || !strings.EqualFold(kind[:len(multipart)], multipart) {
		return "", false
	}
	for parameters != "" {
		parameters = strings.TrimLeft(parameters, " \t;")
		name, after, hasValue := strings.Cut(parameters, "=")
		if !hasValue {
			break
		}
		value := ""
		if after = strings.TrimLeft(after, " \t"); strings.HasPrefix(after, `"`) {
			value, parameters, _ = strings.Cut(after[1:], `"`)
		} else {
			value, parameters, _ = strings.Cut(after, ";")
			value = strings.TrimRight(value, " \t\r\n")
		}
		if strings.EqualFold(strings.TrimSpace(name), "boundary") && value != "" {
			return value, true
		}
	}
	return "", true
}

const multipart = "multipart/"

// isToken reports whether a parameter of a Content-Type has no quotes, blanks or parameters after it.
func isToken(value string) bool {
	for i := range len(value) {
		if c := value[i]; !isPlain(c) || c == '"' || c == ';' {
			return false
		}
	}
	return value != ""
}

// Parse parses a document, which shares the memory of body. If contentType has no boundary, the first line that looks
// like one is used. ok is false if there is none. Anything else that is invalid is missing from the document or not
// complete. The time is linear in the size.
func Parse(contentType string, body []byte) (document Document, ok bool) {
	boundary, _ := Boundary(contentType)
	for offset := 0; boundary == "" && offset < len(body); {
		end, next := lineAt(body, offset)
		line := strings.TrimRight(string(body[offset:end]), " \t\r")
		if len(line) > 2 && strings.HasPrefix(line, "--") {
			boundary = line[2:]
		}
		offset = next
	}
	if boundary == "" || len(body) > math.MaxInt32 {
		return document, false
	}
	r := &reader{text: body, shared: unsafe.String(unsafe.SliceData(body), len(body)), outer: boundary}
	r.readContent()
	if r.found == noBoundary {
		return document, false
	}
	from := r.at
	for r.found == nextPart {
		document.Parts = append(document.Parts, ParsedPart{})
		r.readPart(&document.Parts[len(document.Parts)-1])
		if len(document.Parts) == 1 && r.at > from { // the others have a similar length
			document.Parts = slices.Grow(document.Parts, min((len(body)-r.at)/(r.at-from)+1, len(body)/minPartSize))
		}
	}
	document.Complete = r.found == lastBoundary
	return document, true
}

const minPartSize = 64 // in bytes

func lineAt(text []byte, offset int) (end, next int) {
	n := bytes.IndexByte(text[offset:], '\n')
	if n < 0 {
		return len(text), len(text)
	}
	if end = offset + n; n > 0 && text[end-1] == '\r' {
		end--
	}
	return end, offset + n + 1
}

type reader struct {
	text        []byte
	at          int          // offset of the next byte to read
	shared      string       // the same memory, of which headers are substrings
	messages    []Message    // memory for the messages of parts, see add
	partHeaders fields       // of the part or of the changeset's operation
	lines       []headerLine // lines read of this part, followed by lines of an earlier part
	linesOfPart int          // number of lines read of this part
	distance    int          // to the earlier text that is the same
	sameUntil   int          // see compare
	outer       string       // boundary of the document
	inner       string       // boundary of the current changeset, or ""
	found       boundaryKind // the boundary that was read last
	nested      bool         // the boundary that was read last is the inner one
}

type boundaryKind int

const (
	noBoundary boundaryKind = iota
	nextPart
	lastBoundary
)

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// readBoundary reads a boundary line at offset, if there is one.
func (r *reader) readBoundary(offset int) bool {
	if offset+1 >= len(r.text) || r.text[offset] != '-' || r.text[offset+1] != '-' {
		return false
	}
	return (r.inner != "" && r.isBoundary(offset+2, r.inner)) || r.isBoundary(offset+2, r.outer)
}

// isBoundary reads the rest of a line that has a boundary, and maybe two hyphens and blanks.
func (r *reader) isBoundary(offset int, boundary string) bool {
	end := offset + len(boundary)
	if end > len(r.text) || r.shared[offset:end] != boundary {
		return false
	}
	kind := nextPart
	if end+1 < len(r.text) && r.text[end] == '-' && r.text[end+1] == '-' {
		kind = lastBoundary
		end += 2
	}
	for end < len(r.text) && isSpace(r.text[end]) {
		end++
	}
	if end < len(r.text) && r.text[end] != '\n' {
		return false
	}
	r.found = kind
	r.nested = boundary == r.inner
	r.at = min(end+1, len(r.text))
	return true
}

// finish moves to the end of a document that lacks its last boundary.
func (r *reader) finish() {
	r.found = noBoundary
	r.nested = false
	r.at = len(r.text)
}

// isTruncated reports whether the document ends within the line before next.
func (r *reader) isTruncated(next int) bool {
	return next == len(r.text) && r.text[len(r.text)-1] != '\n'
}

// readContent reads to the next boundary line, and returns the content without the line end that belongs to the
// boundary. Without a boundary it reads to the end.
func (r *reader) readContent() []byte {
	from := r.at
	for offset := from; offset < len(r.text); {
		if r.readBoundary(offset) {
			if offset > from && r.text[offset-1] == '\n' {
				offset--
			}
			if offset > from && r.text[offset-1] == '\r' {
				offset--
			}
			return r.text[from:offset]
		}
		_, offset = lineAt(r.text, offset)
	}
	r.finish()
	return r.text[from:]
}

// readHeaders reads lines up to an empty one. complete is false if the document or the part ends before.
func (r *reader) readHeaders(f *fields) (complete bool) {
	from := r.at
	for r.at < len(r.text) {
		offset := r.at
		first := r.text[offset]
		if first == '-' && r.readBoundary(offset) {
			f.text = r.shared[from:offset]
			return false
		}
		line := r.repeatedLine(offset)
		if line == nil {
			line = r.readHeaderLine(offset)
		}
		next := offset + line.size
		if r.isTruncated(next) {
			break
		}
		r.at = next
		if line.end == 0 || (!isPlain(first) && len(bytes.TrimSpace(r.text[offset:next])) == 0) {
			f.text = r.shared[from:offset]
			return true
		}
		isContinuation := (first == ' ' || first == '\t') && offset > from
		f.isOdd = f.isOdd || isContinuation || line.name == oddFrequent
		if line.name >= 0 && f.frequent[line.name].end == 0 {
			f.frequent[line.name] = span{int32(offset - from + line.value), int32(offset - from + line.end)}
		}
	}
	f.text = r.shared[from:r.at]
	r.finish()
	return false
}

// headerLine is a line at start of the text. The other offsets are relative to it.
type headerLine struct {
	start int
	size  int
	end   int // without the line end
	// name is an index of frequentNames, noFrequent or oddFrequent, and value is where the header's value starts.
	name  int
	value int
}

// readHeaderLine returns the line at offset. Most lines are the same as in the part before, and comparing them is
// faster than searching for their ends.
func (r *reader) readHeaderLine(offset int) *headerLine {
	if r.linesOfPart == len(r.lines) {
		r.lines = append(r.lines, headerLine{})
	}
	r.compare(offset, r.lines[r.linesOfPart].start)
	if line := r.repeatedLine(offset); line != nil {
		return line
	}
	line := &r.lines[r.linesOfPart]
	r.linesOfPart++
	hasSameName := line.name >= 0 && line.size > 0 && offset+line.value <= r.sameUntil
	end, next := lineAt(r.text, offset)
	line.start = offset
	line.size = next - offset
	line.end = end - offset
	switch {
	case line.end == 0:
		line.name = noFrequent
	case !hasSameName:
		line.name, line.value = frequentIn(r.shared[offset:end])
	}
	return line
}

// repeatedLine returns the line at offset if compare has found that it is the same as in the part before, else nil.
func (r *reader) repeatedLine(offset int) *headerLine {
	if r.linesOfPart < len(r.lines) {
		line := &r.lines[r.linesOfPart]
		if offset-line.start == r.distance && line.size > 0 && offset+line.size <= r.sameUntil {
			r.linesOfPart++
			line.start = offset
			return line
		}
	}
	return nil
}

const maxSame = 256 // in bytes

// compare finds how far the text at offset is the same as the earlier one at start, in words of eight bytes first.
func (r *reader) compare(offset, start int) {
	r.distance = offset - start
	a := r.text[offset:min(len(r.text), offset+maxSame)]
	b := r.text[start:]
	n := 0
	for n+8 <= len(a) {
		if other := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); other != 0 {
			r.sameUntil = offset + n + bits.TrailingZeros64(other)>>3
			return
		}
		n += 8
	}
	for n < len(a) && a[n] == b[n] {
		n++
	}
	r.sameUntil = offset + n
}

// readPart reads a part after its boundary line, to the next boundary of the document. It fills the part in place,
// because large copies are slow in Wasm.
func (r *reader) readPart(part *ParsedPart) {
	r.found = nextPart
	r.inner = ""
	r.linesOfPart = 0
	r.partHeaders = fields{}
	if !r.readHeaders(&r.partHeaders) {
		part.Complete = r.found != noBoundary
		return
	}
	inner, isMultipart := Boundary(r.partHeaders.frequentValue(indexType))
	if !isMultipart || inner == "" || inner == r.outer {
		r.readMessage(r.add(part))
		part.Complete = part.Messages[0].Complete && r.found != noBoundary
		return
	}
	part.Changeset = true
	r.inner = inner
	r.readContent()
	for r.found == nextPart && r.nested {
		r.partHeaders = fields{}
		complete := r.readHeaders(&r.partHeaders)
		message := r.add(part)
		if complete {
			r.readMessage(message)
		}
	}
	part.Complete = r.found != noBoundary
	if r.nested { // skip the text up to the outer boundary
		r.inner = ""
		r.readContent()
	}
}

// add adds an empty message. Most parts have one, in memory that they share.
func (r *reader) add(part *ParsedPart) *Message {
	if part.Messages != nil {
		part.Messages = append(part.Messages, Message{})
	} else {
		if len(r.messages) == cap(r.messages) {
			r.messages = make([]Message, 0, min(2*cap(r.messages)+8, 512))
		}
		end := len(r.messages) + 1
		r.messages = r.messages[:end]
		part.Messages = r.messages[end-1 : end : end]
	}
	return &part.Messages[len(part.Messages)-1]
}

// readMessage reads a message up to the next boundary. Content-Length counts only if a boundary or nothing follows the
// body: bodies may look like boundaries, and lengths are often wrong.
func (r *reader) readMessage(message *Message) {
	message.ID = r.partHeaders.frequentValue(indexID)
	for r.at < len(r.text) { // empty lines before the first one
		if r.readBoundary(r.at) {
			return
		}
		line := r.readHeaderLine(r.at)
		next := r.at + line.size
		if r.isTruncated(next) {
			r.finish()
			return
		}
		firstLine := trimmed(r.shared[r.at : r.at+line.end])
		r.at = next
		if firstLine != "" {
			message.Line = firstLine
			message.status = statusOf(firstLine)
			break
		}
	}
	complete := r.readHeaders(&message.headers)
	if message.ID == "" {
		message.ID = message.headers.frequentValue(indexID)
	}
	if !complete {
		// A response without a body may lack the empty line.
		message.Complete = r.found != noBoundary
		return
	}
	if n, ok := length(message); ok && n <= len(r.text)-r.at {
		message.Body = r.text[r.at : r.at+n]
		after := r.at + n
		for after < len(r.text) && (r.text[after] == '\r' || r.text[after] == '\n') {
			after++
		}
		from := r.at
		if after == len(r.text) {
			r.finish()
			message.Complete = true
			return
		}
		if (after > from+n || n == 0) && r.readBoundary(after) { // a boundary starts a line
			message.Complete = true
			return
		}
	}
	message.Body = r.readContent()
	message.Complete = r.found != noBoundary
	if status := message.Status(); status == 204 || status == 304 || len(bytes.Trim(message.Body, "\r\n")) == 0 {
		message.Body = nil
	}
}

func length(message *Message) (int, bool) {
	n, err := strconv.ParseUint(message.headers.frequentValue(indexLength), 10, 31)
	return int(n), err == nil
}
