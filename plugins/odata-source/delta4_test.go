package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// changing4 returns a service of v4 with two rows, which a request by key returns with the value 9. changes are the
// members of its answers to delta links; each has the number of the request as $deltatoken.
func changing4(changes *string) http.Handler {
	metadata := metadata4("K", numberKey+`<Property Name="V" Type="Edm.Int32"/><NavigationProperty Name="E" `+
		`Type="Collection(N.U)"/>`, `<EntityType Name="U"><Key><PropertyRef Name="W"/></Key>`+
		`<Property Name="W" Type="Edm.Int32" Nullable="false"/></EntityType>`)
	return answer4(metadata, func(r *http.Request) string {
		switch {
		case r.URL.Path != "/s/X":
			return `{"@odata.context":"$metadata#X/$entity","K":1,"V":9,"E":[{"W":5}]}`
		case strings.Contains(r.URL.RawQuery, "deltatoken"):
			return `{"@odata.context":"$metadata#X/$delta",` + *changes + `}`
		}
		return `{"value":[{"K":1,"V":1,"E":[]},{"K":2,"V":1,"E":[]}],"@odata.deltaLink":"X?$deltatoken=D"}`
	})
}

// TestOddChangesOfV4: changes that do not contain the whole row are completed by its key, and answers that are no
// changes fail.
func TestOddChangesOfV4(t *testing.T) {
	const end = `],"@odata.deltaLink":"X?$deltatoken=E"`
	const tombstone = `{"@removed":{"reason":"deleted"},"@id":"X(1)"}`
	const link = `{"@odata.context":"$metadata#X/$link","source":"X(1)","relationship":"E","target":"U(5)"}`
	expanded := []string{"sap.odata#00.expand=E"}
	for name, test := range map[string]struct {
		changes  string
		settings []string
		value    string // of the first row; "" means that it was deleted
		change   string // the header of the last record, "" without one
		message  string
	}{
		"whole row":               {changes: `"value":[{"K":1,"V":2}` + end, value: "2", change: "changed"},
		"partial row":             {changes: `"value":[{"K":1}` + end, value: "9", change: "changed"},
		"row without expanded":    {changes: `"value":[{"K":1,"V":2}` + end, settings: expanded, value: "9", change: "changed"},
		"deleted":                 {changes: `"value":[` + tombstone + end, change: "deleted"},
		"deleted by key":          {changes: `"value":[{"@removed":{},"K":1}` + end, change: "deleted"},
		"left":                    {changes: `"value":[{"@removed":{"reason":"changed"},"@id":"X(1)"}` + end, change: "left"},
		"left in the form of 4.0": {changes: `"value":[{"@odata.context":"#X/$deletedEntity","id":"X(1)","reason":"changed"}` + end, change: "left"},
		"three times":             {changes: `"value":[{"K":1,"V":2},` + tombstone + `,{"K":1,"V":3}` + end, value: "9", change: "changed"},
		"link":                    {changes: `"value":[` + link + end, value: "1", change: "read"},
		"expanded link":           {changes: `"value":[` + link + end, settings: expanded, value: "9", change: "changed"},
		"deleted link": {changes: `"value":[` + strings.Replace(link, "$link", "$deletedLink", 1) + end, settings: expanded,
			value: "9", change: "changed"},
		"no change":          {changes: `"value":[` + end, value: "1", change: "read"},
		"no change or value": {changes: end[2:], value: "1", change: "read"},
		"token ignored": {changes: `"value":[{"K":1,"V":1}]`, value: "1", change: "read",
			message: "the service ignored the token of the delta link"},
		"token ignored, reloads": {changes: `"value":[{"K":1,"V":1}]`, settings: []string{"sap.odata#00.delta.lost=reload"},
			value: "1", change: "read", message: "3 times in succession"},
		"link to itself": {changes: `"value":[],"@odata.nextLink":"X?$deltatoken=D"`, value: "1", change: "read",
			message: "form a loop"},
		"error": {changes: `"value":[],"@odata.error":{"message":"no"}`, value: "1", change: "read",
			message: "found an error among them"},
	} {
		t.Run(name, func(t *testing.T) {
			follower := newFollowerOf(sourceconfig.V4, t, changing4(&test.changes), deltaSetOf("/s", "X",
				append(test.settings, "sap.odata.headers.enable=1")...)...)
			require.NoError(t, follower.catchUp(start))
			var err error
			for range 4 { // more often than tokens may be lost
				if err == nil {
					err = follower.catchUp(poll)
				}
			}
			expectError(t, name, err, test.message)
			row := follower.state["[1]"]
			assert.True(t, (row == nil && test.value == "") || row["V"] == test.value, "expected %q, found %v",
				test.value, row)
			change := follower.log[len(follower.log)-1].headers[sourceconfig.HeaderChange]
			assert.Equal(t, test.change, change, "header of the last record")
			assert.True(t, len(follower.faults) == 0, "expected no row errors, found %v", follower.faults)
		})
	}
}

