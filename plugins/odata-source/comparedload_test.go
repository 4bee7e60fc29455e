package main

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/wit"
)

// comparedLoad is a first load whose keys are compared, and what happens to the set.
type comparedLoad struct {
	name     string
	set      string // Orders unless set
	switches odatatest.Switches
	settings []string
	// duringLoad is called during the load, afterLoad before the comparison, beforeHidden before the first row that was
	// hidden is read. Each may be nil.
	duringLoad   func(t *testing.T, s *odatatest.Service)
	afterLoad    func(t *testing.T, s *odatatest.Service)
	beforeHidden func(t *testing.T, s *odatatest.Service)
	// onResponse changes responses to requests for a row that was hidden. Nil means that they are unchanged.
	onResponse func(r *wit.Response)
	// broken is the ID of a row with a property that cannot be decoded. Zero means none.
	broken int
	// hidden is the number of rows that are read by themselves.
	hidden int
	// repeats is the number of rows that come twice, because inserted rows moved them.
	repeats int
	// isDelivered means that the rows are delivered again after the comparison.
	isDelivered bool
	// isUnproven means that the load ends without a proof by key.
	isUnproven bool
}

func deleteOrders(ids ...int) func(t *testing.T, s *odatatest.Service) {
	return func(t *testing.T, s *odatatest.Service) {
		for _, id := range ids {
			write(t, s, "DELETE", fmt.Sprintf("Orders(%d)", id), nil)
		}
	}
}

func insertOrders(ids ...int) func(t *testing.T, s *odatatest.Service) {
	return func(t *testing.T, s *odatatest.Service) {
		for _, id := range ids {
			write(t, s, "POST", "Orders", map[string]any{"OrderID": id, "ShipName": "Inserted"})
		}
	}
}

// comparedService serves a load that is compared, and counts its requests.
type comparedService struct {
	*odatatest.Service
	t    *testing.T
	load *comparedLoad
	// received returns the number of rows that the follower has received.
	received func() int
	pages    int // the requests for pages of the load
	hidden   int // the requests for a hidden row
	keys     int // the requests for keys
	// loaded is the number of rows at the first request for changes. -1 means that there was none.
	loaded int
}

func (s *comparedService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.RawQuery
	isHidden := strings.Contains(query, "%20eq%20") && !strings.Contains(query, "%20g") &&
		!strings.Contains(query, "%20l")
	isKeys := strings.Contains(query, "$orderby") && strings.Contains(query, "$select")
	switch {
	case strings.Contains(query, "deltatoken"):
		s.loaded = max(s.loaded, s.received())
	case isHidden:
		s.hidden++
		s.callAt(s.hidden, 1, s.load.beforeHidden)
	case isKeys:
		s.keys++
		s.callAt(s.keys, 1, s.load.afterLoad)
	case r.Method == "GET" && strings.Contains(r.URL.Path, s.load.set):
		s.pages++
		s.callAt(s.pages, 3, s.load.duringLoad)
	}
	if (isKeys || isHidden) && (s.loaded >= 0 || strings.Contains(r.Header.Get("Prefer"), "track-changes")) {
		s.t.Errorf("%s %v acknowledges the load", query, r.Header)
	}
	s.Service.ServeHTTP(w, r)
}

// callAt calls a function, which may be nil, if a request has the given number.
func (s *comparedService) callAt(request, number int, call func(*testing.T, *odatatest.Service)) {
	if request == number && call != nil {
		call(s.t, s.Service)
	}
}

func checkComparedLoads(t *testing.T, loads []comparedLoad) {
	t.Helper()
	for _, test := range loads {
		t.Run(test.name, func(t *testing.T) { test.check(t) })
	}
}

func (c *comparedLoad) check(t *testing.T) {
	c.set = cmp.Or(c.set, "Orders")
	c.switches.PageSize = 10
	c.switches.SkipToken = cmp.Or(c.switches.SkipToken, "offset")
	c.switches.Tombstones = "off"
	orders := odatatest.New(odatatest.Options{Rows: 95, Switches: c.switches})
	service := &comparedService{Service: orders, t: t, load: c, loaded: -1}
	settings := c.settings
	if !slices.ContainsFunc(settings, func(s string) bool { return strings.Contains(s, ".format=") }) {
		settings = append([]string{"sap.odata#00.format=json"}, settings...)
	}
	f := newFollower(t, service, deltaSet(c.set, settings...)...)
	service.received = func() int { return len(f.log) }
	broken := regexp.MustCompile(fmt.Sprintf(`"OrderID":%d,.*?"OrderDate":"`, c.broken))
	f.onResponse = func(q *wit.Request, r *wit.Response) {
		if c.onResponse != nil && strings.Contains(q.Target, "%20eq%20") {
			c.onResponse(r)
		}
		r.Body = broken.ReplaceAll(r.Body, []byte("${0}x"))
	}
	result := compare(t, f)
	assert.True(t, (c.onResponse != nil || result.ended != c.isDelivered) && service.hidden == c.hidden,
		"compared: %v, rows hidden: %d", result.ended, service.hidden)
	c.checkRows(t, service, f)
	complete := stringOf(f.stored, "complete")
	assert.True(t, complete == "key" || c.isUnproven, "expected the proof key, found %q in %v", complete, f.stored)
	compared := len(f.log)
	require.NoError(t, f.catchUp(poll))
	assert.True(t, len(f.log) <= compared+2, "expected no row again after the load, found %d", len(f.log)-compared)
}

