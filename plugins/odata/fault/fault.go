// Package fault turns answers of an OData service that aren't data into faults of the contract: error documents in JSON
// and XML, HTML pages, plain text, nothing at all.
package fault

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/markup"
	"github.com/culvert-project/culvert/wit"
)

// detailSize is how much of a body a fault carries, in bytes.
const detailSize = 1024

// Of makes the fault of an answer whose status isn't a success. what was asked for starts the message: "$metadata of
// /s".
func Of(what string, response *wit.Response, body []byte) *wit.Error {
	code, message := document(body)
	f := &wit.Error{Kind: kind(response, message),
		Message: what + ": HTTP " + strconv.Itoa(int(response.Status))}
	switch {
	case message != "":
		f.Message += ": " + message
	case len(body) == 0:
		f.Message += " without a body"
	case IsHTML(body):
		f.Message += " with an HTML page: " + page(response.Status, body)
	}
	if id := transaction(body); id != "" {
		f.Message += " (transaction " + id + ")"
	}
	if code != "" {
		f.Code = &code
	}
	if len(body) > 0 {
		f.Detail = wit.Ptr(Excerpt(body))
	}
	return f
}

// NotData makes the fault of an answer that says success but holds something else than was asked for, such as a logon
// page.
func NotData(what, expected string, body []byte) *wit.Error {
	found := "something else"
	switch {
	case len(body) == 0:
		found = "an empty body"
	case IsHTML(body):
		found = "an HTML page; " + logonHint
	}
	f := &wit.Error{Kind: wit.ErrorData, Message: what + ": expected " + expected + ", found " + found}
	if IsHTML(body) {
		f.Kind = wit.ErrorUnauthorized
	}
	if len(body) > 0 {
		f.Detail = wit.Ptr(Excerpt(body))
	}
	return f
}

// page is what to say of an HTML page: its title, and where the status lets it be one for people to log on, that hint.
// A reverse proxy says in the title what it misses, a client certificate for one.
func page(status uint16, body []byte) string {
	title := Title(body)
	switch {
	case title == "":
		return logonHint
	case status == 400 || status == 407 || status == 408 || status == 429 || status >= 500:
		return title
	}
	return title + "; " + logonHint
}

// Title is the title of an HTML page, in one line, "" where its first 4 KiB have none.
func Title(body []byte) string {
	text := string(body[:min(len(body), 4<<10)])
	low := strings.ToLower(text)
	from := strings.Index(low, "<title>")
	if from < 0 || len(low) != len(text) {
		return ""
	}
	from += len("<title>")
	to := strings.Index(low[from:], "</title>")
	if to < 0 {
		return ""
	}
	title := strings.Join(strings.Fields(text[from:from+to]), " ")
	return strings.ToValidUTF8(title[:min(len(title), 200)], "\ufffd")
}

const logonHint = "is this a logon page? The user must be one for technical communication (type System or " +
	"Communication), and the path must be that of an OData service"

// Config is a fault of a setting.
func Config(setting, text string) *wit.Error {
	return &wit.Error{Kind: wit.ErrorConfig, Message: text, Setting: &setting}
}

// Data returns an error for a record that cannot be written.
func Data(text string) error { return &wit.Error{Kind: wit.ErrorData, Message: text} }

// As returns the [wit.Error] in err. Any other error becomes one of kind data.
func As(err error) *wit.Error {
	var f *wit.Error
	if errors.As(err, &f) {
		return f
	}
	return &wit.Error{Kind: wit.ErrorData, Message: err.Error()}
}

// Excerpt is the first 1 kB of a body as text.
func Excerpt(body []byte) string {
	if len(body) > detailSize {
		body = body[:detailSize]
	}
	return strings.ToValidUTF8(string(body), "\ufffd")
}

// RefusesFormat reports whether an answer refuses the query option $format, as WCF Data Services does by default: "The
// query parameter '$format' begins with a system-reserved '$' character but is not recognized."
func RefusesFormat(response *wit.Response, body []byte) bool {
	if response.Status != 400 && response.Status != 501 {
		return false
	}
	parts := strings.Split(decoded(string(body[:min(len(body), maxSaid)])), "$format=json")
	for i, before := range parts[:len(parts)-1] {
		if !strings.HasSuffix(before, "?") && !strings.HasSuffix(before, "&") && !strings.HasPrefix(parts[i+1], "&") {
			return true // the option by itself, and not as it stands in an address
		}
	}
	text := Said(response.Target, string(body))
	return strings.Contains(text, "$format") || strings.Contains(text, "format") &&
		(strings.Contains(text, "option") || strings.Contains(text, "parameter"))
}

