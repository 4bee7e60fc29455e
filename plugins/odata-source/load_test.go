package main

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/sdk/go/plugintest"
	"github.com/culvert-project/culvert/wit"
)

func TestGolden(t *testing.T) {
	plugintest.RunSource(t, &plugin{}, "../../testdata/odata-source/*.txt")
}

// loadCase is a service, and the requests of its load.
type loadCase struct {
	name     string
	set      string
	switches odatatest.Switches
	settings []string
	// requests contains parts of the requests after $metadata, in order. "" matches any request.
	requests []string
}

// checkLoads checks that all rows arrive once, by the expected requests, and that the plugin accepts the last offset.
func checkLoads(t *testing.T, loads []loadCase) {
	t.Helper()
	for _, test := range loads {
		test.check(t, sourceconfig.V2)
		settings, ok := asV4(test.settings)
		switches := &test.switches // the v4 service declares that it has no count, and knows no format
		if ok && !switches.RefuseFormat && !switches.RefuseCount && !switches.V1 {
			test.name += ", v4"
			test.settings = settings
			test.requests, _ = asV4(test.requests)
			test.check(t, sourceconfig.V4)
		}
	}
}

// check is [checkLoads] of one load by a class.
func (test loadCase) check(t *testing.T, class *sourceconfig.Component) {
	t.Run(test.name, func(t *testing.T) {
		s := odatatest.New(odatatest.Options{Switches: test.switches})
		load := newUnopened(t, s)
		load.class = class
		settings := append(set("00", test.set), test.settings...)
		if class == sourceconfig.V4 {
			settings, _ = asV4(settings)
		}
		require.NoError(t, load.open(settings...))
		load.targets = nil
		offset := load.readAll(nil)
		load.checkComplete(s, test.set)
		if len(load.faults) > 0 {
			t.Errorf("expected no row errors, found %v", load.faults[0])
		}
		require.True(t, len(load.targets) == len(test.requests), "expected %d requests, found %s", len(test.requests),
			strings.Join(load.targets, "\n"))
		for i, part := range test.requests {
			assert.True(t, strings.Contains(load.targets[i], part), "expected %s in request %s", part, load.targets[i])
		}
		assert.NoError(t, load.p.CheckOffset(load.opened.Feeds[0].Partition, offset))
	})
}

// A load follows links, or continues from the last key if links count rows or a feed ends early.
func TestLoads(t *testing.T) {
	checkLoads(t, []loadCase{
		{name: "links", set: "Orders", switches: odatatest.Switches{PageSize: 300},
			requests: []string{"$orderby=OrderID&$inlinecount=allpages&$format=json", "$skiptoken=10547",
				"$skiptoken=10847", "OrderID%20desc&$top=8&$inlinecount=allpages&$format=json&$select=OrderID"}},
		{name: "relative links", set: "Orders", switches: odatatest.Switches{PageSize: 300, Links: "relative"},
			requests: []string{"$orderby", "$skiptoken", "$skiptoken", "$top=8&$inlinecount"}},
		{name: "Atom", set: "Order_Details", switches: odatatest.Switches{PageSize: 1000},
			settings: []string{"sap.odata.format=ATOM"},
			requests: []string{"$orderby=OrderID,ProductID&$inlinecount", "$skiptoken", "$skiptoken", "$top=8&$inlinecount"}},
		{name: "offsets become keys", set: "Orders", switches: odatatest.Switches{PageSize: 300, SkipToken: "offset"},
			requests: []string{"$orderby", "$filter=OrderID%20lt%2010547&$orderby=OrderID%20desc&$format",
				"$filter=OrderID%20ge%2010547&", "$filter=OrderID%20ge%2010846&"}},
		{name: "a key of two parts", set: "Order_Details",
			switches: odatatest.Switches{PageSize: 1000, SkipToken: "offset"},
			requests: []string{"$orderby", "$filter=%28OrderID%20lt%20", "$filter=%28OrderID%20gt%20", "%20and%20ProductID%20ge%20"}},
		{name: "links though they count", set: "Orders",
			switches: odatatest.Switches{PageSize: 500, SkipToken: "offset"},
			settings: []string{"sap.odata#00.paging=links"}, requests: []string{"", "$skiptoken=500"}},
		{name: "keys always", set: "Orders", switches: odatatest.Switches{PageSize: 500},
			settings: []string{"sap.odata.paging=keys"}, requests: []string{"", "OrderID%20lt%20", "$filter=OrderID%20ge%20"}},
		{name: "ends early", set: "Orders", switches: odatatest.Switches{EndEarly: 300},
			requests: []string{"", "OrderID%20lt%20", "$filter=OrderID%20ge%2010547", "$filter=OrderID%20ge%2010846"}},
		{name: "ends early without order", set: "Orders",
			switches: odatatest.Switches{EndEarly: 300, RefuseOrderBy: true},
			requests: []string{"$orderby", "Orders?$inlinecount", "$skip=299", "$skip=598"}},
		{name: "ends early, no keys", set: "Orders", switches: odatatest.Switches{EndEarly: 300},
			settings: []string{"sap.odata.paging=links"},
			requests: []string{"", "$orderby=OrderID&$skip=300&", "$skip=600"}},
		{name: "another name of the service", set: "Orders", switches: odatatest.Switches{PageSize: 500,
			SelfHost: "https://erp.internal:44300"}, settings: []string{"sap.odata.link.hosts=other, erp.internal"},
			requests: []string{"", "$skiptoken", "$top=8&$inlinecount"}},
		{name: "every type", set: "AllTypes",
			switches: odatatest.Switches{PageSize: 100, OmitNull: true, Prefixes: true},
			settings: []string{"sap.odata.format=atom"}, requests: []string{"", "ID%20lt%20", "", ""}},
	})
}

