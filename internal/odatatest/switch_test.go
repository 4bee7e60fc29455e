package odatatest_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/odatatest"
)

func TestReadmeNamesEverySwitch(t *testing.T) {
	readme, err := os.ReadFile("../../examples/demo-service/README.md")
	ok(t, err)
	for _, name := range append(odatatest.SwitchNames(), odatatest.ActionNames()...) {
		if !strings.Contains(string(readme), "| `"+name+"` |") {
			t.Errorf("README.md has no row for the switch %s", name)
		}
	}
}

func TestSwitchesRefuseWhatTheyCannotMean(t *testing.T) {
	s := odatatest.New(odatatest.Options{})
	for _, pair := range [][2]string{{"nope", "1"}, {"page-size", "-1"}, {"page-size", "x"}, {"csrf", "maybe"},
		{"links", "sideways"}, {"differ", "nope"}, {"slow-first-byte", "5"}} {
		if err := s.Set(pair[0], pair[1]); err == nil || !strings.Contains(err.Error(), pair[0]) {
			t.Errorf("%q: %v", pair, err)
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
	if f := c.jsonFeed(odatatest.SAPPath + "Orders?sap-client=100"); f.next != "Orders?sap-client=100&$skiptoken=10251" {
		t.Errorf("next %q", f.next)
	}
	c.do("GET", odatatest.SAPPath+"Nope", "", "sap-client", "200")
	l := read[odatatest.Ledger](c, "/__demo/ledger")
	if l.Total != 2 || l.Pages != 1 || l.Rows != 4 || l.Statuses[200] != 1 || l.Statuses[404] != 1 || l.Logons != 1 ||
		l.SessionsOpened != 1 {
		t.Errorf("ledger %+v", l)
	}
	if q := l.Requests[0]; q.Method != "GET" || q.Path != odatatest.SAPPath+"Orders" || q.Query != "sap-client=100" ||
		q.Status != 200 {
		t.Errorf("first request %+v", q)
	}
	if q := l.Requests[1]; q.Headers["Sap-Client"] != "200" || !strings.Contains(q.Headers["Cookie"],
		"SAP_SESSIONID_") || q.Status != 404 {
		t.Errorf("second request %+v", q)
	}
	c.do("DELETE", "/__demo/ledger", "")
	if l := c.service.Ledger(); l.Total != 0 || l.SessionsOpen != 1 {
		t.Errorf("after the reset %+v", l)
	}
}

func TestLogons(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 10, User: "u", Password: "p", Switches: odatatest.Switches{LockAfter: 3}})
	c.http.Jar = nil
	for range 3 {
		c.expect(401, "GET", odatatest.SAPPath, "", "Authorization", "Basic dTp4")
	}
	c.expect(401, "GET", odatatest.SAPPath, "", "Authorization", "Basic dTpw") // the user is locked
	c.set("lock-after", "0")
	for range 2 {
		c.get(odatatest.SAPPath, "Authorization", "Basic dTpw")
	}
	if l := c.service.Ledger(); l.FailedLogons != 4 || l.Logons != 2 || l.SessionsOpened != 2 || l.SessionsOpen != 2 {
		t.Errorf("without cookies each call opens a session: %+v", l)
	}
}

func TestLogoffAndExpiry(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 10, User: "u", Password: "p"})
	c.get(odatatest.SAPPath, "Authorization", "Basic dTpw")
	c.get(odatatest.SAPPath) // by the cookie alone
	c.get("/sap/public/bc/icf/logoff")
	c.expect(401, "GET", odatatest.SAPPath, "")
	c.get(odatatest.SAPPath, "Authorization", "Basic dTpw")
	c.set("expire-sessions", "")
	c.expect(401, "GET", odatatest.SAPPath, "")
	if l := c.service.Ledger(); l.SessionsOpen != 0 || l.SessionsOpened != 2 {
		t.Errorf("%+v", l)
	}
}

