package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/notifications"
	"github.com/culvert-project/culvert/wit"
)

// TestNotificationStore: changes that were not notified while the connector was stopped are found in SAP's notification
// store. Each entity is read once, with its current values, also if a load was in progress. If the store cannot name
// the entities, the set is read again. A missing store is reported.
func TestNotificationStore(t *testing.T) {
	serviceName := sapNorthwind[strings.LastIndexByte(sapNorthwind, '/')+1:]
	isStore := func(q *wit.Request) bool { return strings.HasPrefix(q.Target, notifications.StoreTarget) }
	replace := func(old, new string) func(q *wit.Request, r *wit.Response) {
		return func(q *wit.Request, r *wit.Response) { r.Body = bytes.ReplaceAll(r.Body, []byte(old), []byte(new)) }
	}
	for _, test := range []struct {
		name string
		// answered changes the responses of the store.
		answered   func(q *wit.Request, r *wit.Response)
		duringLoad bool
		reload     bool
		others     bool // there is nothing to read
		message    string
	}{
		{name: "as it is"},
		{name: "with entities inline without addresses", answered: func(q *wit.Request, r *wit.Response) {
			r.Body = regexp.MustCompile(`(?s)(<link rel="\S*related/via"[^>]*)>.*?</link>`).ReplaceAll(r.Body,
				[]byte(`$1><inline><entry/></inline></link>`))
		}},
		{name: "during a load", duringLoad: true},
		{name: "of another host and version",
			answered: replace("http://127.0.0.1:8080/sap/opu/odata/sap/NORTHWIND_SRV/",
				"https://hub.example/sap/opu/odata/SAP/NORTHWIND_SRV;v=1/")},
		{name: "with those of another service", answered: func(q *wit.Request, r *wit.Response) {
			r.Body = bytes.Replace(r.Body, []byte("</feed>"), []byte(`<entry><link rel="http://x/via" `+
				`href="/sap/opu/odata/sap/OTHER_SRV/Products(77)"/><content><m:properties>`+
				`<d:collection>Products</d:collection></m:properties></content></entry></feed>`), 1)
		}},
		{name: "of the service behind a proxy that rewrites its path", answered: replace(sapNorthwind+"/",
			"/hub/"+serviceName+";v=1/"), reload: true},
		{name: "with those of another service alone", answered: replace("/"+serviceName+"/", "/OTHER_SRV/"),
			others: true},
		{name: "an unreadable key", answered: replace("/Products(12)", "/Products('x')"), reload: true},
		{name: "a notification without entity", answered: replace("related/via", "related/other"), reload: true},
		{name: "a circle of pages", answered: replace("</feed>",
			`<link rel="next" href="NotificationCollection?$skiptoken=0"/></feed>`), reload: true},
		{name: "no store", answered: func(q *wit.Request, r *wit.Response) { r.Status, r.Body = 404, nil },
			message: "notification.catchup = reload reads the set again"},
		{name: "garbage", answered: func(q *wit.Request, r *wit.Response) { r.Body = []byte("<html>") },
			message: "a feed of notifications"},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Rows: 300, PageSize: 20, Subscriptions: true,
				Switches: odatatest.Switches{NotifyOff: true}})
			follower := newFollower(t, service, subscribed00("Products", "sap.odata.notification.catchup=store")...)
			_, err := follower.subscribe("/c/Products")
			noError(t, err)
			if test.duringLoad {
				follower.kill = 45 // pieces
			}
			if err := follower.catchUp(start); (err != nil) != test.duringLoad || test.duringLoad &&
				follower.stored == nil {
				t.Fatal(err)
			}
			for i := range 240 { // three pages of the store
				write(t, service, "MERGE", fmt.Sprintf("Products(%d)", 1+i%20),
					map[string]any{"ProductName": fmt.Sprint("Changed ", i)})
			}
			write(t, service, "DELETE", "Products(40)", nil)
			write(t, service, "POST", "Products", product(1_000_000, "New"))
			follower.kill = -1
			follower.start()
			follower.targets = nil
			follower.answered = func(q *wit.Request, r *wit.Response) {
				if isStore(q) && test.answered != nil {
					test.answered(q, r)
				}
			}
			if err = follower.catchUp(start); !errorContains(err, test.message) {
				t.Fatalf("found %v", err)
			}
			if test.message != "" {
				return
			}
			if test.others {
				if strings.Contains(strings.Join(follower.targets, " "), "/Products") {
					t.Errorf("read: %s", strings.Join(follower.targets, "\n"))
				}
				return
			}
			if test.reload {
				delete(follower.state, "[40]") // pages do not contain deleted entities
			}
			follower.equals(service, "Products", "ProductID", "ProductName")
			entities, pages := 0, 0
			for _, target := range follower.targets {
				switch path, _, _ := strings.Cut(target, "?"); {
				case strings.HasSuffix(path, ")"):
					entities++
				case strings.HasSuffix(path, "/Products"):
					pages++
				}
			}
			if want := 22; !test.reload && entities != want || (pages > 0) != (test.reload || test.duringLoad) {
				t.Errorf("%d entities, %d pages were read:\n%s", entities, pages, strings.Join(follower.targets, "\n"))
			}
			if err := follower.catchUp(poll); err != nil || follower.p.pages.open == nil ||
				len(follower.p.pages.open) > 0 {
				t.Errorf("%v, %d pages are open", err, len(follower.p.pages.open))
			}
		})
	}
	// A subscription without the store is not reused if the store is configured.
	service := odatatest.New(odatatest.Options{Subscriptions: true})
	for _, settings := range [][]string{nil, {"sap.odata.notification.catchup=store"}} {
		_, err := newFollower(t, service, subscribed00("Products", settings...)...).subscribe("/c/Products")
		noError(t, err)
	}
	if n := service.Ledger().Subscribed; n != 6 {
		t.Errorf("expected new subscriptions with the store, found %d created", n)
	}
}