// An option that the service rejects is left out of the next request, and of those that follow.
func TestLoadsWithoutRejectedOptions(t *testing.T) {
	checkLoads(t, []loadCase{
		{name: "rejects the order", set: "Orders", switches: odatatest.Switches{PageSize: 500, RefuseOrderBy: true},
			requests: []string{"$orderby", "Orders?$inlinecount=allpages&$format=json", "$skiptoken",
				"OrderID%20ge%2011077", "$top=1"}},
		{name: "rejects the count", set: "Orders", switches: odatatest.Switches{PageSize: 500, RefuseCount: true},
			requests: []string{"$inlinecount", "Orders?$orderby=OrderID&$format=json", "OrderID%20desc",
				"$filter=OrderID%20ge%2010747", "Orders?$orderby=OrderID%20desc&$top=8"}},
		{name: "rejects both", set: "Orders",
			switches: odatatest.Switches{PageSize: 500, RefuseCount: true, RefuseOrderBy: true},
			requests: []string{"$orderby", "Orders?$inlinecount", "Orders?$format=json", "$skiptoken", "$skip=829"}},
		{name: "rejects the format", set: "Orders", switches: odatatest.Switches{PageSize: 500, RefuseFormat: true},
			requests: []string{"$orderby=OrderID&$inlinecount=allpages&$format=json",
				"Orders?$orderby=OrderID&$inlinecount=allpages", "$skiptoken", "$top=8&$inlinecount"}},
		{name: "version 1", set: "Orders", switches: odatatest.Switches{V1: true},
			settings: []string{"sap.odata.count=none"}, requests: []string{"", "OrderID%20lt%20", "OrderID%20ge%20"}},
	})
}

