package odataerror_test

import (
	"encoding/json"
	"encoding/xml"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/wit"
)

// quotations returns the forms in which services quote the URL of a request in a message.
func quotations(target string) map[string]string {
	decoded, err := url.QueryUnescape(target)
	if err != nil {
		panic(err)
	}
	escapeXML := func(text string) string {
		var out strings.Builder
		if err := xml.EscapeText(&out, []byte(text)); err != nil {
			panic(err)
		}
		return out.String()
	}
	quoteJSON := func(text string) string {
		out, err := json.Marshal(text)
		if err != nil {
			panic(err)
		}
		return string(out)
	}
	_, query, _ := strings.Cut(target, "?")
	return map[string]string{
		"as it came":       target,
		"with its host":    "http://erp:8000" + target,
		"decoded":          decoded,
		"for XML":          escapeXML(target),
		"decoded, for XML": escapeXML(decoded),
		"for HTML twice":   html.EscapeString(html.EscapeString(decoded)),
		"for JSON":         quoteJSON(decoded),
		"all of it %":      url.QueryEscape(target),
		"slashes for JSON": strings.ReplaceAll(target, "/", `\/`),
		"every character": "/s/Orders?&#x24;skiptoken&#x3d;1000&amp;&#36;filter&#61;Name eq &#39;gesperrt " +
			"deltalink&#39;",
		"the query alone": "?" + query,
		"relative":        target[strings.LastIndexByte(target, '/')+1:],
		"of a back end":   "https://other/v4/X?$count=true&$skiptoken=1000",
		"cut off":         target[:len(target)-8] + "...",
		"cut off in name": target[:strings.Index(target, "1000")+2],
	}
}

// withMessage returns a response whose body is an error document.
func withMessage(response *wit.Response, code, message string) *odataerror.Response {
	body, err := json.Marshal(map[string]any{"error": map[string]any{"code": code, "message": message}})
	if err != nil {
		panic(err)
	}
	answer := *response
	answer.Body = body
	return odataerror.Read(&answer)
}

func isLocked(response *wit.Response, message string) bool {
	return withMessage(response, "", message).Lock() != odataerror.NotLocked
}

// A word in the URL of the client's own request is not part of the service's message.
func TestQuotedRequestIsNotSearched(t *testing.T) {
	const target = "/s/Orders?$skiptoken=1000&$filter=Name%20eq%20%27gesperrt+deltalink%27&$format=json&$inlinecount=allpages"
	for name, quoted := range quotations(target) {
		for _, message := range []string{quoted, "in '" + quoted + "': not now", "GET " + quoted + " failed"} {
			response := &wit.Response{Status: 400, Target: target}
			body, err := json.Marshal(map[string]any{"error": map[string]any{"code": "X", "message": message}})
			require.NoError(t, err)
			if odataerror.LostToken(response, body) || isLocked(response, message) ||
				odataerror.RefusesFormat(response, body) ||
				strings.Contains(odataerror.SearchText(target, message), "inlinecount") {
				t.Errorf("%s: %q was searched as %q", name, message, odataerror.SearchText(target, message))
			}
			serviceText := []byte(strings.TrimSuffix(string(body), `"}}`) +
				`: the skiptoken is not known, $format is no option, "}}`)
			assert.True(t, odataerror.LostToken(response, serviceText) &&
				odataerror.RefusesFormat(response, serviceText) && isLocked(response, message+" - is locked by X"),
				"%s: the service's text after %q was not found", name, message)
		}
	}
	// Only the URL's options are quoted.
	for message, isLost := range map[string]bool{
		"Invalid request $skiptoken=1000&$format=json: backend not ready":  false,
		"query option $skiptoken=1000 failed: database is restarting":      false,
		"/other/Orders;$skiptoken=1000 is not to be had":                   false,
		"$skiptoken=1000: not now":                                         false,
		"“$skiptoken=1000”, '$skiptoken=1000', [$skiptoken=1000]: not now": false,
		"the skiptoken is not known":                                       true,
		"$skiptoken=1000: the skiptoken is not known":                      true,
		"x$skiptoken=1000":     true,
		"Unknown $skiptoken=7": true,
	} {
		if odataerror.LostToken(&wit.Response{Status: 400, Target: target}, []byte(message)) != isLost {
			t.Errorf("%q: expected a lost token %t, searched %q", message, isLost,
				odataerror.SearchText(target, message))
		}
	}
	// A URL without a query, and one with a key.
	for target, message := range map[string]string{
		"/s/Statuses('gesperrt')":                 "/s/Statuses('gesperrt') has a wrong value",
		"/s/Statuses('is%20locked%2F%C3%BC')":     "no update of Statuses('is locked/ü')",
		"/s/DeltaLinksOfFacts":                    "Resource not found for segment 'DeltaLinksOfFacts'",
		"/s/Things('already%20exists')?sap-x=100": "PUT /s/Things('already exists')?sap-x=100",
	} {
		response := &wit.Response{Status: 404, Target: target}
		if isLocked(response, message) || odataerror.LostToken(response, []byte(message)) ||
			withMessage(response, "", message).Exists() {
			t.Errorf("%q was searched as %q", message, odataerror.SearchText(target, message))
		}
	}
	// The search is limited.
	const lastStart = 4<<10 - len("gesperrt")
	for start, isFound := range map[int]bool{lastStart: true, lastStart + 1: false} {
		assert.True(t, isLocked(&wit.Response{Status: 400}, strings.Repeat("x", start)+"gesperrt") == isFound,
			"a word at %d: expected it to be found %t", start, isFound)
	}
}

