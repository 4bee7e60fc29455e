package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// dateCursor contains the settings of the set Orders with the order date as cursor.
var dateCursor = append(set("00", "Orders"), "sap.odata#00.cursor.property=OrderDate", "sap.odata#00.exec-period=60")

// setDate sets the date of an order.
func setDate(t *testing.T, s http.Handler, order int, date any) {
	t.Helper()
	write(t, s, "MERGE", fmt.Sprintf("Orders(%d)", order), map[string]any{"OrderDate": date})
}

// TestCursor: the first load reads all rows. Later loads read each row that changed since, once, and rows that were
// committed late within the look-back.
func TestCursor(t *testing.T) {
	for _, test := range []struct {
		settings  []string
		readsLate bool // a row that is committed late is read
	}{
		{},
		{settings: []string{"sap.odata#00.cursor.lookback=86400"}, readsLate: true},
		{settings: []string{"sap.odata.cursor.lookback=86400", "sap.odata#00.select=Freight"}, readsLate: true},
		{settings: append(condition("0", "OrderID", "gt", "0"), "sap.odata#00.cursor.lookback=86400",
			"sap.odata.format=atom"), readsLate: true},
	} {
		eachClass(t, strings.Join(test.settings, " "), join(dateCursor, test.settings),
			func(t *testing.T, class *sourceconfig.Component, settings []string) {
				literal := map[*sourceconfig.Component]string{sourceconfig.V2: "datetime'"}[class]
				service := odatatest.New(odatatest.Options{Rows: 40, Switches: odatatest.Switches{PageSize: 15}})
				setDate(t, service, 10250, "2024-05-05T12:00:00")
				load := newUnopened(t, service)
				load.class = class
				require.NoError(t, load.open(settings...))
				load.targets = nil
				offset := load.readAll(nil)
				load.checkComplete(service, "Orders")
				expectRows := func(orders ...string) {
					t.Helper()
					slices.Sort(load.rows)
					var expected []string
					for _, o := range orders {
						expected = append(expected, "["+o+"]")
					}
					assert.True(t, slices.Equal(load.rows, expected),
						"%v: expected rows %v, found %v with the requests %v", test.settings, expected, load.rows,
						load.targets)
				}
				offset = load.poll(offset)
				expectRows()
				if query, _ := url.PathUnescape(load.targets[0]); !strings.Contains(query, "OrderDate ge "+literal+"2024-05-0") {
					t.Errorf("%v: unexpected requests %s", test.settings, query)
				}
				setDate(t, service, 10248, "2024-05-05T12:00:00") // equal to the highest
				setDate(t, service, 10251, "2024-05-06T12:00:00")
				offset = load.poll(offset)
				expectRows("10248", "10251")
				setDate(t, service, 10249, "2024-05-06T11:00:00")
				setDate(t, service, 10252, "2024-05-07T00:00:00")
				offset = load.poll(offset)
				if test.readsLate {
					expectRows("10249", "10252")
				} else {
					expectRows("10252")
				}
				offset = load.poll(offset)
				expectRows()
				step, err := load.next(0, offset, wit.PollReason{Snapshot: wit.Ptr("all")})
				if err != nil || step.Fetch == nil || strings.Contains(step.Fetch.Request.Target, "OrderDate%20ge") {
					t.Errorf("%v: the snapshot requests %v, %v", test.settings, step.Fetch, err)
				}
			})
	}
}

// TestCursorWhileRowsChange: a row changes on a page that was read already, while a later page contains a higher value.
// The next load reads it, after the first load and after later ones. Rows with lower values are not read again.
func TestCursorWhileRowsChange(t *testing.T) {
	for _, test := range []struct {
		name     string
		switches odatatest.Switches
		maxAgain int    // the number of rows that a load may read again
		deleted  string // the row that is deleted during the first load
	}{
		{name: "the highest value is requested", maxAgain: 2},
		{name: "$orderby is rejected", switches: odatatest.Switches{RefuseOrderBy: true}, maxAgain: 40},
		{name: "a row is deleted too", maxAgain: 2, deleted: "10286"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.switches.PageSize = 15
			service := odatatest.New(odatatest.Options{Rows: 40, Switches: test.switches})
			changeDate := ""
			load := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				service.ServeHTTP(w, r)
				query := r.URL.Query()
				isRejected := test.switches.RefuseOrderBy && query.Has("$orderby")
				isPage := r.Header.Get("Accept") == "application/json" && !strings.HasSuffix(r.URL.Path, "$metadata")
				if changeDate != "" && !query.Has("$top") && !isRejected && isPage {
					setDate(t, service, 10248, changeDate+"T01:00:00")
					setDate(t, service, 10287, changeDate+"T02:00:00") // on a page that is not read yet
					changeDate = ""
					if test.deleted != "" {
						write(t, service, "DELETE", "Orders("+test.deleted+")", nil)
						test.deleted = ""
					}
				}
			}), dateCursor...)
			expectRows := func(maxRows int, orders ...string) {
				t.Helper()
				for _, o := range orders {
					assert.True(t, slices.Contains(load.rows, "["+o+"]"),
						"expected row %s, found %v with the requests %v", o, load.rows, load.targets)
				}
				assert.True(t, len(load.rows) <= maxRows,
					"expected at most %d rows, found %v with the requests %v", maxRows, load.rows, load.targets)
			}
			changeDate = "2024-06-01"
			offset := load.readAll(nil)
			load.targets = nil
			offset = load.poll(offset)
			expectRows(test.maxAgain, "10248")
			for order := 10249; order < 10280; order++ {
				setDate(t, service, order, "2024-07-01T00:00:00")
			}
			changeDate = "2024-08-01"
			offset = load.poll(offset)
			expectRows(32+test.maxAgain, "10249", "10279", "10287")
			offset = load.poll(offset)
			expectRows(test.maxAgain, "10248")
			load.poll(offset)
			expectRows(0)
		})
	}
}