// Pages have the configured size. Without a count, the last rows of the set show the end.
func TestLoadsInPagesOfConfiguredSize(t *testing.T) {
	checkLoads(t, []loadCase{
		{name: "rejects the format, own page size", set: "Orders", switches: odatatest.Switches{RefuseFormat: true},
			settings: []string{"sap.odata.paging=top", "sap.odata.page.size=400"},
			requests: []string{"$format=json", "Orders?$orderby=OrderID&$top=400&$inlinecount=allpages",
				"$filter=OrderID%20lt%2010647&$orderby=OrderID%20desc&$top=400&$select=OrderID",
				"$filter=OrderID%20ge%2010647&$orderby=OrderID&$top=400", "$filter=OrderID%20ge%2011046&"}},
		{name: "no count", set: "Orders", settings: []string{"sap.odata#00.count=none", "sap.odata.page.size=400"},
			requests: []string{"Orders?$orderby=OrderID&$format=json", "OrderID%20desc", "$filter=OrderID%20ge%2010647",
				"$filter=OrderID%20ge%2011046", "Orders?$orderby=OrderID%20desc&$top=8"}},
		{name: "pages of ours", set: "Orders", settings: []string{"sap.odata.paging=TOP", "sap.odata.page.size=400"},
			requests: []string{"Orders?$orderby=OrderID&$top=400&$inlinecount=allpages",
				"$filter=OrderID%20lt%2010647&$orderby=OrderID%20desc&$top=400&",
				"$filter=OrderID%20ge%2010647&$orderby=OrderID&$top=400", "$filter=OrderID%20ge%2011046&"}},
		{name: "pages of ours without counts", set: "Orders", settings: []string{"sap.odata.paging=top",
			"sap.odata.page.size=400", "sap.odata.count=none"}, requests: []string{"$top=400",
			"$filter=OrderID%20lt%2010647&$orderby=OrderID%20desc&$top=400",
			"$filter=OrderID%20ge%2010647&", "$filter=OrderID%20ge%2011046&",
			"Orders?$orderby=OrderID%20desc&$top=8"}},
		{name: "pages of ours by number", set: "Orders", switches: odatatest.Switches{RefuseOrderBy: true},
			settings: []string{"sap.odata.paging=top", "sap.odata.page.size=400"},
			requests: []string{"$orderby", "Orders?$top=400", "$top=400&$skip=399&", "$top=400&$skip=798&"}},
		{name: "pages of one row", set: "Employees", switches: odatatest.Switches{RefuseOrderBy: true},
			settings: []string{"sap.odata.paging=top", "sap.odata.page.size=1"},
			requests: []string{"$orderby", "$top=1", "$skip=1&", "$skip=2&", "$skip=3&", "$skip=4&", "$skip=5&",
				"$skip=6&", "$skip=7&", "$skip=8&"}},
	})
}

// TestMotion is T15: rows that exist throughout the load arrive, whatever is deleted and inserted between pages.
// Following links that count rows loses some, which proves that the test can fail.
func TestMotion(t *testing.T) {
	for _, class := range sourceconfig.Components {
		for _, set := range []string{"Orders", "Order_Details"} {
			for _, token := range []string{"key", "offset", "opaque"} {
				for _, early := range []int{0, 100} {
					missing := loadChangingSet(t, class, set, odatatest.Switches{PageSize: 100, SkipToken: token,
						Churn: 7, EndEarly: early})
					assert.True(t, missing == 0, "%s, %s, %s, %d: %d rows that existed throughout are missing",
						class.Alias, set, token, early, missing)
				}
			}
		}
	}
	missing := loadChangingSet(t, sourceconfig.V2, "Orders", odatatest.Switches{PageSize: 100, SkipToken: "offset", Churn: 7},
		"sap.odata.paging=links", "sap.odata.count=none")
	assert.True(t, missing != 0, "expected links that count rows to lose some")
}

// loadChangingSet loads a set whose rows change, and counts the rows that existed before and after the load and did not
// arrive.
func loadChangingSet(t *testing.T, class *sourceconfig.Component, name string, switches odatatest.Switches,
	settings ...string) (missing int) {
	t.Helper()
	service := odatatest.New(odatatest.Options{Switches: switches})
	earlier := map[string]bool{}
	service.Each(name, func(key string, _ map[string]string) { earlier[key] = true })
	load := newUnopened(t, service)
	load.class = class
	settings = append(set("00", name), settings...)
	if class == sourceconfig.V4 {
		settings, _ = asV4(settings)
	}
	require.NoError(t, load.open(settings...))
	_, err := load.run(0, nil)
	require.NoError(t, err, name)
	delivered := map[string]bool{}
	for _, r := range load.rows {
		delivered["("+strings.ReplaceAll(strings.Trim(r, "[]"), " ", ",")+")"] = true
	}
	service.Each(name, func(key string, _ map[string]string) {
		plain := strings.NewReplacer("OrderID=", "", "ProductID=", "").Replace(key)
		if earlier[key] && !delivered[plain] {
			missing++
		}
	})
	return missing
}

