// Package odataerror turns responses of an OData service that are not data into errors of the contract: error documents
// in JSON and XML, HTML pages, plain text and empty bodies.
package odataerror

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/markup"
	"github.com/culvert-project/culvert/plugins/odata/scan"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const detailSize = 1024

// FromResponse returns the error of a response with an error status. subject starts the message: "$metadata of /s".
func FromResponse(subject string, response *wit.Response, body []byte) *wit.Error {
	return readBody(response, body).Failure(subject)
}

// NotData returns the error of a successful response with unexpected content, such as a logon page.
func NotData(subject, expected string, body []byte) *wit.Error {
	content := "something else"
	switch {
	case len(body) == 0:
		content = "an empty body"
	case IsHTML(body):
		content = "an HTML page; " + logonHint
	}
	result := &wit.Error{Kind: wit.ErrorData, Message: subject + ": expected " + expected + ", found " + content}
	if IsHTML(body) {
		result.Kind = wit.ErrorUnauthorized
	}
	if len(body) > 0 {
		result.Detail = wit.Ptr(Excerpt(body))
	}
	return result
}

// describeHTML returns the title, unless the status can mean a logon page: then a hint. Reverse proxies put the reason
// into the title, such as a missing client certificate.
func describeHTML(status uint16, body []byte) string {
	title := Title(body)
	switch {
	case title == "":
		return logonHint
	case status == 400 || status == 407 || status == 408 || status == 429 || status >= 500:
		return title
	}
	return title + "; " + logonHint
}

// Title returns the title of an HTML page, or "" if its first 4 KiB have none.
func Title(body []byte) string {
	page := string(body[:min(len(body), 4<<10)])
	low := strings.ToLower(page)
	from := strings.Index(low, "<title>")
	if from < 0 || len(low) != len(page) {
		return ""
	}
	from += len("<title>")
	to := strings.Index(low[from:], "</title>")
	if to < 0 {
		return ""
	}
	title := strings.Join(strings.Fields(page[from:from+to]), " ")
	return strings.ToValidUTF8(title[:min(len(title), 200)], "\ufffd")
}

const logonHint = "is this a logon page? The user must be one for technical communication (type System or " +
	"Communication), and the path must be that of an OData service"

// ForSetting returns the error of a setting.
func ForSetting(name, text string) *wit.Error {
	return &wit.Error{Kind: wit.ErrorConfig, Message: text, Setting: &name}
}

// DataError returns an error for a record that cannot be written.
func DataError(text string) error { return &wit.Error{Kind: wit.ErrorData, Message: text} }

// As returns the [wit.Error] in err, or one of kind data.
func As(err error) *wit.Error {
	var f *wit.Error
	if errors.As(err, &f) {
		return f
	}
	return &wit.Error{Kind: wit.ErrorData, Message: err.Error()}
}

// Excerpt returns the first 1 kB of a body as text.
func Excerpt(body []byte) string {
	if len(body) > detailSize {
		body = body[:detailSize]
	}
	return strings.ToValidUTF8(string(body), "\ufffd")
}

// IsError reports whether a body is an error document.
func IsError(body []byte) bool {
	start := trimStart(body[:min(len(body), 300)])
	if len(start) == 0 {
		return false
	}
	if start[0] == '{' {
		start = start[scan.JSONSpace(start, 1):]
		return bytes.HasPrefix(start, []byte(`"error"`)) || bytes.HasPrefix(start, []byte(`"odata.error"`))
	}
	if start[0] != '<' || !bytes.HasSuffix(scan.XMLRoot(body), []byte("error")) {
		return false
	}
	r := markup.NewReaderNoCopy(body)
	kind, err := r.Next()
	return err == nil && kind == markup.Open && r.Local == "error"
}

// Document returns code and message of an error document. ok reports whether it is a complete error document of OData
// v2, which comes from the service and not from a gateway.
func Document(body []byte) (code, message string, ok bool) {
	return readBody(&wit.Response{}, body).Document()
}

