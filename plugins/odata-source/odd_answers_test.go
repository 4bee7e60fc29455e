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

// TestResponsesThatAreNoFeed: if a response is not a feed, the error says what it is, so that users do not search
// for the error in a row. It is never read as rows.
func TestResponsesThatAreNoFeed(t *testing.T) {
	for name, test := range map[string]struct {
		status     int
		kind, body string
		message    string
	}{
		"204": {204, "", "", "HTTP 204 (No Content)"},
		"v4": {200, "application/json;odata.metadata=minimal",
			`{"@odata.context":"$metadata#Orders","value":[{"OrderID":1}]}`, "OData v4"},
		"v4 without metadata": {200, "application/json", `{"value":[{"OrderID":1}]}`, "OData v3 or v4"},
		"v4 without rows":     {200, "application/json", `{"value":[]}`, "OData v3 or v4"},
		"v3": {200, "application/json", `{"odata.metadata":"$metadata#Orders","value":[]}`,
			"OData v3"},
		"v3 error": {200, "application/json", `{"odata.error":{"code":"X","message":{"value":"no"}}}`,
			"an error document"},
		"health": {200, "application/json", `{"status":"UP","groups":["a"]}`,
			"none of the set's properties"},
		"gateway": {200, "application/json",
			`{"fault":{"faultstring":"no route","detail":{"errorcode":"x"}}}`, "none of the set's properties"},
		"message": {200, "application/json", `{"message":"Service is in maintenance"}`,
			"none of the set's properties"},
		"UTF-16":                {200, "application/json", "\xff\xfe{\x00\"\x00d\x00\"\x00", "UTF-16"},
		"UTF-16 without a mark": {200, "application/json", "{\x00\"\x00d\x00\"\x00", "UTF-16"},
		"UTF-16, big endian":    {200, "application/atom+xml", "\x00<\x00f\x00e\x00e\x00d\x00>", "UTF-16"},
		"Latin-1 in JSON": {200, "application/json;charset=ISO-8859-1",
			`{"d":{"results":[{"OrderID":1,"ShipName":"M` + "\xfc" + `ller"}]}}`, "iso-8859-1"},
		"Latin-1 split": {200, "application/json;charset=ISO-8859-1", `{"d":{"results":[` +
			strings.Repeat(" ", 200_000) + "\xfc" + `]}}`, "iso-8859-1"},
		"UTF-16 by the header": {200, "application/json;charset=UTF-16", `{"d":{"results":[]}}`, "utf-16"},
		"EBCDIC by the header": {200, "application/json;charset=cp037", `{"d":{"results":[]}}`, "cp037"},
		"Latin-1 in Atom": {200, "application/atom+xml",
			`<?xml version="1.0" encoding="ISO-8859-1"?><feed xmlns="http://www.w3.org/2005/Atom"/>`, "iso-8859-1"},
		"Latin-1 by the header": {200, "application/atom+xml; charset=windows-1252",
			`<feed xmlns="http://www.w3.org/2005/Atom"><title>` + "\xfc" + `</title></feed>`, "windows-1252"},
	} {
		for _, mode := range []string{"full", "delta"} {
			s := odatatest.New(odatatest.Options{Rows: 20})
			answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.URL.Path, "/Orders") {
					s.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", test.kind)
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			})
			var rows int
			var err error
			if mode == "full" {
				l := newLoad(t, answer, set("00", "Orders")...)
				_, err = l.run(0, nil)
				rows = len(l.rows) + len(l.faults)
			} else {
				f := newFollower(t, answer, tracked00("Orders")...)
				err = f.catchUp(start)
				rows = len(f.log) + len(f.faults)
			}
			if err == nil || !strings.Contains(err.Error(), test.message) || rows > 0 {
				t.Errorf("%s, %s: expected %q, found %v; %d rows or faults", name, mode, test.message, err, rows)
			}
		}
	}
}

