package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

var notified = []string{"sap.odata#00.subscription.enable=1", "sap.odata.subscription.dest=C",
	"sap.odata.subscription.ports=8301"}

// subscribed00 returns settings of a set with a subscription that is read once, in full mode.
func subscribed00(name string, more ...string) []string {
	return of(sapNorthwind, name, append(notified, more...)...)
}

const atomSpaces = ` xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"`

var one, two = []string{"(OrderID=1,ProductID=2) "}, []string{"(OrderID=1,ProductID=2) ", "(OrderID=3,ProductID=4) "}

// noticed contains bodies of notifications for Order_Details and the triggers or the kind of error that they cause.
var noticed = []struct {
	name    string
	headers string
	body    string
	wakes   []string
	fault   wit.ErrorKind
}{
	{"a notification with a link", "", `<entry` + atomSpaces +
		`><category term="X.Notification"/><link rel="http://schemas.microsoft.com/ado/2007/08/dataservices/related/via"
		href="https://sap/s;mo/Order_Details(SAP__Origin='LOCAL',ProductID=11,OrderID=10248)"/><content><m:properties><d:ID>7</d:ID><d:collection>Order_Details</d:collection></m:properties></content></entry>`,
		[]string{"(OrderID=10248,ProductID=11) 7"}, 0},
	{"the entity inline", "",
		`<a:entry xmlns:a="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><a:category term="X.Notification"/><a:link rel="via" href="">
		<m:inline><a:entry><a:id>Order_Details(OrderID=1,ProductID=2)</a:id></a:entry></m:inline></a:link></a:entry>`, one, 0},
	{"an entity by its properties", "", `<entry` + atomSpaces + `><content><m:properties><d:OrderID>1</d:OrderID>` +
		`<d:ProductID>2</d:ProductID></m:properties></content></entry>`, one, 0},
	{"an entity by its address", "",
		`<entry` + atomSpaces + `><id>https://sap/x/Order_Details(ProductID=2,OrderID=1)</id></entry>`, one, 0},
	{"a feed", "", `<feed` + atomSpaces +
		`><title/><entry><id>Order_Details(OrderID=1,ProductID=2)</id></entry><entry><id>Order_Details(OrderID=3,ProductID=4)</id></entry></feed>`,
		two, 0},
	{"a feed with a next link", "",
		`<feed` + atomSpaces + `><entry><id>Order_Details(OrderID=1,ProductID=2)</id></entry><link rel="next" href="X?$skip=1"/></feed>`,
		[]string{"(OrderID=1,ProductID=2) ", " "}, 0},
	{"JSON with a link", "",
		`{"d":{"__metadata":{"type":"X.Notification"},"ID":"8","collection":"Order_Details","via":{"__deferred":{"uri":"Order_Details(OrderID=1,ProductID=2)"}}}}`,
		[]string{"(OrderID=1,ProductID=2) 8"}, 0},
	{"JSON with the entity inline", "",
		`{"d":{"ID":"8","collection":"Order_Details","changeType":"updated","via":{"OrderID":1,"ProductID":2}}}`,
		[]string{"(OrderID=1,ProductID=2) 8"}, 0},
	{"the entity inline, and its link", "", `<entry` + atomSpaces +
		`><link rel="via" href="Order_Details(OrderID=5,ProductID=6)">` +
		`<m:inline><entry><content><m:properties><d:OrderID>1</d:OrderID><d:ProductID>2</d:ProductID></m:properties>` +
		`</content></entry></m:inline></link></entry>`, one, 0},
	{"a link, and nothing inline", "", `<entry` + atomSpaces +
		`><link rel="via" href="Order_Details(OrderID=1,ProductID=2)">` +
		`<m:inline/></link></entry>`, one, 0},
	{"a link, and an empty feed inline", "", `<entry` + atomSpaces +
		`><link rel="via" href="Order_Details(OrderID=1,ProductID=2)">` +
		`<m:inline><feed/></m:inline></link></entry>`, one, 0},
	{"several entities inline", "",
		`<a:entry xmlns:a="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">
		<a:category term="X.Notification"/><a:link rel="via" href=""><m:inline><a:feed><a:entry><a:id>Order_Details(OrderID=1,ProductID=2)</a:id></a:entry>
		<a:entry><a:id>Order_Details(OrderID=3,ProductID=4)</a:id></a:entry></a:feed></m:inline></a:link><a:content><m:properties><d:ID>9</d:ID></m:properties></a:content></a:entry>`,
		[]string{"(OrderID=1,ProductID=2) 9 (OrderID=1,ProductID=2)",
			"(OrderID=3,ProductID=4) 9 (OrderID=3,ProductID=4)"}, 0},
	{"an entity in JSON", "", `{"d":{"OrderID":1,"ProductID":2}}`, one, 0},
	{"a feed in JSON", "",
		` {"d":{"results":[{"OrderID":1,"ProductID":2},{"__metadata":{"uri":"/s/Order_Details(OrderID=3,ProductID=4)"}}]}}`,
		two, 0},
	{"headers alone", "x-sap-poke-data: (OrderID=1,ProductID=2)", "", one, 0},
	{"headers with an address", "X-SAP-Poke-Data: https://sap/s/Order_Details(OrderID=1,ProductID=2)", " ", one, 0},
	{"headers that name no entity", "x-sap-poke-title: CUD", "", []string{" "}, 0},
	{"a notification that names no entity", "", `<entry` + atomSpaces + `><category term="X.Notification"/></entry>`,
		[]string{" "}, 0},

	{"nothing", "", "", nil, wit.ErrorData},
	{"no document", "", "hello", nil, wit.ErrorData},
	{"XML that ends early", "", `<entry` + atomSpaces + `><id>Order_Details(1)</id>`, nil, wit.ErrorData},
	{"other XML", "", `<html/>`, nil, wit.ErrorData},
	{"JSON that ends early", "", `{"d":`, nil, wit.ErrorData},
	{"JSON of no object", "", `{"d":[1]}`, nil, wit.ErrorData},
	{"an empty feed", "", `<feed` + atomSpaces + `/>`, nil, wit.ErrorData},
	{"a part of a key", "", `{"d":{"OrderID":1}}`, nil, wit.ErrorData},
	{"a key of another kind", "", `<entry` + atomSpaces + `><id>Order_Details(OrderID='x',ProductID=2)</id></entry>`,
		nil, wit.ErrorData},
	{"an entity of another set", "", `<entry` + atomSpaces + `><id>Orders(1)</id></entry>`, nil, wit.ErrorData},
	{"a notification of another set", "", `{"d":{"ID":"8","collection":"Orders","changeType":"updated"}}`, nil,
		wit.ErrorNotFound},
	{"nested without end", "", strings.Repeat("<entry><link rel='via'><inline>", 2000), nil, wit.ErrorData},
	{"nested deeper than any entity", "", strings.Repeat("<entry><link rel='via'><inline>", 20) +
		strings.Repeat("</inline></link></entry>", 20), nil, wit.ErrorData},
}