// readSkipping reads a page and skips the row that contains a text. end is the result of the last piece.
func (l *fullLoad) readSkipping(fetch *wit.Fetch, rowText string) (end wit.DecodeResult) {
	l.t.Helper()
	page, response, err := l.begin(0, fetch)
	require.NoError(l.t, err)
	pos := bytes.Index(response.Body, []byte(rowText))
	require.True(l.t, pos >= 0, "the row is missing in %s", response.Body)
	for i, step := range []struct {
		tag   string
		piece []byte
	}{
		{tag: wit.TagComplete},
		{piece: response.Body[:pos]},
		{tag: wit.TagComplete},
		{tag: wit.TagSkipRow},
		{piece: response.Body[pos:]},
	} {
		end, err = l.p.Decode(page, step.tag, response.Status, slices.Clone(step.piece), i == 4)
		require.NoError(l.t, err)
		l.addResult(&end)
	}
	return end
}

// A row that makes the plugin trap becomes an error with its document and counts as a row of the page: the load is
// complete with it, in all forms of a page.
func TestSkippedRowIsError(t *testing.T) {
	for _, settings := range [][]string{
		append(set("00", "Products"), "sap.odata#00.format=json"),
		append(set("00", "Products"), "sap.odata#00.format=atom"),
		deltaSet("Products", "sap.odata#00.format=json"),
		deltaSet("Products", "sap.odata#00.format=atom"),
	} {
		service := odatatest.New(odatatest.Options{Rows: 20, Switches: odatatest.Switches{Delta: "links"}})
		load := newLoad(t, service, settings...)
		step, err := load.next(0, nil, start)
		require.NoError(t, err)
		load.now += 2 * sourceconfig.FreshFor // newer metadata would not help
		end := load.readSkipping(step.Fetch, "Products(5)")
		for _, f := range end.Errors {
			raw := string(end.Data[f.RawStart:][:f.RawSize])
			assert.True(t, strings.Contains(raw, "Products(5)") && !strings.Contains(raw, "Products(6)"),
				"%q: unexpected document of the row: %q", settings, raw)
		}
		asksForMore := false // the count may be the count of a page
		if end.Next != nil {
			_, asksForMore = wit.Lookup(*end.Next, "check")
		}
		total := service.Count("Products")
		assert.True(t, len(load.rows) == total-1 && !slices.Contains(load.rows, "[5]") && len(load.faults) == 1 &&
			end.Next != nil && end.More == asksForMore,
			"%q: found %d of %d rows, faults %+v, next %+v", settings, len(load.rows), total, load.faults, end.Next)
	}
}

// A row that the host skips is an error of its page, also if it was on the previous page and is read again. The host's
// next error contains why the row was skipped.
func TestSkippedRowOfPreviousPage(t *testing.T) {
	handler := withMetadata(numberKeyMetadata, func(w http.ResponseWriter, r *http.Request) {
		rows := `{"K":8},{"K":9},{"K":"no number 10"}`
		if r.URL.Query().Get("$orderby") == "K desc" {
			rows = `{"K":"no number 10"},{"K":9},{"K":8}`
		}
		fmt.Fprintf(w, `{"d":{"results":[%s]}}`, rows)
	})
	load := newLoad(t, handler, set("00", "X")...)
	offset, err := load.readPages(0, nil, 1)
	require.True(t, err == nil && len(load.faults) == 1, "faults %v, %v", load.faults, err)
	load.faults = nil
	step, err := load.next(0, offset, onward)
	require.NoError(t, err)
	load.readSkipping(step.Fetch, `{"K":"no number 10"`)
	assert.True(t, len(load.faults) == 1 && load.faults[0].RowIndex == 0,
		"expected a fault for the row, found %v", load.faults)
}