// reject responds with an error status as an OData service does.
func reject(w http.ResponseWriter, status int) {
	w.Header().Set("DataServiceVersion", "2.0")
	http.Error(w, "no", status)
}

// TestCursorWithRejectedEndRequest: if the service returns no count and rejects a request for rows after its last one,
// the load is complete, and the next one starts at the cursor.
func TestCursorWithRejectedEndRequest(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 40, Switches: odatatest.Switches{RefuseCount: true}})
	refused := 0
	load := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if query := r.URL.Query(); query.Has("$skip") || query.Get("$orderby") == "OrderID desc" {
			refused++
			reject(w, http.StatusBadRequest)
			return
		}
		service.ServeHTTP(w, r)
	}), dateCursor...)
	offset := load.readAll(nil)
	load.checkComplete(service, "Orders")
	require.True(t, refused != 0, "no request was rejected: %v", load.targets)
	for range 2 {
		offset = load.poll(offset)
		assert.True(t, len(load.rows) == 0 && strings.Contains(load.targets[0], "OrderDate%20ge%20"),
			"expected no row again, found %v with the requests %v", load.rows, load.targets)
	}
}

// TestCursorWithUnavailableHighestValue: the request for the highest value may be too expensive for a service. If it
// fails, the next load starts at the highest value of the first page, and misses nothing.
func TestCursorWithUnavailableHighestValue(t *testing.T) {
	for _, status := range []int{200, 404, 408, 500, 502, 503, 504, 524} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			service := odatatest.New(odatatest.Options{Rows: 40, Switches: odatatest.Switches{PageSize: 15}})
			requests := 0
			changed := false
			load := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				query := r.URL.Query()
				switch isHighest := strings.HasPrefix(query.Get("$orderby"), "OrderDate"); {
				case isHighest && status == http.StatusOK:
					requests++
					_, _ = w.Write([]byte(`{"d":{"results":[{"OrderID":10248,"OrderDate":null}]}}`)) // null comes first
					return
				case isHighest:
					requests++
					reject(w, status)
					return
				}
				service.ServeHTTP(w, r)
				if query.Has("$skiptoken") && !changed {
					changed = true
					setDate(t, service, 10248, "2024-06-01T01:00:00")
				}
			}), dateCursor...)
			offset, err := load.run(0, nil)
			require.True(t, err == nil && requests == 1 && changed,
				"%d requests, changed %t: %v", requests, changed, err)
			load.checkComplete(service, "Orders")
			load.poll(offset)
			assert.True(t, slices.Contains(load.rows, "[10248]") && requests == 1,
				"expected row 10248, found %v with the requests %v", load.rows, load.targets)
		})
	}
}

// TestCursorWithoutValueOnFirstPage: neither the service nor the first page returns the highest value at the start of
// the load. A value of a later page may be above the value of a row that changed on a page already read. So the next
// load reads all rows, and only the one after it starts at the cursor.
func TestCursorWithoutValueOnFirstPage(t *testing.T) {
	service := odatatest.New(odatatest.Options{Rows: 40, Switches: odatatest.Switches{PageSize: 15}})
	for order := 10248; order < 10248+15; order++ {
		setDate(t, service, order, nil)
	}
	changed := false
	load := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Query().Get("$orderby"), "OrderDate") {
			reject(w, http.StatusBadRequest)
			return
		}
		if r.URL.Query().Has("$skiptoken") && !changed {
			changed = true
			setDate(t, service, 10248, "2024-06-01T01:00:00")
			setDate(t, service, 10248+20, "2024-07-01T01:00:00") // on this page
		}
		service.ServeHTTP(w, r)
	}), dateCursor...)
	offset, err := load.run(0, nil)
	require.True(t, err == nil && changed, "changed %t: %v", changed, err)
	load.checkComplete(service, "Orders")
	offset = load.poll(offset)
	assert.True(t, slices.Contains(load.rows, "[10248]"),
		"expected row 10248, found %v with the requests %v", load.rows, load.targets)
	setDate(t, service, 10249, "2024-07-01T02:00:00")
	offset = load.poll(offset)
	assert.True(t, slices.Contains(load.rows, "[10249]") && strings.Contains(load.targets[0], "OrderDate%20ge%20"),
		"expected row 10249 by the cursor, found %v with the requests %v", load.rows, load.targets)
	load.poll(offset)
	assert.Len(t, 0, load.rows, "row again: with the requests", load.targets)
}
