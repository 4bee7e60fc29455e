package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/delta"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// TestDelta reads a whole set and then what is created, changed and deleted: in both formats, with announced and
// unannounced delta links, in pages, and from a service that responds in the other format.
func TestDelta(t *testing.T) {
	for _, test := range []struct {
		name     string
		switches odatatest.Switches
		settings []string
	}{
		{name: "announced"},
		{name: "pages", switches: odatatest.Switches{PageSize: 7}},
		{name: "relative links", switches: odatatest.Switches{PageSize: 7, Links: "relative"}},
		{name: "plain links", switches: odatatest.Switches{Delta: "links", PageSize: 20}},
		{name: "tokens without quotes", switches: odatatest.Switches{DeltaQuotes: "off"}},
		{name: "JSON", switches: odatatest.Switches{PageSize: 7}, settings: []string{"sap.odata#00.format=json"}},
		{name: "other prefixes", switches: odatatest.Switches{PageSize: 50, Prefixes: true}},
		{name: "202", switches: odatatest.Switches{PageSize: 30, Accepted: 3}},
		{name: "reordered", switches: odatatest.Switches{PageSize: 30, Differ: "reorder"}},
	} {
		settings := deltaSet("Customers", test.settings...)
		eachClass(t, test.name, settings, func(t *testing.T, class *sourceconfig.Component, settings []string) {
			service := odatatest.New(odatatest.Options{Rows: 60, Switches: test.switches})
			follower := newFollowerOf(class, t, service, settings...)
			require.NoError(t, follower.catchUp(start))
			follower.checkTopic(service, "Customers", "CustomerID", "CompanyName")
			var keys []string
			service.Each("Customers", func(key string, _ map[string]string) { keys = append(keys, key) })
			write(t, service, "POST", "Customers", map[string]any{"CustomerID": "O'N/1", "CompanyName": "New"})
			write(t, service, "MERGE", "Customers"+keys[0], map[string]any{"CompanyName": "Changed"})
			for i := range 20 {
				write(t, service, "POST", "Customers", map[string]any{"CustomerID": fmt.Sprintf("T%03d", i),
					"CompanyName": "Many"})
			}
			require.NoError(t, follower.catchUp(poll))
			follower.checkTopic(service, "Customers", "CustomerID", "CompanyName")
			write(t, service, "DELETE", "Customers('O''N%2F1')", nil)
			recordCount := len(follower.log)
			require.NoError(t, follower.catchUp(poll))
			follower.checkTopic(service, "Customers", "CustomerID", "CompanyName")
			deletions := follower.log[recordCount:]
			require.Len(t, 1, deletions, "record of the deleted entity")
			v := deletions[0].value
			assert.True(t, v["RECORDMODE"] == "D" && v["CustomerID"] == "O'N/1" && v["CompanyName"] == nil &&
				v["DELETED_AT"] != nil, "the record of the deleted entity is %v", v)
			for _, e := range follower.log[:recordCount] {
				require.True(t, e.value["RECORDMODE"] == nil && e.value["DELETED_AT"] == nil,
					"expected no change mode for a row that is not deleted, found %v and %v", e.value["RECORDMODE"],
					e.value["DELETED_AT"])
			}
			assert.Len(t, 0, follower.faults, "row errors")
			if err := follower.catchUp(poll); err != nil || len(follower.log) != recordCount+1 {
				t.Errorf("expected no rows without a change, found %d (%v)", len(follower.log)-recordCount-1, err)
			}
			assert.True(t, test.switches.Accepted <= 0 || follower.waits == 3, "expected 3 waits, found %d",
				follower.waits)
		})
	}
}

// TestDeletes reads deleted entities in the three notations, with keys of several properties and of every type.
func TestDeletes(t *testing.T) {
	for _, form := range []string{"", "record", "tombstone", "both"} {
		for _, format := range []string{"atom", "json"} {
			service := odatatest.New(odatatest.Options{Rows: 20})
			settings := []string{"sap.odata#00.format=" + format}
			if form != "" {
				settings = append(settings, "sap.odata#00.deletes="+form)
			}
			follower := followSet(t, service, deltaSet("Order_Details", settings...)...)
			var deleted []string
			service.Each("Order_Details", func(key string, _ map[string]string) { deleted = append(deleted, key) })
			for _, key := range deleted[:3] {
				write(t, service, "DELETE", "Order_Details"+key, nil)
			}
			recordCount := len(follower.log)
			require.NoError(t, follower.catchUp(poll))
			var forms string
			for _, e := range follower.log[recordCount:] {
				if e.tombstone {
					forms += "t"
				} else {
					forms += "r"
				}
			}
			want := map[string]string{"": "rrr", "record": "rrr", "tombstone": "ttt", "both": "rtrtrt"}[form]
			assert.Equal(t, want, forms, form, "in", format)
			assert.True(t, len(follower.state) == len(deleted)-3,
				"%s in %s: %d of %d rows remain", form, format, len(follower.state), len(deleted))
		}
	}
}