// completeXML reports whether a body is an error document of OData with code and message.
func completeXML(body []byte) bool {
	r := markup.NewReader(body)
	if kind, err := r.Next(); err != nil || kind != markup.Open || r.Local != "error" ||
		!slices.Contains(metadataSpaces, r.Namespace) {
		return false
	}
	var hasCode, hasMessage bool
	for {
		kind, err := r.Next()
		switch {
		case err != nil || kind == markup.End:
			return false
		case kind == markup.Close:
			return hasCode && hasMessage
		case kind == markup.Open:
			hasCode = hasCode || r.Local == "code"
			hasMessage = hasMessage || r.Local == "message"
			if r.Skip() != nil {
				return false
			}
		}
	}
}

var metadataSpaces = []string{"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata",
	"http://docs.oasis-open.org/odata/ns/metadata"}

func trimStart(body []byte) []byte {
	if len(body) > 0 && body[0] > ' ' && body[0] < utf8.RuneSelf {
		return body
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	return body[scan.JSONSpace(body, 0):]
}

func isJSON(body []byte) bool { return bytes.HasPrefix(trimStart(body), []byte("{")) }

// IsHTML reports whether a body is an HTML page.
func IsHTML(body []byte) bool {
	start := trimStart(body[:min(len(body), 300)])
	if len(start) == 0 || start[0] != '<' {
		return false
	}
	if hasTag(start, "<?xml") {
		for i := range start {
			if start[i] == '<' && hasTag(start[i:], "<html") {
				return true
			}
		}
	}
	return hasTag(start, "<!doctype html") || hasTag(start, "<html")
}

// hasTag reports whether a text starts with the start of a tag, in any case.
func hasTag(text []byte, tag string) bool {
	return len(text) >= len(tag) && strings.EqualFold(string(text[:len(tag)]), tag)
}

// xmlTransactionID returns the transaction ID in SAP Gateway's inner error, or "".
func xmlTransactionID(body []byte) string {
	r := markup.NewReader(body)
	for _, name := range []string{"error", "innererror", "transactionid"} {
		for {
			kind, err := r.Next()
			if err != nil || kind == markup.End || kind == markup.Close {
				return ""
			}
			if kind != markup.Open {
				continue
			}
			if r.Local == name {
				break
			}
			if r.Skip() != nil {
				return ""
			}
		}
	}
	id, err := r.Content()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(id)
}

// fromXML returns code and message of an error document, as far as it can be read.
func fromXML(body []byte) (code, message string) {
	r := markup.NewReader(body)
	if kind, err := r.Next(); err != nil || kind != markup.Open || r.Local != "error" {
		return "", ""
	}
	for {
		kind, err := r.Next()
		if err != nil || kind == markup.End || kind == markup.Close {
			return code, message
		}
		if kind != markup.Open {
			continue
		}
		name := r.Local
		content, err := r.Content()
		content = strings.TrimSpace(content)
		switch {
		case err != nil:
			return code, message
		case name == "code":
			code = content
		case name == "message":
			message = content
		}
	}
}

const maxNames = 40

// Suggest returns the end of a message about a wrong name: the nearest name and a list of names, or none if there are
// no names.
func Suggest(wrong string, names []string, none string) string {
	if len(names) == 0 {
		return "; " + none
	}
	suggestion := ""
	least := len(wrong)/3 + 2 // a third of the name, and one more byte, may differ
	for _, name := range names {
		if d := setting.Distance(strings.ToLower(wrong), strings.ToLower(name)); d < least {
			least = d
			suggestion = "; the nearest name is " + name
		}
	}
	if len(names) > maxNames {
		return suggestion + "; expected one of " + strings.Join(names[:maxNames], ", ") + ", ..."
	}
	return suggestion + "; expected one of " + strings.Join(names, ", ")
}

// RetryAfter reads a Retry-After header, seconds or a date. now is the time of the response in milliseconds since 1970.
func RetryAfter(text string, now int64) (wait time.Duration, ok bool) {
	if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
		return time.Duration(min(max(n, 0), math.MaxInt32)) * time.Second, true
	}
	retryAt, ok := Date(text)
	return time.Duration(min(max(retryAt-now, 0), math.MaxInt32)) * time.Millisecond, ok
}

// Date reads an HTTP date, in milliseconds since 1970.
func Date(text string) (ms int64, ok bool) {
	t, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", strings.TrimSpace(text))
	return t.UnixMilli(), err == nil
}
