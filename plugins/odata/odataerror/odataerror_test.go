package odataerror_test

import (
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/wit"
)

func TestErrorDocuments(t *testing.T) {
	sap, err := os.ReadFile("../../../testdata/samples/error/sap_odata_v2_error_object.json")
	if err != nil {
		t.Fatal(err)
	}
	const xml = `<?xml version="1.0"?><error xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><code>SY/530</code><message xml:lang="en">Resource not found</message><innererror><code>inner</code></innererror></error>`
	for name, test := range map[string]struct {
		status  uint16
		body    string
		kind    wit.ErrorKind
		code    string
		message string
	}{
		"SAP's": {400, `{"error":` + string(sap) + `}`, wit.ErrorData, "*", "x: HTTP 400: "},
		"JSON": {404, `{"error":{"code":"SY/530","message":{"lang":"en","value":"Resource not found"}}}`,
			wit.ErrorNotFound, "SY/530", "x: HTTP 404: Resource not found"},
		"JSON, v3": {500, `{"odata.error":{"code":"","message":"no"}}`, wit.ErrorTransient, "",
			"x: HTTP 500: no"},
		"XML": {403, xml, wit.ErrorForbidden, "SY/530", "x: HTTP 403: Resource not found"},
		"XML with value": {412, `<error><code>5</code><message><value>stale</value></message></error>`,
			wit.ErrorConflict, "5", "x: HTTP 412: stale"},
		"HTML": {401, "\n<!DOCTYPE HTML><html><body>Logon</body></html>", wit.ErrorUnauthorized, "",
			"x: HTTP 401 with an HTML page: "},
		"HTML of a proxy": {400, "<html>\r\n<head><TITLE>400 No required\r\nSSL certificate was " +
			"sent</title></head></html>", wit.ErrorData, "",
			"x: HTTP 400 with an HTML page: 400 No required SSL certificate was sent"},
		"HTML, no entry": {403, "<html><title>Logon</title></html>", wit.ErrorForbidden, "",
			"x: HTTP 403 with an HTML page: Logon; is this a logon page?"},
		"text":        {401, "Unauthorized", wit.ErrorUnauthorized, "", "x: HTTP 401: Unauthorized"},
		"empty":       {410, "", wit.ErrorGone, "", "x: HTTP 410 without a body"},
		"broken JSON": {503, `{"error":`, wit.ErrorTransient, "", "x: HTTP 503"},
		"broken XML":  {503, `<error><code>7</code><mess`, wit.ErrorTransient, "7", "x: HTTP 503"},
		"other XML":   {500, `<a/>`, wit.ErrorTransient, "", "x: HTTP 500"},
		"locked": {400, `{"error":{"code":"CX/1","message":{"value":"Order 7 is locked by user SMITH"}}}`,
			wit.ErrorTransient, "CX/1", "x: HTTP 400: Order 7"},
		"redirect":        {302, "", wit.ErrorUnauthorized, "", "x: HTTP 302"},
		"not implemented": {501, "", wit.ErrorUnsupported, "", "x: HTTP 501"},
		"conflict":        {409, "", wit.ErrorConflict, "", "x: HTTP 409"},
	} {
		found := odataerror.FromResponse("x", &wit.Response{Status: test.status}, []byte(test.body))
		code := ""
		if found.Code != nil {
			code = *found.Code
		}
		if found.Kind != test.kind || (code != test.code && (test.code != "*" || code == "")) ||
			!strings.HasPrefix(found.Message, test.message) {
			t.Errorf("%s: expected %v %q %q, found %v %q %q", name, test.kind, test.code, test.message, found.Kind,
				code, found.Message)
		}
		if (found.Detail != nil) != (test.body != "") || (found.Detail != nil && len(*found.Detail) > 1100) {
			t.Errorf("%s: the detail is not the start of the body", name)
		}
	}
	// The message contains the ID of the request in SAP's error log, but nothing that is not an ID.
	for body, id := range map[string]string{
		`{"error":` + string(sap) + `}`: " (transaction 0F61D5F13A6D0060E00644D444B789F3)",
		`<error><code>5</code><message>no</message><innererror><application/><transactionid> 5D2C </transactionid></innererror></error>`: "no (transaction 5D2C)",
		`{"error":{"message":"no","innererror":{"transactionid":"a b"}}}`:                                                                "no",
		`{"error":{"message":"no","innererror":{"transactionid":"` + strings.Repeat("A", 65) + `"}}}`:                                    "no",
		`<error><message>no</message><transactionid>1</transactionid></error>`:                                                           "no",
		`<error><message>no</message><innererror><transactionid>1`:                                                                       "no",
	} {
		if f := odataerror.FromResponse("x", &wit.Response{Status: 500}, []byte(body)); !strings.HasSuffix(f.Message,
			id) {
			t.Errorf("expected %q at the end, found %q", id, f.Message)
		}
	}
	if f := odataerror.NotData("x", "a feed", []byte("<html>")); f.Kind != wit.ErrorUnauthorized ||
		!strings.Contains(f.Message, "logon page") {
		t.Errorf("a logon page with status 200: found %v", f)
	}
}

func TestErrorsWithSuccessStatus(t *testing.T) {
	for body, expected := range map[string]bool{`{"error":{}}`: true, ` { "odata.error" : {}}`: true,
		`<?xml version="1.0"?><m:error xmlns:m="x"/>`: true,
		`{"d":{"error":1}}`:                           false, `<entry/>`: false, ``: false, `error`: false,
		`<error`: false} {
		if found := odataerror.IsError([]byte(body)); found != expected {
			t.Errorf("%s: expected %v, found %v", body, expected, found)
		}
	}
}

func FuzzErrorDocuments(f *testing.F) {
	f.Add([]byte(`{"error":{"code":"1","message":{"value":"m"}}}`))
	f.Fuzz(func(t *testing.T, body []byte) { odataerror.FromResponse("x", &wit.Response{Status: 500}, body) })
}