// addDeletedEntry inserts a deleted entry of the set Products into a response, before the last occurrence of a text.
func addDeletedEntry(r *wit.Response, key int, text string) {
	pos := bytes.LastIndex(r.Body, []byte(text))
	r.Body = slices.Insert(slices.Clone(r.Body), pos, fmt.Appendf(nil, `<at:deleted-entry `+
		`xmlns:at="http://purl.org/atompub/tombstones/1.0" ref="%s/Products(%d)" when="2026-01-02T03:04:05Z"/>`,
		sapNorthwind, key)...)
}

// TestRowAndTombstone: an entity that is both a row and deleted in one response is read again, with the options of the
// set's rows.
func TestRowAndTombstone(t *testing.T) {
	filtered := condition("0", "UnitPrice", "ge", "0")
	for _, test := range []struct {
		name     string
		deleted  bool // the entity is deleted in the service too
		first    bool // the deleted entry is before the rows
		settings []string
		// repeated lists the options of the load that the delta link repeats.
		repeated string
		switches odatatest.Switches
	}{
		{name: "deleted, entry last", deleted: true},
		{name: "deleted, entry first", deleted: true, first: true},
		{name: "exists, entry last"},
		{name: "exists, entry first", first: true},
		{name: "with a projection", settings: []string{"sap.odata#00.select=ProductName"}},
		{name: "with an expanded entity", settings: []string{"sap.odata#00.expand=Category"},
			repeated: "&$expand=Category"},
		{name: "with an expanded feed of several pages", settings: []string{"sap.odata#00.expand=Order_Details"},
			repeated: "&$expand=Order_Details", switches: odatatest.Switches{ExpandPageSize: 1}},
		{name: "with a filter", settings: join(filtered, []string{"sap.odata#00.select=ProductName"}),
			switches: odatatest.Switches{Delta: "links"}},
		{name: "with a filter, deleted", deleted: true, settings: filtered,
			switches: odatatest.Switches{Delta: "links"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Rows: 20, Switches: test.switches})
			repeatingService := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.RawQuery, "deltatoken") {
					r.URL.RawQuery += test.repeated
				}
				service.ServeHTTP(w, r)
			})
			follower := followSet(t, repeatingService, deltaSet("Products", test.settings...)...)
			earlierRow := follower.state["[3]"]
			write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
			follower.onResponse = func(q *wit.Request, r *wit.Response) {
				if !strings.Contains(q.Target, "deltatoken") {
					return
				}
				addDeletedEntry(r, 3, map[bool]string{true: "<entry", false: "</feed>"}[test.first])
				if test.deleted {
					write(t, service, "DELETE", "Products(3)", nil)
				}
			}
			require.NoError(t, follower.catchUp(poll))
			follower.checkTopic(service, "Products", "ProductID", "ProductName")
			row := follower.state["[3]"]
			require.True(t, test.deleted == (row == nil), "expected a deleted entity: %t, found %v", test.deleted, row)
			for name, v := range row {
				assert.True(t, name == "ProductName" || name == "DELETED_AT" || name == "RECORDMODE" ||
					v == earlierRow[name], "%s: expected %v as before, found %v", name, earlierRow[name], v)
			}
		})
	}
}

// An entity that is both a row and deleted, and whose key cannot be encoded in a URL, is a row error in either order.
func TestRowAndTombstoneWithUnencodableKey(t *testing.T) {
	const key = "0001-01-01T00:00:00+02:00" // in UTC before the year 1
	const row = `<entry><content type="application/xml"><m:properties><d:ID>` + key +
		`</d:ID></m:properties></content></entry>`
	const tombstone = `<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0" ` +
		`ref="http://127.0.0.1:8080/s/X(datetimeoffset'` + key + `')" when="2026-01-02T03:04:05Z"/>`
	for _, entries := range []string{row + tombstone, tombstone + row} {
		changes := ""
		follower := followSet(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "$metadata") {
				fmt.Fprint(w, `<Schema Namespace="N"><EntityType Name="T"><Key><PropertyRef Name="ID"/></Key>`+
					`<Property Name="ID" Type="Edm.DateTimeOffset" Nullable="false"/></EntityType>`+
					`<EntityContainer Name="C"><EntitySet Name="X" EntityType="N.T"/></EntityContainer></Schema>`)
				return
			}
			w.Header().Set("Preference-Applied", edm.V2.TrackChanges)
			fmt.Fprint(w, `<feed`+atomSpaces+`>`+changes+`<link rel="delta" href="X?!deltatoken='1'"/></feed>`)
		}), deltaSetOf("/s", "X")...)
		changes = entries
		require.NoError(t, follower.catchUp(poll))
		require.True(t, len(follower.faults) == 1, "expected a row error, found %v", follower.faults)
		assert.Contains(t, follower.faults[0].Error.Message, "its key cannot be encoded: expected Edm.DateTimeOffset")
	}
}

