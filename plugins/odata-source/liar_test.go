package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/plugins/odata/delta"
	"github.com/culvert-project/culvert/wit"
)

// Services that take an option and do as they like: the load is whole, each row once, or it fails. It never ends short.
func TestServicesThatSayYes(t *testing.T) {
	rows := upFrom(1, 95)
	for _, c := range []struct {
		name     string
		s        odd
		settings []string
		// fails begins what is said; "": all rows come.
		fails string
	}{
		{"$top is not heeded: all rows at once", odd{page: 1000, links: "none", order: "heeds", filter: "heeds",
			count: "filtered", skips: true},
			[]string{"sap.odata.paging=top", "sap.odata.page.size=10"}, ""},
		{"$top is not heeded: pages of the service's own, without links", odd{page: 25, links: "none", order: "heeds",
			filter: "heeds", count: "filtered", skips: true},
			[]string{"sap.odata.paging=top", "sap.odata.page.size=10"}, ""},
		{"$top is not heeded, nor is there a count", odd{page: 1000, links: "none", order: "heeds", filter: "heeds",
			count: "none", skips: true},
			[]string{"sap.odata.paging=top", "sap.odata.page.size=10"}, ""},
		{"$skip is not heeded: the same page again", odd{page: 10, links: "none", order: "refused", filter: "heeds",
			count: "filtered"},
			nil, "X"},
		{"$skip is not heeded, nor is there a count", odd{page: 10, links: "none", order: "refused", filter: "heeds",
			count: "none"},
			[]string{"sap.odata.paging=top", "sap.odata.page.size=10"}, "10 rows came, as many as were asked for"},
		{"the link behind each page leads to it", odd{page: 10, links: "skip", order: "heeds", filter: "heeds",
			count: "none"},
			[]string{"sap.odata.paging=links"}, "circle"},
		{"$inlinecount says more than there is", odd{page: 10, links: "token", order: "heeds", filter: "heeds",
			count: "more", skips: true},
			nil, "100"},
		{"$inlinecount is that of all rows on each page by key", odd{page: 10, links: "skip", order: "heeds",
			filter: "heeds", count: "whole", skips: true},
			nil, ""},
		{"$inlinecount is the number of the page's rows", odd{page: 10, links: "none", order: "heeds", filter: "heeds",
			count: "page", skips: true},
			[]string{"sap.odata.paging=top", "sap.odata.page.size=10"}, ""},
		{"$inlinecount is the number of the page's rows, and $orderby is refused", odd{page: 10, links: "none",
			order: "refused", filter: "heeds", count: "page", skips: true},
			[]string{"sap.odata.paging=top", "sap.odata.page.size=10"}, ""},
		{"$inlinecount is the number of the page's rows, and only the first one can be had",
			odd{page: 10, links: "none", order: "refused", filter: "refused", count: "page"},
			[]string{"sap.odata.paging=top", "sap.odata.page.size=10"}, "10 rows came, as many as were asked for"},
		{"$inlinecount is the number of the page's rows, pages are the service's own", odd{page: 10, links: "none",
			order: "heeds", filter: "heeds", count: "page", skips: true},
			nil, ""},
		{"the same, and $orderby is refused", odd{page: 10, links: "none", order: "refused", filter: "heeds",
			count: "page", skips: true},
			nil, ""},
		{"the same, and links are to be followed", odd{page: 10, links: "none", order: "ignores", filter: "ignores",
			count: "page", skips: true},
			[]string{"sap.odata.paging=links"}, ""},
		{"the same, in pages of one row", odd{page: 1, links: "none", order: "heeds", filter: "heeds", count: "page",
			skips: true},
			nil, ""},
		{"as many rows as are asked for at a time, and they can't be had otherwise", odd{page: 95, links: "none",
			order: "refused", filter: "refused", count: "filtered", tops: true},
			[]string{"sap.odata.paging=top", "sap.odata.page.size=95"}, ""},
		{"as many rows as are asked for at a time", odd{page: 95, links: "none", order: "heeds", filter: "heeds",
			count: "filtered", skips: true, tops: true},
			[]string{"sap.odata.paging=top", "sap.odata.page.size=95"}, ""},
		{"$inlinecount is 0", odd{page: 10, links: "none", order: "heeds", filter: "heeds", count: "zero", skips: true},
			[]string{"sap.odata.paging=top", "sap.odata.page.size=10"}, ""},
		{"$inlinecount is 0, pages are the service's own", odd{page: 10, links: "none", order: "heeds", filter: "heeds",
			count: "zero", skips: true},
			nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.s.keys = slices.Clone(rows)
			missing, twice, err := c.s.read(t, c.settings...)
			if c.fails == "" && (err != nil || missing > 0 || twice > 0) ||
				c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("%d rows are missing, %d came twice: %v\n%s", missing, twice, err, strings.Join(c.s.requests,
					"\n"))
			}
			if len(c.s.requests) > 110 {
				t.Errorf("%d requests", len(c.s.requests))
			}
		})
	}
}