func TestSessionChangesAroundTheTokenFetch(t *testing.T) {
	for _, mode := range []string{"fetch", "next", "both"} {
		t.Run(mode, func(t *testing.T) {
			c := start(t, odatatest.Options{Rows: 10, Switches: odatatest.Switches{CSRF: true, RotateSession: mode}})
			origin, err := url.Parse(c.origin)
			ok(t, err)
			id := func() string {
				for _, cookie := range c.http.Jar.Cookies(origin) {
					if strings.HasPrefix(cookie.Name, "SAP_SESSIONID_") {
						return cookie.Value
					}
				}
				return ""
			}
			c.get(odatatest.SAPPath)
			before := id()
			token := c.get(odatatest.SAPPath, "X-CSRF-Token", "Fetch").header.Get("X-CSRF-Token")
			atFetch := id()
			c.headers["Content-Type"], c.headers["X-CSRF-Token"] = "application/json", token
			c.expect(201, "POST", odatatest.SAPPath+"Inbox", `{"MessageID":1}`)
			after := id()
			c.expect(201, "POST", odatatest.SAPPath+"Inbox", `{"MessageID":2}`)
			if (before != atFetch) != (mode != "next") || (atFetch != after) != (mode != "fetch") {
				t.Errorf("session ids: %s before, %s at the fetch, %s after", before, atFetch, after)
			}
			// A client that kept the cookie from before the change is refused.
			c.http.Jar = nil
			c.expect(403, "POST", odatatest.SAPPath+"Inbox", `{"MessageID":3}`, "Cookie", "SAP_SESSIONID_NWD_100="+before)
		})
	}
}

func TestStatusForTheNextRequests(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 10})
	tests := []struct{ body, media, contains string }{
		{"json", "application/json;charset=utf-8", `"code":"SY/530"`}, {"xml", "application/xml;charset=utf-8",
			"<code>SY/530</code>"},
		{"html", "text/html; charset=utf-8", "<h1>503"}, {"empty", "", ""},
	}
	for _, test := range tests {
		for name, value := range map[string]string{"match": "GET " + odatatest.SAPPath + "Orders", "status": "503",
			"status-body": test.body, "status-code": "SY/530", "status-count": "2"} {
			c.set(name, value)
		}
		c.get(odatatest.SAPPath + "Products") // is not concerned
		for range 2 {
			r := c.do("GET", odatatest.SAPPath+"Orders", "", "Accept", "application/json")
			if r.status != 503 || r.header.Get("Content-Type") != test.media || !strings.Contains(string(r.body),
				test.contains) ||
				test.body == "empty" && len(r.body) > 0 {
				t.Errorf("%s: %d %s\n%s", test.body, r.status, r.header.Get("Content-Type"), r.body)
			}
		}
		c.get(odatatest.SAPPath + "Orders")
	}
}

func TestLogonPageWithStatus200(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 10, Switches: odatatest.Switches{LogonPage: 1}})
	if r := c.get(odatatest.SAPPath + "Orders"); !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") ||
		!strings.Contains(string(r.body), `type="password"`) {
		t.Errorf("%s\n%s", r.header.Get("Content-Type"), r.body)
	}
	if r := c.get(odatatest.SAPPath + "Orders"); strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
		t.Error("only one answer was to be a logon page")
	}
}

func TestBrokenAnswers(t *testing.T) {
	for _, format := range []string{"json", "atom"} {
		for _, after := range []int{0, 1, 5000, 100_000} {
			c := start(t, odatatest.Options{Rows: 1000, Switches: odatatest.Switches{BreakAfter: after}})
			address := odatatest.NorthwindPath + "Orders?$format=" + format
			whole := c.get(address).body
			for _, mode := range []string{"reset", "length", "truncate"} {
				c.set("break", mode)
				c.set("break-count", "1")
				r := c.do("GET", address, "")
				if len(r.body) > after || mode != "reset" && len(r.body) != after {
					t.Errorf("%s after %d: %d bytes", mode, after, len(r.body))
				}
				if mode == "truncate" && r.err != nil || mode == "length" && !errors.Is(r.err, io.ErrUnexpectedEOF) ||
					mode == "reset" &&
						!errors.Is(r.err, syscall.ECONNRESET) {
					t.Errorf("%s after %d: status %d, error %v", mode, after, r.status, r.err)
				}
				if !strings.HasPrefix(string(whole), string(r.body)) {
					t.Errorf("%s after %d: not the beginning of the page", mode, after)
				}
				if again := c.get(address).body; string(again) != string(whole) {
					t.Errorf("%s after %d: the next answer is not whole", mode, after)
				}
			}
		}
	}
}

