package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/wit"
)

var deletedRowCases = []struct {
	set        string
	tombstones string
	format     string
	token      string
	deleted    int  // the number of rows deleted after the first page
	loads      int  // how often the set is read by links
	seconds    int  // how often it is read again by key
	snapshot   bool // the load is a snapshot, not the first load
}{
	{set: "Products", tombstones: "on", format: "atom", token: "offset", loads: 1},
	{set: "Products", tombstones: "off", format: "json", token: "offset", deleted: 3, loads: 1, seconds: 1},
	{set: "Products", tombstones: "on", format: "atom", token: "offset", deleted: 3, loads: 1, seconds: 1},
	{set: "Orders", tombstones: "off", format: "atom", token: "offset", deleted: 1, loads: 1, seconds: 1},
	{set: "Orders", tombstones: "off", format: "json", token: "offset", deleted: 12, loads: 1, seconds: 1},
	{set: "Orders", tombstones: "on", format: "json", token: "offset", deleted: 1, loads: 1, seconds: 1},
	{set: "Orders", tombstones: "off", format: "atom", token: "offset", deleted: 1, seconds: 1, snapshot: true},
	{set: "Orders", tombstones: "off", format: "json", token: "opaque", deleted: 1, loads: 1, seconds: 1},
	{set: "Orders", tombstones: "on", format: "atom", token: "key", deleted: 1, loads: 1},
}

// A load in delta mode by links that count rows: rows that are deleted during the load shift others to pages already
// read. The changes do not contain those, and many services do not report the deleted ones either. So the set is read
// again, by key. If keys are consecutive numbers from 1, and none is missing between two pages, it is read once.
func TestRowsDeletedDuringLoadBySkip(t *testing.T) {
	for _, test := range deletedRowCases {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			switches := odatatest.Switches{PageSize: 10, SkipToken: test.token, Tombstones: test.tombstones}
			service := odatatest.New(odatatest.Options{Rows: 35, Switches: switches})
			follower := newFollower(t, service, deltaSet(test.set, "sap.odata#00.format="+test.format)...)
			reason := start
			if test.snapshot {
				require.NoError(t, follower.catchUp(start))
				reason = wit.PollReason{Snapshot: wit.Ptr("4711")}
				follower.state = map[string]map[string]any{}
				follower.log = nil
			}
			id := strings.TrimSuffix(test.set, "s") + "ID"
			isRow := map[string]bool{}
			service.Each(test.set, func(key string, fields map[string]string) { isRow[fields[id]] = true })
			deleted := false
			loads := 0
			seconds := 0
			follower.onResponse = func(request *wit.Request, _ *wit.Response) {
				_, query, _ := strings.Cut(request.Target, "?")
				switch {
				case strings.Contains(query, "$orderby"):
					if !strings.Contains(query, "$filter") {
						seconds++
					}
					assert.True(t, request.FirstByteTimeoutMs != nil,
						"too short a timeout for %s, which sorts all rows", request.Target)
				case !strings.Contains(query, "token=") && !strings.Contains(request.Target, "("):
					loads++
				}
				if !deleted {
					deleted = true
					var keys []string
					service.Each(test.set, func(key string, _ map[string]string) { keys = append(keys, key) })
					for _, key := range keys[3 : 3+test.deleted] {
						write(t, service, "DELETE", test.set+key, nil)
					}
				}
			}
			require.NoError(t, follower.catchUp(reason))
			remaining := service.Count(test.set)
			assert.True(t, loads == test.loads && seconds == test.seconds && remaining == len(isRow)-test.deleted,
				"expected %d loads and %d by key, found %d and %d; %d of %d rows remain", test.loads, test.seconds,
				loads, seconds, remaining, len(isRow))
			service.Each(test.set, func(_ string, fields map[string]string) {
				if key := fields[id]; isRow[key] && follower.state["["+key+"]"] == nil {
					t.Errorf("row %s is missing in %v", key, follower.targets)
				}
			})
			marks := follower.log[len(follower.log)-1].headers[feedreader.HeaderMark]
			assert.True(t, !test.snapshot || marks == "end", "the last row of the snapshot has the mark %q", marks)
			checkPollIsOneRequest(t, follower)
			assert.True(t, test.tombstones != "on" || len(follower.state) == service.Count(test.set),
				"expected the %d rows of the service in the topic, found %d", service.Count(test.set),
				len(follower.state))
		})
	}
}

