package main

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/notifications"
	"github.com/culvert-project/culvert/wit"
)

// routed answers the requests that its function selects as a router does whose application restarts.
type routed struct {
	http.Handler
	status int
	body   string
	header string
	away   func(r *http.Request) bool
}

func (ro *routed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if ro.away == nil || !ro.away(r) {
		ro.Handler.ServeHTTP(w, r)
		return
	}
	if ro.header != "" {
		w.Header().Set(ro.header, "2.0")
	}
	w.WriteHeader(ro.status)
	_, _ = w.Write([]byte(ro.body))
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
		{"route", 404, route, "", wit.ErrorTransient},
		{"HTML", 404, "<html><title>Not Found</title></html>", "", wit.ErrorTransient},
		{"no method", 405, "", "", wit.ErrorTransient},
		{"no media type", 415, "no", "", wit.ErrorTransient},
		{"no implementation", 501, "no", "", wit.ErrorTransient},
		{"no content", 404, "", "", wit.ErrorNotFound},
		{"service's document", 404, document, "", wit.ErrorNotFound},
		{"service's version", 404, route, "DataServiceVersion", wit.ErrorNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := &routed{Handler: odatatest.New(odatatest.Options{Rows: 40, Subscriptions: true,
				Switches: odatatest.Switches{PageSize: 10, ExpandPageSize: 1}}), status: test.status, body: test.body,
				header: test.header}
			test.checkLoad(t, service)
			test.checkNestedPage(t, service)
			test.checkChanges(t, service)
		})
	}
}

func (c *routerCase) hasKind(t *testing.T, subject string, err error) {
	t.Helper()
	if failure := faultOf(err); err == nil || failure.Kind != c.kind {
		t.Errorf("%s: expected %v, found %v (%v)", subject, c.kind, failure.Kind, err)
	}
}

func isOrders(r *http.Request) bool { return strings.Contains(r.URL.Path, "/Orders") }

// checkLoad checks the first page, a page after links have worked, a later load and a snapshot.
func (c *routerCase) checkLoad(t *testing.T, service *routed) {
	t.Helper()
	load := newLoad(t, service, of(northwind, "Orders", "sap.odata#00.exec-period=60", "sap.odata#00.paging=links")...)
	service.away = isOrders
	_, err := load.run(0, nil)
	c.hasKind(t, "first page", err)
	service.away = nil
	offset, err := load.some(0, nil, 2)
	noError(t, err)
	service.away = isOrders
	_, err = load.run(0, offset)
	if failure := faultOf(err); err == nil || failure.Kind != wit.ErrorTransient { // links have worked
		t.Errorf("third page: expected a transient error, found %v (%v)", failure.Kind, err)
	}
	service.away = nil
	offset = load.all(offset)
	if len(load.rows) != 40 {
		t.Errorf("expected 40 rows, found %d", len(load.rows))
	}
	service.away = isOrders
	for subject, reason := range map[string]wit.PollReason{"next load": poll, "snapshot": {Snapshot: wit.Ptr("now")}} {
		step, err := load.next(0, offset, reason)
		noError(t, err)
		_, err = load.page(0, step.Fetch)
		failure := faultOf(err)
		if isEmpty := c.body == ""; isEmpty && failure.Kind != wit.ErrorTransient {
			t.Errorf("%s: expected a transient error, found %v (%v)", subject, failure.Kind, err)
		} else if !isEmpty {
			c.hasKind(t, subject, err)
		}
	}
}

func (c *routerCase) checkNestedPage(t *testing.T, service *routed) {
	t.Helper()
	service.away = func(r *http.Request) bool { return isOrders(r) && strings.Contains(r.URL.Path, "Order_Details") }
	load := newLoad(t, service, of(northwind, "Orders", "sap.odata#00.expand=Order_Details")...)
	_, err := load.run(0, nil)
	if c.header == "" { // the host does not pass the headers of nested pages on
		c.hasKind(t, "nested page", err)
	}
}

// checkChanges checks the requests of delta mode, of ODP and of a subscription.
func (c *routerCase) checkChanges(t *testing.T, service *routed) {
	t.Helper()
	service.away = func(r *http.Request) bool { return !strings.HasSuffix(r.URL.Path, "$metadata") }
	changes := newFollower(t, service, tracked00("Orders")...)
	c.hasKind(t, "first page of changes", changes.catchUp(start))
	c.hasKind(t, "ODP", newFollower(t, service, odpSet("Products")...).catchUp(start))
	_, err := newFollower(t, service, subscribed00("Products")...).subscribe("/c/Products")
	c.hasKind(t, "subscription", err)
	service.away = nil
	noError(t, changes.catchUp(start))
	service.away = isOrders
	c.hasKind(t, "changes", changes.catchUp(poll))
	service.away = nil
	noError(t, changes.catchUp(poll))
}

// route is the body of a router's 404.
const route = "404 Not Found: Requested route ('x') does not exist."

// document is the body of the service's own 404.
const document = `{"error":{"code":"X/1","message":{"lang":"en","value":"no"}}}`

// outageCase is a request that a page or changes cause, at which the service is away.
type outageCase struct {
	name     string
	settings []string
	switches odatatest.Switches
	changes  int
	// isEntity means that the service's error document reports that the entity was deleted.
	isEntity bool
	isOutage func(q *wit.Request) bool
	// answered changes other answers to requests for changes. It may be nil.
	answered func(q *wit.Request, r *wit.Response)
}