func TestAppliedButNotAnswered(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 10, Switches: odatatest.Switches{LoseAnswer: 1}})
	c.headers["Content-Type"] = "application/json"
	if r := c.do("POST", odatatest.SAPPath+"Inbox", `{"MessageID":9}`); r.err == nil {
		t.Errorf("answered with %d", r.status)
	}
	c.expect(400, "POST", odatatest.SAPPath+"Inbox", `{"MessageID":9}`) // the row exists already
	if w := c.service.Ledger().Writes["Inbox(9)"]; w.Created != 1 {
		t.Errorf("%+v", w)
	}
}

func TestNextLinkToAnotherHost(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 10, PageSize: 4})
	c.set("next-host", "http://other.example:81")
	for _, f := range []feed{c.jsonFeed(odatatest.SAPPath + "Orders"), c.atomFeed(odatatest.SAPPath + "Orders")} {
		if f.next != "http://other.example:81"+odatatest.SAPPath+"Orders?$skiptoken=10251" {
			t.Errorf("next %q", f.next)
		}
	}
	c.set("next-host", "")
	c.set("self-host", "https://inside.example")
	if f := c.atom(odatatest.SAPPath + "Orders"); f.next() != "https://inside.example"+odatatest.SAPPath+
		"Orders?$skiptoken=10251" || !strings.HasPrefix(f.Entries[0].ID, f.Base) {
		t.Errorf("next %q, base %q, id %q", f.next(), f.Base, f.Entries[0].ID)
	}
}

func TestFeedsThatEndEarly(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 50, PageSize: 20, Switches: odatatest.Switches{EndEarly: 30}})
	for format, read := range map[string]func(string) feed{"JSON": c.jsonFeed, "Atom": c.atomFeed} {
		f := read(odatatest.SAPPath + "Orders?$inlinecount=allpages")
		if len(f.rows) != 30 || f.next != "" || f.count != "50" {
			t.Errorf("%s: %d rows, next %q, count %s", format, len(f.rows), f.next, f.count)
		}
		if f := read(odatatest.SAPPath + "Orders?$skip=30"); len(f.rows) != 20 || f.rows[0]["OrderID"] != "10278" {
			t.Errorf("%s: the rest: %d rows", format, len(f.rows))
		}
	}
}

func TestRefusedOptions(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 5, Switches: odatatest.Switches{RefuseCount: true, RefuseOrderBy: true}})
	for query, status := range map[string]int{"": 200, "$inlinecount=none": 200, "$inlinecount=allpages": 400,
		"$orderby=OrderID": 400} {
		c.expect(status, "GET", odatatest.SAPPath+"Orders?"+query, "")
	}
}

func TestOtherShapes(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 10, PageSize: 4})
	c.set("omit-null", "true")
	for format, read := range map[string]func(string) feed{"json": c.jsonFeed, "atom": c.atomFeed} {
		row := read(odatatest.SAPPath + "Orders?$filter=OrderID eq 10255").rows[0]
		if _, given := row["CustomerID"]; given || row["OrderID"] != "10255" {
			t.Errorf("%s with omit-null: %v", format, row)
		}
	}
	c.set("omit-null", "false")
	c.set("omit-type", "true")
	if body := string(c.get(odatatest.NorthwindPath + "AllTypes").body); strings.Contains(body, "m:type") {
		t.Errorf("omit-type: %.2000s", body)
	}
	c.set("prefixes", "true")
	if body := string(c.get(odatatest.NorthwindPath + "Orders").body); strings.Contains(body, "<entry") ||
		!strings.Contains(body, "<atom:entry>") ||
		len(c.atomFeed(odatatest.NorthwindPath+"Orders").rows) != 4 {
		t.Errorf("prefixes: %.1000s", body)
	}
	c.set("v1", "true")
	var document struct{ D []struct{ OrderID int } }
	if err := json.Unmarshal(c.get(odatatest.NorthwindPath+"Orders?$format=json").body, &document); err != nil ||
		len(document.D) != 10 {
		t.Errorf("v1: %v, %d rows", err, len(document.D))
	}
}

