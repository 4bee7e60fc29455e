package batch

import (
	"bytes"
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

// ParseJSON parses the response to a batch in JSON. counts has the number of operations of each part of the request. The
// parts of the document have the order of the request, whatever the order of the response. A part has no messages if
// the result of an operation is missing, and one message if an operation has failed: some services answer 201 to
// inserts of an atomicity group that they undo. Parts at the end are missing if a service has stopped at a failed part.
//
// isBatch is false for other documents. problem is not empty if the ids of results are unknown or occur twice: no
// result is certain then. The time is linear in the size.
func ParseJSON(body []byte, counts []int) (document Document, isBatch bool, problem string) {
	total := 0
	for _, count := range counts {
		total += count
	}
	r := jsonReader{text: body, messages: make([]Message, total)}
	isClosed := r.members(scan.JSONSpace(body, 0), func(name string, start int) (end int, ok bool) {
		if name != "responses" || start >= len(body) || body[start] != '[' {
			return r.value(start)
		}
		isBatch = true
		return r.list(start)
	})
	if !isBatch || r.problem != "" {
		return document, isBatch, r.problem
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

// jsonReader reads a response. messages has the results by number.
type jsonReader struct {
	text     []byte
	messages []Message
	buffer   []byte // of the last string
	problem  string // of ids
}

const jsonDepth = 1000 // levels of nesting in a response

// value returns the end of a value that is not used.
func (r *jsonReader) value(start int) (end int, ok bool) {
	end, err := scan.JSONValue(r.text, start, jsonDepth)
	return end, err == nil
}

// members calls visit for each member of the object at start, which returns the end of the member's value. It reports
// whether the object is complete and nothing follows it.
func (r *jsonReader) members(start int, visit func(name string, start int) (end int, ok bool)) bool {
	end, ok := r.object(start, visit)
	return ok && scan.JSONSpace(r.text, end) == len(r.text)
}

// object is members for an object that others may follow. ok is false if it is incomplete.
func (r *jsonReader) object(start int, visit func(name string, start int) (end int, ok bool)) (end int, ok bool) {
	if start >= len(r.text) || r.text[start] != '{' {
		return start, false
	}
	next, closed, err := scan.JSONFirst(r.text, start+1, '}')
	for err == nil && !closed {
		nameEnd, valueStart, nameErr := scan.JSONName(r.text, next)
		if nameErr != nil {
			return next, false
		}
		if next, ok = visit(r.string(next, nameEnd), valueStart); !ok {
			return next, false
		}
		next, closed, err = scan.JSONNext(r.text, next, '}')
	}
	return next, err == nil
}

// string returns a text, without the invalid escapes that it may contain.
func (r *jsonReader) string(start, end int) string {
	r.buffer, _ = scan.Unescape(r.buffer[:0], r.text[start:end], true)
	return string(r.buffer)
}

// list reads the array of results at start. ok is false if it is incomplete, or an id has a problem.
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
	return r.object(start, func(name string, start int) (end int, ok bool) {
		if name == "headers" && start < len(r.text) && r.text[start] == '{' {
			return r.headers(start, &message.headers)
		}
		if end, ok = r.value(start); !ok {
			return end, false
		}
		isString := r.text[start] == '"'
		content := string(r.text[start:end])
		if isString {
			content = r.string(start, end)
		}
		switch name {
		case "id":
			message.ID = content
		case "status":
			if status, err := strconv.ParseUint(content, 10, 16); err == nil && status >= 100 && status < 1000 {
				message.status = uint16(status)
			}
		case "body":
			switch {
			case isString:
				message.Body = []byte(content)
			case !bytes.Equal(r.text[start:end], []byte("null")):
				message.Body = r.text[start:end]
			}
		}
		return end, true
	})
}

// headers reads the object at start as the lines of headers. Control characters in it become blanks.
func (r *jsonReader) headers(start int, f *fields) (end int, ok bool) {
	var lines []byte
	end, ok = r.object(start, func(name string, start int) (end int, ok bool) {
		if end, ok = r.value(start); !ok || name == "" {
			return end, ok
		}
		value := string(r.text[start:end])
		if r.text[start] == '"' {
			value = r.string(start, end)
		}
		for _, c := range []byte(strings.TrimSpace(name) + ": " + value) {
			lines = append(lines, max(c, ' '))
		}
		lines = append(lines, '\n')
		return end, true
	})
	f.isOdd = true // lines are searched by name
	f.text = unsafe.String(unsafe.SliceData(lines), len(lines))
	return end, ok
}
