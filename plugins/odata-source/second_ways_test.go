package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/plugins/odata/delta"
	"github.com/culvert-project/culvert/plugins/odata/notifications"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// A $filter in the user's own options also applies to an entity that was both a row and deleted: if it no longer meets
// the filter, which only the service can decide, it is deleted. Otherwise it stays.
func TestRawFilterAppliesToReread(t *testing.T) {
	metadata := strings.Replace(metadataOf("A", `<Property Name="A" Type="Edm.Int32" Nullable="false"/>`+
		`<Property Name="B" Type="Edm.String" Nullable="false"/><Property Name="V" Type="Edm.Int32"/>`),
		`</Key>`, `<PropertyRef Name="B"/></Key>`, 1)
	const entry = `<entry` + atomSpaces + `><id>X(A=1,B='b')</id><content type="application/xml">` +
		`<m:properties><d:A>1</d:A><d:B>b</d:B><d:V>%d</d:V></m:properties></content></entry>`
	feed := func(inside string) string {
		return `<feed xmlns="http://www.w3.org/2005/Atom">` + inside + "</feed>"
	}
	for _, conditions := range [][]string{nil, condition("0", "V", "ge", "0")} {
		for _, meetsFilter := range []bool{false, true} {
			t.Run(fmt.Sprint(meetsFilter, len(conditions)), func(t *testing.T) {
				rereadFilter := ""
				handler := withMetadata(metadata, func(w http.ResponseWriter, r *http.Request) {
					filter := r.URL.Query().Get("$filter")
					row := fmt.Sprintf(entry, 2)
					body := ""
					switch {
					case strings.Contains(r.URL.RawQuery, "!deltatoken"):
						body = feed(row +
							`<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0" ref="X(A=1,B='b')" ` +
							`when="2026-01-02T03:04:05Z"/><link rel="delta" href="X?!deltatoken='2'"/>`)
					case strings.Contains(filter, "A eq 1 and B eq 'b'"):
						rereadFilter = filter
						if meetsFilter {
							body = feed(row)
						} else {
							body = feed("")
						}
					case strings.Contains(r.URL.Path, "("): // a request by key ignores the filter
						body = row
					default:
						body = feed(fmt.Sprintf(entry, 1) + `<link rel="delta" href="X?!deltatoken='1'"/>`)
					}
					_, _ = w.Write([]byte(body))
				})
				query := "sap.odata#00.query=$filter=V%20eq%201%20or%20V%20eq%207"
				follower := followSet(t, handler, deltaSetOf("/s", "X", append(conditions, query)...)...)
				require.Len(t, 1, follower.state, "row")
				require.NoError(t, follower.catchUp(poll))
				assert.True(t, strings.Contains(rereadFilter, "V eq 1 or V eq 7") &&
					(len(conditions) == 0 || strings.Contains(rereadFilter, "V ge 0")),
					"unexpected filter of the reread: %q", rereadFilter)
				if row := follower.state["[1 b]"]; meetsFilter != (row != nil) {
					t.Errorf("meets the filter %v: found %v", meetsFilter, follower.state)
				}
			})
		}
	}
}

// A link of the service without the SAP client gets it in its query if it is configured there, in full and delta mode
// and in rows.
func TestClientInLinks(t *testing.T) {
	metadata := metadataOf("K", `<Property Name="K" Type="Edm.Int32" Nullable="false"/>`+
		`<NavigationProperty Name="I" Relationship="N.A" FromRole="R" ToRole="S"/>`, `<Association Name="A">`+
		`<End Role="R" Type="N.T" Multiplicity="1"/><End Role="S" Type="N.T" Multiplicity="*"/></Association>`)
	var queries []string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.RawQuery
		queries = append(queries, query)
		body := `{"d":{"results":[{"K":1,"I":{"results":[],"__next":"X(1)/I?$skiptoken=i"}}],` +
			`"__next":"X?$skiptoken=1"}}`
		switch {
		case strings.HasSuffix(r.URL.Path, "$metadata"):
			body = metadata
		case strings.Contains(query, "skiptoken=i"):
			body = `{"d":{"results":[]}}`
		case strings.Contains(query, "deltatoken"):
			body = `{"d":{"results":[],"__delta":"X?!deltatoken='2'"}}`
		case strings.Contains(query, "skiptoken=1"):
			body = `{"d":{"results":[{"K":2,"I":{"results":[]}}],"__delta":"X?!deltatoken='1'"}}`
		}
		_, _ = w.Write([]byte(body))
	})
	f := followSet(t, handler, deltaSetOf("/s", "X", "sap.odata#00.expand=I", "sap.odata#00.format=json",
		"sap.odata.sap.client=100", "sap.odata.sap.client.in=query")...)
	require.NoError(t, f.catchUp(poll))
	without := func(q string) bool { return !strings.Contains(q, "sap-client=100") }
	assert.True(t, len(queries) >= 5 && !slices.ContainsFunc(queries, without),
		"expected the client in each request, found %s", strings.Join(queries, "\n"))
}

