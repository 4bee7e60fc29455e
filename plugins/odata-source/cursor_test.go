package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/wit"
)

// poll reads a feed once more, as when its period is over.
func (l *fullLoad) poll(feed uint32, offset []wit.Field) []wit.Field {
	l.t.Helper()
	l.rows, l.values, l.targets = nil, nil, nil
	cause := wit.Cause{Poll: wit.Chosen}
	for range 100 {
		step, err := l.p.Next(l.opened.Context, feed, offset, cause, 1_700_000_000_000)
		if err != nil {
			l.t.Fatal(err)
		}
		if step.Fetch == nil {
			return offset
		}
		if offset, err = l.page(feed, step.Fetch); err != nil {
			l.t.Fatal(err)
		}
		cause = wit.Cause{More: wit.Chosen}
		if done, _ := wit.Lookup(offset, "done"); done.Boolean != nil {
			return offset
		}
	}
	l.t.Fatal("the load doesn't end")
	return nil
}

// TestCursor: the first load reads all rows, later ones those that changed since, each once, and rows that came late
// within the look-back.
func TestCursor(t *testing.T) {
	for _, c := range []struct {
		settings []string
		late     bool // a row that is committed late is found
	}{
		{nil, false},
		{[]string{"sap.odata#00.cursor.lookback=86400"}, true},
		{[]string{"sap.odata.cursor.lookback=86400", "sap.odata#00.select=Freight"}, true},
		{append(condition("0", "OrderID", "gt", "0"), "sap.odata#00.cursor.lookback=86400", "sap.odata.format=atom"),
			true},
	} {
		s := service.New(service.Options{Rows: 40, Switches: service.Switches{PageSize: 15}})
		change := func(order, date string) {
			t.Helper()
			r := httptest.NewRequest("MERGE", "http://127.0.0.1:8080"+northwind+"/Orders("+order+")",
				strings.NewReader(`{"OrderDate":"`+date+`"}`))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code >= 300 {
				t.Fatalf("%d: %s", w.Code, w.Body)
			}
		}
		change("10250", "2024-05-05T12:00:00")
		l := newLoad(t, s, join(set("00", "Orders"), []string{"sap.odata#00.cursor.property=OrderDate",
			"sap.odata#00.exec-period=60"}, c.settings)...)
		offset, err := l.run(0, nil)
		noError(t, err)
		l.same(s, "Orders")
		came := func(orders ...string) {
			t.Helper()
			slices.Sort(l.rows)
			var expected []string
			for _, o := range orders {
				expected = append(expected, "["+o+"]")
			}
			if !slices.Equal(l.rows, expected) {
				t.Errorf("%v: expected rows %v, found %v by %v", c.settings, expected, l.rows, l.targets)
			}
		}
		offset = l.poll(0, offset)
		came()
		if asked, _ := url.PathUnescape(l.targets[0]); !strings.Contains(asked, "OrderDate ge datetime'2024-05-0") {
			t.Errorf("%v: asked for %s", c.settings, asked)
		}
		change("10248", "2024-05-05T12:00:00") // the same as the highest
		change("10251", "2024-05-06T12:00:00")
		offset = l.poll(0, offset)
		came("10248", "10251")
		change("10249", "2024-05-06T11:00:00")
		change("10252", "2024-05-07T00:00:00")
		offset = l.poll(0, offset)
		if c.late {
			came("10249", "10252")
		} else {
			came("10252")
		}
		offset = l.poll(0, offset)
		came()
		step, err := l.p.Next(l.opened.Context, 0, offset, wit.Cause{Snapshot: wit.Ptr("all")}, 1_700_000_000_000)
		if err != nil || step.Fetch == nil || strings.Contains(step.Fetch.Request.Target, "OrderDate%20ge") {
			t.Errorf("%v: a snapshot asks for %v, %v", c.settings, step.Fetch, err)
		}
	}
}

