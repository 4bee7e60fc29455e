package main

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/wit"
)

// markedKeys returns the keys of the rows between the start and end marks of the only load that has them.
func (f *follower) markedKeys() map[string]bool {
	f.t.Helper()
	rows := map[string]bool{}
	snapshot := ""
	state := ""
	for i, event := range f.log {
		number := event.headers[feedreader.HeaderSnapshot]
		mark := event.headers[feedreader.HeaderMark]
		switch {
		case number == "":
			continue
		case (mark == "begin") != (state == ""), state == "end", snapshot != "" && number != snapshot, rows[event.key]:
			f.t.Fatalf("row %d, %s: expected it once, between the marks of one load, found it marked %q of load %s "+
				"after %q of %s", i, event.key, mark, number, state, snapshot)
		}
		snapshot = number
		rows[event.key] = true
		state = "inside"
		if mark == "end" {
			state = mark
		}
	}
	require.True(f.t, state == "end", "expected a load with marks, found %q and %d rows", state, len(rows))
	return rows
}

// A first load by links that count rows is repeated by key whatever its size, with the reader restarted between any two
// pages, and no offset is larger than the host stores. Between the marks of the second reading each row is read once,
// so consumers detect a row that was read first and deleted during the load, although the service does not report it.
func TestFirstLoadOfManyRowsBySkip(t *testing.T) {
	const rows = 25_000
	switches := odatatest.Switches{PageSize: 100, SkipToken: "offset", Tombstones: "off"}
	service := odatatest.New(odatatest.Options{Rows: rows, Switches: switches})
	follower := newFollower(t, service, deltaSet("Orders", "sap.odata#00.format=json")...)
	follower.restartsEachPage = true
	pages := 0
	follower.onResponse = func(*wit.Request, *wit.Response) {
		pages++
		if pages == 30 {
			for id := 10_400; id < 10_405; id++ {
				write(t, service, "DELETE", fmt.Sprintf("Orders(%d)", id), nil)
			}
		}
	}
	require.NoError(t, follower.catchUp(start))
	reread := follower.markedKeys()
	service.Each("Orders", func(_ string, fields map[string]string) {
		key := "[" + fields["OrderID"] + "]"
		require.True(t, reread[key] && follower.state[key] != nil, "row %s is missing", key)
	})
	assert.True(t, len(reread) == rows-5 && len(follower.state) == rows,
		"expected %d rows in the reload and %d in all, found %d and %d", rows-5, rows, len(reread), len(follower.state))
	write(t, service, "MERGE", "Orders(10300)", map[string]any{"ShipName": "Changed"})
	requests := len(follower.targets)
	delivered := len(follower.log)
	if err := follower.catchUp(poll); err != nil || len(follower.targets) != requests+1 ||
		len(follower.log) != delivered+1 {
		t.Errorf("expected one row by one request after the load, found %d, %v, %v", len(follower.log)-delivered, err,
			follower.targets[requests:])
	}
}

// Every offset of a load fits into the host's limit, which the reader checks: with the longest links that servers
// accept, with as many rows as auditors and cursors remember, and if changes or another load follow.
func TestOffsetsOfManyRowsAndLongLinks(t *testing.T) {
	pad := "&pad=" + strings.Repeat("x", 8<<10)
	link := regexp.MustCompile(`"__next":"[^"]*`)
	cursor := []string{"sap.odata#00.cursor.property=OrderDate", "sap.odata#00.cursor.lookback=2000000000"}
	for name, test := range map[string]struct {
		switches odatatest.Switches
		settings []string
	}{
		"whole by links":      {switches: odatatest.Switches{RefuseOrderBy: true}},
		"by a cursor":         {switches: odatatest.Switches{RefuseOrderBy: true}, settings: cursor},
		"by a cursor and key": {settings: cursor},
		"changes":             {settings: []string{"sap.odata#00.track-changes=1"}},
		"changes by links": {switches: odatatest.Switches{RefuseOrderBy: true},
			settings: []string{"sap.odata#00.track-changes=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.switches.PageSize = 100
			test.switches.SkipToken = "offset"
			service := odatatest.New(odatatest.Options{Rows: 2_500, Switches: test.switches})
			unpadded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, pad, "")
				service.ServeHTTP(w, r)
			})
			follower := newFollower(t, unpadded, setOf(sapNorthwind, "Orders",
				append(test.settings, "sap.odata#00.exec-period=60", "sap.odata#00.format=json")...)...)
			long := 0
			follower.onResponse = func(_ *wit.Request, r *wit.Response) {
				r.Body = link.ReplaceAllFunc(r.Body, func(nextLink []byte) []byte {
					long++
					return append(bytes.Clone(nextLink), pad...)
				})
			}
			for _, reason := range []wit.PollReason{start, poll, poll} {
				require.NoError(t, follower.catchUp(reason))
			}
			follower.checkTopic(service, "Orders", "OrderID", "ShipName")
			assert.True(t, long >= 1, "expected a long link")
		})
	}
}