// checkPollIsOneRequest polls, and checks that one request was sent.
func checkPollIsOneRequest(t *testing.T, f *follower) {
	t.Helper()
	requests := len(f.targets)
	if err := f.catchUp(poll); err != nil || len(f.targets) != requests+1 {
		t.Errorf("the poll after the load: expected one request, found %v, %v", f.targets[requests:], err)
	}
}

// The end of a load that replaced a lost token is reported by the first row after it, also if the load's last page is
// empty.
func TestReloadWhoseLastPageIsEmpty(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 30})
	follower := followSet(t, service, deltaSet("Products", "sap.odata#00.delta.lost=reload")...)
	service.Set("expire-tokens", "")
	link := regexp.MustCompile(`<[a-z:]*link rel="delta" href="[^"]*"/>`)
	linked := ""
	follower.onResponse = func(request *wit.Request, r *wit.Response) {
		const space = ` xmlns="http://www.w3.org/2005/Atom"`
		switch {
		case linked == "" && strings.HasSuffix(request.Target, "/Products?$inlinecount=allpages"):
			linked = string(link.Find(r.Body))
			r.Body = link.ReplaceAll(r.Body, []byte(`<link`+space+` rel="next" href="Products?$$skiptoken=empty"/>`))
		case strings.HasSuffix(request.Target, "empty"):
			prefix, _, _ := strings.Cut(linked, "link")
			prefix = strings.Trim(prefix, "<:")
			if prefix != "" {
				prefix = ":" + prefix
			}
			r.Status = 200
			prefixed := strings.Replace(space, "xmlns", "xmlns"+prefix, len(prefix))
			r.Body = []byte(`<feed` + space + prefixed + `>` + linked + `</feed>`)
		}
	}
	rowCount := len(follower.log)
	require.NoError(t, follower.catchUp(poll))
	require.True(t, linked != "", "expected an empty page: %v", follower.targets)
	// Nothing shows that its link does not count rows, so the set is read again, with its own marks.
	load := follower.log[rowCount:]
	for i, e := range load {
		if mark := e.headers[feedreader.HeaderMark]; e.headers[feedreader.HeaderSnapshot] == "" ||
			mark != map[int]string{0: "begin", 77: "begin"}[i] || (i != 77 && i > 0 &&
			e.headers[feedreader.HeaderSnapshot] != load[i-1].headers[feedreader.HeaderSnapshot]) {
			t.Errorf("row %d of %d: headers %v", i, len(load), e.headers)
		}
	}
	rowCount = len(follower.log)
	for range 2 {
		require.NoError(t, follower.catchUp(poll))
	}
	write(t, service, "MERGE", "Products(3)", map[string]any{"ProductName": "Changed"})
	write(t, service, "MERGE", "Products(4)", map[string]any{"ProductName": "Changed"})
	require.NoError(t, follower.catchUp(poll))
	after := follower.log[rowCount:]
	assert.True(t, len(after) == 2 && after[0].headers[feedreader.HeaderMark] == "ended" &&
		after[0].headers[feedreader.HeaderSnapshot] == load[77].headers[feedreader.HeaderSnapshot] &&
		len(after[1].headers) == 0, "expected the first row after the load to report its end, found %v", after)
}

// A service that accepts a cursor's condition but ignores it would return all rows with each extraction.
func TestServiceThatIgnoresTheCursor(t *testing.T) {
	s := odatatest.New(odatatest.Options{Rows: 40})
	ignoring := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "$filter", "x")
		s.ServeHTTP(w, r)
	})
	load := newLoad(t, ignoring, append(set("00", "Orders"), "sap.odata#00.cursor.property=OrderDate",
		"sap.odata#00.exec-period=60", "sap.odata.paging=links")...)
	offset := load.readAll(nil)
	load.rows = nil
	step, err := load.p.Next(load.opened.Context, 0, offset, poll, 1_700_000_100_000)
	for range 3 { // the page, and the rows without the condition and with it
		if err == nil && step.Fetch != nil {
			if offset, err = load.page(0, step.Fetch); err == nil {
				step, err = load.next(0, offset, onward)
			}
		}
	}
	assert.True(t, errorContains(err, "accepts $filter but ignores it") && errorContains(err, "OrderDate is") &&
		len(load.rows) == 0, "expected an ignored filter and no rows, found %d rows, %v", len(load.rows), err)
}