func notificationOf(headers, body string) wit.Notification {
	n := wit.Notification{Method: "POST", Target: "/c/Order_Details", Body: []byte(body)}
	if name, value, ok := strings.Cut(headers, ": "); ok {
		n.Headers = append(n.Headers, wit.Header{Name: name, Value: value})
	}
	return n
}

// TestHandleNotification reads every form of notification.
func TestHandleNotification(t *testing.T) {
	load := newLoad(t, odatatest.New(odatatest.Options{Subscriptions: true}), subscribed00("Order_Details")...)
	for _, test := range noticed {
		wakes, err := load.p.HandleNotification(load.opened.Context, notificationOf(test.headers, test.body))
		var found []string
		for _, w := range wakes {
			found = append(found, w.Token+" "+w.Ident)
			if !w.AnswerWhenStored || w.Feed != 0 {
				t.Errorf("%s: %+v", test.name, w)
			}
		}
		fault, _ := err.(*wit.Error)
		if !slices.Equal(found, test.wakes) || (err == nil) != (test.wakes != nil) || (fault != nil &&
			fault.Kind != test.fault) {
			t.Errorf("%s: expected %q, found %q, %v", test.name, test.wakes, found, err)
		}
	}
	n := notificationOf("", noticed[0].body)
	n.Target = "/c/Orders"
	if _, err := load.p.HandleNotification(load.opened.Context, n); err == nil ||
		err.(*wit.Error).Kind != wit.ErrorNotFound {
		t.Errorf("a notification without a feed: unexpected error %v", err)
	}
}

// TestSubscribe: a missing subscription is created, an existing one is reused, and a response 201 proves nothing.
func TestSubscribe(t *testing.T) {
	service := odatatest.New(odatatest.Options{Subscriptions: true})
	load := newLoad(t, service, subscribed00("Orders")...)
	first, err := load.subscribe("/c/Orders")
	if err != nil || service.SubscriptionCount() != 3 {
		t.Fatalf("%v, %d subscriptions", err, service.SubscriptionCount())
	}
	again, err := load.subscribe("/c/Orders")
	if err != nil || *again != *first || service.Ledger().Subscribed != 3 {
		t.Errorf("%v, expected %s again, found %s, %d created", err, *first, *again, service.Ledger().Subscribed)
	}
	if _, err = load.subscribe("/C/Orders"); err != nil || service.SubscriptionCount() != 6 {
		t.Errorf("%v, %d subscriptions", err, service.SubscriptionCount())
	}
	load.service = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.WriteHeader(http.StatusCreated)
			return
		}
		service.ServeHTTP(w, r)
	})
	if done, err := load.subscribe("/third/Orders"); !errorContains(err, "does not list them") {
		t.Errorf("a service that does not create what it confirms: %v, %v", done, err)
	}
	err = unopened(t, odatatest.New(odatatest.Options{})).open(subscribed00("Orders")...)
	if !errorContains(err, "accepts no subscriptions") {
		t.Errorf("a service without subscriptions: %v", err)
	}
}

