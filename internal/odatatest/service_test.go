package odatatest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// client sends requests to a service over HTTP.
type client struct {
	t       *testing.T
	service *odatatest.Service
	origin  string
	http    *http.Client
	headers map[string]string
}

func start(t *testing.T, o odatatest.Options) *client {
	t.Helper()
	s := odatatest.New(o)
	l, err := s.Start("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	c := &client{t: t, service: s, origin: l.URL, http: &http.Client{Transport: &http.Transport{}},
		headers: map[string]string{"Accept": "application/json", "Content-Type": "application/json"}}
	t.Cleanup(c.http.CloseIdleConnections)
	c.forgetCookies()
	return c
}

// forgetCookies gives the client an empty cookie jar.
func (c *client) forgetCookies() { c.http.Jar, _ = cookiejar.New(nil) }

// expect sends a request, checks the status, and returns the headers and the body. headers are name, value, …
func (c *client) expect(status int, method, path, body string, headers ...string) (http.Header, string) {
	c.t.Helper()
	r, err := http.NewRequest(method, c.origin+path, strings.NewReader(body))
	require.NoError(c.t, err)
	for name, text := range c.headers {
		r.Header.Set(name, text)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a, err := c.http.Do(r)
	require.NoError(c.t, err)
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	require.True(c.t, err == nil && a.StatusCode == status,
		"%s %s %s: expected %d, found %d %v\n%s", method, path, body, status, a.StatusCode, err, text)
	return a.Header, string(text)
}

// page returns the keys of a page of Orders, and its next link.
func (c *client) page(query string, headers ...string) (keys []int, next string) {
	c.t.Helper()
	var document struct {
		D struct {
			Results []struct{ OrderID int }
			Next    string `json:"__next"`
		}
	}
	_, text := c.expect(200, "GET", odatatest.SAPPath+"Orders"+query, "", headers...)
	require.NoError(c.t, json.Unmarshal([]byte(text), &document))
	for _, r := range document.D.Results {
		keys = append(keys, r.OrderID)
	}
	return keys, document.D.Next
}

func TestReadmeNamesEverySwitch(t *testing.T) {
	readme, err := os.ReadFile("../../examples/demo-service/README.md")
	require.NoError(t, err)
	for _, name := range append(odatatest.SwitchNames(), odatatest.ActionNames()...) {
		assert.True(t, strings.Contains(string(readme), "| `"+name+"` |"),
			"README.md: expected a row for the switch %s, found none", name)
	}
}

func TestSwitchesRefuseWhatTheyCannotMean(t *testing.T) {
	s := odatatest.New(odatatest.Options{})
	for _, c := range []struct{ name, value string }{
		{name: "nope", value: "1"},
		{name: "page-size", value: "-1"},
		{name: "page-size", value: "x"},
		{name: "csrf", value: "maybe"},
		{name: "links", value: "sideways"},
		{name: "differ", value: "nope"},
		{name: "slow-first-byte", value: "5"},
	} {
		if err := s.Set(c.name, c.value); err == nil || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s=%s: expected an error that names the switch, found %v", c.name, c.value, err)
		}
	}
}

func TestSwitchAndLedgerByHTTP(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 10, User: "u", Password: "p"})
	c.expect(204, "POST", "/__demo/switch", "name=page-size&value=4", "Content-Type",
		"application/x-www-form-urlencoded")
	c.expect(204, "POST", "/__demo/switch?name=links&value=relative", "")
	c.expect(400, "POST", "/__demo/switch?name=links&value=no", "")
	c.headers["Authorization"] = "Basic dTpw"
	if keys, next := c.page("?sap-client=100"); len(keys) != 4 || next != "Orders?sap-client=100&$skiptoken=10251" {
		t.Errorf("expected four keys and a relative next link, found %v, %q", keys, next)
	}
	keys, _ := c.page("", "Prefer", "odata.track-changes, odata.maxpagesize=3")
	assert.Len(t, 3, keys, "the page size that the client prefers")
	c.expect(404, "GET", odatatest.SAPPath+"Nope", "", "sap-client", "200")
	var l odatatest.Ledger
	_, text := c.expect(200, "GET", "/__demo/ledger", "")
	require.NoError(t, json.Unmarshal([]byte(text), &l))
	assert.True(t, l.Total == 3 && l.Pages == 2 && l.Rows == 7 && l.Statuses[200] == 2 && l.Statuses[404] == 1 &&
		l.Logons == 1 && l.SessionsOpened == 1, "expected the counts of three requests, found %+v", l)
	q := l.Requests[2]
	assert.True(t, q.Headers["Sap-Client"] == "200" && strings.Contains(q.Headers["Cookie"], "SAP_SESSIONID_") &&
		q.Path == odatatest.SAPPath+"Nope" && q.Status == 404,
		"expected the request for Nope with its headers, found %+v", q)
}