// A row that is deleted ahead of the load is distinguished from a skipped row by one request, also for keys of several
// properties. Paging by key continues, and no row is read twice.
func TestRowDeletedAheadOfLoad(t *testing.T) {
	for _, name := range []string{"Orders", "Order_Details"} {
		service := odatatest.New(odatatest.Options{Switches: odatatest.Switches{PageSize: 200, SkipToken: "offset"}})
		last := ""
		service.Each(name, func(key string, _ map[string]string) { last = key })
		pages := 0
		load := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "$metadata") {
				pages++
				if pages == 2 { // the row is not read yet
					write(t, service, "DELETE", name+last, nil)
				}
			}
			service.ServeHTTP(w, r)
		}), set("00", name)...)
		load.targets = nil
		load.readAll(nil)
		load.checkComplete(service, name)
		want := (len(load.rows)+199)/200 + 2 // for the order of the keys, and for the last rows of the set
		assert.True(t, len(load.targets) == want,
			"%s: expected %d requests, found\n%s", name, want, strings.Join(load.targets, "\n"))
	}
}

// A response 202 is polled after the time that the service specifies, at least a second and at most ten minutes. In
// total it takes no longer than the first response may take.
func TestPendingResponsesArePolled(t *testing.T) {
	for _, test := range []struct {
		retryAfter string
		lateMs     int64 // since the first response
		waitMs     uint32
	}{
		{retryAfter: "5", waitMs: 5000},
		{retryAfter: "", waitMs: 10_000},
		{retryAfter: "soon", waitMs: 10_000},
		{retryAfter: "0", waitMs: 1000},
		{retryAfter: "-3", waitMs: 1000},
		{retryAfter: "99999999", waitMs: 600_000},
		{retryAfter: "Tue, 14 Nov 2023 22:13:50 GMT", waitMs: 30_000},
		{retryAfter: "Tue, 14 Nov 2023 22:13:00 GMT", waitMs: 1000},
		{retryAfter: "5", lateMs: 7_200_000, waitMs: 5000},
		{retryAfter: "5", lateMs: 7_200_001},
	} {
		load := newLoad(t, odatatest.New(odatatest.Options{Rows: 20}), deltaSet("Products")...)
		step, err := load.next(0, nil, start)
		require.NoError(t, err)
		answer := wit.Response{Status: 202, Target: step.Fetch.Request.Target, ReceivedAt: readAt + test.lateMs}
		if test.retryAfter != "" {
			answer.Headers = []wit.Header{{Name: "Retry-After", Value: test.retryAfter}}
		}
		page, err := load.p.Begin(load.opened.Context, 0, step.Fetch.Position, answer)
		require.NoError(t, err)
		result, err := load.p.Decode(page, "", 202, nil, true)
		if test.waitMs == 0 {
			assert.True(t, faultOf(err).Kind == wit.ErrorTransient,
				"after %d ms: expected a transient error, found %v", test.lateMs, err)
			continue
		}
		assert.True(t, err == nil && result.WaitMs == test.waitMs && result.More && result.Next != nil,
			"Retry-After %q: expected a wait of %d ms, found %d, %v", test.retryAfter, test.waitMs, result.WaitMs, err)
	}
}

// TestLostSnapshotRestartsLoad: if the snapshot of paging=snapshot is gone, SAP SuccessFactors returns 500 (SAP KBA
// 2990434), other services 410. The load restarts, three times at most. With exactly-once it fails and names the
// setting. Pages are read by links, as snapshots require (SAP KBA 2749091).
func TestLostSnapshotRestartsLoad(t *testing.T) {
	for _, status := range []int{500, 410} {
		for losses, isExactlyOnce := range map[int]bool{1: false, 2: true, 9: false} {
			service := &ignoringService{keys: keysFrom(1, 95), pageSize: 30}
			lost := 0
			load := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if first, _ := strconv.Atoi(r.URL.Query().Get("$skiptoken")); first >= 60 && lost < losses {
					lost++
					w.WriteHeader(status)
					_, _ = w.Write([]byte(
						`{"error":{"code":"COE_GENERAL_SERVER_FAILURE","message":{"lang":"en-US","value":` +
							`"[COE0019][SNP]Snapshot lost for current pagination query, pls relaunch query and start from 1st ` +
							`page."}}}`))
					return
				}
				service.ServeHTTP(w, r)
			}), append(set("00", "X"), "sap.odata#00.query=paging=snapshot",
				"sap.odata#00.incomplete.load="+map[bool]string{true: "fail", false: "reload"}[isExactlyOnce])...)
			_, err := load.run(0, nil)
			keys := map[string]bool{}
			for _, key := range load.rows {
				keys[key] = true
			}
			switch {
			case isExactlyOnce:
				assert.Error(t, err, "sap.odata#00.incomplete.load = reload", status, "exactly-once")
			case losses == 9:
				assert.True(t, errorContains(err, "read 3 times") && lost == 3,
					"%d, always: lost %d times, %v", status, lost, err)
			case err != nil || len(keys) != 95:
				t.Errorf("%d: found %d of 95 rows, %v", status, len(keys), err)
			}
			assert.True(t, !strings.Contains(strings.Join(service.requests, " "), "$filter"),
				"%d: expected no requests by key, found %v", status, service.requests)
		}
	}
}