// existing gives the keys of a set as the ledger writes them.
func (c *client) existing(set string) []string {
	var keys []string
	c.service.Each(set, func(key string, _ map[string]string) { keys = append(keys, set+key) })
	return keys
}

// address writes the key of a row that was read as the ledger does.
func address(set string, r entity) string {
	if set == "Order_Details" {
		return set + "(OrderID=" + r["OrderID"] + ",ProductID=" + r["ProductID"] + ")"
	}
	return set + "(" + r["OrderID"] + ")"
}

func TestRowsInMotionBetweenPages(t *testing.T) {
	for _, set := range []string{"Orders", "Order_Details"} {
		for _, tokens := range []string{"key", "offset"} {
			t.Run(set+" "+tokens, func(t *testing.T) {
				c := start(t, odatatest.Options{Rows: 60, PageSize: 10, Switches: odatatest.Switches{Churn: 3,
					SkipToken: tokens}})
				before := c.existing(set)
				var seen []string
				for _, r := range c.walk(c.jsonFeed, odatatest.NorthwindPath+set) {
					seen = append(seen, address(set, r))
				}
				l := c.service.Ledger()
				if len(l.Gone) < 3 || len(l.Born) < 3 {
					t.Fatalf("gone %d, born %d", len(l.Gone), len(l.Born))
				}
				missing := 0
				for _, key := range before {
					if !slices.Contains(l.Gone, key) && !slices.Contains(seen, key) {
						missing++
					}
				}
				// Links that count rows lose some here: that is the fault which the switch is to show. Links by key do
				// not.
				if (missing > 0) != (tokens == "offset") {
					t.Errorf("%d rows that existed throughout were not delivered", missing)
				}
				for _, key := range c.existing(set) {
					if slices.Contains(l.Gone, key) || !slices.Contains(before, key) && !slices.Contains(l.Born, key) {
						t.Errorf("%s exists and the ledger says otherwise", key)
					}
				}
			})
		}
	}
}

func TestPageThatDiffersTheSecondTime(t *testing.T) {
	for _, mode := range []string{"reorder", "delete", "insert", "all"} {
		for _, format := range []string{"json", "atom"} {
			t.Run(mode+" "+format, func(t *testing.T) {
				c := start(t, odatatest.Options{Rows: 40, PageSize: 20, Switches: odatatest.Switches{Differ: mode}})
				read := c.jsonFeed
				if format == "atom" {
					read = c.atomFeed
				}
				page := func() []string {
					var keys []string
					for _, r := range read(odatatest.NorthwindPath + "Order_Details?$skiptoken=10250,20").rows {
						keys = append(keys, address("Order_Details", r))
					}
					return keys
				}
				first, second := page(), page()
				l := c.service.Ledger()
				if slices.Equal(first, second) || len(second) != 20 {
					t.Fatalf("the second time: %q", second)
				}
				sorted := slices.Clone(second)
				slices.Sort(sorted)
				switch mode {
				case "reorder":
					was := slices.Clone(first)
					slices.Sort(was)
					if !slices.Equal(was, sorted) || second[0] != first[1] || second[19] != first[0] {
						t.Errorf("reordered: %q", second)
					}
				case "delete", "all":
					if !slices.Equal(l.Gone, []string{first[0], first[2]}) || slices.Contains(second, first[0]) ||
						slices.Contains(second, first[2]) {
						t.Errorf("gone %q, the second time %q", l.Gone, second)
					}
				}
				if mode == "insert" || mode == "all" {
					if len(l.Born) != 1 || !slices.Contains(second, l.Born[0]) {
						t.Errorf("born %q, the second time %q", l.Born, second)
					}
				}
			})
		}
	}
}

