package decode

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// JSON decodes pages of verbose JSON: `{"d":{"results":[…]}}`, `{"d":[…]}`, the same without `d`, single entities and
// function results. Members may have any order.
type JSON struct {
	stream
	form jsonForm // the decoder itself
	// endObject, if not nil, is called after the last member of a struct.
	endObject func(s *structure)
	// oneLink means that two different links of one kind fail the page: the rows behind one of them would be missing.
	oneLink bool
	state   jsonState
	open    int // number of open objects around the rows
	item    itemState
	scalar  []byte // the last unescaped value; its memory is reused
	name    []byte // the last unescaped name; its memory is reused
}

// itemState describes the current item of the array of rows. [JSON] uses isDeleted alone.
type itemState struct {
	isDeleted bool   // no row: a deleted entry, or a link
	isRemoved bool   // a deleted entry in the form of OData 4.01
	isLink    bool   // an added or deleted link
	isPartial bool   // a row without a column, see [JSON4Options]
	otherSet  string // of an entity or a link that belongs to another set than the page
}

type jsonState uint8

const (
	jsonStart    jsonState = iota
	jsonRoot               // before an object around the rows, or a single row
	jsonInner              // before an object around the rows, or a single row, inside of d
	jsonFirstRow           // at the start of the array of rows
	jsonRow                // before an item of the array
	jsonMembers            // after a member of an object around the rows
	jsonEnd
)

// NewJSON returns a decoder for rows of an initialized schema.
func NewJSON(schema *RowSchema) *JSON {
	d := &JSON{}
	d.form = d
	d.init(d, schema, 0)
	return d
}

// Reset is [Decoder.Reset].
func (j *JSON) Reset() {
	j.stream.reset()
	j.state = jsonStart
	j.open = 0
	j.item = itemState{}
}

func (j *JSON) nestedDecoder() *stream {
	child := NewJSON(j.schema)
	child.collector = &j.nestedPages
	return &child.stream
}

// step implements [format].
func (j *JSON) step(out *Output) *scan.Error {
	b := j.buf
	i := scan.JSONSpace(b, j.pos)
	j.inRow = false
	if j.state == jsonEnd {
		return j.end(i)
	}
	if i >= len(b) {
		return scan.ErrNeedMore
	}
	switch j.state {
	case jsonStart:
		return j.start(i)
	case jsonRoot, jsonInner:
		return j.form.findRows(i, out)
	case jsonFirstRow:
		next, closed, err := scan.JSONFirst(b, i, ']')
		if err != nil {
			return err
		}
		j.pos = next
		j.state = jsonRow
		if closed {
			j.endContainer()
		}
		return nil
	case jsonRow:
		return j.rows(i, out)
	}
	next, closed, err := scan.JSONNext(b, i, '}')
	if err != nil {
		return err
	}
	if closed {
		j.pos = next
		j.open--
		j.endContainer()
		return nil
	}
	return j.member(next)
}

func (j *JSON) end(i int) *scan.Error {
	if i < len(j.buf) {
		return scan.UnexpectedByte(j.buf, i, "the end of the page")
	}
	j.pos = i
	if !j.ended {
		return scan.ErrNeedMore
	}
	j.page.Done = true
	return nil
}

func (j *JSON) endContainer() {
	j.state = jsonMembers
	if j.open == 0 {
		j.state = jsonEnd
	}
}

// start skips a byte order mark, and checks that the page starts like JSON.
func (j *JSON) start(i int) *scan.Error {
	b := j.buf
	mark, ok := byteOrderMark(b, i)
	if !ok {
		return scan.ErrNeedMore
	}
	if i = scan.JSONSpace(b, i+mark); i >= len(b) {
		return scan.ErrNeedMore
	}
	switch b[i] {
	case '{', '[':
		j.state = jsonRoot
	case '<':
		return j.noRows(i, "JSON", "XML or other markup")
	default:
		return j.unexpectedStart(i, "'{' at the start of JSON")
	}
	j.pos = i
	return nil
}

// role implements [jsonForm].
func (j *JSON) role(name []byte) memberRole {
	switch string(name) {
	case "results", "d":
		return rowsRole
	case "__next":
		return nextRole
	case "__delta":
		return deltaRole
	case "__count":
		return countRole
	case "error", "odata.error": // WCF Data Services call it odata.error
		return errorRole
	}
	return otherRole
}

