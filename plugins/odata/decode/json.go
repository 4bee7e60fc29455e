package decode

import (
	"bytes"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// JSON decodes pages of verbose JSON: `{"d":{"results":[…]}}`, `{"d":[…]}`, the same without `d`, single entities and
// results of functions. Members come in any order.
type JSON struct {
	stream
	state jsonState
	// open is how many objects around the rows are still open.
	open int
	text []byte
	// lane is nil where every row is for the plain parser
	lane *jsonLane
}

type jsonState uint8

const (
	// jsonStart: nothing was seen yet.
	jsonStart jsonState = iota
	// jsonRoot, jsonInner: in front of an object that holds the rows or is one.
	jsonRoot
	jsonInner
	// jsonFirstRow, jsonRow: in the array of rows, in front of its first item or its end; in front of an item.
	jsonFirstRow
	jsonRow
	// jsonMembers: after a member of an object around the rows.
	jsonMembers
	// jsonEnd: after everything.
	jsonEnd
)

// NewJSON makes a decoder for rows of a layout that is ready.
func NewJSON(l *RowLayout) *JSON {
	d := newPlainJSON(l)
	d.lane = newJSONLane(d)
	return d
}

func newPlainJSON(l *RowLayout) *JSON {
	d := &JSON{}
	d.init(d, l)
	return d
}

func (d *JSON) Reset() {
	d.stream.reset()
	d.state, d.open = jsonStart, 0
	if d.lane != nil {
		d.lane.cutEnd = 0
		if d.lane.reported {
			d.lane = newJSONLane(d)
		}
	}
}

func (d *JSON) nested() *stream {
	child := newPlainJSON(d.layout)
	child.collect = true
	return &child.stream
}

func (d *JSON) step(out *Output) *scan.Error {
	b := d.buf
	i := scan.JSONSpace(b, d.pos)
	d.inRow = false
	if d.state == jsonEnd {
		return d.end(i)
	}
	if i >= len(b) {
		return scan.More
	}
	switch d.state {
	case jsonStart:
		return d.start(i)
	case jsonRoot, jsonInner:
		return d.probe(i, out)
	case jsonFirstRow:
		next, closed, err := scan.JSONFirst(b, i, ']')
		if err != nil {
			return err
		}
		d.pos, d.state = next, jsonRow
		if closed {
			d.leave()
		}
		return nil
	case jsonRow:
		if d.lane != nil && b[i] == '{' {
			next, closed, progress, err := d.lane.try(&d.stream, i, out)
			if err != nil {
				return err
			}
			if progress {
				if d.pos = next; closed {
					d.leave()
				}
				return nil
			}
		}
		return d.item(i, out)
	}
	next, closed, err := scan.JSONNext(b, i, '}')
	if err != nil {
		return err
	}
	if closed {
		d.pos = next
		d.open--
		d.leave()
		return nil
	}
	return d.member(next)
}

// end: only white space may follow.
func (d *JSON) end(i int) *scan.Error {
	if i < len(d.buf) {
		return scan.WrongByte(d.buf, i, "nothing behind the page")
	}
	d.pos = i
	if !d.ended {
		return scan.More
	}
	d.page.Done = true
	return nil
}

// leave goes on after something that was closed.
func (d *JSON) leave() {
	d.state = jsonMembers
	if d.open == 0 {
		d.state = jsonEnd
	}
}

// start skips a byte order mark and knows JSON from other things.
func (d *JSON) start(i int) *scan.Error {
	b := d.buf
	mark, ok := byteOrderMark(b, i)
	if !ok {
		return scan.More
	}
	if i = scan.JSONSpace(b, i+mark); i >= len(b) {
		return scan.More
	}
	switch b[i] {
	case '{':
		d.state = jsonRoot
	case '[':
		i, d.state = i+1, jsonFirstRow
	case '<':
		return d.noRows(i, "JSON", "XML or other markup")
	default:
		if utf16(b[i:]) {
			return notUTF8(i)
		}
		return scan.WrongByte(b, i, "'{' at the start of JSON")
	}
	d.pos = i
	return nil
}

// probe looks through an object around the rows until it finds them, or finds at its end that it is an entity itself,
// or a page without rows, of which only links and count came.
func (d *JSON) probe(start int, out *Output) *scan.Error {
	b := d.buf
	if b[start] != '{' {
		return scan.WrongByte(b, start, "'{'")
	}
	var only jsonMember
	count, failure, paged, known := 0, "", false, false
	i, closed, err := scan.JSONFirst(b, start+1, '}')
	for err == nil && !closed {
		var m jsonMember
		if m, err = d.readMember(i); err != nil {
			if utf16(b[start:]) {
				return notUTF8(start)
			}
			break
		}
		if other := m.version(b[m.value]); other != "" && d.state == jsonRoot {
			return &scan.Error{At: i, Expected: "rows of OData v2", Found: other +
				": the path is that of a service of another version"}
		}
		_, column := d.layout.names[string(m.name)]
		known = known || column || d.layout.known[string(m.name)]
		if d.state == jsonRoot && m.is("d") || m.is("results") {
			if d.enter(m) {
				d.failure += failure
				return nil
			}
		}
		var end int
		if end, err = scan.JSONValue(b, m.value, maxDepth); err != nil {
			break
		}
		if (m.is("error") || m.is("odata.error")) && b[m.value] != 'n' {
			failure = quoted(b[m.value:end])
		}
		switch m.end = end; {
		case d.pageMember(m):
			paged = true
		case !m.is("__metadata"):
			only, count = m, count+1
		}
		i, closed, err = scan.JSONNext(b, end, '}')
	}
	if err != nil {
		return err
	}
	if paged && count == 0 { // a page that leaves out that it has no rows
		d.pos = i
		d.leave()
		return nil
	}
	if d.state == jsonRoot && !known && !d.wraps(only, count) {
		return &scan.Error{At: start, Expected: "rows",
			Found: "JSON with none of the set's properties, such as gateways " +
				"answer: " + quoted(b[start:i])}
	}
	return d.whole(start, i, only, count, out)
}

// wraps reports whether an object of one member may be what [JSON.whole] takes for something else than an entity.
func (d *JSON) wraps(only jsonMember, count int) bool {
	return count == 0 || count == 1 && (only.is("d") || only.is("results") || only.is("error") ||
		only.is("odata.error") ||
		only.is("EntitySets"))
}

// version names the other version of OData of whose answers a member is, "" for none.
func (m jsonMember) version(opens byte) string {
	name := string(m.name)
	switch {
	case name == "odata.error":
		return ""
	case strings.HasPrefix(name, "@odata."), name == "@context":
		return "an answer of OData v4 (" + name + ")"
	case strings.HasPrefix(name, "odata."):
		return "an answer of OData v3 (" + name + ")"
	case name == "value" && opens == '[':
		return "an answer of OData v3 or v4 (value)"
	}
	return ""
}

// utf16 reports whether a text begins as one in UTF-16 does, with a byte order mark or without one.
func utf16(b []byte) bool {
	return len(b) > 1 && (b[0] == 0xff && b[1] == 0xfe || b[0] == 0xfe && b[1] == 0xff || b[0] == 0 != (b[1] == 0))
}

func notUTF8(at int) *scan.Error { return &scan.Error{At: at, Expected: "UTF-8", Found: "UTF-16"} }

// enter goes into a member that holds the rows; false: it does not.
func (d *JSON) enter(m jsonMember) bool {
	b := d.buf
	switch {
	case b[m.value] == '[':
		d.pos, d.state = m.value+1, jsonFirstRow
	case b[m.value] == '{' && m.is("d"):
		d.pos, d.state = m.value, jsonInner
	default:
		return false
	}
	d.open++
	return true
}

// whole decides about an object that was seen whole and has no array of rows: an entity, or around one the name of a
// function.
func (d *JSON) whole(start, end int, only jsonMember, count int, out *Output) *scan.Error {
	b, l := d.buf, d.layout
	if count == 0 {
		return &scan.Error{At: start, Expected: "rows", Found: "an object without properties"}
	}
	if count == 1 {
		_, column := l.names[string(only.name)]
		opens := b[only.value]
		switch {
		case column || l.known[string(only.name)]:
		case opens == 'n' && (only.is("d") || only.is("results")):
			// no entity, as functions answer
			d.pos = end
			d.leave()
			return nil
		case (only.is("error") || only.is("odata.error")) && d.state == jsonRoot:
			return &scan.Error{At: only.value, Expected: "rows",
				Found: "an error document: " + quoted(b[only.value:only.end])}
		case only.is("EntitySets") && opens == '[':
			return &scan.Error{At: only.value, Expected: "rows", Found: "a service document"}
		case opens == '{':
			d.pos, d.state = only.value, jsonInner
			d.open++
			return nil
		case opens == '[':
			d.pos, d.state = only.value+1, jsonFirstRow
			d.open++
			return nil
		}
	}
	d.pos = end
	d.leave()
	d.row(b[start:end], d.base+int64(start), out)
	return nil
}

// member reads a member of an object around the rows, after them.
func (d *JSON) member(i int) *scan.Error {
	m, err := d.readMember(i)
	if err != nil {
		return err
	}
	if m.is("results") || m.is("d") {
		return &scan.Error{At: i, Expected: "rows once", Found: "a second " + string(m.name)}
	}
	if m.end, err = scan.JSONValue(d.buf, m.value, maxDepth); err != nil {
		return err
	}
	if d.pageMember(m); m.is("error") && d.buf[m.value] != 'n' {
		d.failure = quoted(d.buf[m.value:m.end])
	}
	d.pos = m.end
	return nil
}

// jsonMember is a member of an object around the rows.
type jsonMember struct {
	name       []byte
	value, end int
}

func (m jsonMember) is(name string) bool { return string(m.name) == name }

func (d *JSON) readMember(i int) (jsonMember, *scan.Error) {
	b := d.buf
	end, value, err := scan.JSONName(b, i)
	if err != nil {
		return jsonMember{}, err
	}
	return jsonMember{name: nameIn(b[i:end]), value: value}, nil
}

// nameIn is what a member's name, in quotes, stands for.
func nameIn(text []byte) []byte {
	name := text[1 : len(text)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		name, _ = scan.Unescape(nil, text, false)
	}
	return name
}

// pageMember takes what the page says about itself; false: it is something else.
func (d *JSON) pageMember(m jsonMember) bool {
	text := d.plain(d.buf[m.value:m.end])
	switch string(m.name) {
	case "__next":
		d.page.Next.Href = string(text)
	case "__delta":
		d.page.Delta.Href = string(text)
	case "__count":
		if n, ok := scan.Integer(bytes.TrimSpace(text), 0, 1<<62); ok {
			d.page.Count = n
		}
	default:
		return false
	}
	return true
}

// plain is what a string stands for, or a number's text; nothing for null and what is wrong.
func (d *JSON) plain(value []byte) []byte {
	switch {
	case value[0] == '"':
		ok := false
		if d.text, ok = scan.Unescape(d.text[:0], value, false); ok {
			return d.text
		}
		return nil
	case value[0] == 'n' || value[0] == '{' || value[0] == '[':
		return nil
	}
	return value
}

// item reads a row of the array.
func (d *JSON) item(start int, out *Output) *scan.Error {
	b := d.buf
	d.inRow = true
	end, err := scan.JSONValue(b, start, maxDepth)
	if err != nil {
		return err
	}
	next, closed, err := scan.JSONNext(b, end, ']')
	if err != nil {
		return err
	}
	d.inRow = false
	d.pos = next
	if closed {
		d.leave()
	}
	made := len(out.Rows)
	d.row(b[start:end], d.base+int64(start), out)
	if d.lane != nil && len(out.Rows) > made {
		d.lane.learnRow(b[start:end])
	}
	return nil
}

// byteOrderMark returns the length of a byte order mark at i; false: more must be seen.
func byteOrderMark(b []byte, i int) (size int, ok bool) {
	const mark = "\xef\xbb\xbf"
	for k := range len(mark) {
		if i+k >= len(b) {
			return 0, false
		}
		if b[i+k] != mark[k] {
			return 0, true
		}
	}
	return len(mark), true
}

// saidWithin is how many bytes of a document without rows are looked at for what it is and says.
const saidWithin = 4 << 10

// noRows is the error of markup in the place of rows, where nothing else is known of it than found; more: too little of
// it has come to tell.
func (s *stream) noRows(at int, expected, found string) *scan.Error {
	head := s.buf[at:]
	if !s.ended && len(head) < saidWithin {
		return scan.More
	}
	head = head[:min(len(head), saidWithin)]
	low := bytes.ToLower(head[:min(len(head), 1024)])
	s.html = bytes.Contains(low, []byte("<!doctype html")) || bytes.Contains(low, []byte("<html"))
	switch {
	case s.html:
		found, s.serviceText = "HTML", odataerror.Title(head)
	case odataerror.IsError(head):
		if code, message, _ := odataerror.Document(head); message != "" {
			found, s.serviceText = "an error document", strings.TrimPrefix(code+": "+message, ": ")
		}
	}
	return &scan.Error{At: at, Expected: expected, Found: found}
}
