package odataerror_test

import (
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/wit"
)

// readSAPError returns the error object of a document of SAP.
func readSAPError(t *testing.T) string {
	t.Helper()
	document, err := os.ReadFile("../../../testdata/samples/error/sap_odata_v2_error_object.json")
	require.NoError(t, err)
	return string(document)
}

// errorDocumentCase is a response with an error, and what is expected of it.
type errorDocumentCase struct {
	status  uint16
	body    string
	kind    wit.ErrorKind
	code    string // "*" means any
	message string // the start of the error's message
}

func errorDocumentCases(sapError string) map[string]errorDocumentCase {
	const xml = `<?xml version="1.0"?><error xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">` +
		`<code>SY/530</code><message xml:lang="en">Resource not found</message>` +
		`<innererror><code>inner</code></innererror></error>`
	return map[string]errorDocumentCase{
		"SAP's": {
			status:  400,
			body:    `{"error":` + sapError + `}`,
			kind:    wit.ErrorData,
			code:    "*",
			message: "x: HTTP 400: ",
		},
		"JSON": {
			status:  404,
			body:    `{"error":{"code":"SY/530","message":{"lang":"en","value":"Resource not found"}}}`,
			kind:    wit.ErrorNotFound,
			code:    "SY/530",
			message: "x: HTTP 404: Resource not found",
		},
		"JSON, v3": {
			status:  500,
			body:    `{"odata.error":{"code":"","message":"no"}}`,
			kind:    wit.ErrorTransient,
			message: "x: HTTP 500: no",
		},
		"XML": {
			status:  403,
			body:    xml,
			kind:    wit.ErrorForbidden,
			code:    "SY/530",
			message: "x: HTTP 403: Resource not found",
		},
		"XML with value": {
			status:  412,
			body:    `<error><code>5</code><message><value>stale</value></message></error>`,
			kind:    wit.ErrorConflict,
			code:    "5",
			message: "x: HTTP 412: stale",
		},
		"HTML": {
			status:  401,
			body:    "\n<!DOCTYPE HTML><html><body>Logon</body></html>",
			kind:    wit.ErrorUnauthorized,
			message: "x: HTTP 401 with an HTML page: ",
		},
		"HTML of a proxy": {
			status:  400,
			body:    "<html>\r\n<head><TITLE>400 No required\r\nSSL certificate was sent</title></head></html>",
			kind:    wit.ErrorData,
			message: "x: HTTP 400 with an HTML page: 400 No required SSL certificate was sent",
		},
		"HTML, no entry": {
			status:  403,
			body:    "<html><title>Logon</title></html>",
			kind:    wit.ErrorForbidden,
			message: "x: HTTP 403 with an HTML page: Logon; is this a logon page?",
		},
		"text": {
			status:  401,
			body:    "Unauthorized",
			kind:    wit.ErrorUnauthorized,
			message: "x: HTTP 401: Unauthorized",
		},
		"empty":       {status: 410, kind: wit.ErrorGone, message: "x: HTTP 410 without a body"},
		"broken JSON": {status: 503, body: `{"error":`, kind: wit.ErrorTransient, message: "x: HTTP 503"},
		"broken XML": {
			status:  503,
			body:    `<error><code>7</code><mess`,
			kind:    wit.ErrorTransient,
			code:    "7",
			message: "x: HTTP 503",
		},
		"other XML": {status: 500, body: `<a/>`, kind: wit.ErrorTransient, message: "x: HTTP 500"},
		"locked": {
			status:  400,
			body:    `{"error":{"code":"CX/1","message":{"value":"Order 7 is locked by user SMITH"}}}`,
			kind:    wit.ErrorTransient,
			code:    "CX/1",
			message: "x: HTTP 400: Order 7",
		},
		"redirect":        {status: 302, kind: wit.ErrorUnauthorized, message: "x: HTTP 302"},
		"not implemented": {status: 501, kind: wit.ErrorUnsupported, message: "x: HTTP 501"},
		"conflict":        {status: 409, kind: wit.ErrorConflict, message: "x: HTTP 409"},
	}
}

// The kind of an error comes from the status and the text, its code and message from the document in any notation.
func TestErrorDocuments(t *testing.T) {
	for name, test := range errorDocumentCases(readSAPError(t)) {
		failure := odataerror.FromResponse("x", &wit.Response{Status: test.status}, []byte(test.body))
		code := ""
		if failure.Code != nil {
			code = *failure.Code
		}
		assert.True(t, failure.Kind == test.kind && (code == test.code || (test.code == "*" && code != "")) &&
			strings.HasPrefix(failure.Message, test.message), "%s: expected %v %q %q, found %v %q %q", name, test.kind,
			test.code, test.message, failure.Kind, code, failure.Message)
		if (failure.Detail != nil) != (test.body != "") || (failure.Detail != nil && len(*failure.Detail) > 1100) {
			t.Errorf("%s: expected the start of the body as detail, found %v", name, failure.Detail)
		}
	}
}

// The message contains the ID of the request in SAP's error log, but nothing that is not an ID.
func TestMessageContainsTransactionID(t *testing.T) {
	for _, test := range []struct {
		body string
		end  string // of the message
	}{
		{body: `{"error":` + readSAPError(t) + `}`, end: " (transaction 0F61D5F13A6D0060E00644D444B789F3)"},
		{
			body: `<error><code>5</code><message>no</message>` +
				`<innererror><application/><transactionid> 5D2C </transactionid></innererror></error>`,
			end: "no (transaction 5D2C)",
		},
		{body: `{"error":{"message":"no","innererror":{"transactionid":"a b"}}}`, end: "no"},
		{
			body: `{"error":{"message":"no","innererror":{"transactionid":"` + strings.Repeat("A", 65) + `"}}}`,
			end:  "no",
		},
		{body: `<error><message>no</message><transactionid>1</transactionid></error>`, end: "no"},
		{body: `<error><message>no</message><innererror><transactionid>1`, end: "no"},
	} {
		failure := odataerror.FromResponse("x", &wit.Response{Status: 500}, []byte(test.body))
		assert.True(t, strings.HasSuffix(failure.Message, test.end),
			"expected %q at the end, found %q", test.end, failure.Message)
	}
}

// A logon page with status 200 is named in the error.
func TestLogonPageInsteadOfFeed(t *testing.T) {
	failure := odataerror.NotData("x", "a feed", []byte("<html>"))
	assert.True(t, failure.Kind == wit.ErrorUnauthorized && strings.Contains(failure.Message, "logon page"),
		"a logon page with status 200: expected it to be named, found %v", failure)
}

// A document whose root is an error is one, whatever the status.
func TestErrorsWithSuccessStatus(t *testing.T) {
	for body, expected := range map[string]bool{
		`{"error":{}}`:                                true,
		` { "odata.error" : {}}`:                      true,
		`<?xml version="1.0"?><m:error xmlns:m="x"/>`: true,
		`{"d":{"error":1}}`:                           false,
		`<entry/>`:                                    false,
		``:                                            false,
		`error`:                                       false,
		`<error`:                                      false,
	} {
		assert.Equal(t, expected, odataerror.IsError([]byte(body)), body)
	}
}

// No document causes a panic.
func FuzzErrorDocuments(f *testing.F) {
	f.Add([]byte(`{"error":{"code":"1","message":{"value":"m"}}}`))
	f.Fuzz(func(t *testing.T, body []byte) { odataerror.FromResponse("x", &wit.Response{Status: 500}, body) })
}