// IsError reports whether a body is an error document, whatever the status says.
func IsError(body []byte) bool {
	start := begin(body[:min(len(body), 300)])
	if len(start) == 0 {
		return false
	}
	if start[0] == '{' {
		start = bytes.TrimLeft(start[1:], blanks)
		return bytes.HasPrefix(start, []byte(`"error"`)) || bytes.HasPrefix(start, []byte(`"odata.error"`))
	}
	if start[0] != '<' {
		return false
	}
	r := markup.NewReader(body)
	kind, err := r.Next()
	return err == nil && kind == markup.Open && r.Local == "error"
}

// Document is the code and the message of an error document, or of what comes near one. ok: it is one of OData v2,
// complete, with both; then the service itself has answered, and not a gateway in front of it, which has errors of its
// own making.
func Document(body []byte) (code, message string, ok bool) {
	if isJSON(body) {
		e := errorOf(body)
		code, message = fromJSON(e)
		return code, message, completeJSON(e)
	}
	code, message = document(body)
	return code, message, completeXML(body)
}

func completeJSON(e jsontext.Value) bool {
	message := e.Get("message")
	of := message.Get("value").Kind == jsontext.String
	// Gateways write a number with a plain message, services one with a message of OData v2.
	code := e.Get("code").Kind
	return code == jsontext.String && (of || message.Kind == jsontext.String) || code == jsontext.Number && of
}

func completeXML(body []byte) bool {
	r := markup.NewReader(body)
	if kind, err := r.Next(); err != nil || kind != markup.Open || r.Local != "error" ||
		!slices.Contains(metadataSpaces, r.Namespace) {
		return false
	}
	coded, said := false, false
	for {
		kind, err := r.Next()
		switch {
		case err != nil || kind == markup.End:
			return false
		case kind == markup.Close:
			return coded && said
		case kind == markup.Open:
			coded, said = coded || r.Local == "code", said || r.Local == "message"
			if r.Skip() != nil {
				return false
			}
		}
	}
}

// metadataSpaces are the namespaces of error documents: that of OData v2, and that of v4, which some services use for
// both.
var metadataSpaces = []string{"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata",
	"http://docs.oasis-open.org/odata/ns/metadata"}

const blanks = " \t\r\n"

// begin is a body from its first character on.
func begin(body []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\ufeff")), blanks)
}

func isJSON(body []byte) bool { return bytes.HasPrefix(begin(body), []byte("{")) }

// IsHTML reports whether a body starts as an HTML page.
func IsHTML(body []byte) bool {
	first := begin(body[:min(len(body), 300)])
	if len(first) == 0 || first[0] != '<' {
		return false
	}
	start := strings.ToLower(string(first))
	return strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html") ||
		strings.HasPrefix(start, "<?xml") && strings.Contains(start, "<html")
}

// kind is what the host is to do about a status. A text that names a lock is transient whatever the status (P17); the
// host matches `retry.codes` by the fault's code.
func kind(response *wit.Response, message string) wit.ErrorKind {
	switch status := response.Status; {
	case status == 409 || status == 412 || status == 428:
		return wit.ErrorConflict
	case status == 400 && Locked(response, message):
		return wit.ErrorTransient
	case status == 405 || status == 501 || status == 505:
		return wit.ErrorUnsupported
	case status >= 300 && status < 400:
		return wit.ErrorUnauthorized
	}
	return wit.ErrorKindOf(response.Status)
}

// NoService reports whether a code is one by which SAP Gateway says, with an error document like any other, that a
// service is not registered or not active (message class MED), that the user may not call it (CM_CONSUMER), or that it
// leads to no system (CM_COS): none of them speaks of an entity. The statuses are 403, 404 and 500. Assumption: all
// messages of the three classes do, of which 170, 101 and 064 are known.
func NoService(code string) bool {
	return strings.HasPrefix(code, "/IWFND/MED/") || strings.HasPrefix(code, "/IWFND/CM_CONSUMER/") ||
		strings.HasPrefix(code, "/IWFND/CM_COS/")
}

// Locked reports whether the message of an answer says that another user holds the entity. Assumption: SAP's English
// and German texts ("locked by user X", "gesperrt von X") stand for it where no code does.
func Locked(response *wit.Response, message string) bool {
	text := Said(response.Target, message)
	return strings.Contains(text, "locked by") || strings.Contains(text, "is locked") ||
		strings.Contains(text, "gesperrt")
}