// findRows implements [jsonForm]. The object may turn out to be an entity itself, or a page without rows.
func (j *JSON) findRows(start int, out *Output) *scan.Error {
	b := j.buf
	if b[start] == '[' && j.state == jsonRoot { // rows without an object
		j.pos = start + 1
		j.state = jsonFirstRow
		return nil
	}
	if b[start] != '{' {
		return scan.UnexpectedByte(b, start, "'{'")
	}
	var onlyMember jsonMember
	count := 0
	failure := ""
	var isPage, hasProperty bool
	i, closed, err := scan.JSONFirst(b, start+1, '}')
	for err == nil && !closed { // each member before the rows
		var member jsonMember
		if member, err = j.readMember(i); err != nil {
			if utf16(b[start:]) {
				return notUTF8(start)
			}
			break
		}
		if otherVersion := member.version(b[member.value]); otherVersion != "" && j.state == jsonRoot {
			return &scan.Error{At: i, Expected: "rows of OData v2", Found: otherVersion +
				": the path belongs to a service of another version"}
		}
		_, ok := j.schema.columnByName[string(member.name)]
		hasProperty = hasProperty || ok || j.schema.isIgnored[string(member.name)]
		if (j.state == jsonRoot && member.is("d")) || member.is("results") {
			if j.enter(member) {
				j.serviceError += failure // an error before the rows, which fails the page
				return nil
			}
		}
		var end int
		if end, err = scan.JSONValue(b, member.value, maxDepth-1); err != nil {
			break
		}
		if j.role(member.name) == errorRole && b[member.value] != 'n' { // not null
			failure = quoted(b[member.value:end])
		}
		member.end = end
		isPaging, problem := j.pageMember(member)
		switch {
		case problem != nil:
			return problem
		case isPaging:
			isPage = true
		case !member.is("__metadata"):
			onlyMember = member
			count++
		}
		i, closed, err = scan.JSONNext(b, end, '}')
	}
	if err != nil {
		return err
	}
	// The object has no array of rows.
	if isPage && count == 0 { // a page without rows may omit their array
		j.pos = i
		j.endContainer()
		return nil
	}
	if j.state == jsonRoot && !hasProperty { // no entity; decodeObject checks the one member of a wrapper
		mayBeWrapper := count == 0 || (count == 1 && (onlyMember.is("d") || onlyMember.is("results") ||
			j.role(onlyMember.name) == errorRole || onlyMember.is("EntitySets")))
		if !mayBeWrapper {
			return &scan.Error{At: start, Expected: "rows",
				Found: "JSON with none of the set's properties, as gateways return it: " + quoted(b[start:i])}
		}
	}
	return j.decodeObject(start, i, onlyMember, count, out)
}

// version names the other OData version whose responses have this member, or returns an empty string.
func (m jsonMember) version(opens byte) string {
	name := string(m.name)
	switch {
	case name == "odata.error": // an error document, see role
		return ""
	case strings.HasPrefix(name, "@odata."), name == "@context":
		return "a response of OData v4 (" + name + ")"
	case strings.HasPrefix(name, "odata."):
		return "a response of OData v3 (" + name + ")"
	case name == "value" && opens == '[':
		return "a response of OData v3 or v4 (value)"
	}
	return ""
}

// utf16 reports whether a text begins like UTF-16, with or without a byte order mark.
func utf16(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	hasByteOrderMark := (b[0] == 0xff && b[1] == 0xfe) || (b[0] == 0xfe && b[1] == 0xff)
	return hasByteOrderMark || (b[0] == 0) != (b[1] == 0)
}

// unexpectedStart returns the error of a page that starts with the byte at i. Two bytes show whether it is UTF-16.
func (s *stream) unexpectedStart(i int, expected string) *scan.Error {
	switch {
	case i+1 == len(s.buf) && !s.ended:
		return scan.ErrNeedMore
	case utf16(s.buf[i:]):
		return notUTF8(i)
	case bytes.HasPrefix(s.buf[i:], []byte("\x1f\x8b")):
		return &scan.Error{At: i, Expected: expected, Found: "gzip: the body is compressed once more than its " +
			"Content-Encoding states, by the service or by a proxy"}
	case s.buf[i]|0x20 >= 'a' && s.buf[i]|0x20 <= 'z': // a letter
		return s.noRows(i, expected, plainText)
	}
	return scan.UnexpectedByte(s.buf, i, expected)
}

func notUTF8(pos int) *scan.Error { return &scan.Error{At: pos, Expected: "UTF-8", Found: "UTF-16"} }

// enter continues inside of a member that may contain the rows. It returns false for other members.
func (j *JSON) enter(member jsonMember) bool {
	b := j.buf
	switch {
	case b[member.value] == '[':
		j.pos = member.value + 1
		j.state = jsonFirstRow
	case b[member.value] == '{' && member.is("d"):
		j.pos = member.value
		j.state = jsonInner
	default:
		return false
	}
	j.open++
	return true
}

// decodeObject handles a complete object without an array of rows: an entity, or the name of a function around one.
func (j *JSON) decodeObject(start, end int, only jsonMember, count int, out *Output) *scan.Error {
	b := j.buf
	schema := j.schema
	if count == 0 {
		return &scan.Error{At: start, Expected: "rows", Found: "an object without properties"}
	}
	if count == 1 {
		_, ok := schema.columnByName[string(only.name)]
		opens := b[only.value]
		switch {
		case ok || schema.isIgnored[string(only.name)]: // the object is an entity
		case opens == 'n' && (only.is("d") || only.is("results")):
			j.pos = end // a function returned no entity
			j.endContainer()
			return nil
		case j.role(only.name) == errorRole && j.state == jsonRoot:
			return &scan.Error{At: only.value, Expected: "rows",
				Found: "an error document: " + quoted(b[only.value:only.end])}
		case only.is("EntitySets") && opens == '[':
			return &scan.Error{At: only.value, Expected: "rows", Found: "a service document"}
		case opens == '{': // the name of a function, around an entity
			j.pos = only.value
			j.state = jsonInner
			j.open++
			return nil
		case opens == '[': // the name of a function, around rows
			j.pos = only.value + 1
			j.state = jsonFirstRow
			j.open++
			return nil
		}
	}
	j.pos = end
	j.endContainer()
	return j.row(b[start:end], j.base+int64(start), out)
}