// TestASCIIUnderAnotherName: servlets without a configured encoding declare ISO-8859-1. An ASCII body is the same in
// it.
func TestASCIIUnderAnotherName(t *testing.T) {
	for _, charset := range []string{"ISO-8859-1", `"iso-8859-15"`, "windows-1252", "Latin1"} {
		s := odatatest.New(odatatest.Options{Rows: 20})
		load := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/Orders") {
				s.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json;charset="+charset)
			_, _ = w.Write([]byte(`{"d":{"results":[{"OrderID":1,"ShipName":"M\u00fcller"}],"__count":"1"}}`))
		}), set("00", "Orders")...)
		if _, err := load.run(0, nil); err != nil || len(load.rows) != 1 {
			t.Errorf("%s: %d rows, %v", charset, len(load.rows), err)
		}
	}
}

// routed answers the requests that its function selects as a router does whose application restarts.
type routed struct {
	http.Handler
	status int
	body   string
	header string
	away   func(r *http.Request) bool
}

func (s *routed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.away == nil || !s.away(r) {
		s.Handler.ServeHTTP(w, r)
		return
	}
	if s.header != "" {
		w.Header().Set(s.header, "2.0")
	}
	w.WriteHeader(s.status)
	_, _ = w.Write([]byte(s.body))
}

// Once the service has answered, if only with its metadata, a router's answer is an outage, after which the feed
// continues. If the service itself answered, the feed fails.
func TestRouterAnswersForRestartingService(t *testing.T) {
	isSet := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/Orders") }
	isNested := func(r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/Orders") && strings.Contains(r.URL.Path, "Order_Details")
	}
	isData := func(r *http.Request) bool { return !strings.HasSuffix(r.URL.Path, "$metadata") }
	for _, c := range []struct {
		name   string
		status int
		body   string
		header string
		kind   wit.ErrorKind
	}{
		{"route", 404, route, "", wit.ErrorTransient},
		{"HTML", 404, "<html><title>Not Found</title></html>", "", wit.ErrorTransient},
		{"no method", 405, "", "", wit.ErrorTransient},
		{"no media type", 415, "no", "", wit.ErrorTransient},
		{"no implementation", 501, "no", "", wit.ErrorTransient},
		{"no content", 404, "", "", wit.ErrorNotFound},
		{"service's document", 404, document, "", wit.ErrorNotFound},
		{"service's version", 404, route, "DataServiceVersion", wit.ErrorNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			service := &routed{Handler: odatatest.New(odatatest.Options{Rows: 40, Subscriptions: true,
				Switches: odatatest.Switches{PageSize: 10, ExpandPageSize: 1}}), status: c.status, body: c.body,
				header: c.header}
			hasKind := func(subject string, err error) {
				t.Helper()
				if failure := faultOf(err); err == nil || failure.Kind != c.kind {
					t.Errorf("%s: expected %v, found %v (%v)", subject, c.kind, failure.Kind, err)
				}
			}
			load := newLoad(t, service, of(northwind, "Orders", "sap.odata#00.exec-period=60",
				"sap.odata#00.paging=links")...)
			service.away = isSet
			_, err := load.run(0, nil)
			hasKind("first page", err)
			service.away = nil
			offset, err := load.some(0, nil, 2)
			noError(t, err)
			service.away = isSet
			_, err = load.run(0, offset)
			if failure := faultOf(err); err == nil || failure.Kind != wit.ErrorTransient { // links have worked
				t.Errorf("third page: expected a transient error, found %v (%v)", failure.Kind, err)
			}
			service.away = nil
			offset = load.all(offset)
			if len(load.rows) != 40 {
				t.Errorf("expected 40 rows, found %d", len(load.rows))
			}
			service.away = isSet
			for subject, reason := range map[string]wit.PollReason{"next load": poll,
				"snapshot": {Snapshot: wit.Ptr("now")}} {
				step, err := load.next(0, offset, reason)
				noError(t, err)
				_, err = load.page(0, step.Fetch)
				failure := faultOf(err)
				if isEmpty := c.body == ""; isEmpty && failure.Kind != wit.ErrorTransient {
					t.Errorf("%s: expected a transient error, found %v (%v)", subject, failure.Kind, err)
				} else if !isEmpty {
					hasKind(subject, err)
				}
			}
			service.away = isNested
			_, err = newLoad(t, service, of(northwind, "Orders", "sap.odata#00.expand=Order_Details")...).run(0, nil)
			if c.header == "" { // the host does not pass the headers of nested pages on
				hasKind("nested page", err)
			}
			service.away = isData
			changes := newFollower(t, service, tracked00("Orders")...)
			hasKind("first page of changes", changes.catchUp(start))
			hasKind("ODP", newFollower(t, service, odpSet("Products")...).catchUp(start))
			_, err = newFollower(t, service, subscribed00("Products")...).subscribe("/c/Products")
			hasKind("subscription", err)
			service.away = nil
			noError(t, changes.catchUp(start))
			service.away = isSet
			hasKind("changes", changes.catchUp(poll))
			service.away = nil
			noError(t, changes.catchUp(poll))
		})
	}
}