// TestCursorWhileRowsChange: a row that changes behind its page, while a later page brings a higher value, is read by
// the next load, behind the first load and behind later ones; what is below that is not read again.
func TestCursorWhileRowsChange(t *testing.T) {
	for _, c := range []struct {
		name     string
		switches service.Switches
		again    int
		gone     string // is deleted amid the first load
	}{
		{"the highest value is asked for", service.Switches{}, 2, ""},
		{"$orderby is refused", service.Switches{RefuseOrderBy: true}, 40, ""},
		{"a row is deleted too", service.Switches{}, 2, "10286"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.switches.PageSize = 15
			s := service.New(service.Options{Rows: 40, Switches: c.switches})
			change := func(order, date string) {
				t.Helper()
				r := httptest.NewRequest("MERGE", "http://127.0.0.1:8080"+northwind+"/Orders("+order+")",
					strings.NewReader(`{"OrderDate":"`+date+`"}`))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				if s.ServeHTTP(w, r); w.Code >= 300 {
					t.Fatalf("%d: %s", w.Code, w.Body)
				}
			}
			late := ""
			l := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s.ServeHTTP(w, r)
				asked := r.URL.Query()
				refused := c.switches.RefuseOrderBy && asked.Has("$orderby")
				if late != "" && !asked.Has("$top") && !refused && r.Header.Get("Accept") == "application/json" &&
					!strings.HasSuffix(r.URL.Path, "$metadata") {
					change("10248", late+"T01:00:00")
					change("10287", late+"T02:00:00") // on a page that is still to come
					late = ""
					if c.gone != "" {
						s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("DELETE",
							"http://127.0.0.1:8080"+northwind+
								"/Orders("+c.gone+")", nil))
						c.gone = ""
					}
				}
			}), join(set("00", "Orders"), []string{"sap.odata#00.cursor.property=OrderDate",
				"sap.odata#00.exec-period=60"})...)
			came := func(most int, orders ...string) {
				t.Helper()
				for _, o := range orders {
					if !slices.Contains(l.rows, "["+o+"]") {
						t.Errorf("expected row %s, found %v by %v", o, l.rows, l.targets)
					}
				}
				if len(l.rows) > most {
					t.Errorf("expected at most %d rows, found %v by %v", most, l.rows, l.targets)
				}
			}
			late = "2024-06-01"
			offset, err := l.run(0, nil)
			noError(t, err)
			l.targets = nil
			offset = l.poll(0, offset)
			came(c.again, "10248")
			for order := 10249; order < 10280; order++ {
				change(strconv.Itoa(order), "2024-07-01T00:00:00")
			}
			late = "2024-08-01"
			offset = l.poll(0, offset)
			came(32+c.again, "10249", "10279", "10287")
			offset = l.poll(0, offset)
			came(c.again, "10248")
			l.poll(0, offset)
			came(0)
		})
	}
}

// TestCursorWhereTheEndIsRefused: where the service gives no count and refuses what asks for rows behind its last one,
// the load is complete, and the next one begins at the cursor.
func TestCursorWhereTheEndIsRefused(t *testing.T) {
	s := service.New(service.Options{Rows: 40, Switches: service.Switches{RefuseCount: true}})
	refused := 0
	l := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked := r.URL.Query(); asked.Has("$skip") || strings.Contains(asked.Get("$filter"), "OrderID gt") {
			refused++
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		s.ServeHTTP(w, r)
	}), join(set("00", "Orders"), []string{"sap.odata#00.cursor.property=OrderDate", "sap.odata#00.exec-period=60"})...)
	offset, err := l.run(0, nil)
	noError(t, err)
	l.same(s, "Orders")
	if refused == 0 {
		t.Fatalf("nothing was refused: %v", l.targets)
	}
	for range 2 {
		if offset = l.poll(0, offset); len(l.rows) > 0 || !strings.Contains(l.targets[0], "OrderDate%20ge%20") {
			t.Errorf("expected no row again, found %v by %v", l.rows, l.targets)
		}
	}
}

