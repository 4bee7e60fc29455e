package odatatest_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

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

func TestPreferredPageSize(t *testing.T) {
	c := start(t, odatatest.Options{Rows: 30, PageSize: 20})
	c.headers["Prefer"] = "odata.track-changes, odata.maxpagesize=7"
	if f := c.jsonFeed(odatatest.SAPPath + "Orders"); len(f.rows) != 7 || f.next == "" {
		t.Errorf("%d rows", len(f.rows))
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