// route is the body of a router's 404.
const route = "404 Not Found: Requested route ('x') does not exist."

// document is the body of the service's own 404.
const document = `{"error":{"code":"X/1","message":{"lang":"en","value":"no"}}}`

// TestRouterAnswersInTheMiddleOfPage: an answer that the service did not give is an outage for each request that a page
// or changes cause. The set is read completely afterwards.
func TestRouterAnswersInTheMiddleOfPage(t *testing.T) {
	filtered := tracked00("Products", "sap.odata#00.query=$filter=ProductID%20gt%200")
	store := subscribed00("Products", "sap.odata.notification.catchup=store")
	hasTag := func(prefix string) func(q *wit.Request) bool {
		return func(q *wit.Request) bool { return strings.HasPrefix(q.Tag, prefix) }
	}
	reloaded := tracked00("Products", "sap.odata#00.delta.lost=reload")
	expanded := tracked00("Products", "sap.odata#00.expand=Order_Details")
	isDelta := func(q *wit.Request) bool { return strings.Contains(q.Target, "/Products?!deltatoken") }
	const monitor = sapNorthwind + "/poll/1"
	for _, c := range []struct {
		name     string
		settings []string
		switches odatatest.Switches
		changes  int
		isEntity bool // the service's error document means that the entity was deleted
		isOutage func(q *wit.Request) bool
		answered func(q *wit.Request, r *wit.Response) // changes other answers
	}{
		{name: "entity of the store", settings: store, changes: 3, isEntity: true,
			isOutage: hasTag(notifications.EntityTag)},
		{name: "next page of the store", settings: store, changes: 130, isOutage: func(q *wit.Request) bool {
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
			isOutage: func(q *wit.Request) bool { return !isDelta(q) },
			answered: func(_ *wit.Request, r *wit.Response) { r.Status, r.Body = 410, nil }},
		{name: "prepared changes", settings: tracked00("Products"), changes: 1,
			isOutage: func(q *wit.Request) bool { return q.Target == monitor },
			answered: func(_ *wit.Request, r *wit.Response) {
				r.Status, r.Body, r.Headers = 202, nil, []wit.Header{{Name: "location", Value: monitor}}
			}},
	} {
		for _, answer := range []struct {
			status uint16
			body   string
			kind   wit.ErrorKind
		}{{404, route, wit.ErrorTransient}, {405, "", wit.ErrorTransient}, {404, document, wit.ErrorNotFound}} {
			if c.isEntity && answer.kind == wit.ErrorNotFound {
				continue
			}
			t.Run(fmt.Sprint(c.name, " ", answer.status, answer.kind), func(t *testing.T) {
				service := odatatest.New(odatatest.Options{Rows: 200, Subscriptions: true, Switches: c.switches})
				handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					isChanges := strings.HasSuffix(r.URL.Path, "/Products") &&
						strings.Contains(r.URL.RawQuery, "deltatoken")
					if c.switches.ExpandPageSize > 0 && isChanges {
						r.URL.RawQuery += "&$expand=Order_Details"
					}
					service.ServeHTTP(w, r)
				})
				follower := newFollower(t, handler, c.settings...)
				if slices.Equal(c.settings, store) {
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
						r.Status, r.Body, r.Headers = answer.status, []byte(answer.body), nil
					case c.answered != nil && isDelta(q):
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
			})
		}
	}
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