// If an entity that is read again has a property that was not in the metadata, its record contains it.
func TestRereadRowHasNewProperty(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 20})
	isHidden := true
	property := regexp.MustCompile(
		`<Property Name="UnitsOnOrder"[^>]*/>|<d:UnitsOnOrder[^>]*(/>|>[^<]*</d:UnitsOnOrder>)`)
	follower := followSet(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response := httptest.NewRecorder()
		service.ServeHTTP(response, r)
		maps.Copy(w.Header(), response.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(response.Code)
		if isHidden {
			w.Write(property.ReplaceAll(response.Body.Bytes(), nil))
		} else {
			w.Write(response.Body.Bytes())
		}
	}), deltaSet("Products")...)
	write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
	follower.onResponse = func(q *wit.Request, r *wit.Response) {
		if strings.Contains(q.Target, "deltatoken") {
			addDeletedEntry(r, 3, "</feed>")
			isHidden = false
		}
	}
	rowCount := len(follower.log)
	err := follower.catchUp(poll)
	if faultOf(err).Kind != wit.ErrorStale {
		t.Fatalf("expected an error of kind stale, found %v, and rows %v", err, follower.log[rowCount:])
	}
	follower.start()
	require.NoError(t, follower.catchUp(poll))
	assert.True(t, follower.state["[3]"]["UnitsOnOrder"] != nil,
		"expected UnitsOnOrder again, found the record %v", follower.state["[3]"])
}

// TestRowAndTombstoneOnTwoPages: as TestRowAndTombstone, with row and deleted entry on different pages of one response,
// also if the reader restarts between them. A row after the page of its deleted entry is the current entity.
func TestRowAndTombstoneOnTwoPages(t *testing.T) {
	for _, deleted := range []bool{true, false} {
		for _, restarted := range []bool{true, false} {
			// A row is on page 1 or 2, and its deleted entry on the other.
			for key, deletedPage := range map[int]int{3: 2, 5: 1} {
				if deleted && deletedPage == 1 {
					continue
				}
				service := odatatest.New(odatatest.Options{Rows: 20, Switches: odatatest.Switches{PageSize: 2}})
				follower := followSet(t, service, deltaSet("Products")...)
				for _, changed := range []int{3, 4, 5} {
					write(t, service, "MERGE", fmt.Sprintf("Products(%d)", changed),
						map[string]any{"ProductName": "Changed"})
				}
				page := 0
				fails := restarted
				follower.onResponse = func(q *wit.Request, r *wit.Response) {
					if !strings.Contains(q.Target, "Products?") {
						return
					}
					page++
					if fails && page == 2 {
						page--
						fails = false
						r.Status = noAnswer
						return
					}
					if page == deletedPage {
						addDeletedEntry(r, key, "</feed>")
					}
					if deleted && page == 2 {
						tryWrite(service, "DELETE", fmt.Sprintf("Products(%d)", key), nil)
					}
				}
				err := follower.catchUp(poll)
				if restarted && errors.Is(err, errKilled) {
					follower.start()
					err = follower.catchUp(start)
				}
				require.NoError(t, err)
				follower.checkTopic(service, "Products", "ProductID", "ProductName")
				require.True(t, !t.Failed(), "Products(%d), deleted %t, restarted %t", key, deleted, restarted)
			}
		}
	}
}

