package main

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/notifications"
	"github.com/culvert-project/culvert/wit"
)

// routerService responds as a router whose application restarts to the requests for which isAway returns true.
type routerService struct {
	http.Handler
	status int
	body   string
	header string // the name of a header of the response. "" means no header.
	// isAway is nil while the application runs.
	isAway func(r *http.Request) bool
}

func (s *routerService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.isAway == nil || !s.isAway(r) {
		s.Handler.ServeHTTP(w, r)
		return
	}
	if s.header != "" {
		w.Header().Set(s.header, "2.0")
	}
	w.WriteHeader(s.status)
	_, _ = w.Write([]byte(s.body))
}

// routerCase is an answer while the application restarts, and the error that it causes.
type routerCase struct {
	name   string
	status int
	body   string
	header string
	kind   wit.ErrorKind
}

// Once the service has answered, if only with its metadata, a router's answer is an outage, after which the feed
// continues. If the service itself answered, the feed fails.
func TestRouterAnswersForRestartingService(t *testing.T) {
	for _, test := range []routerCase{
		{name: "route", status: 404, body: routerBody, kind: wit.ErrorTransient},
		{name: "HTML", status: 404, body: "<html><title>Not Found</title></html>", kind: wit.ErrorTransient},
		{name: "no method", status: 405, kind: wit.ErrorTransient},
		{name: "no media type", status: 415, body: "no", kind: wit.ErrorTransient},
		{name: "no implementation", status: 501, body: "no", kind: wit.ErrorTransient},
		{name: "no content", status: 404, kind: wit.ErrorNotFound},
		{name: "service's document", status: 404, body: serviceBody, kind: wit.ErrorNotFound},
		{name: "service's version", status: 404, body: routerBody, header: "DataServiceVersion",
			kind: wit.ErrorNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := &routerService{
				Handler: odatatest.New(odatatest.Options{Rows: 40, Subscriptions: true,
					Switches: odatatest.Switches{PageSize: 10, ExpandPageSize: 1}}),
				status: test.status,
				body:   test.body,
				header: test.header,
			}
			test.checkLoad(t, service)
			test.checkNestedPage(t, service)
			test.checkChanges(t, service)
		})
	}
}

// checkKind checks the kind of an error.
func (c *routerCase) checkKind(t *testing.T, subject string, err error) {
	t.Helper()
	if failure := faultOf(err); err == nil || failure.Kind != c.kind {
		t.Errorf("%s: expected %v, found %v (%v)", subject, c.kind, failure.Kind, err)
	}
}

func isOrders(r *http.Request) bool { return strings.Contains(r.URL.Path, "/Orders") }

// checkLoad checks the first page, a page after links have worked, a later load and a snapshot.
func (c *routerCase) checkLoad(t *testing.T, service *routerService) {
	t.Helper()
	load := newLoad(t, service, setOf(northwind, "Orders", "sap.odata#00.exec-period=60",
		"sap.odata#00.paging=links")...)
	service.isAway = isOrders
	_, err := load.run(0, nil)
	c.checkKind(t, "first page", err)
	service.isAway = nil
	offset, err := load.readPages(0, nil, 2)
	require.NoError(t, err)
	service.isAway = isOrders
	_, err = load.run(0, offset)
	if failure := faultOf(err); err == nil || failure.Kind != wit.ErrorTransient { // links have worked
		t.Errorf("third page: expected a transient error, found %v (%v)", failure.Kind, err)
	}
	service.isAway = nil
	offset = load.readAll(offset)
	assert.Equal(t, 40, len(load.rows), "rows")
	service.isAway = isOrders
	for subject, reason := range map[string]wit.PollReason{"next load": poll, "snapshot": {Snapshot: wit.Ptr("now")}} {
		step, err := load.next(0, offset, reason)
		require.NoError(t, err)
		_, err = load.page(0, step.Fetch)
		failure := faultOf(err)
		if hasBody := c.body != ""; !hasBody && failure.Kind != wit.ErrorTransient {
			t.Errorf("%s: expected a transient error, found %v (%v)", subject, failure.Kind, err)
		} else if hasBody {
			c.checkKind(t, subject, err)
		}
	}
}

