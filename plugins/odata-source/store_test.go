package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/notifications"
	"github.com/culvert-project/culvert/wit"
)

// notifyingService is the name of the service in the store's notifications.
var notifyingService = sapNorthwind[strings.LastIndexByte(sapNorthwind, '/')+1:]

// storeCase is a run of a connector that finds changes in SAP's notification store.
type storeCase struct {
	name string
	// onResponse changes the responses of the store. It may be nil.
	onResponse func(r *wit.Response)
	duringLoad bool // the connector stops during its first load
	// reload means that the set is read again, since the store cannot name the entities.
	reload bool
	// isUnrelated means that there is nothing to read.
	isUnrelated bool
	message     string
}

// replaceInStore returns a function that replaces text in the responses of the store.
func replaceInStore(old, replacement string) func(r *wit.Response) {
	return func(r *wit.Response) { r.Body = bytes.ReplaceAll(r.Body, []byte(old), []byte(replacement)) }
}

func checkStore(t *testing.T, cases []storeCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) { test.check(t) })
	}
}

func (c *storeCase) check(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 300, PageSize: 20, Subscriptions: true,
		Switches: odatatest.Switches{NotifyOff: true}})
	follower := newFollower(t, service, notifiedSet("Products", "sap.odata.notification.catchup=store")...)
	_, err := follower.subscribe("/c/Products")
	require.NoError(t, err)
	if c.duringLoad {
		follower.kill = 45 // pieces
	}
	err = follower.catchUp(start)
	require.True(t, (err != nil) == c.duringLoad && (!c.duringLoad || follower.stored != nil), "%v", err)
	changeProducts(t, service)
	follower.kill = -1
	follower.start()
	follower.targets = nil
	follower.onResponse = func(q *wit.Request, r *wit.Response) {
		if c.onResponse != nil && strings.HasPrefix(q.Target, notifications.StoreTarget) {
			c.onResponse(r)
		}
	}
	err = follower.catchUp(start)
	require.ErrorOrNone(t, err, c.message)
	if c.message != "" {
		return
	}
	if c.isUnrelated {
		assert.True(t, !strings.Contains(strings.Join(follower.targets, " "), "/Products"),
			"expected no request for products, found\n%s", strings.Join(follower.targets, "\n"))
		return
	}
	if c.reload {
		delete(follower.state, "[40]") // pages do not contain deleted entities
	}
	follower.checkTopic(service, "Products", "ProductID", "ProductName")
	c.checkRequests(t, follower)
	if err := follower.catchUp(poll); err != nil || follower.p.pages.open == nil || len(follower.p.pages.open) > 0 {
		t.Errorf("expected no open page, found %d, %v", len(follower.p.pages.open), err)
	}
}

// changeProducts makes 242 changes to 22 products, which are three pages of the store.
func changeProducts(t *testing.T, service *odatatest.Service) {
	for i := range 240 {
		write(t, service, "MERGE", fmt.Sprintf("Products(%d)", 1+i%20),
			map[string]any{"ProductName": fmt.Sprint("Changed ", i)})
	}
	write(t, service, "DELETE", "Products(40)", nil)
	write(t, service, "POST", "Products", product(1_000_000, "New"))
}

// checkRequests checks that each entity is read once, and that pages are read only if they are needed.
func (c *storeCase) checkRequests(t *testing.T, follower *follower) {
	t.Helper()
	entities := 0
	pages := 0
	for _, target := range follower.targets {
		switch path, _, _ := strings.Cut(target, "?"); {
		case strings.HasSuffix(path, ")"):
			entities++
		case strings.HasSuffix(path, "/Products"):
			pages++
		}
	}
	const changed = 22
	assert.True(t, (c.reload || entities == changed) && (pages > 0) == (c.reload || c.duringLoad),
		"expected %d entities, and pages if needed, found %d and %d:\n%s", changed, entities, pages,
		strings.Join(follower.targets, "\n"))
}

// Changes that were not notified while the connector was stopped are found in SAP's notification store. Each entity is
// read once, with its current values, also if a load was in progress.
func TestNotificationStore(t *testing.T) {
	checkStore(t, []storeCase{
		{name: "as it is"},
		{name: "with entities inline without addresses", onResponse: func(r *wit.Response) {
			r.Body = regexp.MustCompile(`(?s)(<link rel="\S*related/via"[^>]*)>.*?</link>`).ReplaceAll(r.Body,
				[]byte(`$1><inline><entry/></inline></link>`))
		}},
		{name: "during a load", duringLoad: true},
		{name: "of another host and version",
			onResponse: replaceInStore("http://127.0.0.1:8080/sap/opu/odata/sap/NORTHWIND_SRV/",
				"https://hub.example/sap/opu/odata/SAP/NORTHWIND_SRV;v=1/")},
		{name: "with those of another service", onResponse: func(r *wit.Response) {
			r.Body = bytes.Replace(r.Body, []byte("</feed>"), []byte(`<entry><link rel="http://x/via" `+
				`href="/sap/opu/odata/sap/OTHER_SRV/Products(77)"/><content><m:properties>`+
				`<d:collection>Products</d:collection></m:properties></content></entry></feed>`), 1)
		}},
		{name: "with those of another service alone",
			onResponse: replaceInStore("/"+notifyingService+"/", "/OTHER_SRV/"), isUnrelated: true},
	})
}

// If the store cannot name the entities, the set is read again.
func TestNotificationStoreWithoutEntitiesReloadsSet(t *testing.T) {
	checkStore(t, []storeCase{
		{name: "of the service behind a proxy that rewrites its path",
			onResponse: replaceInStore(sapNorthwind+"/", "/hub/"+notifyingService+";v=1/"), reload: true},
		{name: "an unreadable key", onResponse: replaceInStore("/Products(12)", "/Products('x')"), reload: true},
		{name: "a notification without entity", onResponse: replaceInStore("related/via", "related/other"),
			reload: true},
		{name: "a circle of pages", onResponse: replaceInStore("</feed>",
			`<link rel="next" href="NotificationCollection?$skiptoken=0"/></feed>`), reload: true},
	})
}

// The error of a missing store names the setting that does without it.
func TestMissingNotificationStoreIsReported(t *testing.T) {
	checkStore(t, []storeCase{
		{name: "no store", onResponse: func(r *wit.Response) {
			r.Status = 404
			r.Body = nil
		},
			message: "notification.catchup = reload reads the set again"},
		{name: "garbage", onResponse: func(r *wit.Response) { r.Body = []byte("<html>") },
			message: "a feed of notifications"},
	})
}

// A subscription without the store is not reused if the store is configured.
func TestStoreNeedsItsOwnSubscription(t *testing.T) {
	service := odatatest.New(odatatest.Options{Subscriptions: true})
	for _, settings := range [][]string{nil, {"sap.odata.notification.catchup=store"}} {
		_, err := newFollower(t, service, notifiedSet("Products", settings...)...).subscribe("/c/Products")
		require.NoError(t, err)
	}
	n := service.Ledger().Subscribed
	assert.True(t, n == 6, "expected new subscriptions with the store, found %d created", n)
}