// An option that a text contains as a whole is found, unless it is part of the request's URL.
func TestFormatNamedAsAWhole(t *testing.T) {
	for message, isRejected := range map[string]bool{
		"The query option '$format=json' is not supported":                            true,
		"Unknown query option: $format=json":                                          true,
		"“$format=json” is no option":                                                 true,
		"%24format%3Djson is not known":                                               true,
		"GET /s/Orders?$format=json: the query option '$format=json' is not known":    true,
		"the query option $format is not known":                                       true,
		"GET /s/Orders?$format=json failed":                                           false,
		"https://erp/s/Orders?$top=1&$format=json&$inlinecount=allpages: not now":     false,
		"Invalid request $format=json&$inlinecount=allpages: backend not ready":       false,
		"Invalid request $top=1&amp;$format=json: backend not ready":                  false,
		"GET /s/Orders?$top=1&$format=json: a wrong query option":                     false,
		"GET %2Fs%2FOrders%3F%24format%3Djson%26%24inlinecount%3Dallpages: a failure": false,
		"": false,
	} {
		for status, hasText := range map[uint16]bool{400: true, 501: true, 404: false, 500: false} {
			response := &wit.Response{Status: status, Target: "/s/Orders?$top=1&$format=json&$inlinecount=allpages"}
			assert.True(t, odataerror.RefusesFormat(response, []byte(message)) == (isRejected && hasText),
				"%d %q: expected a rejected format %v", status, message, isRejected && hasText)
		}
	}
}

// A link is lost with its session if the service itself rejects it.
func TestLostPage(t *testing.T) {
	document := []byte(`{"error":{"code":"X/1","message":{"lang":"en","value":"unknown cursor"}}}`)
	lostSession := []wit.Header{{Name: wit.SessionLostHeader, Value: "true"}}
	for _, test := range []struct {
		status  uint16
		headers []wit.Header
		body    []byte
		isLost  bool
	}{
		{status: 400, headers: lostSession, body: document, isLost: true},
		{status: 404, headers: lostSession, body: document, isLost: true},
		{status: 412, headers: lostSession, body: document, isLost: true},
		{status: 400, body: document},
		{status: 400, headers: lostSession, body: []byte("<html>")},
		{status: 403, headers: lostSession, body: document},
		{status: 500, headers: lostSession, body: document},
		{status: 410, body: document, isLost: true}, // the status means a lost token
	} {
		response := wit.Response{Status: test.status, Headers: test.headers, Target: "/s/X?$skiptoken=1000"}
		isLost := odataerror.LostPage(&response, test.body)
		assert.True(t, isLost == test.isLost, "%+v: expected %v, found %v", test, test.isLost, isLost)
	}
}

// A status, an SAP code, or a text with one of three statuses reports that a token is lost.
func TestLostToken(t *testing.T) {
	document := func(code, message string) string {
		return `{"error":{"code":"` + code + `","message":{"lang":"en","value":"` + message + `"}}}`
	}
	statuses := []uint16{400, 401, 403, 404, 408, 410, 412, 429, 500, 502, 503, 504}
	texts := []uint16{400, 404, 410, 412}
	codes := []uint16{400, 401, 403, 404, 410, 412, 500}
	for body, lostStatuses := range map[string][]uint16{
		"": {410},
		document("SY/530", "The data service has failed"):              {410},
		document("SY/530", "Invalid Delta Token"):                      texts,
		document("SY/530", "skip token 1000 has expired"):              texts,
		document("SY/530", "Error 536: no recovery"):                   texts,
		document("SY/530", "Lost: [COE0019]"):                          {410},
		`<error><code>X</code><message>no deltalink</message></error>`: texts,
		"Unknown $skiptoken":                                           texts,
		document("RSODP/536", "recovery not possible"):                 codes,
		document("536", ""):                                            codes,
		document("RSODP/1536", "something else"):                       {410},
		document("/IWFND/CM_MGW/090", "Ungültig"):                      codes,
		document("COE_GENERAL", "[COE0019][SNP]Snapshot"):              codes,
		"<html><title>deltatoken</title></html>":                       {},
	} {
		for _, status := range statuses {
			isLost := slices.Contains(lostStatuses, status)
			response := &wit.Response{Status: status, Target: "/s/X?$skiptoken=1000"}
			found := odataerror.LostToken(response, []byte(body))
			assert.True(t, found == isLost, "%d %s: expected a lost token %v, found %v", status, body, isLost, found)
		}
	}
}