// TestCursorWhoseHighestValueIsNotToBeHad: the question for the highest value, which may be too much for a service, is
// no reason to fail; without an answer the next load begins at what the first page had, and misses nothing.
func TestCursorWhoseHighestValueIsNotToBeHad(t *testing.T) {
	for _, status := range []int{200, 404, 408, 500, 502, 503, 504, 524} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			s := service.New(service.Options{Rows: 40, Switches: service.Switches{PageSize: 15}})
			asked, changed := 0, false
			l := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				query := r.URL.Query()
				switch highest := strings.HasPrefix(query.Get("$orderby"), "OrderDate"); {
				case highest && status == http.StatusOK:
					asked++
					_, _ = w.Write([]byte(`{"d":{"results":[{"OrderID":10248,"OrderDate":null}]}}`)) // null comes first
					return
				case highest:
					asked++
					http.Error(w, "not now", status)
					return
				}
				s.ServeHTTP(w, r)
				if query.Has("$skiptoken") && !changed {
					changed = true
					change := httptest.NewRequest("MERGE", "http://127.0.0.1:8080"+northwind+"/Orders(10248)",
						strings.NewReader(`{"OrderDate":"2024-06-01T01:00:00"}`))
					change.Header.Set("Content-Type", "application/json")
					s.ServeHTTP(httptest.NewRecorder(), change)
				}
			}), join(set("00", "Orders"), []string{"sap.odata#00.cursor.property=OrderDate",
				"sap.odata#00.exec-period=60"})...)
			offset, err := l.run(0, nil)
			if err != nil || asked != 1 || !changed {
				t.Fatalf("asked %d times, changed %t: %v", asked, changed, err)
			}
			l.same(s, "Orders")
			if l.poll(0, offset); !slices.Contains(l.rows, "[10248]") || asked != 1 {
				t.Errorf("expected row 10248, found %v by %v", l.rows, l.targets)
			}
		})
	}
}

// TestCursorWhoseFirstPageHasNone: where neither the service nor the first page tells the highest value of when the
// load began, one of a later page may be above that of a row which has changed behind its page: the next load reads all
// rows, and only the one behind it begins at the cursor.
func TestCursorWhoseFirstPageHasNone(t *testing.T) {
	s := service.New(service.Options{Rows: 40, Switches: service.Switches{PageSize: 15}})
	change := func(order int, date string) {
		t.Helper()
		r := httptest.NewRequest("MERGE", "http://127.0.0.1:8080"+northwind+"/Orders("+strconv.Itoa(order)+")",
			strings.NewReader(`{"OrderDate":`+date+`}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code >= 300 {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
	}
	for order := 10248; order < 10248+15; order++ {
		change(order, "null")
	}
	changed := false
	l := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Query().Get("$orderby"), "OrderDate") {
			http.Error(w, "not now", http.StatusBadRequest)
			return
		}
		if r.URL.Query().Has("$skiptoken") && !changed {
			changed = true
			change(10248, `"2024-06-01T01:00:00"`)
			change(10248+20, `"2024-07-01T01:00:00"`) // on this page
		}
		s.ServeHTTP(w, r)
	}), join(set("00", "Orders"), []string{"sap.odata#00.cursor.property=OrderDate", "sap.odata#00.exec-period=60"})...)
	offset, err := l.run(0, nil)
	if err != nil || !changed {
		t.Fatalf("changed %t: %v", changed, err)
	}
	l.same(s, "Orders")
	if offset = l.poll(0, offset); !slices.Contains(l.rows, "[10248]") {
		t.Errorf("expected row 10248, found %v by %v", l.rows, l.targets)
	}
	change(10249, `"2024-07-01T02:00:00"`)
	if offset = l.poll(0, offset); !slices.Contains(l.rows, "[10249]") || !strings.Contains(l.targets[0],
		"OrderDate%20ge%20") {
		t.Errorf("expected row 10249 by the cursor, found %v by %v", l.rows, l.targets)
	}
	if l.poll(0, offset); len(l.rows) > 0 {
		t.Errorf("expected no row again, found %v by %v", l.rows, l.targets)
	}
}