// outageAnswer is an answer instead of the service's, and the error that it causes.
type outageAnswer struct {
	status uint16
	body   string
	kind   wit.ErrorKind
}

// storedProducts are the settings of products whose missed changes are in SAP's notification store.
var storedProducts = subscribed00("Products", "sap.odata.notification.catchup=store")

func isDeltaPage(q *wit.Request) bool { return strings.Contains(q.Target, "/Products?!deltatoken") }

// TestRouterAnswersInTheMiddleOfPage: an answer that the service did not give is an outage for each request that a page
// or changes cause. The set is read completely afterwards.
func TestRouterAnswersInTheMiddleOfPage(t *testing.T) {
	filtered := tracked00("Products", "sap.odata#00.query=$filter=ProductID%20gt%200")
	hasTag := func(prefix string) func(q *wit.Request) bool {
		return func(q *wit.Request) bool { return strings.HasPrefix(q.Tag, prefix) }
	}
	reloaded := tracked00("Products", "sap.odata#00.delta.lost=reload")
	expanded := tracked00("Products", "sap.odata#00.expand=Order_Details")
	const monitor = sapNorthwind + "/poll/1"
	for _, test := range []outageCase{
		{name: "entity of the store", settings: storedProducts, changes: 3, isEntity: true,
			isOutage: hasTag(notifications.EntityTag)},
		{name: "next page of the store", settings: storedProducts, changes: 130, isOutage: func(q *wit.Request) bool {
			return strings.HasPrefix(q.Target, notifications.StoreTarget) && strings.Contains(q.Target, "skiptoken")
		}},
		{name: "entity that is read again", settings: tracked00("Products"), changes: 1, isEntity: true,
			isOutage: hasTag("again "), answered: deletesAlso},
		{name: "entity that is read again by a filter", settings: filtered, changes: 1,
			switches: odatatest.Switches{Delta: "links"}, isOutage: hasTag("again "), answered: deletesAlso},
		{name: "nested page of an entity that is read again", settings: expanded, changes: 1,
			switches: odatatest.Switches{ExpandPageSize: 1}, isOutage: hasTag("again 1 "), answered: deletesAlso},
		{name: "metadata", settings: tracked00("Products"), changes: 1, isOutage: hasTag("metadata"),
			answered: func(q *wit.Request, r *wit.Response) {
				r.Body = bytes.ReplaceAll(r.Body, []byte("<d:ProductName"), []byte("<d:New>x</d:New><d:ProductName"))
			}},
		{name: "load after a lost token", settings: reloaded,
			isOutage: func(q *wit.Request) bool { return !isDeltaPage(q) },
			answered: func(_ *wit.Request, r *wit.Response) {
				r.Status = 410
				r.Body = nil
			}},
		{name: "prepared changes", settings: tracked00("Products"), changes: 1,
			isOutage: func(q *wit.Request) bool { return q.Target == monitor },
			answered: func(_ *wit.Request, r *wit.Response) {
				r.Status = 202
				r.Body = nil
				r.Headers = []wit.Header{{Name: "location", Value: monitor}}
			}},
	} {
		for _, answer := range []outageAnswer{
			{404, route, wit.ErrorTransient},
			{405, "", wit.ErrorTransient},
			{404, document, wit.ErrorNotFound},
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
		noError(t, err)
	}
	noError(t, follower.catchUp(start))
	for i := range c.changes {
		write(t, service, "MERGE", fmt.Sprintf("Products(%d)", 3+i%20), map[string]any{"ProductName": "New"})
	}
	follower.answered = func(q *wit.Request, r *wit.Response) {
		switch {
		case c.isOutage(q):
			r.Status = answer.status
			r.Body = []byte(answer.body)
			r.Headers = nil
		case c.answered != nil && isDeltaPage(q):
			c.answered(q, r)
		}
	}
	err := follower.catchUp(start)
	if failure := faultOf(err); failure.Kind != answer.kind {
		t.Errorf("expected %v, found %v (%v)", answer.kind, failure.Kind, err)
	}
	follower.answered = nil
	noError(t, follower.catchUp(start))
	noError(t, follower.catchUp(poll))
	follower.equals(service, "Products", "ProductID", "ProductName")
}

// deletesAlso adds a deleted entry of a product that is also a row.
func deletesAlso(_ *wit.Request, r *wit.Response) { alsoDeleted(r, 3, "</feed>") }

// TestOptionRejectedByDefaultPage: a web server's page is no answer of the service: it is not taken for the rejection
// of an option. The error names the setting that leaves the option out.
func TestOptionRejectedByDefaultPage(t *testing.T) {
	for _, status := range []int{405, 501} {
		service := &routed{Handler: odatatest.New(odatatest.Options{Rows: 40}), status: status, body: "no",
			away: func(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, "$inlinecount") }}
		_, err := newLoad(t, service, of(northwind, "Orders")...).run(0, nil)
		if err == nil || !strings.Contains(err.Error(), "sap.odata#00.count = none requests no $inlinecount") {
			t.Errorf("%d: expected an error that names the setting, found %v", status, err)
		}
		load := newLoad(t, service, of(northwind, "Orders", "sap.odata#00.count=none")...)
		if _, err := load.run(0, nil); err != nil || len(load.rows) != 40 {
			t.Errorf("%d: expected 40 rows, found %d (%v)", status, len(load.rows), err)
		}
	}
}
