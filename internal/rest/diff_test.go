package rest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/connect"
)

// editableWorker is a worker with one connector, a. It has a file with a text, or no file and version 7.
type editableWorker struct {
	standIn
	text   string         // of the file, "" for no file
	put    *ConfigRequest // the last request
	masked bool           // whether the last comparison was masked
}

func (e *editableWorker) worker() Worker {
	w := e.with(e)
	w.Redact = func(s string) string { return strings.ReplaceAll(s, "struck", "[hidden]") }
	w.Passwords = func() func(string) bool { return func(key string) bool { return key == "pwd" } }
	w.Source = e.source
	w.Write = e.write
	w.Compare = e.compare
	return w
}

func (e *editableWorker) Info(name string) (connect.Info, error) {
	if name != "a" {
		return connect.Info{}, connect.ErrUnknownConnector
	}
	return connect.Info{Name: "a", Config: map[string]string{"name": "a", "x": "1", "pwd": "hush", "ref.pwd": "r"}}, nil
}

func (e *editableWorker) source(_ string, withText bool) ([]byte, string, error) {
	switch {
	case e.text == "":
		return nil, "7", nil
	case !withText:
		return nil, "", nil
	case e.text == unreadable:
		return nil, "", errors.New("permission denied")
	}
	return []byte(e.text), "", nil
}

func (e *editableWorker) write(_ context.Context, name string, request ConfigRequest) (WriteResult, error) {
	if request.Precondition != nil && !request.Precondition("7") {
		return WriteResult{}, &Refusal{http.StatusPreconditionFailed, "changed"}
	}
	e.put = &request
	return WriteResult{Info: connect.Info{Name: name}, Version: "9"}, nil
}

func (e *editableWorker) compare(_ context.Context, name string, request ConfigRequest,
	masked bool) (Comparison, error) {
	e.put = &request
	e.masked = masked
	return Comparison{Change: Change{Connector: name, Problems: []string{"a struck one"}}, LockedReason: "struck",
		Differences: []Difference{}, Warnings: []string{"w"}}, nil
}

// unreadable is the text of a file that cannot be read.
const unreadable = "?"

const properties = "text/x-java-properties"

// The text of a connector is its file's, or else created from its settings, without passwords in clear text. JSON
// contains the settings.
func TestConnectorConfigAsText(t *testing.T) {
	for _, c := range []struct {
		accept string
		text   string
		status int
		media  string
		tag    string
		body   string
	}{
		{status: 200, media: "application/json", tag: `"7"`, body: `{"name":"a","pwd":"hush","ref.pwd":"r","x":"1"}`},
		{
			accept: "*/*",
			text:   "# c\n",
			status: 200,
			media:  "application/json",
			body:   `{"name":"a","pwd":"hush","ref.pwd":"r","x":"1"}`,
		},
		{
			accept: "application/json, " + properties,
			status: 200,
			media:  "application/json",
			tag:    `"7"`,
			body:   `{"name":"a","pwd":"hush","ref.pwd":"r","x":"1"}`,
		},
		{
			accept: properties,
			text:   "# c\npwd = hush\nb=ö",
			status: 200,
			media:  properties + ";charset=utf-8",
			body:   "# c\npwd = [hidden]\nb=ö",
		},
		{
			accept: properties + ", */*",
			status: 200,
			media:  properties + ";charset=utf-8",
			tag:    `"7"`,
			body:   "name=a\npwd=[hidden]\nref.pwd=r\nx=1\n",
		},
		{
			accept: "application/json",
			text:   unreadable,
			status: 200,
			media:  "application/json",
			body:   `{"name":"a","pwd":"hush","ref.pwd":"r","x":"1"}`,
		},
		{
			accept: properties,
			text:   unreadable,
			status: 500,
			media:  "application/json",
			body:   `{"error_code":500,"message":"permission denied"}`,
		},
		{accept: "text/plain", status: 406, body: `{"error_code":406,"message":"HTTP 406 Not Acceptable"}`},
	} {
		w := serveRequest(&editableWorker{text: c.text}, "GET", "/connectors/a/config", "", "Accept", c.accept)
		assert.Equal(t, c.status, w.Code, c.accept)
		assert.Equal(t, c.body, w.Body.String(), c.accept)
		assert.Equal(t, c.media, w.Header().Get("Content-Type"), c.accept)
		assert.Equal(t, c.tag, w.Header().Get("ETag"), c.accept)
	}
	w := serveRequest(&editableWorker{}, "GET", "/connectors/b/config", "", "Accept", properties)
	assert.Equal(t, 404, w.Code)
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	for path, status := range map[string]int{"/connectors/a/config": 200, "/connectors/a": 406, "/connectors": 406} {
		assert.Equal(t, status, serveRequest(&editableWorker{}, "GET", path, "", "Accept", properties).Code, path)
	}
}