// checkNestedPage checks a page of expanded rows.
func (c *routerCase) checkNestedPage(t *testing.T, service *routerService) {
	t.Helper()
	service.isAway = func(r *http.Request) bool { return isOrders(r) && strings.Contains(r.URL.Path, "Order_Details") }
	load := newLoad(t, service, setOf(northwind, "Orders", "sap.odata#00.expand=Order_Details")...)
	_, err := load.run(0, nil)
	if c.header == "" { // the host does not pass the headers of nested pages on
		c.checkKind(t, "nested page", err)
	}
}

// checkChanges checks the requests of delta mode, of ODP and of a subscription.
func (c *routerCase) checkChanges(t *testing.T, service *routerService) {
	t.Helper()
	service.isAway = func(r *http.Request) bool { return !strings.HasSuffix(r.URL.Path, "$metadata") }
	changes := newFollower(t, service, deltaSet("Orders")...)
	c.checkKind(t, "first page of changes", changes.catchUp(start))
	c.checkKind(t, "ODP", newFollower(t, service, odpSet("Products")...).catchUp(start))
	_, err := newFollower(t, service, notifiedSet("Products")...).subscribe("/c/Products")
	c.checkKind(t, "subscription", err)
	service.isAway = nil
	require.NoError(t, changes.catchUp(start))
	service.isAway = isOrders
	c.checkKind(t, "changes", changes.catchUp(poll))
	service.isAway = nil
	require.NoError(t, changes.catchUp(poll))
}

// routerBody is the body of a router's 404.
const routerBody = "404 Not Found: Requested route ('x') does not exist."

// serviceBody is the body of the service's own 404.
const serviceBody = `{"error":{"code":"X/1","message":{"lang":"en","value":"no"}}}`

// outageCase is a request that a page or changes cause, during which the service restarts.
type outageCase struct {
	name     string
	settings []string
	switches odatatest.Switches
	changes  int // the number of changes of products after the first load
	// isEntity means that the service's error document reports that the entity was deleted.
	isEntity bool
	isOutage func(q *wit.Request) bool
	// onResponse changes the responses to requests for changes, unless they are outages. It may be nil.
	onResponse func(q *wit.Request, r *wit.Response)
}

// outageAnswer is an answer instead of the service's, and the error that it causes.
type outageAnswer struct {
	status uint16
	body   string
	kind   wit.ErrorKind
}

// storedProducts are the settings of products whose missed changes are in SAP's notification store.
var storedProducts = notifiedSet("Products", "sap.odata.notification.catchup=store")

func isDeltaPage(q *wit.Request) bool { return strings.Contains(q.Target, "/Products?!deltatoken") }

// TestRouterAnswersInTheMiddleOfPage: an answer that the service did not give is an outage for each request that a page
// or changes cause. The set is read completely afterwards.
func TestRouterAnswersInTheMiddleOfPage(t *testing.T) {
	filtered := deltaSet("Products", "sap.odata#00.query=$filter=ProductID%20gt%200")
	hasTag := func(prefix string) func(q *wit.Request) bool {
		return func(q *wit.Request) bool { return strings.HasPrefix(q.Tag, prefix) }
	}
	reloaded := deltaSet("Products", "sap.odata#00.delta.lost=reload")
	expanded := deltaSet("Products", "sap.odata#00.expand=Order_Details")
	const monitor = sapNorthwind + "/poll/1"
	for _, test := range []outageCase{
		{name: "entity of the store", settings: storedProducts, changes: 3, isEntity: true,
			isOutage: hasTag(notifications.EntityTag)},
		{name: "next page of the store", settings: storedProducts, changes: 130, isOutage: func(q *wit.Request) bool {
			return strings.HasPrefix(q.Target, notifications.StoreTarget) && strings.Contains(q.Target, "skiptoken")
		}},
		{name: "entity that is read again", settings: deltaSet("Products"), changes: 1, isEntity: true,
			isOutage: hasTag("again "), onResponse: addDeletedProduct},
		{name: "entity that is read again by a filter", settings: filtered, changes: 1,
			switches: odatatest.Switches{Delta: "links"}, isOutage: hasTag("again "), onResponse: addDeletedProduct},
		{name: "nested page of an entity that is read again", settings: expanded, changes: 1,
			switches: odatatest.Switches{ExpandPageSize: 1}, isOutage: hasTag("again 1 "),
			onResponse: addDeletedProduct},
		{name: "metadata", settings: deltaSet("Products"), changes: 1, isOutage: hasTag("metadata"),
			onResponse: func(q *wit.Request, r *wit.Response) {
				r.Body = bytes.ReplaceAll(r.Body, []byte("<d:ProductName"), []byte("<d:New>x</d:New><d:ProductName"))
			}},
		{name: "load after a lost token", settings: reloaded,
			isOutage: func(q *wit.Request) bool { return !isDeltaPage(q) },
			onResponse: func(_ *wit.Request, r *wit.Response) {
				r.Status = 410
				r.Body = nil
			}},
		{name: "prepared changes", settings: deltaSet("Products"), changes: 1,
			isOutage: func(q *wit.Request) bool { return q.Target == monitor },
			onResponse: func(_ *wit.Request, r *wit.Response) {
				r.Status = 202
				r.Body = nil
				r.Headers = []wit.Header{{Name: "location", Value: monitor}}
			}},
	} {
		for _, answer := range []outageAnswer{
			{status: 404, body: routerBody, kind: wit.ErrorTransient},
			{status: 405, kind: wit.ErrorTransient},
			{status: 404, body: serviceBody, kind: wit.ErrorNotFound},
		} {
			if test.isEntity && answer.kind == wit.ErrorNotFound {
				continue
			}
			t.Run(fmt.Sprint(test.name, " ", answer.status, answer.kind), func(t *testing.T) { test.check(t, answer) })
		}
	}
}