// TestFailedRereadIsNoDelete: if the service does not respond to a request for an entity, or responds with something
// other than one entity, the entity is not deleted. It is if it no longer meets the filter.
func TestFailedRereadIsNoDelete(t *testing.T) {
	for _, test := range []struct {
		name       string
		message    string
		onResponse func(r *wit.Response)
	}{
		{name: "a 404 without a body", message: "HTTP 404 without a body; it is not considered deleted",
			onResponse: func(r *wit.Response) {
				r.Status = 404
				r.Body = nil
			}},
		{name: "an unknown service", message: "is not considered deleted", onResponse: func(r *wit.Response) {
			r.Status = 404
			r.Body = []byte(`<error xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">` + `<code>/IWFND/MED/170</code><message xml:lang="en">No service found</message></error>`)
		}},
		{name: "no entity", message: "expected one entity, found 0",
			onResponse: func(r *wit.Response) { r.Body = []byte(`<feed` + atomSpaces + `></feed>`) }},
		{name: "two entities", message: "expected one entity, found 2", onResponse: func(r *wit.Response) {
			entry := r.Body[strings.Index(string(r.Body), "<entry"):]
			r.Body = slices.Concat([]byte(`<feed`+atomSpaces+`>`), entry, entry, []byte("</feed>"))
		}},
		{name: "outside the filter", onResponse: func(*wit.Response) {}},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Rows: 20, Switches: odatatest.Switches{Delta: "links"}})
			follower := followSet(t, service, deltaSet("Products", condition("0", "UnitPrice", "gt", "1")...)...)
			rows := len(follower.state)
			write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
			follower.onResponse = func(request *wit.Request, r *wit.Response) {
				switch {
				case strings.Contains(request.Target, "deltatoken"):
					addDeletedEntry(r, 3, "</feed>")
					if test.message == "" {
						write(t, service, "MERGE", "Products(3)", map[string]any{"UnitPrice": "0.5"})
					}
				case strings.Contains(request.Target, "Products(3)"):
					test.onResponse(r)
				}
			}
			err := follower.catchUp(poll)
			assert.ErrorOrNone(t, err, test.message)
			if test.message == "" && (len(follower.state) != rows-1 || follower.state["[3]"] != nil) {
				t.Errorf("expected all of %d rows but row 3, found %d and %v", rows, len(follower.state),
					follower.state["[3]"])
			}
		})
	}
}

// catchUpKilled changes the service and reads the changes forty times, killed in any piece of any response, and then
// without being killed.
func (f *follower) catchUpKilled(random *rand.Rand, round int, change func(id int)) {
	f.t.Helper()
	f.piece = 300 + random.IntN(20_000)
	for range 40 {
		for range random.IntN(6) {
			change(1 + random.IntN(77))
		}
		reason := poll
		f.kill = random.IntN(12)
		if random.IntN(3) == 0 {
			f.kill = -1
		}
		if f.stored == nil {
			reason = start
		}
		if err := f.catchUp(reason); errors.Is(err, errKilled) {
			f.start()
		} else if err != nil {
			f.t.Fatalf("round %d: %v", round, err)
		}
	}
	f.kill = -1
	for range 2 { // the first load or what remains of it, then the changes
		require.NoError(f.t, f.catchUp(start))
	}
}

// TestDeltaResumes kills the reader in any piece of any response, changes the service in between, and compares the
// result: nothing is lost, whatever the size of pages, and whatever a repeated request returns.
func TestDeltaResumes(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	for round := range 60 {
		differ := []string{"", "reorder"}[random.IntN(2)]
		format := []string{"atom", "json"}[random.IntN(2)]
		service := odatatest.New(odatatest.Options{Rows: 30, Switches: odatatest.Switches{
			PageSize:  random.IntN(40),
			Differ:    differ,
			Delta:     []string{"", "links"}[random.IntN(2)],
			SkipToken: []string{"", "offset"}[random.IntN(2)],
		}})
		follower := newFollower(t, service, deltaSet("Products", "sap.odata#00.format="+format)...)
		lastID := 100_000
		follower.catchUpKilled(random, round, func(id int) {
			switch random.IntN(3) {
			case 0:
				lastID++
				write(t, service, "POST", "Products", product(lastID, fmt.Sprint("New ", lastID)))
			case 1:
				if follower.stored == nil {
					return // the deleted row of a first page that is read again is reported nowhere
				}
				tryWrite(service, "DELETE", fmt.Sprintf("Products(%d)", id), nil)
			default:
				tryWrite(service, "MERGE", fmt.Sprintf("Products(%d)", id),
					map[string]any{"ProductName": fmt.Sprint("Changed ", random.IntN(1000))})
			}
		})
		follower.checkTopic(service, "Products", "ProductID", "ProductName")
		if t.Failed() {
			t.Fatalf("round %d: %+v", round, service.Switches())
		}
	}
}