// TestCountsOfAPageProveNothing: if a service counts the rows of a page, a load whose further rows are temporarily
// unavailable fails, although it has read as many rows as the service counted.
func TestCountsOfAPageProveNothing(t *testing.T) {
	for _, status := range []int{403, 408, 503} {
		service := &ignoringService{keys: keysFrom(1, 150), pageSize: 100, noLinks: true, countsPage: true}
		load := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if query := r.URL.Query(); query.Has("$skip") || query.Has("$filter") {
				http.Error(w, "not now", status)
				return
			}
			service.ServeHTTP(w, r)
		}), set("00", "X")...)
		if _, err := load.run(0, nil); !errorContains(err, strconv.Itoa(status)) {
			t.Errorf("expected an error, found a load with %d of 150 rows: %v\n%s", len(load.rows), err,
				strings.Join(load.targets, "\n"))
		}
	}
}

// TestRejectionThatQuotesRequest: a service that rejects $orderby may quote the request's URL, which contains the
// count and $format too. The next request still contains both.
func TestRejectionThatQuotesRequest(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 30})
	load := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "$orderby") {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":{"code":"X","message":{"value":"an option of %s is not supported"}}}`,
				r.URL.RequestURI())
			return
		}
		service.ServeHTTP(w, r)
	}), set("00", "Orders")...)
	load.targets = nil
	load.readAll(nil)
	load.checkComplete(service, "Orders")
	if !strings.HasSuffix(load.targets[1], "/Orders?$inlinecount=allpages&$format=json") || len(load.targets) != 4 {
		t.Errorf("expected four requests, the second with $inlinecount, found\n%s", strings.Join(load.targets, "\n"))
	}
}

// ignoringService accepts $orderby and $filter but ignores them, as some services do. Its links count rows.
type ignoringService struct {
	keys       []int
	pageSize   int
	filters    bool     // applies the filter K gt n
	noLinks    bool     // returns no links
	countsPage bool     // counts the rows of the page, not of the set
	requests   []string // the queries that were received
}

var numberKeyMetadata = metadataOf("K", `<Property Name="K" Type="Edm.Int32" Nullable="false"/>`)

func (s *ignoringService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "$metadata") {
		w.Write([]byte(numberKeyMetadata))
		return
	}
	s.requests = append(s.requests, r.URL.RawQuery)
	query := r.URL.Query()
	keys := s.keys
	if filter, ok := strings.CutPrefix(query.Get("$filter"), "K gt "); ok && s.filters {
		bound, _ := strconv.Atoi(filter)
		keys = slices.DeleteFunc(slices.Clone(keys), func(k int) bool { return k <= bound })
	}
	count := len(keys)
	start, _ := strconv.Atoi(query.Get("$skiptoken") + query.Get("$skip"))
	keys = keys[min(start, len(keys)):]
	page := keys[:min(s.pageSize, len(keys))]
	if s.countsPage {
		count = len(page)
	}
	body := `{"d":{"__count":"` + strconv.Itoa(count) + `","results":[`
	for i, k := range page {
		body += strings.Repeat(",", min(i, 1)) + `{"K":` + strconv.Itoa(k) + `}`
	}
	body += "]"
	if len(keys) > len(page) && !s.noLinks {
		body += `,"__next":"X?$skiptoken=` + strconv.Itoa(start+len(page)) + `"`
	}
	w.Write([]byte(body + "}}"))
}

// keysFrom returns n consecutive keys.
func keysFrom(first, n int) []int {
	keys := make([]int, n)
	for i := range keys {
		keys[i] = first + i
	}
	return keys
}