// TestRequestsOfV4: requests have the headers of v4, and the fingerprint of a set contains the version and drafts, so
// that a class that was changed under the same name obeys query.change. The one of v2 has neither.
func TestRequestsOfV4(t *testing.T) {
	var headers http.Header
	s := answer4(metadata4("K", numberKey), func(r *http.Request) string {
		headers = r.Header
		return `{"@odata.count":1,"value":[{"K":1}],"@odata.deltaLink":"X?$deltatoken=D"}`
	})
	load, err := newLoad4(t, s, setOf("/s", "X")...)
	require.NoError(t, err)
	load.readAll(nil)
	assert.Equal(t, "odata.maxpagesize=15000", headers.Get("Prefer"), "Prefer")
	assert.Equal(t, "4.0", headers.Get("OData-MaxVersion"), "OData-MaxVersion")
	assert.Equal(t, "application/json;odata.metadata=minimal;IEEE754Compatible=true", headers.Get("Accept"), "Accept")
	follower := newFollowerOf(sourceconfig.V4, t, s, deltaSetOf("/s", "X")...)
	require.NoError(t, follower.catchUp(start))
	assert.Equal(t, "odata.track-changes,track-changes,odata.maxpagesize=15000", headers.Get("Prefer"), "Prefer")

	v2 := newLoad(t, withMetadata(numberKeyMetadata, nil), setOf("/s", "X")...).opened.Feeds[0].Fingerprint
	assert.True(t, !strings.Contains(v2, "dialect") && !strings.Contains(v2, "drafts"), "unexpected fingerprint of v2 %s", v2)
	assert.Equal(t, v2+" dialect=v4 drafts=active", load.opened.Feeds[0].Fingerprint, "fingerprint")
	drafts, err := newLoad4(t, s, setOf("/s", "X", "sap.odata#00.drafts=all")...)
	require.NoError(t, err)
	assert.Equal(t, v2+" dialect=v4 drafts=all", drafts.opened.Feeds[0].Fingerprint, "fingerprint with drafts")
}

// TestDerivedRowsOfV4: options that derive other rows from a set are sent, and their loads are at most proven by a
// count. With change tracking they are refused.
func TestDerivedRowsOfV4(t *testing.T) {
	for _, option := range []string{"$search=abc", "$apply=filter(K gt 0)", "$compute=K add 1 as L"} {
		s := answer4(metadata4("K", numberKey), func(r *http.Request) string {
			if strings.Contains(r.URL.RawQuery, "skip") {
				return `{"@odata.count":2,"value":[{"K":2}]}`
			}
			return `{"@odata.count":2,"value":[{"K":1}],"@odata.nextLink":"X?$skiptoken=1"}`
		})
		load, err := newLoad4(t, s, setOf("/s", "X", "sap.odata#00.query="+option)...)
		require.NoError(t, err, option)
		load.targets = nil
		offset, err := load.run(0, nil)
		require.NoError(t, err, option)
		name, _, _ := strings.Cut(option, "=")
		assert.True(t, strings.Contains(load.targets[0], name) && slices.Contains([]string{"count", "unproven"},
			stringOf(offset, "complete")), "%s: found %s by %v", option, stringOf(offset, "complete"), load.targets)
		_, err = newLoad4(t, s, deltaSetOf("/s", "X", "sap.odata#00.query="+option)...)
		expectError(t, option, err, "expected no $apply, $search or $compute with sap.odata#00.track-changes = 1")
	}
}

// TestManyRowsOfV4 reads 25,000 rows in each mode, and the changed row after that in those that read changes.
func TestManyRowsOfV4(t *testing.T) {
	const rows = 25_000
	for name, test := range map[string]struct {
		switches odatatest.Switches
		settings []string
	}{
		"by links":         {settings: []string{"sap.odata.paging=links"}},
		"by key":           {settings: []string{"sap.odata.paging=keys"}},
		"links that count": {switches: odatatest.Switches{SkipToken: "offset"}},
		"by $skip":         {switches: odatatest.Switches{RefuseOrderBy: true, SkipToken: "offset"}},
		"by a cursor":      {settings: []string{"sap.odata#00.cursor.property=OrderDate"}},
		"changes":          {settings: []string{"sap.odata#00.track-changes=1"}},
		"changes, links that count": {switches: odatatest.Switches{SkipToken: "offset", Annotations: "front"},
			settings: []string{"sap.odata#00.track-changes=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.switches.PageSize = 500
			service := odatatest.New(odatatest.Options{Rows: rows, Switches: test.switches})
			settings := setOf(strings.TrimSuffix(odatatest.SAP4Path, "/"), "Orders",
				append(test.settings, "sap.odata#00.exec-period=60", "sap.odata#00.select=OrderID,OrderDate,ShipName")...)
			follower := newFollowerOf(sourceconfig.V4, t, service, settings...)
			follower.piece = 1 << 16
			require.NoError(t, follower.catchUp(start))
			follower.checkTopic(service, "Orders", "OrderID", "ShipName")
			if !strings.Contains(strings.Join(test.settings, " "), "#00.") {
				return // a poll reads the whole set again
			}
			write(t, service, "MERGE", "Orders(10300)", map[string]any{"ShipName": "Changed",
				"OrderDate": "2030-01-01T00:00:00"})
			require.NoError(t, follower.catchUp(poll))
			follower.checkTopic(service, "Orders", "OrderID", "ShipName")
			assert.Len(t, 0, follower.faults, "row errors")
		})
	}
}