// TestDeltaFailsIfChangesAreLost: if a service would lose changes, the read fails with an error that names the remedy.
func TestDeltaFailsIfChangesAreLost(t *testing.T) {
	const reload = "sap.odata#00.delta.lost = reload reads the whole set again"
	for _, test := range []struct {
		name     string
		switches odatatest.Switches
		settings []string
		// expired is the status of the response to an expired token. Zero means that tokens do not expire.
		expired int
		kind    wit.ErrorKind
		message string
	}{
		{name: "no delta links", switches: odatatest.Switches{Delta: "off"}, kind: wit.ErrorUnsupported,
			message: "the service does not track changes of this set"},
		{name: "announced but missing", switches: odatatest.Switches{Delta: "silent"}, kind: wit.ErrorUnsupported,
			message: "found none, although the service confirms odata.track-changes"},
		{name: "another host", switches: odatatest.Switches{SelfHost: "https://elsewhere.example"},
			kind: wit.ErrorConfig, message: "leads to https://elsewhere.example"},
		{name: "410", expired: 410, kind: wit.ErrorGone, message: reload},
		{name: "404", expired: 404, kind: wit.ErrorGone, message: reload},
		{name: "400", expired: 400, kind: wit.ErrorGone, message: reload},
		{name: "412", expired: 412, kind: wit.ErrorGone, message: reload},
		{name: "no recovery", settings: []string{"sap.odata#00.delta.link.recovery=1"}, expired: 410,
			kind: wit.ErrorGone, message: "recover needs an ODP service"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := odatatest.New(odatatest.Options{Rows: 30, Switches: test.switches})
			follower := newFollower(t, s, deltaSet("Products", test.settings...)...)
			err := follower.catchUp(start)
			if err == nil && test.expired > 0 {
				require.NoError(t, s.Set("expire-tokens", ""))
				follower.onResponse = func(_ *wit.Request, r *wit.Response) {
					if r.Status == http.StatusGone {
						r.Status = uint16(test.expired)
					}
				}
				stored := fmt.Sprint(follower.stored)
				err = follower.catchUp(poll)
				assert.True(t, fmt.Sprint(follower.stored) == stored,
					"expected the offset %s, found %v", stored, follower.stored)
			}
			if fault := faultOf(err); fault.Kind != test.kind || !strings.Contains(fault.Message, test.message) {
				t.Errorf("expected %v with %q, found %v", test.kind, test.message, err)
			}
		})
	}
}

// TestDeltaOfOddServices: a service that does not do what its responses claim fails the read, and the offset does not
// change. What it repeats is read twice, and no row is lost.
func TestDeltaOfOddServices(t *testing.T) {
	const feed = `<feed` + atomSpaces + `>`
	link := func(rel, to string) string { return `<link rel="` + rel + `" href="` + to + `"/>` }
	for _, test := range []struct {
		name string
		// body returns the body of the response to a request for changes by requestLink.
		body    func(requestLink string) string
		message string
	}{
		{name: "an expired token is answered with an empty feed and no link",
			body:    func(string) string { return feed + "</feed>" },
			message: "expected a delta link at the end of the changes, found none: later changes cannot be requested"},
		{name: "pages of changes go in a circle", body: func(requestLink string) string {
			return feed + link("next", strings.ReplaceAll(strings.TrimSuffix(requestLink, "&$skiptoken=1"), "&",
				"&amp;")+"&amp;$skiptoken=1") + "</feed>"
		}, message: "the service's pages form a loop"},
		{name: "the link behind changes leads to another set", body: func(string) string {
			return feed + link("delta", "https://elsewhere.example/X?!deltatoken=1") + "</feed>"
		}, message: "leads to https://elsewhere.example"},
		{name: "a tombstone without a key", body: func(string) string {
			return feed +
				`<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0" ref="http://127.0.0.1:8080` +
				sapNorthwind + `/Products" when="2026-01-01T00:00:00Z"/>` +
				link("delta", "Products?!deltatoken=1") + "</feed>"
		}},
		{name: "a delta link that leads to itself, without rows", body: func(requestLink string) string {
			return feed + link("delta", strings.ReplaceAll(requestLink, "&", "&amp;")) + "</feed>"
		}},
		{name: "a delta link that leads to itself, with rows that are old", body: func(requestLink string) string {
			return feed +
				`<entry><content type="application/xml"><m:properties><d:ProductID>1</d:ProductID><d:ProductName>Old</d:ProductName><d:Discontinued>false</d:Discontinued></m:properties></content></entry>` +
				link("delta", strings.ReplaceAll(requestLink, "&", "&amp;")) + "</feed>"
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Rows: 30})
			follower := followSet(t, service, deltaSet("Products")...)
			follower.onResponse = func(q *wit.Request, r *wit.Response) {
				if strings.Contains(q.Target, "deltatoken") {
					r.Body = []byte(test.body(q.Target))
					r.Status = 200
				}
			}
			stored := fmt.Sprint(follower.stored)
			requestCount := len(follower.targets)
			err := follower.catchUp(poll)
			assert.ErrorOrNone(t, err, test.message)
			if test.message != "" && fmt.Sprint(follower.stored) != stored && !strings.Contains(test.name, "circle") {
				t.Errorf("expected the offset %s, found %v", stored, follower.stored)
			}
			assert.AtMost(t, 5, len(follower.targets)-requestCount, "requests")
			isKeyless := strings.Contains(test.name, "without a key")
			hasKeyError := len(follower.faults) == 1 &&
				strings.Contains(follower.faults[0].Error.Message, "expected a key in parentheses")
			if isKeyless != hasKeyError {
				t.Errorf("unexpected row errors: %v", follower.faults)
			} else if isKeyless {
				return // the host fails the task, or skips the row if errors.tolerance allows it
			}
			follower.onResponse = nil
			if test.message != "" {
				return
			}
			// The service works again, and nothing was lost.
			write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
			write(t, service, "MERGE", "Products(1)", map[string]any{"ProductName": "Changed too"})
			require.NoError(t, follower.catchUp(poll))
			follower.checkTopic(service, "Products", "ProductID", "ProductName")
		})
	}
}