// If a page of changes is never available, the changes are requested once more from their delta link, and then the feed
// fails. It neither skips the page nor reads the changes repeatedly. A restart tries once more.
func TestLostPageOfChangesFailsFeed(t *testing.T) {
	for _, status := range []uint16{http.StatusNoContent, http.StatusGone} {
		t.Run(strconv.Itoa(int(status)), func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Rows: 30, Switches: odatatest.Switches{PageSize: 10}})
			follower := followSet(t, service, deltaSet("Products")...)
			for id := 1; id <= 45; id++ {
				write(t, service, "MERGE", "Products("+strconv.Itoa(id)+")", map[string]any{"ProductName": "Changed"})
			}
			broken := true
			requests := 0
			page := 0
			third := ""
			follower.onResponse = func(request *wit.Request, r *wit.Response) {
				if !strings.Contains(request.Target, "deltatoken") && !strings.Contains(request.Target, "skiptoken") {
					return
				}
				requests++
				page++
				if !strings.Contains(request.Target, "skiptoken") {
					page = 1
				}
				if page == 3 {
					third = request.Target
				}
				if request.Target == third && broken {
					r.Status = status
					r.Body = []byte(`{"error":{"code":"X","message":{"value":"gone"}}}`)
					if status == http.StatusNoContent {
						r.Body = nil
					}
				}
			}
			for round := range 2 {
				rowCount := len(follower.log)
				requests = 0
				follower.start()
				err := follower.catchUp([]wit.PollReason{poll, start}[round])
				require.True(t, err != nil && len(follower.log)-rowCount <= 40,
					"round %d: found %d rows in %d requests, %v", round, len(follower.log)-rowCount, requests, err)
			}
			broken = false
			follower.start()
			for range 2 {
				require.NoError(t, follower.catchUp(start))
			}
			follower.checkTopic(service, "Products", "ProductID", "ProductName")
		})
	}
}

// Changes that the service prepares for too long are requested once more by their link, and so are changes with an
// unavailable page. The two cases are counted separately.
func TestSkipTokenLostAfterLongPreparation(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 30, Switches: odatatest.Switches{PageSize: 10}})
	follower := followSet(t, service, deltaSet("Products")...)
	for id := 1; id <= 25; id++ {
		write(t, service, "MERGE", "Products("+strconv.Itoa(id)+")", map[string]any{"ProductName": "Changed"})
	}
	prepared := 0
	lost := 0
	follower.onResponse = func(request *wit.Request, r *wit.Response) {
		switch {
		case strings.Contains(request.Target, "!deltatoken=") && prepared == 0:
			prepared++
			r.Status = http.StatusAccepted
			r.Body = nil
			r.Headers = nil
			follower.now += 7_200_001 // the time limit
			r.ReceivedAt = follower.now
		case strings.Contains(request.Target, "skiptoken") && lost == 0:
			lost++
			r.Status = http.StatusGone
			r.Body = nil
		}
	}
	err := follower.catchUp(poll)
	require.True(t, prepared == 1 && lost == 1 && err == nil,
		"expected 1 response 202 and 1 lost page, found %d and %d, %v: %v", prepared, lost, err, follower.targets)
	follower.checkTopic(service, "Products", "ProductID", "ProductName")
}

// If a service loses each token at once, the whole reads that replace them end.
func TestTokensLostAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		option   string // of the requests that are rejected
		pageSize int
	}{
		"of changes": {option: "!deltatoken=", pageSize: 30},
		// No page was skipped, so the load is complete and the changes wait for the next poll.
		"of changes, one page": {option: "!deltatoken=", pageSize: 1000},
		"of the load's pages":  {option: "skiptoken", pageSize: 30},
	} {
		for _, token := range []string{"key", "offset"} {
			t.Run(name+" "+token, func(t *testing.T) {
				s := odatatest.New(odatatest.Options{Rows: 30,
					Switches: odatatest.Switches{PageSize: test.pageSize, SkipToken: token}})
				follower := newFollower(t, s, deltaSet("Products", "sap.odata#00.delta.lost=reload")...)
				follower.onResponse = func(q *wit.Request, r *wit.Response) {
					if strings.Contains(q.Target, test.option) {
						r.Status = http.StatusGone
						r.Body = nil
					}
				}
				var err error
				for _, reason := range []wit.PollReason{start, poll, poll, poll} {
					if err != nil {
						break
					}
					requestCount := len(follower.targets)
					err = follower.catchUp(reason)
					requests := len(follower.targets) - requestCount
					require.True(t, requests <= 20, "%d requests, %v", requests, err)
				}
				require.True(t, errorContains(err, "3 times"),
					"expected an error after three losses, found %v and %v", err, follower.targets)
			})
		}
	}
}