// TestCountsOfAPageProveNothing: where a service counts the rows of a page, a load whose further rows are not to be had
// for a moment fails, though as many rows came as were counted.
func TestCountsOfAPageProveNothing(t *testing.T) {
	for _, status := range []int{403, 408, 503} {
		s := &odd{t: t, keys: upFrom(1, 150), page: 100, links: "none", order: "heeds", filter: "heeds", count: "page",
			skips: true}
		l := newLoad(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked := r.URL.Query(); asked.Has("$skip") || asked.Has("$filter") {
				http.Error(w, "not now", status)
				return
			}
			s.ServeHTTP(w, r)
		}), set("00", "X")...)
		if _, err := l.run(0, nil); err == nil || !strings.Contains(err.Error(), strconv.Itoa(status)) {
			t.Errorf("%d rows of 150 were taken for all: %v\n%s", len(l.rows), err, strings.Join(l.targets, "\n"))
		}
	}
}

// Next links are followed to the last one, however many rows come that a count of a page, or of 0, says there are not.
func TestLinksBesideSmallCounts(t *testing.T) {
	for _, count := range []string{"page", "zero"} {
		s := &odd{keys: upFrom(1, 10_600), page: 100, links: "token", order: "ignores", filter: "ignores", count: count,
			skips: true}
		if missing, twice, err := s.read(t, "sap.odata.paging=links"); err != nil || missing > 0 || twice > 0 {
			t.Errorf("%s: %d rows are missing, %d came twice: %v", count, missing, twice, err)
		}
	}
}

// A delta link that answers the whole set each time: what there is arrives and is not lost, however often it comes, and
// each poll ends.
func TestDeltaLinkThatAnswersAFullLoad(t *testing.T) {
	s := service.New(service.Options{Rows: 30})
	f := newFollower(t, s, tracked00("Products")...)
	if err := f.catchUp(start); err != nil {
		t.Fatal(err)
	}
	f.answered = func(q *wit.Request, r *wit.Response) error {
		if strings.Contains(q.Target, "deltatoken") {
			path, _, _ := strings.Cut(q.Target, "?")
			whole := httptest.NewRequest("GET", "http://127.0.0.1:8080"+path, nil)
			whole.Header.Set("Accept", "application/atom+xml")
			whole.Header.Set("Prefer", delta.TrackChanges)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, whole)
			r.Status, r.Body = uint16(w.Code), w.Body.Bytes()
		}
		return nil
	}
	for n := range 3 {
		write(t, s, "MERGE", "Products("+strconv.Itoa(n+1)+")",
			map[string]any{"ProductName": "Changed " + strconv.Itoa(n)})
		asked := len(f.targets)
		if err := f.catchUp(poll); err != nil {
			t.Fatal(err)
		}
		f.equals(s, "Products", "ProductID", "ProductName")
		if len(f.targets) != asked+1 {
			t.Errorf("expected one request, found %v", f.targets[asked:])
		}
	}
}