// TestDeltaReload reads the whole set again if the settings allow it. The records of such a load have its headers after
// their own.
func TestDeltaReload(t *testing.T) {
	for change, settings := range map[string][]string{"": nil, "read": {sourceconfig.HeadersEnable + "=true"}} {
		service := odatatest.New(odatatest.Options{Rows: 30, Switches: odatatest.Switches{PageSize: 20}})
		settings = append(settings, "sap.odata#00.delta.lost=reload")
		follower := followSet(t, service, deltaSet("Products", settings...)...)
		write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
		service.Set("expire-tokens", "")
		rowCount := len(follower.log)
		require.NoError(t, follower.catchUp(poll))
		follower.checkTopic(service, "Products", "ProductID", "ProductName")
		reloaded := len(follower.log) - rowCount
		assert.Equal(t, service.Count("Products"), reloaded, "rows")
		for i, e := range follower.log {
			mark := map[int]string{rowCount: "begin", len(follower.log) - 1: "end"}[i]
			assert.True(t, (e.headers[feedreader.HeaderSnapshot] != "") == (i >= rowCount) &&
				e.headers[feedreader.HeaderMark] == mark && e.headers[sourceconfig.HeaderChange] == change,
				"row %d of %d: headers %v", i, len(follower.log), e.headers)
		}
		if err := follower.catchUp(poll); err != nil || len(follower.log) != rowCount+reloaded {
			t.Errorf("expected no more rows, found %d, %v", len(follower.log)-rowCount-reloaded, err)
		}
	}
}

// TestSnapshotKeepsDeltaLink reads the whole set on request and continues from the previous delta link: changes and
// deletes from before and during the snapshot are reported.
func TestSnapshotKeepsDeltaLink(t *testing.T) {
	for _, test := range []struct {
		name string
		// lost is the number of pages of the snapshot that the service no longer has.
		lost int
		rows int
		ends bool // the last row marks the end of the snapshot
	}{
		{name: "whole", rows: 77, ends: true},
		{name: "a page is lost", lost: 1, rows: 126, ends: true},
		{name: "two pages are lost", lost: 2, rows: 98},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Rows: 30, Switches: odatatest.Switches{PageSize: 25}})
			follower := newFollower(t, service, deltaSet("Products")...)
			snapshot := wit.PollReason{Snapshot: wit.Ptr("4711")}
			step, err := follower.p.Next(follower.opened.Context, 0, nil, snapshot, follower.now)
			assert.True(t, err == nil && step.Idle != nil,
				"expected an idle feed before the first load, found %+v, %v", step, err)
			require.NoError(t, follower.catchUp(start))
			write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Before"})
			received := len(follower.log)
			lost := test.lost
			follower.onResponse = func(q *wit.Request, r *wit.Response) {
				isThird := strings.Contains(q.Target, "ProductID%20ge%2049&")
				if isThird && lost > 0 {
					lost--
					r.Status = 410
					r.Body = nil
				}
				if isThird {
					write(t, service, "MERGE", "Products(5)", map[string]any{"ProductName": "Meanwhile"})
				}
			}
			require.NoError(t, follower.catchUp(snapshot))
			follower.onResponse = nil
			rows := slices.DeleteFunc(slices.Clone(follower.log[received:]), func(e event) bool {
				return e.headers[feedreader.HeaderSnapshot] == ""
			})
			assert.True(t, len(rows) == test.rows && service.Count("Products") == 77,
				"expected %d rows of 77, found %d of %d", test.rows, len(rows), service.Count("Products"))
			for i, e := range rows {
				isLast := i == len(rows)-1 && test.ends
				mark := e.headers[feedreader.HeaderMark]
				assert.True(t, e.headers[feedreader.HeaderSnapshot] == "4711" && (mark == "end") == isLast &&
					(i != 0 || mark == "begin"), "row %d of %d: headers %v", i, len(rows), e.headers)
			}
			write(t, service, "MERGE", "Products(7)", map[string]any{"ProductName": "Behind"})
			require.NoError(t, follower.catchUp(poll))
			follower.checkTopic(service, "Products", "ProductID", "ProductName")
			assert.Equal(t, 3, len(follower.log)-received-len(rows), "three more changes")
		})
	}
}