func TestSlowFirstByte(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 5})
	c.set("slow-first-byte", "1h")
	c.http.Timeout = 30 * time.Millisecond
	if r := c.do("GET", odatatest.SAPPath+"Orders", ""); r.err == nil || !os.IsTimeout(r.err) {
		t.Errorf("%d %v", r.status, r.err)
	}
	c.http.Timeout = 0
	c.set("slow-first-byte", "50ms")
	began := time.Now()
	if c.get(odatatest.SAPPath + "Orders"); time.Since(began) < 50*time.Millisecond {
		t.Error("the answer came too early")
	}
}

func TestPreferredPageSize(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 30, PageSize: 20})
	c.headers["Prefer"] = "odata.track-changes, odata.maxpagesize=7"
	if f := c.jsonFeed(odatatest.SAPPath + "Orders"); len(f.rows) != 7 || f.next == "" {
		t.Errorf("%d rows", len(f.rows))
	}
}

// TestOnePageOfAMillionRows also shows that nothing is gathered: the rows are read as they come and counted.
func TestOnePageOfAMillionRows(t *testing.T) {
	const rows = 1_000_000
	c := start(t, odatatest.Options{Rows: rows})
	response, err := http.Get(c.origin + odatatest.SAPPath + "Orders?$format=json&$select=OrderID&$inlinecount=allpages")
	ok(t, err)
	defer response.Body.Close()
	var found, rest int
	needle, buffer := []byte(`"OrderID":`), make([]byte, 1<<16)
	for {
		n, err := response.Body.Read(buffer[rest:])
		held := buffer[:rest+n]
		found += strings.Count(string(held), string(needle))
		rest = copy(buffer, held[max(0, len(held)-len(needle)+1):])
		if err == io.EOF {
			break
		}
		ok(t, err)
	}
	if found != rows {
		t.Errorf("%d rows", found)
	}
}

func TestAtomIsWellFormedInEveryShape(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 8, PageSize: 3, Switches: odatatest.Switches{ExpandPageSize: 1}})
	for _, prefixes := range []string{"false", "true"} {
		c.set("prefixes", prefixes)
		for _, path := range []string{"Orders?$expand=Customer,Employee,Order_Details/Product/Category", "AllTypes",
			"Notes", "Pictures", "Codes", "Employees?$expand=Orders", "AllTypes(1)/Place", "Orders(1)", "$metadata",
			""} {
			for _, mount := range []string{odatatest.NorthwindPath, odatatest.SAPPath} {
				d := xml.NewDecoder(strings.NewReader(string(c.do("GET", mount+path, "", "Accept",
					"application/xml").body)))
				for {
					if _, err := d.Token(); err == io.EOF {
						break
					} else if err != nil {
						t.Fatalf("%s%s: %v", mount, path, err)
					}
				}
			}
		}
	}
}

func TestMemoryDoesNotGrowWithThePage(t *testing.T) {
	allocations := func(rows int) float64 {
		s := odatatest.New(odatatest.Options{Rows: rows})
		request, err := http.NewRequest("GET", "http://127.0.0.1:8090"+odatatest.SAPPath+"Orders?$format=json", nil)
		ok(t, err)
		return testing.AllocsPerRun(5, func() { s.ServeHTTP(&counter{header: http.Header{}}, request) })
	}
	if few, many := allocations(1000), allocations(100_000); many > few+10 {
		t.Errorf("%.0f allocations for 1,000 rows, %.0f for 100,000", few, many)
	}
}

func BenchmarkOrders(b *testing.B) {
	for _, format := range []string{"json", "atom"} {
		b.Run(format, func(b *testing.B) {
			const rows = 100_000
			s := odatatest.New(odatatest.Options{Rows: rows})
			request, err := http.NewRequest("GET", "http://127.0.0.1:8090"+odatatest.SAPPath+"Orders?$format="+format,
				nil)
			ok(b, err)
			var w counter
			b.ReportAllocs()
			for b.Loop() {
				w = counter{header: http.Header{}}
				s.ServeHTTP(&w, request)
			}
			b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(w.size)/rows, "bytes/row")
		})
	}
}

// counter is a ResponseWriter that only counts.
type counter struct {
	header http.Header
	size   int
}

func (c *counter) Header() http.Header { return c.header }
func (c *counter) WriteHeader(int)     {}
func (c *counter) Write(p []byte) (int, error) {
	c.size += len(p)
	return len(p), nil
}
