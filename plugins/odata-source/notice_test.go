package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

var notifySettings = []string{"sap.odata#00.subscription.enable=1", "sap.odata.subscription.dest=C",
	"sap.odata.subscription.ports=8301"}

// notifiedSet returns settings of a set with a subscription that is read once, in full mode.
func notifiedSet(name string, more ...string) []string {
	return setOf(sapNorthwind, name, append(notifySettings, more...)...)
}

const atomSpaces = ` xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"`

// oneEntity and twoEntities are the triggers of notifications without an ID.
var (
	oneEntity   = []string{"(OrderID=1,ProductID=2) "}
	twoEntities = []string{"(OrderID=1,ProductID=2) ", "(OrderID=3,ProductID=4) "}
)

// notificationCases contains bodies of notifications for Order_Details and the triggers or the kind of error that they
// cause.
var notificationCases = []struct {
	name    string
	headers string
	body    string
	wakes   []string
	fault   wit.ErrorKind
}{
	{
		name: "a notification with a link",
		body: `<entry` + atomSpaces +
			`><category term="X.Notification"/><link rel="http://schemas.microsoft.com/ado/2007/08/dataservices/related/via"
		href="https://sap/s;mo/Order_Details(SAP__Origin='LOCAL',ProductID=11,OrderID=10248)"/><content><m:properties><d:ID>7</d:ID><d:collection>Order_Details</d:collection></m:properties></content></entry>`,
		wakes: []string{"(OrderID=10248,ProductID=11) 7"},
	},
	{
		name: "the entity inline",
		body: `<a:entry xmlns:a="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><a:category term="X.Notification"/><a:link rel="via" href="">
		<m:inline><a:entry><a:id>Order_Details(OrderID=1,ProductID=2)</a:id></a:entry></m:inline></a:link></a:entry>`,
		wakes: oneEntity,
	},
	{
		name: "an entity by its properties",
		body: `<entry` + atomSpaces + `><content><m:properties><d:OrderID>1</d:OrderID>` +
			`<d:ProductID>2</d:ProductID></m:properties></content></entry>`,
		wakes: oneEntity,
	},
	{
		name:  "an entity by its address",
		body:  `<entry` + atomSpaces + `><id>https://sap/x/Order_Details(ProductID=2,OrderID=1)</id></entry>`,
		wakes: oneEntity,
	},
	{
		name: "a feed",
		body: `<feed` + atomSpaces +
			`><title/><entry><id>Order_Details(OrderID=1,ProductID=2)</id></entry><entry><id>Order_Details(OrderID=3,ProductID=4)</id></entry></feed>`,
		wakes: twoEntities,
	},
	{
		name:  "a feed with a next link",
		body:  `<feed` + atomSpaces + `><entry><id>Order_Details(OrderID=1,ProductID=2)</id></entry><link rel="next" href="X?$skip=1"/></feed>`,
		wakes: []string{"(OrderID=1,ProductID=2) ", " "},
	},
	{
		name:  "JSON with a link",
		body:  `{"d":{"__metadata":{"type":"X.Notification"},"ID":"8","collection":"Order_Details","via":{"__deferred":{"uri":"Order_Details(OrderID=1,ProductID=2)"}}}}`,
		wakes: []string{"(OrderID=1,ProductID=2) 8"},
	},
	{
		name:  "JSON with the entity inline",
		body:  `{"d":{"ID":"8","collection":"Order_Details","changeType":"updated","via":{"OrderID":1,"ProductID":2}}}`,
		wakes: []string{"(OrderID=1,ProductID=2) 8"},
	},
	{
		name: "the entity inline, and its link",
		body: `<entry` + atomSpaces +
			`><link rel="via" href="Order_Details(OrderID=5,ProductID=6)">` +
			`<m:inline><entry><content><m:properties><d:OrderID>1</d:OrderID><d:ProductID>2</d:ProductID></m:properties>` +
			`</content></entry></m:inline></link></entry>`,
		wakes: oneEntity,
	},
	{
		name: "a link, and nothing inline",
		body: `<entry` + atomSpaces +
			`><link rel="via" href="Order_Details(OrderID=1,ProductID=2)">` +
			`<m:inline/></link></entry>`,
		wakes: oneEntity,
	},
	{
		name: "a link, and an empty feed inline",
		body: `<entry` + atomSpaces +
			`><link rel="via" href="Order_Details(OrderID=1,ProductID=2)">` +
			`<m:inline><feed/></m:inline></link></entry>`,
		wakes: oneEntity,
	},
	{
		name: "several entities inline",
		body: `<a:entry xmlns:a="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices">
		<a:category term="X.Notification"/><a:link rel="via" href=""><m:inline><a:feed><a:entry><a:id>Order_Details(OrderID=1,ProductID=2)</a:id></a:entry>
		<a:entry><a:id>Order_Details(OrderID=3,ProductID=4)</a:id></a:entry></a:feed></m:inline></a:link><a:content><m:properties><d:ID>9</d:ID></m:properties></a:content></a:entry>`,
		wakes: []string{"(OrderID=1,ProductID=2) 9 (OrderID=1,ProductID=2)",
			"(OrderID=3,ProductID=4) 9 (OrderID=3,ProductID=4)"},
	},
	{name: "an entity in JSON", body: `{"d":{"OrderID":1,"ProductID":2}}`, wakes: oneEntity},
	{
		name:  "a feed in JSON",
		body:  ` {"d":{"results":[{"OrderID":1,"ProductID":2},{"__metadata":{"uri":"/s/Order_Details(OrderID=3,ProductID=4)"}}]}}`,
		wakes: twoEntities,
	},
	{name: "headers alone", headers: "x-sap-poke-data: (OrderID=1,ProductID=2)", wakes: oneEntity},
	{
		name:    "headers with an address",
		headers: "X-SAP-Poke-Data: https://sap/s/Order_Details(OrderID=1,ProductID=2)",
		body:    " ",
		wakes:   oneEntity,
	},
	{name: "headers that name no entity", headers: "x-sap-poke-title: CUD", wakes: []string{" "}},
	{
		name:  "a notification that names no entity",
		body:  `<entry` + atomSpaces + `><category term="X.Notification"/></entry>`,
		wakes: []string{" "},
	},

	{name: "nothing", fault: wit.ErrorData},
	{name: "no document", body: "hello", fault: wit.ErrorData},
	{name: "XML that ends early", body: `<entry` + atomSpaces + `><id>Order_Details(1)</id>`, fault: wit.ErrorData},
	{name: "other XML", body: `<html/>`, fault: wit.ErrorData},
	{name: "JSON that ends early", body: `{"d":`, fault: wit.ErrorData},
	{name: "JSON of no object", body: `{"d":[1]}`, fault: wit.ErrorData},
	{name: "an empty feed", body: `<feed` + atomSpaces + `/>`, fault: wit.ErrorData},
	{name: "a part of a key", body: `{"d":{"OrderID":1}}`, fault: wit.ErrorData},
	{
		name:  "a key of another kind",
		body:  `<entry` + atomSpaces + `><id>Order_Details(OrderID='x',ProductID=2)</id></entry>`,
		fault: wit.ErrorData,
	},
	{
		name:  "an entity of another set",
		body:  `<entry` + atomSpaces + `><id>Orders(1)</id></entry>`,
		fault: wit.ErrorData,
	},
	{
		name:  "a notification of another set",
		body:  `{"d":{"ID":"8","collection":"Orders","changeType":"updated"}}`,
		fault: wit.ErrorNotFound,
	},
	{name: "nested without end", body: strings.Repeat("<entry><link rel='via'><inline>", 2000), fault: wit.ErrorData},
	{
		name: "nested deeper than any entity",
		body: strings.Repeat("<entry><link rel='via'><inline>", 20) +
			strings.Repeat("</inline></link></entry>", 20),
		fault: wit.ErrorData,
	},
}

