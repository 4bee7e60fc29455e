package odataerror

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/wit"
)

// Response is a response whose body is parsed as an error document when a method first needs it, and only once:
// services answer thousands of rows with errors, and several methods classify each of them.
type Response struct {
	*wit.Response
	document   *document
	searchText *string // of the message
}

// document is what an error document contains, whatever its format.
type document struct {
	code          string
	message       string // the first line of a plain text
	isComplete    bool   // it is an error document of OData v2
	transactionID string // of SAP Gateway's error documents, "" without a valid one
}

// Read returns a response with methods that classify its error.
func Read(response *wit.Response) *Response { return &Response{Response: response} }

// readBody is Read for a body that was read in pieces.
func readBody(response *wit.Response, body []byte) *Response {
	withBody := *response
	withBody.Body = body
	return Read(&withBody)
}

// Document returns code and message of an error document. ok reports whether it is a complete error document of OData
// v2, which comes from the service and not from a gateway.
func (r *Response) Document() (code, message string, ok bool) {
	d := r.read()
	return d.code, d.message, d.isComplete
}

// read parses the body when it is first needed.
func (r *Response) read() *document {
	if r.document != nil {
		return r.document
	}
	d := &document{}
	body := r.Body
	trimmed := trimStart(body)
	switch {
	case isJSON(body):
		root := jsontext.Value{}
		if v, err := jsontext.Parse(body); err == nil {
			if root = v.Get("error"); root.Kind != jsontext.Object {
				root = v.Get("odata.error")
			}
		}
		d.code = root.Get("code").Text
		message := root.Get("message")
		d.message = message.Get("value").Text
		if message.Kind == jsontext.String {
			d.message = message.Text
		}
		isV2 := message.Get("value").Kind == jsontext.String
		// Gateways write a number with a plain message, services one with a message of OData v2. Apache Olingo writes
		// null where a service sets no code.
		code := root.Get("code").Kind
		isCode := code == jsontext.String || (code == jsontext.Null && root.Has("code"))
		d.isComplete = (isCode && (isV2 || message.Kind == jsontext.String)) || (code == jsontext.Number && isV2)
		d.transactionID = root.Get("innererror").Get("transactionid").Text
	case IsHTML(body):
		// a page has neither code nor message: see describeHTML
	case bytes.HasPrefix(trimmed, []byte("<")):
		d.code, d.message = fromXML(body)
		d.isComplete = completeXML(body)
		if bytes.Contains(trimmed, []byte("transactionid")) {
			d.transactionID = xmlTransactionID(body)
		}
	case len(trimmed) > 0:
		line, _, _ := strings.Cut(string(trimmed), "\n")
		line = strings.TrimSpace(line)
		d.message = strings.ToValidUTF8(line[:min(len(line), 200)], "\ufffd")
	}
	isForeign := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-'
	}
	if len(d.transactionID) > maxTransaction || strings.ContainsFunc(d.transactionID, isForeign) {
		d.transactionID = ""
	}
	r.document = d
	return d
}

const maxTransaction = 64

// Failure returns the error of a response with an error status. subject starts the message: "$metadata of /s".
func (r *Response) Failure(subject string) *wit.Error {
	d := r.read()
	result := &wit.Error{Kind: r.kind(), Message: subject + ": HTTP " + strconv.Itoa(int(r.Status))}
	switch {
	case d.message != "":
		result.Message += ": " + d.message
	case len(r.Body) == 0:
		result.Message += " without a body"
	case IsHTML(r.Body):
		result.Message += " with an HTML page: " + describeHTML(r.Status, r.Body)
	}
	if d.transactionID != "" {
		result.Message += " (transaction " + d.transactionID + ")"
	}
	if d.code != "" {
		result.Code = wit.Ptr(d.code)
	}
	if len(r.Body) > 0 {
		result.Detail = wit.Ptr(Excerpt(r.Body))
	}
	return result
}

// searched returns the message as [SearchText] returns it.
func (r *Response) searched() string {
	if r.searchText == nil {
		r.searchText = wit.Ptr(SearchText(r.Target, r.read().message))
	}
	return *r.searchText
}
