package batch

import (
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// AppendJSON writes the body of a batch in JSON (OData JSON Format 4.01, 19.1). Operations are numbered from 1 through
// all parts by their id, and several operations of a changeset share an atomicity group. Header names are in lower
// case, because SAP CAP finds only such ones.
func AppendJSON(dst []byte, parts []Part) []byte {
	out := writer{dst: slices.Grow(dst, estimatedSize(parts, 0))}
	separator := `{"requests":[{"id":"`
	number := 0
	for i := range parts {
		part := &parts[i]
		for j := range part.Operations {
			number++
			out.text(separator)
			separator = `,{"id":"`
			out.number(number)
			if part.Changeset && len(part.Operations) > 1 {
				out.text(`","atomicityGroup":"g`)
				out.number(i + 1)
			}
			out.jsonOperation(&part.Operations[j])
		}
	}
	out.text("]}")
	return out.dst
}

// jsonOperation writes a request after its id.
func (w *writer) jsonOperation(operation *Operation) {
	if w.previous != nil && operation.hasHeadOf(w.previous) {
		w.dst = append(w.dst, w.dst[w.from:w.to]...)
	} else {
		w.from = len(w.dst)
		w.text(`","method":"` + operation.Method + `","url":`)
		address := operation.Target + operation.Key
		if operation.Query != "" {
			address += "?" + operation.Query
		}
		w.dst = jsontext.AppendString(w.dst, address)
		separator := `,"headers":{`
		for i := range operation.Headers {
			w.text(separator)
			w.dst = jsontext.AppendString(w.dst, strings.ToLower(operation.Headers[i].Name))
			w.dst = jsontext.AppendString(append(w.dst, ':'), operation.Headers[i].Value)
			separator = ","
		}
		if len(operation.Headers) > 0 {
			w.text("}")
		}
		w.to = len(w.dst)
	}
	w.previous = operation
	if len(operation.Body) > 0 {
		w.text(`,"body":`)
		w.dst = append(w.dst, operation.Body...)
	}
	w.text("}")
}

// ParseJSON parses the response to a batch in JSON. counts has the number of operations of each part of the request.
// The parts of the document have the order of the request, whatever the order of the response. A part has no messages
// if the result of an operation is missing, and one message if an operation has failed: some services answer 201 to
// inserts of an atomicity group that they undo. Parts at the end are missing if a service has stopped at a failed part.
//
// isBatch is false for other documents. problem is not empty if the ids of results are unknown or occur twice: no
// result is certain then. The time is linear in the size.
func ParseJSON(body []byte, counts []int) (document Document, isBatch bool, problem string) {
	total := 0
	for _, count := range counts {
		total += count
	}
	r := jsonReader{text: body, shared: unsafe.String(unsafe.SliceData(body), len(body)),
		messages: make([]Message, total), lines: make([]byte, 0, len(body))}
	isClosed := r.document()
	if !r.isBatch || r.problem != "" {
		return document, r.isBatch, r.problem
	}
	document.Complete = isClosed
	document.Parts = make([]ParsedPart, len(counts))
	position := 0
	last := -1 // index of the last part with messages
	for i, count := range counts {
		part := &document.Parts[i]
		*part = ParsedPart{Changeset: count > 1, Complete: true,
			Messages: partMessages(r.messages[position : position+count : position+count])}
		if part.Messages != nil {
			last = i
		}
		position += count
	}
	if last >= 0 && document.Parts[last].Messages[0].Status() >= 400 {
		document.Parts = document.Parts[:last+1]
	}
	return document, true, ""
}

// FailedDependency is the status of operations that were not done because another one has failed.
const FailedDependency = 424

// partMessages returns the message of a failed operation if there is one, else the messages of all operations, or nil
// if one is missing.
func partMessages(messages []Message) []Message {
	isFailure := func(m Message) bool { return m.Status() >= 400 && m.Status() != FailedDependency }
	isDependent := func(m Message) bool { return m.Status() == FailedDependency }
	for _, matches := range []func(Message) bool{isFailure, isDependent} {
		if i := slices.IndexFunc(messages, matches); i >= 0 {
			return messages[i : i+1]
		}
	}
	if slices.ContainsFunc(messages, func(m Message) bool { return !m.Complete }) {
		return nil
	}
	return messages
}

// jsonReader reads a response. Its methods return ok false where the text is cut off or is no JSON.
type jsonReader struct {
	text     []byte
	shared   string    // the same memory, of which ids are substrings
	messages []Message // the results by number
	lines    []byte    // the headers of all results; what is written stays unchanged
	isBatch  bool      // the document has results
	problem  string    // what is wrong with the ids of results
}

const jsonDepth = 1000 // levels of nesting in a response

// document reads the whole text.
func (r *jsonReader) document() (ok bool) {
	start := scan.JSONSpace(r.text, 0)
	members, ok := r.open(start)
	for ok && members.next() {
		start := members.value
		if members.name != `"responses"` || r.text[start] != '[' {
			ok = members.skip()
			continue
		}
		r.isBatch = true
		members.end, ok = r.list(start)
	}
	return ok && members.closed && scan.JSONSpace(r.text, members.end) == len(r.text)
}

// jsonMembers iterates over the members of an object.
type jsonMembers struct {
	*jsonReader
	name   string // with its quotes, as it is written
	value  int    // where the member's value starts
	end    int    // of the member's value, for the caller to set; at last the end of the object
	isOpen bool   // a member was read
	closed bool   // the object is complete
}

// open starts the iteration over the object at start.
func (r *jsonReader) open(start int) (members jsonMembers, ok bool) {
	return jsonMembers{jsonReader: r, end: start + 1}, start < len(r.text) && r.text[start] == '{'
}

// next moves to the next member. It returns false at the end, or where the text is cut off.
func (m *jsonMembers) next() bool {
	advance := scan.JSONNext
	if !m.isOpen {
		advance = scan.JSONFirst
	}
	m.isOpen = true
	start, closed, err := advance(m.text, m.end, '}')
	if err != nil || closed {
		m.closed = closed
		m.end = start
		return false
	}
	nameEnd, value, err := scan.JSONName(m.text, start)
	if err != nil {
		return false
	}
	m.name = m.shared[start:nameEnd]
	m.value = value
	return true
}

// skip moves past the value.
func (m *jsonMembers) skip() (ok bool) {
	end, err := scan.JSONValue(m.text, m.value, jsonDepth)
	m.end = end
	return err == nil
}

// list reads the array of results at start.
func (r *jsonReader) list(start int) (end int, ok bool) {
	next, closed, err := scan.JSONFirst(r.text, start+1, ']')
	for err == nil && !closed {
		var message Message
		if next, ok = r.result(next, &message); !ok {
			return next, false
		}
		number, convErr := strconv.Atoi(message.ID)
		switch {
		case convErr != nil || number < 1 || number > len(r.messages) || strconv.Itoa(number) != message.ID:
			r.problem = "expected results with the ids 1 to " + strconv.Itoa(len(r.messages)) + ", found the id " +
				strconv.Quote(message.ID[:min(len(message.ID), 100)])
			return next, false
		case r.messages[number-1].Complete:
			r.problem = "expected one result for each id, found two with the id " + strconv.Quote(message.ID)
			return next, false
		}
		message.Complete = true
		r.messages[number-1] = message
		next, closed, err = scan.JSONNext(r.text, next, ']')
	}
	return next, err == nil
}

// result reads the result at start.
func (r *jsonReader) result(start int, message *Message) (end int, ok bool) {
	members, ok := r.open(start)
	for ok && members.next() {
		if members.name == `"headers"` && r.text[members.value] == '{' {
			members.end, ok = r.headers(members.value, &message.headers)
			continue
		}
		if ok = members.skip(); !ok {
			break
		}
		content := r.shared[members.value:members.end]
		isString := content[0] == '"'
		switch members.name {
		case `"id"`:
			message.ID = strings.Trim(content, `"`)
		case `"status"`:
			if status, err := strconv.ParseUint(strings.Trim(content, `"`), 10, 16); err == nil && status >= 100 &&
				status < 1000 {
				message.status = uint16(status)
			}
		case `"body"`:
			switch {
			case isString:
				message.Body, _ = scan.Unescape(nil, r.text[members.value:members.end], true)
			case content != "null":
				message.Body = r.text[members.value:members.end]
			}
		}
	}
	return members.end, ok && members.closed
}

// headers reads the object at start as the lines of headers. Control characters in it become blanks, and names that
// would continue the line before are left out.
func (r *jsonReader) headers(start int, f *fields) (end int, ok bool) {
	first := len(r.lines)
	members, ok := r.open(start)
	for ok && members.next() {
		if ok = members.skip(); !ok {
			break
		}
		if c := members.name[1]; c <= ' ' || c == '"' || c == '\\' { // no name of a header
			continue
		}
		r.lines = append(r.appendPlain(r.lines, members.name), ": "...)
		r.lines = append(r.appendPlain(r.lines, r.shared[members.value:members.end]), '\n')
	}
	f.isOdd = true // lines are searched by name
	lines := r.lines[first:]
	f.text = unsafe.String(unsafe.SliceData(lines), len(lines))
	return members.end, ok && members.closed
}

// appendPlain appends a value without quotes, escapes and control characters.
func (r *jsonReader) appendPlain(dst []byte, value string) []byte {
	if value[0] != '"' {
		return append(dst, value...)
	}
	start := len(dst)
	if strings.IndexByte(value, '\\') < 0 {
		dst = append(dst, value[1:len(value)-1]...)
	} else {
		dst, _ = scan.Unescape(dst, []byte(value), true)
	}
	for i := start; i < len(dst); i++ {
		dst[i] = max(dst[i], ' ')
	}
	return dst
}