// A token is valid only on its server and in its session, whose ID changes with the fetch and after it.
func TestWriteNeedsTokenOfItsSession(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 10, User: "u", Password: "p", Switches: odatatest.Switches{CSRF: true,
		Servers: 2, RotateSession: "both"}})
	const inbox, message = odatatest.SAPPath + "Inbox", `{"Topic":"t"}`
	c.expect(401, "POST", inbox, message)
	c.headers["Authorization"] = "Basic dTpw"
	h, _ := c.expect(403, "POST", inbox, message)
	assert.True(t, h.Get("X-CSRF-Token") == "Required", "expected X-CSRF-Token: Required without a token, found %v", h)
	session := func(h http.Header) (cookie string) {
		for _, one := range h["Set-Cookie"] {
			if strings.HasPrefix(one, "SAP_SESSIONID_") {
				cookie, _, _ = strings.Cut(one, ";")
			}
		}
		return cookie
	}
	before := session(h)
	h, _ = c.expect(200, "GET", odatatest.SAPPath, "", "X-CSRF-Token", "Fetch")
	token := []string{"X-CSRF-Token", h.Get("X-CSRF-Token")}
	old := session(h)
	h, _ = c.expect(201, "POST", inbox, message, token...)
	if after := session(h); before == old || old == after || before == "" || old == "" || after == "" {
		t.Errorf("expected three sessions, found %s before the token, %s with it, %s after it", before, old, after)
	}
	c.expect(201, "POST", inbox, message, token...)
	c.http.Jar = nil // a client that kept the cookie from before the change
	c.expect(403, "POST", inbox, message, append(token, "Cookie", old)...)
	c.forgetCookies() // the next request goes to the other server
	c.expect(403, "POST", inbox, message, token...)
	l := c.service.Ledger()
	assert.True(t, len(l.Writes) == 2 && l.TokenRefusals == 3 && l.Sessions["u@NWD_02"].Opened != 0,
		"expected two writes, three refusals and a session on NWD_02, found %+v", l)
}

// A session that has ended is answered 401 and a page; it is no wrong password. The newest session may end the others.
func TestSessionsEnd(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 10, User: "u", Password: "p", Switches: odatatest.Switches{SessionEnd: "401",
		ExpireEvery: 3, LockAfter: 1}})
	c.headers["Authorization"] = "Basic dTpw"
	c.expect(200, "GET", odatatest.SAPPath, "")
	c.expect(200, "GET", odatatest.SAPPath, "")
	h, page := c.expect(401, "GET", odatatest.SAPPath, "")
	assert.True(t, strings.Contains(page, "Session timed out") && strings.Contains(h.Get("Set-Cookie"), "Max-Age=0"),
		"expected a page, and a cookie to be deleted, found %v, %s", h, page)
	c.expect(200, "GET", odatatest.SAPPath, "")
	require.NoError(t, c.service.Set("expire-every", "0"))
	require.NoError(t, c.service.Set("one-session", "true"))
	jar := c.http.Jar
	c.forgetCookies()
	c.expect(200, "GET", odatatest.SAPPath, "")
	c.http.Jar = jar
	c.expect(401, "GET", odatatest.SAPPath, "")
	if l := c.service.Ledger(); l.SessionsOpen != 1 || l.SessionsOpened != 3 || l.FailedLogons != 0 {
		t.Errorf("expected one open session of three, found %+v", l)
	}
}

func TestPageThatDiffersTheSecondTime(t *testing.T) {
	for _, mode := range []string{"reorder", "all"} {
		c := start(t, odatatest.Options{Rows: 40, PageSize: 20, Switches: odatatest.Switches{Differ: mode}})
		first, _ := c.page("?$skiptoken=10250")
		second, _ := c.page("?$skiptoken=10250")
		l := c.service.Ledger()
		assert.True(t, !slices.Equal(first, second) && len(second) == 20 &&
			(len(l.Deleted) == 2 && len(l.Born) == 1) == (mode == "all"),
			"%s: expected two different pages, found %v, then %v; gone %v, born %v", mode, first, second, l.Deleted,
			l.Born)
		slices.Sort(second)
		assert.True(t, slices.Equal(first, second) == (mode == "reorder"),
			"%s: expected the same keys with reorder alone, found %v, then %v", mode, first, second)
	}
}

func TestETags(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 3})
	const address = odatatest.SAPPath + "Suppliers(2)"
	h, text := c.expect(200, "GET", address, "")
	etag := h.Get("ETag")
	require.True(t, etag == `W/"1"` && strings.Contains(text, `"etag":"W/\"1\""`),
		`expected W/"1" in header and body, found %s, %s`, etag, text)
	c.expect(304, "GET", address, "", "If-None-Match", etag)
	c.expect(428, "MERGE", address, `{"City":"x"}`)
	for _, step := range []struct {
		method string
		match  string
		status int
	}{
		{method: "MERGE", match: `W/"7"`, status: 412},
		{method: "MERGE", match: etag, status: 204},
		{method: "MERGE", match: etag, status: 412},
		{method: "PUT", match: "*", status: 204},
		{method: "DELETE", match: `W/"2"`, status: 412},
		{method: "DELETE", match: `W/"3"`, status: 204},
	} {
		c.expect(step.status, step.method, address, `{"CompanyName":"n","City":"x"}`, "If-Match", step.match)
	}
}