// Exists reports whether a refusal says that the entity is there already. Assumption: 409 says so, and where
// applications answer 400 with a message of their own, SAP's and CAP's English and German texts stand for it.
func Exists(response *wit.Response, message string) bool {
	text := Said(response.Target, message)
	return response.Status == 409 || strings.Contains(text, "already exist") ||
		strings.Contains(text, "existiert bereits") || strings.Contains(text, "bereits vorhanden") ||
		strings.Contains(text, "unique constraint")
}

// LostToken reports whether a refusal says that the service no longer knows the token of a link (P8): 410, one of SAP's
// codes for it, or a text that says so with 400, 404 or 412. A text proves nothing with a status by which a service
// fails: what failed may be quoted in it.
//
// Assumption: which status comes with SAP's message /IWFND/CM_MGW/090 "Invalid Delta Token" no document says.
func LostToken(response *wit.Response, body []byte) bool {
	code, message := document(body)
	switch response.Status {
	case 410:
		return true
	case 408, 429, 502, 503, 504:
		return false
	case 400, 404, 412:
		text := strings.ReplaceAll(Said(response.Target, code+" "+message), " ", "")
		for _, sign := range []string{"deltatoken", "delta_token", "deltalink", "skiptoken", "skip_token", "cm_mgw/090",
			"recoveryofoldrequests", "error536", "(536)"} {
			if strings.Contains(text, sign) {
				return true
			}
		}
	}
	// SAP SuccessFactors writes its code for a snapshot of paging=snapshot that is lost before the text (KBA 2990434).
	number, is536 := strings.CutSuffix(code, "536")
	return is536 && strings.TrimRight(number, "0123456789") == number || strings.HasSuffix(code, "/IWFND/CM_MGW/090") ||
		code == "COE0019" || strings.HasPrefix(message, "[COE0019]")
}

// Listed reports whether a setting's codes have the status of an answer or the code in its error document.
func Listed(codes []string, status uint16, code string) bool {
	return slices.ContainsFunc(codes, func(c string) bool {
		return c == strconv.Itoa(int(status)) || code != "" && strings.EqualFold(c, code)
	})
}

// document reads code and message of an error document.
func document(body []byte) (code, message string) {
	text := begin(body)
	switch {
	case isJSON(body):
		return fromJSON(errorOf(body))
	case IsHTML(body):
	case bytes.HasPrefix(text, []byte("<")):
		return fromXML(body)
	case len(text) > 0:
		line, _, _ := strings.Cut(string(text), "\n")
		line = strings.TrimSpace(line)
		return "", strings.ToValidUTF8(line[:min(len(line), 200)], "\ufffd")
	}
	return "", ""
}

// maxTransaction is how many characters an id of a transaction may have to be shown: SAP's have 32.
const maxTransaction = 64

// transaction is the id by which an SAP system has the request in its error log (/IWFND/ERROR_LOG), "" where an answer
// says none.
func transaction(body []byte) string {
	id := ""
	switch text := begin(body); {
	case isJSON(body):
		id = errorOf(body).Get("innererror").Get("transactionid").Text
	case bytes.HasPrefix(text, []byte("<")) && bytes.Contains(text, []byte("transactionid")):
		id = transactionOfXML(body)
	}
	plain := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '-'
	}
	if len(id) > maxTransaction || strings.ContainsFunc(id, func(r rune) bool { return !plain(r) }) {
		return ""
	}
	return id
}

// transactionOfXML finds error/innererror/transactionid.
func transactionOfXML(body []byte) string {
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

// errorOf is the error object of a document in JSON, empty where there is none.
func errorOf(body []byte) jsontext.Value {
	v, err := jsontext.Parse(body)
	if err != nil {
		return jsontext.Value{}
	}
	e := v.Get("error")
	if e.Kind != jsontext.Object {
		e = v.Get("odata.error")
	}
	return e
}

// fromJSON reads the error of {"error":{"code":…,"message":{"value":…}}}, see errorOf; the message may be a plain
// string.
func fromJSON(e jsontext.Value) (code, message string) {
	if m := e.Get("message"); m.Kind == jsontext.String {
		message = m.Text
	} else {
		message = m.Get("value").Text
	}
	return e.Get("code").Text, message
}

// fromXML reads <error><code/><message/>; the message may hold a <value>.
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
		text, err := r.Content()
		text = strings.TrimSpace(text)
		switch {
		case err != nil:
			return code, message
		case name == "code":
			code = text
		case name == "message":
			message = text
		}
	}
}