// notificationOf returns a notification for Order_Details. headers is empty or one header, "name: value".
func notificationOf(headers, body string) wit.Notification {
	n := wit.Notification{Method: "POST", Target: "/c/Order_Details", Body: []byte(body)}
	if name, value, ok := strings.Cut(headers, ": "); ok {
		n.Headers = append(n.Headers, wit.Header{Name: name, Value: value})
	}
	return n
}

// TestHandleNotification reads every form of notification.
func TestHandleNotification(t *testing.T) {
	load := newLoad(t, odatatest.New(odatatest.Options{Subscriptions: true}), notifiedSet("Order_Details")...)
	for _, test := range notificationCases {
		wakes, err := load.p.HandleNotification(load.opened.Context, notificationOf(test.headers, test.body))
		var found []string
		for _, w := range wakes {
			found = append(found, w.Token+" "+w.Ident)
			assert.True(t, w.AnswerWhenStored && w.Feed == 0, "%s: %+v", test.name, w)
		}
		fault, _ := err.(*wit.Error)
		assert.True(t, slices.Equal(found, test.wakes) && (err == nil) == (test.wakes != nil) &&
			(fault == nil || fault.Kind == test.fault),
			"%s: expected %q, found %q, %v", test.name, test.wakes, found, err)
	}
	n := notificationOf("", notificationCases[0].body)
	n.Target = "/c/Orders"
	_, err := load.p.HandleNotification(load.opened.Context, n)
	assert.True(t, err != nil && err.(*wit.Error).Kind == wit.ErrorNotFound,
		"a notification without a feed: unexpected error %v", err)
}