// TestChangesWithoutNotification: a set in delta mode that relies on notifications still reads changes if the service
// accepts and lists a subscription but never pushes.
func TestChangesWithoutNotification(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 10, Subscriptions: true})
	of := subscribed00("Products", "sap.odata#00.track-changes=1")
	follower := newFollower(t, service, of...)
	if every := follower.opened.Feeds[0].PollEveryMs; every == nil || *every != 3_600_000 {
		t.Fatalf("expected a poll every hour, found %v", every)
	}
	noError(t, follower.catchUp(start))
	write(t, service, "MERGE", "Products(1)", map[string]any{"ProductName": "Changed"})
	step, err := follower.p.Next(follower.opened.Context, 0, follower.stored, poll, follower.now)
	if err != nil || step.Fetch == nil {
		t.Fatalf("%+v, %v", step, err)
	}
	if _, untold := wit.Lookup(*step.Fetch.Position, "untold"); !untold {
		t.Errorf("the position does not record a poll without notification: %v", *step.Fetch.Position)
	}
	noError(t, follower.catchUp(poll))
	follower.equals(service, "Products", "ProductID", "ProductName")
	if _, untold := wit.Lookup(follower.stored, "untold"); untold {
		t.Errorf("the position still records it after the changes: %v", follower.stored)
	}
	follower = newFollower(t, service, append(of, "sap.odata.notification.check.seconds=-1")...)
	if every := follower.opened.Feeds[0].PollEveryMs; every != nil {
		t.Errorf("expected no polls, found one every %d ms", *every)
	}
	err = unopened(t, service).open(append(of, "sap.odata.notification.check.seconds=0")...)
	if !errorContains(err, "expected -1 or at least 1 second") {
		t.Errorf("found %v", err)
	}
}

// FuzzHandleNotification: anyone can send bodies. Those that are accepted contain whole keys of entities.
func FuzzHandleNotification(f *testing.F) {
	for _, c := range noticed {
		f.Add(c.headers, c.body)
	}
	s := odatatest.New(odatatest.Options{Subscriptions: true})
	load := newLoad(&testing.T{}, s, subscribed00("Order_Details")...)
	f.Fuzz(func(t *testing.T, headers, body string) {
		wakes, err := load.p.HandleNotification(load.opened.Context, notificationOf(headers, body))
		if (err == nil) == (len(wakes) == 0) {
			t.Fatalf("%d wakes, %v", len(wakes), err)
		}
		opened, _ := load.p.contexts.Get(load.opened.Context)
		for _, w := range wakes {
			if w.Token == "" {
				continue
			}
			if _, err := opened.Feeds[0].Keys.ParseAddress(w.Token); err != nil {
				t.Fatalf("token %q: %v", w.Token, err)
			}
		}
	})
}