// Connectors whose names differ only in case have separate subscriptions. Host names and channels are case-insensitive.
func TestSubscriptionsOfConnectorsByCase(t *testing.T) {
	for _, to := range []string{"http://Listener:8301", "urn:sap-com:channel:DEST:"} {
		values := sourceconfig.V2.Table.Values(configuration(map[bool]string{true: "sap.odata.subscription.url=" + to,
			false: "sap.odata.subscription.dest=DEST"}[strings.HasPrefix(to, "http")]))
		for _, path := range []string{"/orders/", "/orders/Orders 00"} {
			r := retirer{values: values, addresses: []string{path}}
			for address, isOwned := range map[string]bool{
				to + "/orders/Orders 00":                  true,
				strings.ToLower(to) + "/orders/Orders 00": true,
				to + "/Orders/Orders 00":                  false,
				strings.ToUpper(to) + "/ORDERS/ORDERS 00": false,
				to + "/ordersmore/Orders 00":              false,
			} {
				assert.True(t, r.ownsAddress(address) == isOwned,
					"%s below %s: expected an owned address: %v, found %v", address, path, isOwned, !isOwned)
			}
		}
		subscription := notifications.Subscription{Collection: "Orders", ChangeType: "created", Address: to +
			"/orders/Orders 00"}
		assert.True(t, subscription.Delivers("Orders", "created", strings.ToLower(to)+"/orders/Orders 00") &&
			!subscription.Delivers("Orders", "created", to+"/Orders/Orders 00"),
			"%s also matches another connector's", subscription.Address)
	}
}

// If a service loses each token, and fails a page of each load that replaces it, the set is read completely a limited
// number of times, however often the connector restarts in between.
func TestReloadEndsDespiteFailedPages(t *testing.T) {
	loads := 0
	fails := 0
	handler := withMetadata(numberKeyMetadata, func(w http.ResponseWriter, r *http.Request) {
		body := ""
		q := r.URL.RawQuery
		switch {
		case strings.Contains(q, "deltatoken"):
			w.WriteHeader(http.StatusGone)
			body = `{"error":{"code":"X/1","message":{"value":"the delta token is unknown"}}}`
		case strings.Contains(q, "skiptoken"):
			fails++
			if fails%2 == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				break
			}
			body = `{"d":{"results":[{"K":2}],"__delta":"X?!deltatoken='1'"}}`
		default:
			loads++
			body = `{"d":{"results":[{"K":1}],"__next":"X?$skiptoken='1'"}}`
		}
		_, _ = w.Write([]byte(body))
	})
	follower := newFollower(t, handler, deltaSetOf("/s", "X", "sap.odata#00.delta.lost=reload",
		"sap.odata#00.format=json")...)
	reason := start
	lost := 0
	for range 30 {
		err := follower.catchUp(reason)
		reason = poll
		if err == nil {
			continue
		}
		if errorContains(err, "times in succession") {
			lost++
			break
		}
		follower.start() // as a task that restarts after a failed page
		reason = start
	}
	assert.True(t, lost != 0 && loads <= delta.MaxLostTokens+1,
		"expected a final error after at most %d loads, found %d loads and %d errors", delta.MaxLostTokens+1, loads,
		lost)
}

// Two connectors may follow the changes of a set with delta links, into two topics or of different rows. An ODP service
// keeps one queue for both.
func TestClaimsPerTopicAndFilter(t *testing.T) {
	claimOf := func(set string, more ...string) string {
		t.Helper()
		layout, err := plan(sourceconfig.V2.Class, configuration(append(deltaSet(set), more...)...), 1)
		require.True(t, err == nil && len(layout.Claims) == 1,
			"%s: expected one claim, found %v, %v", set, layout.Claims, err)
		return layout.Claims[0]
	}
	topic := "sap.odata#00.topic=other"
	filter := []string{"sap.odata#00.filter#00.property=ID",
		"sap.odata#00.filter#00.option=gt", "sap.odata#00.filter#00.low=7"}
	for _, set := range []string{"FactsOfSales", "AttrOfMaterial", "EntityOfX", "TextsOfX", "TimeDepAOfX"} {
		if claim := claimOf(set); claim != claimOf(set, topic) || claim != claimOf(set, filter...) {
			t.Errorf("%s: expected one claim whatever the topic, found %s", set, claim)
		}
	}
	for _, set := range []string{"Orders", "TextOf"} {
		claim := claimOf(set)
		assert.True(t, claim == claimOf(set) && claim != claimOf(set, topic) && claim != claimOf(set, filter...),
			"%s: expected a claim for each topic and filter, found %s for all", set, claim)
	}
	layout, err := plan(sourceconfig.V2.Class, configuration(setOf(sapNorthwind, "FactsOfSales")...), 1)
	assert.True(t, err == nil && len(layout.Claims) == 0,
		"expected no claims of a set in full mode, found %v, %v", layout.Claims, err)
}