// TestSubscribe: a missing subscription is created, an existing one is reused, and a response 201 proves nothing.
func TestSubscribe(t *testing.T) {
	service := odatatest.New(odatatest.Options{Subscriptions: true})
	load := newLoad(t, service, notifiedSet("Orders")...)
	first, err := load.subscribe("/c/Orders")
	require.True(t, err == nil && service.SubscriptionCount() == 3,
		"expected 3 subscriptions, found %d, %v", service.SubscriptionCount(), err)
	second, err := load.subscribe("/c/Orders")
	assert.True(t, err == nil && *second == *first && service.Ledger().Subscribed == 3,
		"expected %s and 3 subscriptions, found %s and %d, %v", *first, *second, service.Ledger().Subscribed, err)
	if _, err = load.subscribe("/C/Orders"); err != nil || service.SubscriptionCount() != 6 {
		t.Errorf("expected 6 subscriptions, found %d, %v", service.SubscriptionCount(), err)
	}
	load.service = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.WriteHeader(http.StatusCreated)
			return
		}
		service.ServeHTTP(w, r)
	})
	if done, err := load.subscribe("/third/Orders"); !errorContains(err, "does not list them") {
		t.Errorf("a service that does not create what it confirms: expected an error, found %v, %v", done, err)
	}
	err = newUnopened(t, odatatest.New(odatatest.Options{})).open(notifiedSet("Orders")...)
	assert.Error(t, err, "accepts no subscriptions", "a service without subscriptions")
}

// TestChangesWithoutNotification: a set in delta mode that relies on notifications still reads changes if the service
// accepts and lists a subscription but never pushes.
func TestChangesWithoutNotification(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 10, Subscriptions: true})
	settings := notifiedSet("Products", "sap.odata#00.track-changes=1")
	follower := newFollower(t, service, settings...)
	pollEvery := follower.opened.Feeds[0].PollEveryMs
	require.True(t, pollEvery != nil && *pollEvery == 3_600_000, "expected a poll every hour, found %v", pollEvery)
	require.NoError(t, follower.catchUp(start))
	write(t, service, "MERGE", "Products(1)", map[string]any{"ProductName": "Changed"})
	step, err := follower.p.Next(follower.opened.Context, 0, follower.stored, poll, follower.now)
	require.True(t, err == nil && step.Fetch != nil, "expected a request for changes, found %+v, %v", step, err)
	if _, ok := wit.Lookup(*step.Fetch.Position, "untold"); !ok {
		t.Errorf("the position does not record a poll without notification: %v", *step.Fetch.Position)
	}
	require.NoError(t, follower.catchUp(poll))
	follower.checkTopic(service, "Products", "ProductID", "ProductName")
	_, ok := wit.Lookup(follower.stored, "untold")
	assert.True(t, !ok, "the position still records it after the changes: %v", follower.stored)
	follower = newFollower(t, service, append(settings, "sap.odata.notification.check.seconds=-1")...)
	if pollEvery := follower.opened.Feeds[0].PollEveryMs; pollEvery != nil {
		t.Errorf("expected no polls, found one every %d ms", *pollEvery)
	}
	err = newUnopened(t, service).open(append(settings, "sap.odata.notification.check.seconds=0")...)
	assert.Error(t, err, "expected -1 or at least 1 second", "names the smallest interval")
}