// If the service reports a missing entity by another response than 404, the entity is deleted if the settings list that
// response. Otherwise it is an error that names the setting.
func TestMissingEntities(t *testing.T) {
	document := func(code string) string {
		return `{"error":{"code":` + code + `,"message":{"lang":"en","value":"Resource not found"}}}`
	}
	for _, test := range []struct {
		name    string
		codes   string
		status  uint16
		body    string
		deleted bool
	}{
		{name: "400", status: 400, body: document(`"SY/530"`)},
		{name: "400 that is listed", codes: "400", status: 400, body: document(`"SY/530"`), deleted: true},
		{name: "400 with a code that is listed", codes: "zz/001, sy/530", status: 400, body: document(`"SY/530"`),
			deleted: true},
		{name: "400 with another code", codes: "ZZ/001", status: 400, body: document(`"SY/530"`)},
		{name: "a listed code that is a number", codes: "530", status: 400, body: document(`530`), deleted: true},
		{name: "404 whose code is a number", status: 404, body: document(`404`), deleted: true},
		{name: "404 of a gateway", status: 404, body: `{"fault":"no route"}`},
		{name: "404 of a gateway, believed", codes: "404", status: 404, body: `{"fault":"no route"}`, deleted: true},
		{name: "404 with an HTML page", codes: "404", status: 404, body: "<html><body>Not found</body></html>"},
	} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprint(test.name, again), func(t *testing.T) {
				service := odatatest.New(odatatest.Options{Rows: 30, Subscriptions: true})
				settings := subscribed00("Products")
				reason := wit.PollReason{Trigger: wit.Ptr("(7)")}
				if again { // as a row and as deleted
					settings = tracked00("Products")
					reason = poll
				}
				if test.codes != "" {
					settings = append(settings, "sap.odata.notfound.codes="+test.codes)
				}
				follower := loaded(t, service, settings...)
				write(t, service, "MERGE", "Products(7)", map[string]any{"ProductName": "Changed"})
				follower.answered = func(q *wit.Request, r *wit.Response) {
					if strings.Contains(q.Target, "deltatoken") && strings.Contains(string(r.Body), "</feed>") {
						alsoDeleted(r, 7, "</feed>")
					}
					if strings.Contains(q.Target, "/Products(7)") {
						r.Status = test.status
						r.Body = []byte(test.body)
					}
				}
				err := follower.catchUp(reason)
				if exists := follower.state["[7]"] != nil; exists == test.deleted || (err == nil) != test.deleted {
					t.Errorf("exists: %v, %v", exists, err)
				}
				if err != nil && !again {
					isNamed := strings.Contains(err.Error(), sourceconfig.NotFoundCodes)
					if isNamed != (test.status == 400) {
						t.Errorf("%v", err)
					}
				}
			})
		}
	}
}

// A response that contradicts the notification may come from an older copy of the data. The entity is read again after
// a while.
func TestResponsesThatContradictNotifications(t *testing.T) {
	const exists, missing = true, false
	for _, test := range []struct {
		name     string
		notified string
		confirm  string
		answers  []bool
		deleted  bool
		reads    int
	}{
		{name: "created, and an older copy", notified: "created", answers: []bool{missing, exists}, reads: 2},
		{name: "changed, and an older copy for longer", notified: "updated", answers: []bool{missing, missing},
			deleted: true, reads: 2},
		{name: "no kind of change, and an older copy", answers: []bool{missing, exists}, reads: 2},
		{name: "changed", notified: "updated", answers: []bool{exists}, reads: 1},
		{name: "deleted", notified: "deleted", answers: []bool{missing}, deleted: true, reads: 1},
		{name: "deleted, and an older copy", notified: "DELETED", answers: []bool{exists, missing}, deleted: true,
			reads: 2},
		{name: "deleted and made anew", notified: "deleted", answers: []bool{exists, exists}, reads: 2},
		{name: "believed at once", notified: "created", confirm: "0", answers: []bool{missing, exists}, deleted: true,
			reads: 1},
		{name: "deleted, believed at once", notified: "deleted", confirm: "0", answers: []bool{exists, missing},
			reads: 1},
	} {
		for _, piece := range []int{20, 10_000} {
			t.Run(fmt.Sprint(test.name, " ", piece), func(t *testing.T) {
				service := odatatest.New(odatatest.Options{Rows: 30, Subscriptions: true})
				settings := subscribed00("Products")
				if test.confirm != "" {
					settings = append(settings, "sap.odata.notification.confirm.seconds="+test.confirm)
				}
				follower := loaded(t, service, settings...)
				wakes, err := follower.p.HandleNotification(follower.opened.Context, wit.Notification{Method: "POST",
					Target: "/c/Products",
					Body: fmt.Appendf(nil, `{"d":{"ID":"1","collection":"Products","changeType":"%s",`+
						`"__metadata":{"type":"X.Notification","links":{}},"via":{"__deferred":{"uri":"Products(7)"}}}}`,
						test.notified)})
				if err != nil || len(wakes) != 1 {
					t.Fatalf("%+v, %v", wakes, err)
				}
				notifiedAt := follower.now
				reads := 0
				follower.piece = piece
				follower.answered = func(q *wit.Request, r *wit.Response) {
					if !strings.Contains(q.Target, "/Products(7)") {
						return
					}
					reads++
					if !test.answers[min(reads, len(test.answers))-1] {
						r.Status = 404
						r.Body = []byte(`{"error":{"code":"X","message":{"lang":"en","value":"Resource not found"}}}`)
					}
				}
				noError(t, follower.catchUp(wit.PollReason{Trigger: &wakes[0].Token}))
				if exists := follower.state["[7]"] != nil; exists == test.deleted || reads != test.reads {
					t.Errorf("exists: %v after %d reads", exists, reads)
				}
				if waited := follower.now - notifiedAt; test.reads > 1 && waited < 10_000 {
					t.Errorf("unexpected second read after %d ms", waited)
				}
			})
		}
	}
}