// checkRows checks that all rows that can be decoded were received, once or again as expected.
func (c *comparedLoad) checkRows(t *testing.T, service *comparedService, f *follower) {
	t.Helper()
	repeated := 0
	for _, event := range f.log {
		if event.headers[feedreader.HeaderSnapshot] != "" {
			repeated++
		}
	}
	want := service.Count(c.set)
	if c.broken > 0 {
		want--
		assert.Len(t, 2, f.faults, "faults, of the load and of the request for the row")
	}
	wantRepeated := 0
	if c.isDelivered {
		wantRepeated = want
	}
	assert.True(t, repeated == wantRepeated && (c.isDelivered || service.loaded == want+c.repeats),
		"expected %d rows, %d of them again, found %d and %d", want, wantRepeated, service.loaded, repeated)
	service.Each(c.set, func(_ string, fields map[string]string) {
		id := fields["OrderID"]
		isRead := f.state["["+id+"]"] != nil || f.state["["+id+" 7]"] != nil
		assert.True(t, c.set != "Orders" || isRead || id == strconv.Itoa(c.broken), "row %s is missing", id)
	})
}

// A first load whose links count rows is compared by key instead of being delivered again. Rows that were hidden from
// it are read by themselves.
func TestKeysOfFirstLoadAreCompared(t *testing.T) {
	checkComparedLoads(t, []comparedLoad{
		{name: "JSON", settings: []string{"sap.odata#00.format=json"}},
		{name: "Atom", settings: []string{"sap.odata#00.format=atom"}},
		{name: "opaque links", switches: odatatest.Switches{SkipToken: "opaque"}},
		{name: "a key of two parts", set: "Order_Details"},
		{name: "a key that is text", set: "Customers"},
		{name: "selected properties", settings: []string{"sap.odata#00.select=ShipName,OrderID"}},
		{name: "options of the user", settings: []string{"sap.odata#00.query=$select=ShipName"}},
		{name: "expanded", settings: []string{"sap.odata#00.expand=Customer"}},
		{name: "more fields of keys", settings: []string{"sap.odata#00.key.extra=System=7"}},
		{name: "hidden rows", duringLoad: deleteOrders(10250, 10251), afterLoad: insertOrders(10250, 10251), hidden: 2},
		{name: "a row that was inserted", duringLoad: insertOrders(5), hidden: 1, repeats: 1},
		{name: "a row that cannot be decoded", broken: 10250, hidden: 1},
		{name: "a row that cannot be decoded, and a hidden one", broken: 10260, duringLoad: deleteOrders(10250),
			afterLoad: insertOrders(10250), hidden: 2},
	})
}

// If a row was deleted, or nothing proves that all keys were found, the rows of a first load are read again.
func TestFirstLoadIsDeliveredAgainIfKeysAreMissing(t *testing.T) {
	checkComparedLoads(t, []comparedLoad{
		{name: "no order", switches: odatatest.Switches{RefuseOrderBy: true}, isDelivered: true, isUnproven: true},
		{name: "paging by links", settings: []string{"sap.odata#00.paging=links"}, isDelivered: true, isUnproven: true},
		{name: "a deleted row", duringLoad: deleteOrders(10250), isDelivered: true},
		{name: "a hidden row that is deleted, or not found", duringLoad: insertOrders(5), beforeHidden: deleteOrders(5),
			onResponse: func(*wit.Response) {}, hidden: 1, isDelivered: true},
		{name: "another row in place of the hidden one", duringLoad: insertOrders(5),
			onResponse: func(r *wit.Response) { r.Body = []byte(strings.ReplaceAll(string(r.Body), ":5,", ":10300,")) },
			hidden:     1, isDelivered: true},
		{name: "a hidden row that is rejected", duringLoad: insertOrders(5),
			onResponse: func(r *wit.Response) {
				r.Status = 400
				r.Body = []byte(`{"error":{"code":"X","message":{"value":"no such option"}}}`)
			}, hidden: 1, isDelivered: true},
	})
}