// FuzzHandleNotification: anyone can send bodies. Those that are accepted contain whole keys of entities.
func FuzzHandleNotification(f *testing.F) {
	for _, c := range notificationCases {
		f.Add(c.headers, c.body)
	}
	s := odatatest.New(odatatest.Options{Subscriptions: true})
	load := newLoad(&testing.T{}, s, notifiedSet("Order_Details")...)
	f.Fuzz(func(t *testing.T, headers, body string) {
		wakes, err := load.p.HandleNotification(load.opened.Context, notificationOf(headers, body))
		require.True(t, (err == nil) != (len(wakes) == 0), "%d wakes, %v", len(wakes), err)
		opened, _ := load.p.contexts.Get(load.opened.Context)
		for _, w := range wakes {
			if w.Token == "" {
				continue
			}
			_, err := opened.Feeds[0].Keys.ParseAddress(w.Token)
			require.NoError(t, err, "token", w.Token)
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
		{name: "404 of a gateway, listed", codes: "404", status: 404, body: `{"fault":"no route"}`, deleted: true},
		{name: "404 with an HTML page", codes: "404", status: 404, body: "<html><body>Not found</body></html>"},
	} {
		for _, isReread := range []bool{false, true} {
			t.Run(fmt.Sprint(test.name, isReread), func(t *testing.T) {
				service := odatatest.New(odatatest.Options{Rows: 30, Subscriptions: true})
				settings := notifiedSet("Products")
				reason := wit.PollReason{Trigger: wit.Ptr("(7)")}
				if isReread { // since it is both a row and deleted
					settings = deltaSet("Products")
					reason = poll
				}
				if test.codes != "" {
					settings = append(settings, "sap.odata.notfound.codes="+test.codes)
				}
				follower := followSet(t, service, settings...)
				write(t, service, "MERGE", "Products(7)", map[string]any{"ProductName": "Changed"})
				follower.onResponse = func(q *wit.Request, r *wit.Response) {
					if strings.Contains(q.Target, "deltatoken") && strings.Contains(string(r.Body), "</feed>") {
						addDeletedEntry(r, 7, "</feed>")
					}
					if strings.Contains(q.Target, "/Products(7)") {
						r.Status = test.status
						r.Body = []byte(test.body)
					}
				}
				err := follower.catchUp(reason)
				if exists := follower.state["[7]"] != nil; exists == test.deleted || (err == nil) != test.deleted {
					t.Errorf("expected a deleted entity: %v, found one that exists: %v, %v", test.deleted, exists, err)
				}
				if err != nil && !isReread {
					isNamed := strings.Contains(err.Error(), sourceconfig.NotFoundCodes)
					assert.True(t, isNamed == (test.status == 400), "expected an error that names %s: %v, found %v",
						sourceconfig.NotFoundCodes, test.status == 400, err)
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
		{name: "deleted and created again", notified: "deleted", answers: []bool{exists, exists}, reads: 2},
		{name: "believed at once", notified: "created", confirm: "0", answers: []bool{missing, exists}, deleted: true,
			reads: 1},
		{name: "deleted, believed at once", notified: "deleted", confirm: "0", answers: []bool{exists, missing},
			reads: 1},
	} {
		for _, piece := range []int{20, 10_000} {
			t.Run(fmt.Sprint(test.name, " ", piece), func(t *testing.T) {
				service := odatatest.New(odatatest.Options{Rows: 30, Subscriptions: true})
				settings := notifiedSet("Products")
				if test.confirm != "" {
					settings = append(settings, "sap.odata.notification.confirm.seconds="+test.confirm)
				}
				follower := followSet(t, service, settings...)
				wakes, err := follower.p.HandleNotification(follower.opened.Context, wit.Notification{Method: "POST",
					Target: "/c/Products",
					Body: fmt.Appendf(nil, `{"d":{"ID":"1","collection":"Products","changeType":"%s",`+
						`"__metadata":{"type":"X.Notification","links":{}},"via":{"__deferred":{`+
						`"uri":"Products(7)"}}}}`, test.notified)})
				require.True(t, err == nil && len(wakes) == 1, "expected one trigger, found %+v, %v", wakes, err)
				notifiedAt := follower.now
				reads := 0
				follower.piece = piece
				follower.onResponse = func(q *wit.Request, r *wit.Response) {
					if !strings.Contains(q.Target, "/Products(7)") {
						return
					}
					reads++
					if !test.answers[min(reads, len(test.answers))-1] {
						r.Status = 404
						r.Body = []byte(`{"error":{"code":"X","message":{"lang":"en","value":"Resource not found"}}}`)
					}
				}
				require.NoError(t, follower.catchUp(wit.PollReason{Trigger: &wakes[0].Token}))
				if exists := follower.state["[7]"] != nil; exists == test.deleted || reads != test.reads {
					t.Errorf("expected a deleted entity: %t after %d reads, found one that exists: %t after %d",
						test.deleted, test.reads, exists, reads)
				}
				waited := follower.now - notifiedAt
				assert.True(t, test.reads <= 1 || waited >= 10_000, "unexpected second read after %d ms", waited)
			})
		}
	}
}