// A text without problems is accepted, whatever its format is called. Conditions follow RFC 9110.
func TestPutConnectorConfigAsText(t *testing.T) {
	for _, c := range []struct {
		media     string
		body      string
		match     string
		noneMatch string
		status    int
		message   string
	}{
		{media: properties, body: "# c\nx=2\n", status: 200},
		{media: properties + "; charset=utf-8", body: "x=2\n", match: `"7"`, status: 200},
		{media: "application/json", body: `{"x":"2"}`, match: `"6", "7"`, status: 200},
		{media: "application/json", body: `{"x":"2"}`, match: "*", status: 200},
		{media: "application/json", body: `{"x":"2"}`, noneMatch: `"6"`, status: 200},
		{media: properties, body: "x=2", match: `"6"`, status: 412, message: "changed"},
		{media: properties, body: "x=2", match: "7", status: 412, message: "changed"},
		{media: properties, body: "x=2", noneMatch: "*", status: 412, message: "changed"},
		{media: "application/json", body: `{"x":"2"}`, noneMatch: `"7"`, status: 412, message: "changed"},
		{media: "application/json", body: `{"x":"2"}`, noneMatch: `W/"7"`, status: 412, message: "changed"},
		{media: "application/json", body: `{"x":"2"}`, match: `W/"7"`, status: 412, message: "changed"},
		{
			media:   properties,
			body:    "x=2\ny=\\u00g0",
			status:  400,
			message: `the text:2: y: expected four hexadecimal digits`,
		},
		{media: properties, body: `{"x":"2"}`, status: 400, message: "expected Java properties, found {"},
		{media: properties, body: "x=\x00", status: 400, message: "found a byte 0 in line 1"},
		{media: properties, body: "x=" + strings.Repeat("y", maxBodyBytes), status: 413, message: "at most"},
		{media: "text/plain", body: "x=2", status: 415},
	} {
		e := &editableWorker{}
		headers := []string{"Content-Type", c.media}
		for name, value := range map[string]string{"If-Match": c.match, "If-None-Match": c.noneMatch} {
			if value != "" {
				headers = append(headers, name, value)
			}
		}
		w := serveRequest(e, "PUT", "/connectors/a/config", c.body, headers...)
		assert.Equal(t, c.status, w.Code, c.body, w.Body)
		assert.Contains(t, w.Body.String(), c.message)
		if c.status != 200 {
			continue
		}
		assert.Equal(t, `"9"`, w.Header().Get("ETag"))
		assert.Equal(t, "2", e.put.Settings["x"])
	}
	for _, path := range []string{"/connectors", "/connector-plugins/a/config/validate"} {
		method := "PUT"
		if path == "/connectors" {
			method = "POST"
		}
		w := serveRequest(&editableWorker{}, method, path, "x=2", "Content-Type", properties)
		assert.Equal(t, 415, w.Code, path)
	}
}

// A comparison accepts settings or a text, redacts secrets, and changes nothing.
func TestCompareConfigs(t *testing.T) {
	for _, c := range []struct {
		body    string
		status  int
		message string
	}{
		{body: `{"name":"a","config":{"x":2}}`, status: 200, message: `"connector":"a"`},
		{body: `{"config":{"name":"a ","x":"2"}}`, status: 200, message: `"connector":"a"`},
		{
			body:    `{"name":"a","text":"x=1\nx=2"}`,
			status:  200,
			message: `"warnings":["the text:2: x: warning: set again`,
		},
		{body: `{"name":"a","text":"x=2"}`, status: 200, message: `"problems":["a [hidden] one"]`},
		{body: `{"name":"a","text":"x=2"}`, status: 200, message: `"kept":"[hidden]"`},
		{body: `{"name":"a"}`, status: 400, message: "expected either config"},
		{body: `{"name":"a","config":{},"text":""}`, status: 400, message: "expected either config"},
		{body: `{"name":"a","text":"x=\\u1"}`, status: 400, message: "the text:1: x: expected four hexadecimal digits"},
	} {
		e := &editableWorker{}
		w := serveRequest(e, "POST", "/culvert/diff", c.body, "Content-Type", "application/json", maskedHeader, "true")
		assert.Equal(t, c.status, w.Code, c.body, w.Body)
		assert.Contains(t, w.Body.String(), c.message)
		if c.status == 200 {
			assert.Equal(t, "2", e.put.Settings["x"])
			assert.Equal(t, true, e.masked)
		}
	}
}