// The first page of a load in delta mode whose next link points to itself is requested once.
func TestDeltaPageThatLinksToItself(t *testing.T) {
	s := odatatest.New(odatatest.Options{Rows: 30, Switches: odatatest.Switches{PageSize: 10}})
	follower := newFollower(t, s, deltaSet("Products")...)
	requests := 0
	next := regexp.MustCompile(`rel="next" href="[^"]*"`)
	follower.onResponse = func(q *wit.Request, r *wit.Response) {
		requests++
		r.Body = next.ReplaceAllLiteral(r.Body, []byte(`rel="next" href="`+q.Target+`"`))
	}
	err := follower.catchUp(start)
	assert.True(t, errorContains(err, "form a loop") && requests == 1 && len(follower.log) <= 10,
		"expected an error after one request, found %d rows in %d requests, %v", len(follower.log), requests, err)
}

// TestDeltaLinkWithWrongFilter: next links and delta links in delta mode that repeat the filter in another form
// return the rows that were requested. Links with another filter are rejected, and no change is missed.
func TestDeltaLinkWithWrongFilter(t *testing.T) {
	for _, pageSize := range []int{20, 1000} { // with next links, and with only the delta link
		for plus, message := range map[string]string{"+": "", "%20": "", "-": "expected $filter="} {
			service := plusProducts(t, odatatest.Switches{PageSize: pageSize})
			follower := newFollower(t, service, deltaSet("Products",
				condition("00", "ProductName", "eq", plusName)...)...)
			links := regexp.MustCompile(`<link rel="(next|delta)"[^>]*>`)
			follower.onResponse = func(_ *wit.Request, r *wit.Response) {
				r.Body = links.ReplaceAllFunc(r.Body, func(link []byte) []byte {
					withFilter := strings.Replace(string(link), "?!deltatoken", "?"+rightFilter+"&amp;!deltatoken", 1)
					return []byte(strings.ReplaceAll(withFilter, "%2B", plus))
				})
			}
			err := follower.catchUp(start)
			if message != "" {
				assert.True(t, errorContains(err, message),
					"pages of %d, %s: found %d rows, %v", pageSize, plus, len(follower.log), err)
				continue
			}
			require.NoError(t, err)
			write(t, service, "MERGE", "Products(1003)", map[string]any{"Discontinued": true})
			require.NoError(t, follower.catchUp(poll))
			last := follower.targets[len(follower.targets)-1]
			assert.True(t, len(follower.state) == 50 &&
				fmt.Sprint(follower.state["[1003]"]["Discontinued"]) == "true" && strings.Contains(last, rightFilter),
				"pages of %d, %s: %d rows, the changed one is %v\n%s", pageSize, plus, len(follower.state),
				follower.state["[1003]"], strings.Join(follower.targets, "\n"))
		}
	}
}

// A service returns a page twice, by two URLs: in delta mode the rows are read twice, and none is missing. (In full
// mode this cannot be distinguished from a circle: see TestCircles of package paging.)
func TestPagesReturnedTwice(t *testing.T) {
	s := odatatest.New(odatatest.Options{Rows: 80, Switches: odatatest.Switches{PageSize: 10, RepeatPages: 2}})
	f := followSet(t, s, deltaSet("Orders")...)
	f.checkTopic(s, "Orders", "OrderID", "ShipName")
	// Nothing shows where the links of the repeated pages point, so the set is read once more after them.
	n := len(f.log) - 2*s.Count("Orders")
	assert.True(t, n == 20, "expected two pages twice, found %d rows more than in two loads", n)
}