func (c *outageCase) check(t *testing.T, answer outageAnswer) {
	service := odatatest.New(odatatest.Options{Rows: 200, Subscriptions: true, Switches: c.switches})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isChanges := strings.HasSuffix(r.URL.Path, "/Products") && strings.Contains(r.URL.RawQuery, "deltatoken")
		if c.switches.ExpandPageSize > 0 && isChanges {
			r.URL.RawQuery += "&$expand=Order_Details"
		}
		service.ServeHTTP(w, r)
	})
	follower := newFollower(t, handler, c.settings...)
	if slices.Equal(c.settings, storedProducts) {
		_, err := follower.subscribe("/c/Products")
		require.NoError(t, err)
	}
	require.NoError(t, follower.catchUp(start))
	for i := range c.changes {
		write(t, service, "MERGE", fmt.Sprintf("Products(%d)", 3+i%20), map[string]any{"ProductName": "New"})
	}
	follower.onResponse = func(q *wit.Request, r *wit.Response) {
		switch {
		case c.isOutage(q):
			r.Status = answer.status
			r.Body = []byte(answer.body)
			r.Headers = nil
		case c.onResponse != nil && isDeltaPage(q):
			c.onResponse(q, r)
		}
	}
	err := follower.catchUp(start)
	assert.Equal(t, answer.kind, faultOf(err).Kind, err)
	follower.onResponse = nil
	require.NoError(t, follower.catchUp(start))
	require.NoError(t, follower.catchUp(poll))
	follower.checkTopic(service, "Products", "ProductID", "ProductName")
}

// addDeletedProduct adds a deleted entry of a product that is also a row.
func addDeletedProduct(_ *wit.Request, r *wit.Response) { addDeletedEntry(r, 3, "</feed>") }

// TestOptionRejectedByDefaultPage: a web server's page is no response of the service, so it does not reject an option.
// The error names the setting that leaves the option out.
func TestOptionRejectedByDefaultPage(t *testing.T) {
	for _, status := range []int{405, 501} {
		service := &routerService{Handler: odatatest.New(odatatest.Options{Rows: 40}), status: status, body: "no",
			isAway: func(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, "$inlinecount") }}
		_, err := newLoad(t, service, setOf(northwind, "Orders")...).run(0, nil)
		assert.Error(t, err, "sap.odata#00.count = none requests no $inlinecount", status, "names the setting")
		load := newLoad(t, service, setOf(northwind, "Orders", "sap.odata#00.count=none")...)
		if _, err := load.run(0, nil); err != nil || len(load.rows) != 40 {
			t.Errorf("%d: expected 40 rows, found %d (%v)", status, len(load.rows), err)
		}
	}
}