// TestRewrittenLink replaces the token in the stored link once, at the start.
func TestRewrittenLink(t *testing.T) {
	s := odatatest.New(odatatest.Options{Rows: 30})
	follower := followSet(t, s, deltaSet("Products")...)
	token := delta.TokenOf(stringOf(follower.stored, "url"))
	write(t, s, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
	require.NoError(t, follower.catchUp(poll))
	follower.settings = append(follower.settings, "sap.odata#00.delta.link.regex=(deltatoken=)'[^']*'",
		"sap.odata#00.delta.link.replacement=$1'"+token+"'")
	for i, want := range []int{1, 0, 0} {
		follower.start()
		rowCount := len(follower.log)
		if err := follower.catchUp(start); err != nil || len(follower.log)-rowCount != want {
			t.Errorf("start %d: %d rows were read again, %v", i, len(follower.log)-rowCount, err)
		}
	}
}

// A connector continues from another connector's delta link, even if the offset contains nothing else.
func TestDeltaLinkOfAnotherConnector(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 30})
	follower := followSet(t, service, deltaSet("Products")...)
	follower.stored = []wit.OffsetEntry{wit.StringEntry("url", stringOf(follower.stored, "url"))}
	write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
	require.NoError(t, follower.p.CheckOffset([]wit.OffsetEntry{wit.StringEntry("service", sapNorthwind),
		wit.StringEntry("entityset", "Products")}, follower.stored))
	rowCount := len(follower.log)
	follower.start()
	if err := follower.catchUp(start); err != nil || len(follower.log) != rowCount+1 {
		t.Errorf("expected one change, found %d, %v", len(follower.log)-rowCount, err)
	}
	follower.checkTopic(service, "Products", "ProductID", "ProductName")
}

// TestPlainLoadsAreCheckedByCount: a load that does not request changes is reported as complete only if it is. It is
// not if the service ends its feed each time with fewer rows than it counts. Rows that are deleted during the load do
// not count against it. If rows were inserted among those already read, the set is read again.
func TestPlainLoadsAreCheckedByCount(t *testing.T) {
	for _, test := range []struct {
		name     string
		switches odatatest.Switches
		cut      bool   // the first page has no next link
		deleted  string // the entity that is deleted during the load
		inserted bool   // and another one is inserted
		settings []string
		rows     int
	}{
		{name: "complete", rows: 30},
		{name: "the feed ends after its first page", cut: true, rows: 30},
		{name: "the count was not requested", cut: true, settings: []string{"sap.odata#00.count=none"}, rows: 30},
		{name: "a row is deleted during the load", deleted: "Orders(10275)", rows: 29},
		{name: "a row is deleted, and one inserted before the next page", deleted: "Orders(10275)", inserted: true,
			rows: 29 + 30},
		{name: "the count is rejected", switches: odatatest.Switches{RefuseCount: true}, rows: 30},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.switches.PageSize = 20
			service := odatatest.New(odatatest.Options{Rows: 30, Switches: test.switches})
			follower := followSet(t, service, deltaSet("Orders", test.settings...)...)
			deleted := test.deleted
			follower.onResponse = func(q *wit.Request, r *wit.Response) {
				if deleted != "" {
					write(t, service, "DELETE", deleted, nil)
					deleted = ""
					if test.inserted {
						write(t, service, "POST", "Orders", map[string]any{"OrderID": 1})
					}
				}
				if i := bytes.Index(r.Body, []byte(`<link rel="next"`)); test.cut && i >= 0 {
					n := bytes.Index(r.Body[i:], []byte(">"))
					r.Body = slices.Delete(slices.Clone(r.Body), i, i+n+1)
				}
				if i := bytes.Index(r.Body, []byte(`<entry`)); test.settings != nil && i >= 0 {
					r.Body = slices.Insert(slices.Clone(r.Body), i, []byte("<m:count>30</m:count>")...)
				}
			}
			rowCount := len(follower.log)
			require.NoError(t, follower.catchUp(wit.PollReason{Snapshot: wit.Ptr("4711")}))
			follower.onResponse = nil
			write(t, service, "MERGE", "Orders(10250)", map[string]any{"ShipName": "Behind"})
			require.NoError(t, follower.catchUp(poll))
			follower.checkTopic(service, "Orders", "OrderID", "ShipName")
			rows := 0
			marks := ""
			for _, e := range follower.log[rowCount:] {
				mark := e.headers[feedreader.HeaderMark]
				marks += mark + " "
				if e.headers[feedreader.HeaderSnapshot] == "4711" && mark != "ended" {
					rows++
				}
			}
			marks = strings.Join(strings.Fields(marks), " ")
			assert.True(t, rows == test.rows && (marks == "begin end" || marks == "begin ended"),
				"expected %d rows with marks at the start and end, found %d and %q", test.rows, rows, marks)
		})
	}
}