// member reads a member after the rows.
func (j *JSON) member(i int) *scan.Error {
	member, err := j.readMember(i)
	if err != nil {
		return err
	}
	role := j.form.role(member.name)
	if role == rowsRole {
		return &scan.Error{At: i, Expected: "rows once", Found: "a second " + string(member.name)}
	}
	if member.end, err = scan.JSONValue(j.buf, member.value, maxDepth); err != nil {
		return err
	}
	if _, err = j.pageMember(member); err != nil {
		return err
	}
	if role == errorRole && j.buf[member.value] != 'n' {
		j.serviceError = quoted(j.buf[member.value:member.end])
	}
	j.pos = member.end
	return nil
}

type jsonMember struct {
	name  []byte
	value int // start of the value
	end   int // end of the value; zero if it was not read yet
}

func (m jsonMember) is(name string) bool { return string(m.name) == name }

func (j *JSON) readMember(i int) (jsonMember, *scan.Error) {
	b := j.buf
	end, value, err := scan.JSONName(b, i)
	if err != nil {
		return jsonMember{}, err
	}
	return jsonMember{name: nameIn(b[i:end]), value: value}, nil
}

func nameIn(text []byte) []byte {
	name := text[1 : len(text)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		name, _ = scan.Unescape(nil, text, false)
	}
	return name
}

// pageMember reads a member that concerns the page. A link that cannot be read is an error, because without it the page
// would be the last one.
func (j *JSON) pageMember(m jsonMember) (isPaging bool, err *scan.Error) {
	value := j.buf[m.value:m.end]
	scalar := j.scalarText(value)
	switch role := j.form.role(m.name); role {
	case nextRole, deltaRole:
		if !j.isLink(value) {
			return true, &scan.Error{At: m.value, Expected: "a link in " + string(m.name), Found: quoted(value)}
		}
		link := &j.page.Next
		if role == deltaRole {
			link = &j.page.Delta
		}
		if j.oneLink && link.Href != "" && link.Href != string(scalar) {
			return true, &scan.Error{At: m.value, Expected: "one link in " + string(m.name),
				Found: quoted(value) + " after " + quoted([]byte(link.Href))}
		}
		link.Href = string(scalar)
	case contextRole:
		j.page.Next.Base = string(scalar)
		j.page.Delta.Base = string(scalar)
		return false, nil
	case countRole:
		if n, ok := scan.Integer(bytes.TrimSpace(scalar), 0, maxCount); ok {
			j.page.Count = n
		}
	default:
		return false, nil
	}
	return true, nil
}

// isLink reports whether a value is a valid string, which may be empty, or null.
func (j *JSON) isLink(value []byte) bool {
	if value[0] == '"' {
		_, ok := scan.Unescape(j.name[:0], value, false)
		return ok
	}
	return value[0] == 'n'
}

// scalarText returns the value of a string or the text of a number, and nil for null and invalid values.
func (j *JSON) scalarText(value []byte) []byte {
	switch {
	case value[0] == '"':
		ok := false
		if j.scalar, ok = scan.Unescape(j.scalar[:0], value, false); ok {
			return j.scalar
		}
		return nil
	case value[0] == 'n' || value[0] == '{' || value[0] == '[':
		return nil
	}
	return value
}

// byteOrderMark returns the size of a byte order mark at i, zero if there is none. ok is false if more text is needed.
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

const (
	maxErrorText = 4 << 10 // bytes of a document without rows that are searched for an error message
	maxPlainText = 200     // bytes of a text that the error quotes
	plainText    = "text"
)

// noRows returns the error of a document without rows, or [scan.ErrNeedMore] to read more of it. It keeps the text of
// the document for the page's error.
func (s *stream) noRows(pos int, expected, found string) *scan.Error {
	head := s.buf[pos:]
	if !s.ended && len(head) < maxErrorText {
		return scan.ErrNeedMore
	}
	head = head[:min(len(head), maxErrorText)]
	lower := bytes.ToLower(head[:min(len(head), 1024)]) // enough to recognize HTML
	s.html = bytes.Contains(lower, []byte("<!doctype html")) || bytes.Contains(lower, []byte("<html"))
	switch {
	case s.html:
		s.documentText = odataerror.Title(head)
		found = "HTML"
	case odataerror.IsError(head):
		if code, message, _ := odataerror.Document(head); message != "" {
			found = "an error document"
			s.documentText = strings.TrimPrefix(code+": "+message, ": ")
		}
	case found == plainText:
		s.documentText = strconv.Quote(strings.ToValidUTF8(string(head[:min(len(head), maxPlainText)]), ""))
	}
	return &scan.Error{At: pos, Expected: expected, Found: found}
}
