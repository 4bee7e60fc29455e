package odatatest_test

import (
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
)

const orderCopy = `{"OrderID":%,"CustomerID":"ALFKI"}`

// fetch gets a token; write posts a row with it.
func fetch(c *client) string {
	return c.do("GET", odatatest.SAPPath, "", "X-CSRF-Token", "Fetch").header.Get("x-csrf-token")
}

func write(c *client, token, id string) reply {
	return c.do("POST", odatatest.SAPPath+"OrderCopies", strings.ReplaceAll(orderCopy, "%", id), "X-CSRF-Token", token,
		"Content-Type", "application/json")
}

func TestServersHaveSessionsOfTheirOwn(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 10, User: "u", Password: "p", Switches: odatatest.Switches{CSRF: true,
		Servers: 2}})
	c.headers["Authorization"] = "Basic dTpw"
	first := fetch(c)
	if r := write(c, first, "1"); r.status != 201 {
		t.Fatalf("a client stays with its server: %d %s", r.status, r.body)
	}
	before := c.http.Jar
	c.http.Jar, _ = cookiejar.New(nil)
	if second := fetch(c); second == first || second == "" {
		t.Errorf("expected a token of the other server, found %q", second)
	}
	if r := write(c, first, "2"); r.status != 403 {
		t.Errorf("expected a token of one server to be unknown to the other, found %d", r.status)
	}
	want := map[string]odatatest.SessionCount{"u@NWD_01": {Opened: 1, Open: 1}, "u@NWD_02": {Opened: 1, Open: 1}}
	equal(t, want, c.service.Ledger().Sessions)
	c.http.Jar = before
	c.do("GET", "/sap/public/bc/icf/logoff", "")
	c.set("expire-sessions", "")
	l := c.service.Ledger()
	want = map[string]odatatest.SessionCount{"u@NWD_01": {Opened: 1, LoggedOff: 1}, "u@NWD_02": {Opened: 1, TimedOut: 1}}
	equal(t, want, l.Sessions)
	if l.SessionsOpen != 0 || l.SessionsLoggedOff != 1 {
		t.Error(l.SessionsOpen, l.SessionsLoggedOff)
	}
}