// TestChangesAtAnnouncedURL: a service that prepares changes (202) may announce another URL for them. They are the
// changes of the delta link, and the feed continues from it, whatever that URL returns.
func TestChangesAtAnnouncedURL(t *testing.T) {
	const monitor = sapNorthwind + "/poll/1"
	for _, status := range []int{200, 404, 410, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Rows: 30})
			follower := followSet(t, service, deltaSet("Products")...)
			write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
			link := ""
			prepared := []byte(nil)
			pending := 2
			follower.onResponse = func(request *wit.Request, r *wit.Response) {
				switch {
				case request.Target == monitor && pending > 0:
					// the URL is kept
					r.Status = 202
					r.Body = nil
					r.Headers = nil
					pending--
				case request.Target == monitor:
					r.Status = uint16(status)
					r.Body = nil
					if status == 200 {
						r.Body = prepared
					}
				case strings.Contains(request.Target, "deltatoken") && link == "":
					link = request.Target
					prepared = r.Body
					r.Status = 202
					r.Body = nil
					r.Headers = []wit.Header{{Name: "location", Value: monitor}}
				}
			}
			err := follower.catchUp(poll)
			if status == 500 {
				stored, _ := wit.Lookup(follower.stored, "link")
				assert.True(t, err != nil && stored.String != nil && *stored.String == link,
					"expected an error and the stored link %s, found %v and %v", link, err, follower.stored)
				return
			}
			require.NoError(t, err)
			assert.True(t, strings.Contains(stringOf(follower.stored, "url"), "deltatoken"),
				"stored: %v", follower.stored)
			write(t, service, "MERGE", "Products(4)", map[string]any{"ProductName": "Changed too"})
			follower.onResponse = nil
			require.NoError(t, follower.catchUp(poll))
			follower.checkTopic(service, "Products", "ProductID", "ProductName")
		})
	}
}

// TestChangesPreparedWhileStopped: a connector that was stopped for longer than the preparation may take requests the
// changes by their delta link again, once, whatever the announced URL returns now.
func TestChangesPreparedWhileStopped(t *testing.T) {
	const monitor = sapNorthwind + "/poll/1"
	const patienceMs = 7_200_000
	for _, status := range []uint16{202, 404, 410} {
		for _, isMended := range []bool{true, false} {
			t.Run(fmt.Sprint(status, isMended), func(t *testing.T) {
				service := odatatest.New(odatatest.Options{Rows: 30})
				follower := followSet(t, service, deltaSet("Products")...)
				write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
				isDown := true
				requests := 0
				follower.onResponse = func(request *wit.Request, r *wit.Response) {
					switch {
					case request.Target == monitor && isDown:
						r.Status = noAnswer
					case request.Target == monitor:
						r.Status = status
						r.Body = nil
						r.Headers = nil
						if requests > 1 {
							follower.now += patienceMs + 1
						}
					case strings.Contains(request.Target, "deltatoken"):
						requests++
						if requests == 1 || !isMended {
							r.Status = 202
							r.Body = nil
							r.Headers = []wit.Header{{Name: "location", Value: monitor}}
						}
					}
				}
				require.ErrorIs(t, follower.catchUp(poll), errKilled)
				isDown = false
				follower.now += patienceMs + 1
				follower.start()
				switch err := follower.catchUp(start); {
				case isMended && err != nil:
					t.Error(err)
				case isMended:
					follower.checkTopic(service, "Products", "ProductID", "ProductName")
				case err == nil || requests > 3:
					t.Errorf("expected an error, found %v after %d requests of the link", err, requests)
				}
			})
		}
	}
}

// If a delta link returns the whole set each time, all rows arrive, none is lost, and each poll ends.
func TestDeltaLinkReturnsWholeSet(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 30})
	follower := followSet(t, service, deltaSet("Products")...)
	follower.onResponse = func(q *wit.Request, r *wit.Response) {
		if strings.Contains(q.Target, "deltatoken") {
			path, _, _ := strings.Cut(q.Target, "?")
			complete := (&reader{service: service}).exchange(&wit.Request{Method: "GET", Target: path,
				Headers: []wit.Header{
					{Name: "Accept", Value: "application/atom+xml"},
					{Name: "Prefer", Value: edm.V2.TrackChanges},
				}})
			r.Status = complete.Status
			r.Body = complete.Body
		}
	}
	for n := range 3 {
		write(t, service, "MERGE", "Products("+strconv.Itoa(n+1)+")",
			map[string]any{"ProductName": "Changed " + strconv.Itoa(n)})
		requests := len(follower.targets)
		require.NoError(t, follower.catchUp(poll))
		follower.checkTopic(service, "Products", "ProductID", "ProductName")
		if len(follower.targets) != requests+1 {
			t.Errorf("expected one request, found %v", follower.targets[requests:])
		}
	}
}
